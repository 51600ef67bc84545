
use builtin;
use str;

set edit:completion:arg-completer[vstream] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'vstream'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'vstream'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand send 'Send video to one or more receivers'
            cand recv 'Receive video and show, save or pass it on'
            cand relay 'Receive video and pass it on as it comes, to any number of others'
            cand hub 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers'
            cand player 'Watch and talk at a hub, or stream to it, in a window'
            cand shape 'Put a bad network between two programs'
            cand devices 'List the cameras and their formats'
            cand completions 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'vstream;send'= {
            cand --to 'Receiver to call; more than once for several, each at its own pace'
            cand --listen 'Wait for receivers to call, here'
            cand --coordinate 'Wait here for peers that join (relay --join), and put them in a chain, or a tree: each gets the stream from another'
            cand --wait-peers 'Begin when so many peers have joined and are connected to each other: at most 15 in a chain, 256 in a tree'
            cand --fanout 'Peers that each one passes the stream on to; 1 makes a chain, of at most 15 as a stream goes over 16 hops'
            cand --from 'test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]'
            cand --raw 'Form of raw frames on stdin: i420:1280x720@30'
            cand --size 'Width and height, or 240p to 2160p [default: the source''s]'
            cand --fps 'Frames a second [default: the source''s]'
            cand --quality 'JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]'
            cand --codec 'How frames are coded'
            cand --gate 'What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG that no udp:// may lose]'
            cand --rate-max 'Send no more than this to each receiver: 8mbit'
            cand --cert 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]'
            cand --cert-key 'Private key of that certificate (PEM)'
            cand --http 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]'
            cand --allow-origin 'Let pages of this origin (http://host:port) read and change what is served; more than once for several'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --adapt 'Follow the network with frame rate, quality and size, below what is asked for [default: for live sources]'
            cand --no-adapt 'Send frames as they are; what the network does not take is left out'
            cand --every-frame 'Drop nothing: the source waits for the slowest receiver'
            cand --loop 'Begin again when the source is over'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;recv'= {
            cand --listen 'Wait for a sender, here [default: tcp://:9000]'
            cand --from 'Call a sender that listens'
            cand --playout 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]'
            cand --save 'Save each frame as a JPEG in this folder, with frames.jsonl'
            cand --output 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several'
            cand --raw 'Write the outputs as raw planes, whatever their ending'
            cand --cert 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]'
            cand --cert-key 'Private key of that certificate (PEM)'
            cand --http 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]'
            cand --allow-origin 'Let pages of this origin (http://host:port) read and change what is served; more than once for several'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --play 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)'
            cand --stay 'Wait for the next stream when one is over'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;relay'= {
            cand --listen 'Wait here for senders, and for others who want the stream [default, without --from: tcp://:9000; with --join: any free port]'
            cand --from 'Call a sender or relay that listens; more than once for several ways to the same stream'
            cand --join 'Join the network of a `send --coordinate`, which says from whom the stream comes'
            cand --next 'Call a receiver or relay, and pass the stream on to it; more than once for several, each at its own pace'
            cand --peer 'Name of this relay on the way of the stream; among those that join the same network one of its own'
            cand --playout 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]'
            cand --save 'Save each frame as a JPEG in this folder, with frames.jsonl'
            cand --output 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several'
            cand --raw 'Write the outputs as raw planes, whatever their ending'
            cand --cert 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]'
            cand --cert-key 'Private key of that certificate (PEM)'
            cand --http 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]'
            cand --allow-origin 'Let pages of this origin (http://host:port) read and change what is served; more than once for several'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --every-frame 'Drop nothing, whatever the sender says: it waits for the slowest of those that come next'
            cand --play 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)'
            cand --stay 'Wait for the next stream when one is over'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;hub'= {
            cand --listen 'Wait here for streamers and viewers; more than once for several transports [default: tcp://:9000]'
            cand --library 'Folder of videos to offer: each viewer where it likes, at the quality that its network takes'
            cand --rungs 'Sizes below the stream''s own that a viewer can choose'
            cand --viewers-max 'Viewers at once, over links and in browsers'
            cand --viewers-per-stream 'Viewers of one stream at once [default: as many as there are]'
            cand --viewers-per-address 'Viewers from one address at once [default: as many as there are]'
            cand --rate-max 'Send no more than this to all viewers together: 100mbit'
            cand --chat-history 'Lines of chat that are kept for those who come late'
            cand --cert 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]'
            cand --cert-key 'Private key of that certificate (PEM)'
            cand --http 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]'
            cand --allow-origin 'Let pages of this origin (http://host:port) read and change what is served; more than once for several'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --prepare 'Make all videos ready before anything else, not each when it is first watched'
            cand --announce 'Announce this hub on the local network (multicast DNS), where `vstream player` lists it'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;player'= {
            cand --user 'Your name there [default: that of the last time; without a window none, and so no chat]'
            cand --stream 'Stream this there: test, camera, /dev/videoN, a file, http://…'
            cand --video 'Watch this video of the library'
            cand --rung 'What to watch: auto (what the network takes), source, or a size as 240p to 1080p'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --join 'Watch at once: the stream that the address names, or the only one there is'
            cand --take-over 'Stream in the place of whoever does; the hub must have a key'
            cand --headless 'No window: figures by --stats, chat in the log, and lines on stdin are said, or done: /rung 480p, /seek 90, /pause, /play'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;shape'= {
            cand --listen 'Take clients here; :9001 is every interface [default: 127.0.0.1:9001]'
            cand --to 'Pass them on to here [default: 127.0.0.1:9000]'
            cand --delay 'Add this delay, each way'
            cand --jitter 'Vary the delay by this much'
            cand --distribution 'How it varies: uniform, normal or pareto'
            cand --loss 'Lose this share of packets'
            cand --burst-loss 'Lose this share in bursts of this mean length, as 2%:5'
            cand --reorder 'Let this share of datagrams overtake others'
            cand --duplicate 'Double this share of datagrams'
            cand --corrupt 'Damage a bit in this share of datagrams'
            cand --rate 'Pass so many payload bits a second, all connections together'
            cand --queue 'Let so much wait for the rate, in time or bytes; more is dropped [default: 300ms]'
            cand --up 'Other settings from client to target, as ''delay=50ms,loss=2%'''
            cand --down 'Other settings from target to client'
            cand --profile 'Begin with a known network (help lists them)'
            cand --trace 'Follow a recorded link (mahimahi''s format); given twice the second is for target to client'
            cand --script 'Change over time: a file of lines such as `at 10s rate 1mbit`, or rfc8867-5.1, -5.2, -5.3'
            cand --scale 'Multiply the script''s rates'
            cand --config 'Proxies and toxics as JSON, as for POST /populate; read again at SIGHUP'
            cand --seed 'Repeat the same chances'
            cand --http 'Serve the panel and the Toxiproxy v2 API here [default: 127.0.0.1:8474, where it is free]'
            cand --allow-origin 'Let pages of this origin (http://host:port) read and change what is served; more than once for several'
            cand --monitor 'Show the stream of a send or recv that serves --http here; more than once for several'
            cand --tc 'Shape what leaves by this device with the kernel''s netem and tbf instead (root)'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --key 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)'
            cand --key-file 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY'
            cand --udp 'Pass datagrams instead of tcp'
            cand --both 'Pass tcp and datagrams, on the same port'
            cand --open 'Open the panel in a browser'
            cand --dry-run 'Only print the commands of --tc'
            cand -v 'Say more (-vv: everything)'
            cand --verbose 'Say more (-vv: everything)'
            cand -q 'Say nothing but errors (and stats where a form is asked for)'
            cand --quiet 'Say nothing but errors (and stats where a form is asked for)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;devices'= {
            cand --json 'One JSON array on stdout'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'vstream;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'vstream;help'= {
            cand send 'Send video to one or more receivers'
            cand recv 'Receive video and show, save or pass it on'
            cand relay 'Receive video and pass it on as it comes, to any number of others'
            cand hub 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers'
            cand player 'Watch and talk at a hub, or stream to it, in a window'
            cand shape 'Put a bad network between two programs'
            cand devices 'List the cameras and their formats'
            cand completions 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'vstream;help;send'= {
        }
        &'vstream;help;recv'= {
        }
        &'vstream;help;relay'= {
        }
        &'vstream;help;hub'= {
        }
        &'vstream;help;player'= {
        }
        &'vstream;help;shape'= {
        }
        &'vstream;help;devices'= {
        }
        &'vstream;help;completions'= {
        }
        &'vstream;help;help'= {
        }
    ]
    $completions[$command]
}
