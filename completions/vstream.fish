# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vstream_global_optspecs
    string join \n h/help V/version
end

function __fish_vstream_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vstream_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vstream_using_subcommand
    set -l cmd (__fish_vstream_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vstream -n "__fish_vstream_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_needs_command" -s V -l version -d 'Print version'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "send" -d 'Send video to one or more receivers'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "recv" -d 'Receive video and show, save or pass it on'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "relay" -d 'Receive video and pass it on as it comes, to any number of others'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "hub" -d 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "player" -d 'Watch and talk at a hub, or stream to it, in a window'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "shape" -d 'Put a bad network between two programs'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "devices" -d 'List the cameras and their formats'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "completions" -d 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
complete -c vstream -n "__fish_vstream_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vstream -n "__fish_vstream_using_subcommand send" -l to -d 'Receiver to call; more than once for several, each at its own pace' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l listen -d 'Wait for receivers to call, here' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l coordinate -d 'Wait here for peers that join (relay --join), and put them in a chain, or a tree: each gets the stream from another' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l wait-peers -d 'Begin when so many peers have joined and are connected to each other: at most 15 in a chain, 256 in a tree' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l fanout -d 'Peers that each one passes the stream on to; 1 makes a chain, of at most 15 as a stream goes over 16 hops' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l from -d 'test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l raw -d 'Form of raw frames on stdin: i420:1280x720@30' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l size -d 'Width and height, or 240p to 2160p [default: the source\'s]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l fps -d 'Frames a second [default: the source\'s]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l quality -d 'JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l codec -d 'How frames are coded' -r -f -a "jpeg\t'For cameras and films'
lz4\t'For screens and figures: every pixel as it was, several times the bytes of JPEG where the picture moves'"
complete -c vstream -n "__fish_vstream_using_subcommand send" -l gate -d 'What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG that no udp:// may lose]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l rate-max -d 'Send no more than this to each receiver: 8mbit' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l cert -d 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l cert-key -d 'Private key of that certificate (PEM)' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l http -d 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l allow-origin -d 'Let pages of this origin (http://host:port) read and change what is served; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand send" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand send" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand send" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand send" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand send" -l adapt -d 'Follow the network with frame rate, quality and size, below what is asked for [default: for live sources]'
complete -c vstream -n "__fish_vstream_using_subcommand send" -l no-adapt -d 'Send frames as they are; what the network does not take is left out'
complete -c vstream -n "__fish_vstream_using_subcommand send" -l every-frame -d 'Drop nothing: the source waits for the slowest receiver'
complete -c vstream -n "__fish_vstream_using_subcommand send" -l loop -d 'Begin again when the source is over'
complete -c vstream -n "__fish_vstream_using_subcommand send" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand send" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l listen -d 'Wait for a sender, here [default: tcp://:9000]' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l from -d 'Call a sender that listens' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l playout -d 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l save -d 'Save each frame as a JPEG in this folder, with frames.jsonl' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l output -d 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l raw -d 'Write the outputs as raw planes, whatever their ending' -r -f -a "i420\t'Planar Y, Cb, Cr, 4:2:0, full range'"
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l cert -d 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l cert-key -d 'Private key of that certificate (PEM)' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l http -d 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l allow-origin -d 'Let pages of this origin (http://host:port) read and change what is served; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l play -d 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)'
complete -c vstream -n "__fish_vstream_using_subcommand recv" -l stay -d 'Wait for the next stream when one is over'
complete -c vstream -n "__fish_vstream_using_subcommand recv" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand recv" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand recv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l listen -d 'Wait here for senders, and for others who want the stream [default, without --from: tcp://:9000; with --join: any free port]' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l from -d 'Call a sender or relay that listens; more than once for several ways to the same stream' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l join -d 'Join the network of a `send --coordinate`, which says from whom the stream comes' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l next -d 'Call a receiver or relay, and pass the stream on to it; more than once for several, each at its own pace' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l peer -d 'Name of this relay on the way of the stream; among those that join the same network one of its own' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l playout -d 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l save -d 'Save each frame as a JPEG in this folder, with frames.jsonl' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l output -d 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l raw -d 'Write the outputs as raw planes, whatever their ending' -r -f -a "i420\t'Planar Y, Cb, Cr, 4:2:0, full range'"
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l cert -d 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l cert-key -d 'Private key of that certificate (PEM)' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l http -d 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l allow-origin -d 'Let pages of this origin (http://host:port) read and change what is served; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l every-frame -d 'Drop nothing, whatever the sender says: it waits for the slowest of those that come next'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l play -d 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -l stay -d 'Wait for the next stream when one is over'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand relay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l listen -d 'Wait here for streamers and viewers; more than once for several transports [default: tcp://:9000]' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l library -d 'Folder of videos to offer: each viewer where it likes, at the quality that its network takes' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l rungs -d 'Sizes below the stream\'s own that a viewer can choose' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l viewers-max -d 'Viewers at once, over links and in browsers' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l viewers-per-stream -d 'Viewers of one stream at once [default: as many as there are]' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l viewers-per-address -d 'Viewers from one address at once [default: as many as there are]' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l rate-max -d 'Send no more than this to all viewers together: 100mbit' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l chat-history -d 'Lines of chat that are kept for those who come late' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l cert -d 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l cert-key -d 'Private key of that certificate (PEM)' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l http -d 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l allow-origin -d 'Let pages of this origin (http://host:port) read and change what is served; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l prepare -d 'Make all videos ready before anything else, not each when it is first watched'
complete -c vstream -n "__fish_vstream_using_subcommand hub" -l announce -d 'Announce this hub on the local network (multicast DNS), where `vstream player` lists it'
complete -c vstream -n "__fish_vstream_using_subcommand hub" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand hub" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand hub" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand player" -l user -d 'Your name there [default: that of the last time; without a window none, and so no chat]' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l stream -d 'Stream this there: test, camera, /dev/videoN, a file, http://…' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l video -d 'Watch this video of the library' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l rung -d 'What to watch: auto (what the network takes), source, or a size as 240p to 1080p' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand player" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand player" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand player" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand player" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand player" -l join -d 'Watch at once: the stream that the address names, or the only one there is'
complete -c vstream -n "__fish_vstream_using_subcommand player" -l take-over -d 'Stream in the place of whoever does; the hub must have a key'
complete -c vstream -n "__fish_vstream_using_subcommand player" -l headless -d 'No window: figures by --stats, chat in the log, and lines on stdin are said, or done: /rung 480p, /seek 90, /pause, /play'
complete -c vstream -n "__fish_vstream_using_subcommand player" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand player" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand player" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l listen -d 'Take clients here; :9001 is every interface [default: 127.0.0.1:9001]' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l to -d 'Pass them on to here [default: 127.0.0.1:9000]' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l delay -d 'Add this delay, each way' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l jitter -d 'Vary the delay by this much' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l distribution -d 'How it varies: uniform, normal or pareto' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l loss -d 'Lose this share of packets' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l burst-loss -d 'Lose this share in bursts of this mean length, as 2%:5' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l reorder -d 'Let this share of datagrams overtake others' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l duplicate -d 'Double this share of datagrams' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l corrupt -d 'Damage a bit in this share of datagrams' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l rate -d 'Pass so many payload bits a second, all connections together' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l queue -d 'Let so much wait for the rate, in time or bytes; more is dropped [default: 300ms]' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l up -d 'Other settings from client to target, as \'delay=50ms,loss=2%\'' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l down -d 'Other settings from target to client' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l profile -d 'Begin with a known network (help lists them)' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l trace -d 'Follow a recorded link (mahimahi\'s format); given twice the second is for target to client' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l script -d 'Change over time: a file of lines such as `at 10s rate 1mbit`, or rfc8867-5.1, -5.2, -5.3' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l scale -d 'Multiply the script\'s rates' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l config -d 'Proxies and toxics as JSON, as for POST /populate; read again at SIGHUP' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l seed -d 'Repeat the same chances' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l http -d 'Serve the panel and the Toxiproxy v2 API here [default: 127.0.0.1:8474, where it is free]' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l allow-origin -d 'Let pages of this origin (http://host:port) read and change what is served; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l monitor -d 'Show the stream of a send or recv that serves --http here; more than once for several' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l tc -d 'Shape what leaves by this device with the kernel\'s netem and tbf instead (root)' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l stats -d 'Form of the stats on stderr' -r -f -a "human\t'A live line on a terminal, else a line a second'
json\t'One object a line, a line a second'
csv\t'A header, then a line a second'
none\t'Nothing'"
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l stats-file -d 'Write the stats to a file too (JSON, or CSV with --stats csv)' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l log -d 'Write a log with times to a file too' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l timeout -d 'Give up (exit 124) after this long without a peer, or a source without a frame' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l duration -d 'End after this long' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l frames -d 'End after this many frames' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l key -d 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)' -r
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l key-file -d 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY' -r -F
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l udp -d 'Pass datagrams instead of tcp'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l both -d 'Pass tcp and datagrams, on the same port'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l open -d 'Open the panel in a browser'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -l dry-run -d 'Only print the commands of --tc'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -s v -l verbose -d 'Say more (-vv: everything)'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -s q -l quiet -d 'Say nothing but errors (and stats where a form is asked for)'
complete -c vstream -n "__fish_vstream_using_subcommand shape" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand devices" -l json -d 'One JSON array on stdout'
complete -c vstream -n "__fish_vstream_using_subcommand devices" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vstream -n "__fish_vstream_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "send" -d 'Send video to one or more receivers'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "recv" -d 'Receive video and show, save or pass it on'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "relay" -d 'Receive video and pass it on as it comes, to any number of others'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "hub" -d 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "player" -d 'Watch and talk at a hub, or stream to it, in a window'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "shape" -d 'Put a bad network between two programs'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "devices" -d 'List the cameras and their formats'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "completions" -d 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
complete -c vstream -n "__fish_vstream_using_subcommand help; and not __fish_seen_subcommand_from send recv relay hub player shape devices completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
