
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'vstream' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'vstream'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'vstream' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send video to one or more receivers')
            [CompletionResult]::new('recv', 'recv', [CompletionResultType]::ParameterValue, 'Receive video and show, save or pass it on')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Receive video and pass it on as it comes, to any number of others')
            [CompletionResult]::new('hub', 'hub', [CompletionResultType]::ParameterValue, 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers')
            [CompletionResult]::new('player', 'player', [CompletionResultType]::ParameterValue, 'Watch and talk at a hub, or stream to it, in a window')
            [CompletionResult]::new('shape', 'shape', [CompletionResultType]::ParameterValue, 'Put a bad network between two programs')
            [CompletionResult]::new('devices', 'devices', [CompletionResultType]::ParameterValue, 'List the cameras and their formats')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script, for example: vstream completions bash >> ~/.bashrc')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'vstream;send' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Receiver to call; more than once for several, each at its own pace')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Wait for receivers to call, here')
            [CompletionResult]::new('--coordinate', '--coordinate', [CompletionResultType]::ParameterName, 'Wait here for peers that join (relay --join), and put them in a chain, or a tree: each gets the stream from another')
            [CompletionResult]::new('--wait-peers', '--wait-peers', [CompletionResultType]::ParameterName, 'Begin when so many peers have joined and are connected to each other: at most 15 in a chain, 256 in a tree')
            [CompletionResult]::new('--fanout', '--fanout', [CompletionResultType]::ParameterName, 'Peers that each one passes the stream on to; 1 makes a chain, of at most 15 as a stream goes over 16 hops')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'Form of raw frames on stdin: i420:1280x720@30')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Width and height, or 240p to 2160p [default: the source''s]')
            [CompletionResult]::new('--fps', '--fps', [CompletionResultType]::ParameterName, 'Frames a second [default: the source''s]')
            [CompletionResult]::new('--quality', '--quality', [CompletionResultType]::ParameterName, 'JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]')
            [CompletionResult]::new('--codec', '--codec', [CompletionResultType]::ParameterName, 'How frames are coded')
            [CompletionResult]::new('--gate', '--gate', [CompletionResultType]::ParameterName, 'What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG that no udp:// may lose]')
            [CompletionResult]::new('--rate-max', '--rate-max', [CompletionResultType]::ParameterName, 'Send no more than this to each receiver: 8mbit')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of that certificate (PEM)')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin (http://host:port) read and change what is served; more than once for several')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--adapt', '--adapt', [CompletionResultType]::ParameterName, 'Follow the network with frame rate, quality and size, below what is asked for [default: for live sources]')
            [CompletionResult]::new('--no-adapt', '--no-adapt', [CompletionResultType]::ParameterName, 'Send frames as they are; what the network does not take is left out')
            [CompletionResult]::new('--every-frame', '--every-frame', [CompletionResultType]::ParameterName, 'Drop nothing: the source waits for the slowest receiver')
            [CompletionResult]::new('--loop', '--loop', [CompletionResultType]::ParameterName, 'Begin again when the source is over')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;recv' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Wait for a sender, here [default: tcp://:9000]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Call a sender that listens')
            [CompletionResult]::new('--playout', '--playout', [CompletionResultType]::ParameterName, 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]')
            [CompletionResult]::new('--save', '--save', [CompletionResultType]::ParameterName, 'Save each frame as a JPEG in this folder, with frames.jsonl')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'Write the outputs as raw planes, whatever their ending')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of that certificate (PEM)')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin (http://host:port) read and change what is served; more than once for several')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--play', '--play', [CompletionResultType]::ParameterName, 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)')
            [CompletionResult]::new('--stay', '--stay', [CompletionResultType]::ParameterName, 'Wait for the next stream when one is over')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;relay' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Wait here for senders, and for others who want the stream [default, without --from: tcp://:9000; with --join: any free port]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Call a sender or relay that listens; more than once for several ways to the same stream')
            [CompletionResult]::new('--join', '--join', [CompletionResultType]::ParameterName, 'Join the network of a `send --coordinate`, which says from whom the stream comes')
            [CompletionResult]::new('--next', '--next', [CompletionResultType]::ParameterName, 'Call a receiver or relay, and pass the stream on to it; more than once for several, each at its own pace')
            [CompletionResult]::new('--peer', '--peer', [CompletionResultType]::ParameterName, 'Name of this relay on the way of the stream; among those that join the same network one of its own')
            [CompletionResult]::new('--playout', '--playout', [CompletionResultType]::ParameterName, 'Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]')
            [CompletionResult]::new('--save', '--save', [CompletionResultType]::ParameterName, 'Save each frame as a JPEG in this folder, with frames.jsonl')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'Write the outputs as raw planes, whatever their ending')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of that certificate (PEM)')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin (http://host:port) read and change what is served; more than once for several')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--every-frame', '--every-frame', [CompletionResultType]::ParameterName, 'Drop nothing, whatever the sender says: it waits for the slowest of those that come next')
            [CompletionResult]::new('--play', '--play', [CompletionResultType]::ParameterName, 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)')
            [CompletionResult]::new('--stay', '--stay', [CompletionResultType]::ParameterName, 'Wait for the next stream when one is over')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;hub' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Wait here for streamers and viewers; more than once for several transports [default: tcp://:9000]')
            [CompletionResult]::new('--library', '--library', [CompletionResultType]::ParameterName, 'Folder of videos to offer: each viewer where it likes, at the quality that its network takes')
            [CompletionResult]::new('--rungs', '--rungs', [CompletionResultType]::ParameterName, 'Sizes below the stream''s own that a viewer can choose')
            [CompletionResult]::new('--viewers-max', '--viewers-max', [CompletionResultType]::ParameterName, 'Viewers at once, over links and in browsers')
            [CompletionResult]::new('--viewers-per-stream', '--viewers-per-stream', [CompletionResultType]::ParameterName, 'Viewers of one stream at once [default: as many as there are]')
            [CompletionResult]::new('--viewers-per-address', '--viewers-per-address', [CompletionResultType]::ParameterName, 'Viewers from one address at once [default: as many as there are]')
            [CompletionResult]::new('--rate-max', '--rate-max', [CompletionResultType]::ParameterName, 'Send no more than this to all viewers together: 100mbit')
            [CompletionResult]::new('--chat-history', '--chat-history', [CompletionResultType]::ParameterName, 'Lines of chat that are kept for those who come late')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]')
            [CompletionResult]::new('--cert-key', '--cert-key', [CompletionResultType]::ParameterName, 'Private key of that certificate (PEM)')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin (http://host:port) read and change what is served; more than once for several')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--prepare', '--prepare', [CompletionResultType]::ParameterName, 'Make all videos ready before anything else, not each when it is first watched')
            [CompletionResult]::new('--announce', '--announce', [CompletionResultType]::ParameterName, 'Announce this hub on the local network (multicast DNS), where `vstream player` lists it')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;player' {
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'Your name there [default: that of the last time; without a window none, and so no chat]')
            [CompletionResult]::new('--stream', '--stream', [CompletionResultType]::ParameterName, 'Stream this there: test, camera, /dev/videoN, a file, http://…')
            [CompletionResult]::new('--video', '--video', [CompletionResultType]::ParameterName, 'Watch this video of the library')
            [CompletionResult]::new('--rung', '--rung', [CompletionResultType]::ParameterName, 'What to watch: auto (what the network takes), source, or a size as 240p to 1080p')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--join', '--join', [CompletionResultType]::ParameterName, 'Watch at once: the stream that the address names, or the only one there is')
            [CompletionResult]::new('--take-over', '--take-over', [CompletionResultType]::ParameterName, 'Stream in the place of whoever does; the hub must have a key')
            [CompletionResult]::new('--headless', '--headless', [CompletionResultType]::ParameterName, 'No window: figures by --stats, chat in the log, and lines on stdin are said, or done: /rung 480p, /seek 90, /pause, /play')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;shape' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Take clients here; :9001 is every interface [default: 127.0.0.1:9001]')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Pass them on to here [default: 127.0.0.1:9000]')
            [CompletionResult]::new('--delay', '--delay', [CompletionResultType]::ParameterName, 'Add this delay, each way')
            [CompletionResult]::new('--jitter', '--jitter', [CompletionResultType]::ParameterName, 'Vary the delay by this much')
            [CompletionResult]::new('--distribution', '--distribution', [CompletionResultType]::ParameterName, 'How it varies: uniform, normal or pareto')
            [CompletionResult]::new('--loss', '--loss', [CompletionResultType]::ParameterName, 'Lose this share of packets')
            [CompletionResult]::new('--burst-loss', '--burst-loss', [CompletionResultType]::ParameterName, 'Lose this share in bursts of this mean length, as 2%:5')
            [CompletionResult]::new('--reorder', '--reorder', [CompletionResultType]::ParameterName, 'Let this share of datagrams overtake others')
            [CompletionResult]::new('--duplicate', '--duplicate', [CompletionResultType]::ParameterName, 'Double this share of datagrams')
            [CompletionResult]::new('--corrupt', '--corrupt', [CompletionResultType]::ParameterName, 'Damage a bit in this share of datagrams')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Pass so many payload bits a second, all connections together')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Let so much wait for the rate, in time or bytes; more is dropped [default: 300ms]')
            [CompletionResult]::new('--up', '--up', [CompletionResultType]::ParameterName, 'Other settings from client to target, as ''delay=50ms,loss=2%''')
            [CompletionResult]::new('--down', '--down', [CompletionResultType]::ParameterName, 'Other settings from target to client')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Begin with a known network (help lists them)')
            [CompletionResult]::new('--trace', '--trace', [CompletionResultType]::ParameterName, 'Follow a recorded link (mahimahi''s format); given twice the second is for target to client')
            [CompletionResult]::new('--script', '--script', [CompletionResultType]::ParameterName, 'Change over time: a file of lines such as `at 10s rate 1mbit`, or rfc8867-5.1, -5.2, -5.3')
            [CompletionResult]::new('--scale', '--scale', [CompletionResultType]::ParameterName, 'Multiply the script''s rates')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Proxies and toxics as JSON, as for POST /populate; read again at SIGHUP')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Repeat the same chances')
            [CompletionResult]::new('--http', '--http', [CompletionResultType]::ParameterName, 'Serve the panel and the Toxiproxy v2 API here [default: 127.0.0.1:8474, where it is free]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin (http://host:port) read and change what is served; more than once for several')
            [CompletionResult]::new('--monitor', '--monitor', [CompletionResultType]::ParameterName, 'Show the stream of a send or recv that serves --http here; more than once for several')
            [CompletionResult]::new('--tc', '--tc', [CompletionResultType]::ParameterName, 'Shape what leaves by this device with the kernel''s netem and tbf instead (root)')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Read the key from a file, its first line; it counts before --key and VSTREAM_KEY')
            [CompletionResult]::new('--udp', '--udp', [CompletionResultType]::ParameterName, 'Pass datagrams instead of tcp')
            [CompletionResult]::new('--both', '--both', [CompletionResultType]::ParameterName, 'Pass tcp and datagrams, on the same port')
            [CompletionResult]::new('--open', '--open', [CompletionResultType]::ParameterName, 'Open the panel in a browser')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Only print the commands of --tc')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more (-vv: everything)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors (and stats where a form is asked for)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;devices' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON array on stdout')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'vstream;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'vstream;help' {
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send video to one or more receivers')
            [CompletionResult]::new('recv', 'recv', [CompletionResultType]::ParameterValue, 'Receive video and show, save or pass it on')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Receive video and pass it on as it comes, to any number of others')
            [CompletionResult]::new('hub', 'hub', [CompletionResultType]::ParameterValue, 'One streamer, many viewers: each at its own quality, with chat, on links and in browsers')
            [CompletionResult]::new('player', 'player', [CompletionResultType]::ParameterValue, 'Watch and talk at a hub, or stream to it, in a window')
            [CompletionResult]::new('shape', 'shape', [CompletionResultType]::ParameterValue, 'Put a bad network between two programs')
            [CompletionResult]::new('devices', 'devices', [CompletionResultType]::ParameterValue, 'List the cameras and their formats')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script, for example: vstream completions bash >> ~/.bashrc')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'vstream;help;send' {
            break
        }
        'vstream;help;recv' {
            break
        }
        'vstream;help;relay' {
            break
        }
        'vstream;help;hub' {
            break
        }
        'vstream;help;player' {
            break
        }
        'vstream;help;shape' {
            break
        }
        'vstream;help;devices' {
            break
        }
        'vstream;help;completions' {
            break
        }
        'vstream;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
