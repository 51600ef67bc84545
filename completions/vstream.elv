
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
            cand devices 'List the cameras and their formats'
            cand completions 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'vstream;send'= {
            cand --to 'Receiver to call; more than once for several, each at its own pace'
            cand --listen 'Wait for receivers to call, here'
            cand --from 'test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]'
            cand --raw 'Form of raw frames on stdin: i420:1280x720@30'
            cand --size 'Width and height, or 240p to 2160p [default: the source''s]'
            cand --fps 'Frames a second [default: the source''s]'
            cand --quality 'JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]'
            cand --codec 'How frames are coded'
            cand --gate 'What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG]'
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
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
            cand --stats 'Form of the stats on stderr'
            cand --stats-file 'Write the stats to a file too (JSON, or CSV with --stats csv)'
            cand --log 'Write a log with times to a file too'
            cand --timeout 'Give up (exit 124) after this long without a peer, or a source without a frame'
            cand --duration 'End after this long'
            cand --frames 'End after this many frames'
            cand --play 'Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)'
            cand --stay 'Wait for the next stream when one is over'
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
            cand devices 'List the cameras and their formats'
            cand completions 'Print a completion script, for example: vstream completions bash >> ~/.bashrc'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'vstream;help;send'= {
        }
        &'vstream;help;recv'= {
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
