
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
            [CompletionResult]::new('devices', 'devices', [CompletionResultType]::ParameterValue, 'List the cameras and their formats')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script, for example: vstream completions bash >> ~/.bashrc')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'vstream;send' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Receiver to call; more than once for several, each at its own pace')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Wait for receivers to call, here')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'Form of raw frames on stdin: i420:1280x720@30')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Width and height, or 240p to 2160p [default: the source''s]')
            [CompletionResult]::new('--fps', '--fps', [CompletionResultType]::ParameterName, 'Frames a second [default: the source''s]')
            [CompletionResult]::new('--quality', '--quality', [CompletionResultType]::ParameterName, 'JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]')
            [CompletionResult]::new('--codec', '--codec', [CompletionResultType]::ParameterName, 'How frames are coded')
            [CompletionResult]::new('--gate', '--gate', [CompletionResultType]::ParameterName, 'What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG]')
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
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
            [CompletionResult]::new('--stats', '--stats', [CompletionResultType]::ParameterName, 'Form of the stats on stderr')
            [CompletionResult]::new('--stats-file', '--stats-file', [CompletionResultType]::ParameterName, 'Write the stats to a file too (JSON, or CSV with --stats csv)')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Write a log with times to a file too')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up (exit 124) after this long without a peer, or a source without a frame')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'End after this long')
            [CompletionResult]::new('--frames', '--frames', [CompletionResultType]::ParameterName, 'End after this many frames')
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
