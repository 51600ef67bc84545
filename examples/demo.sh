#!/bin/sh
# demo.sh [VSTREAM]: the test card through a real sender and a real receiver on this machine. With a display it shows a
# window until you quit it; without one it prints the figures for five seconds and leaves pictures to look at.
set -eu
vstream=${1:-vstream}
log=$(mktemp)
trap 'kill "$receiver" 2>/dev/null || true; rm -f "$log"' EXIT
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    "$vstream" recv --listen tcp://127.0.0.1:0 --play 2>"$log" &
    receiver=$!
    limit=
else
    out=demo-$(date +%Y%m%d-%H%M%S)
    echo "there is no display: five seconds go to the folder $out instead of a window"
    "$vstream" recv --listen tcp://127.0.0.1:0 --save "$out/frames" --output "$out/clip.avi" 2>"$log" &
    receiver=$!
    limit='--duration 5s'
fi
until grep -q '^listening on' "$log"; do
    kill -0 "$receiver" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.05
done
address=$(sed -n 's/^listening on //p' "$log")
# The sender ends when the window does: a receiver that leaves makes it wait, so it is told.
# shellcheck disable=SC2086 # no words or two
"$vstream" send --from test --to "$address" $limit &
sender=$!
wait "$receiver" || { cat "$log" >&2; kill "$sender"; exit 1; }
kill "$sender" 2>/dev/null || true
wait "$sender" 2>/dev/null || true
[ -n "$limit" ] || exit 0
tail -n 1 "$log"
if command -v ffmpeg >/dev/null; then
    ffmpeg -nostdin -v error -y -i "$out/clip.avi" -vf 'fps=2,scale=320:-1,tile=5x2' -frames:v 1 "$out/contact-sheet.jpg"
    echo "look at $out/contact-sheet.jpg, $out/clip.avi and $out/frames/"
else
    echo "look at $out/clip.avi and $out/frames/"
fi
