#!/bin/sh
# hold.sh VSTREAM FILM: a film sent and received at its own rate for 20 s; frame rate, resident memory and processor
# time of both ends.
set -eu
vstream=$1 film=$2
dir=$(mktemp -d)
trap 'kill $receiver $sender 2>/dev/null || true; rm -rf "$dir"' EXIT
"$vstream" recv --listen tcp://127.0.0.1:0 --output /dev/null --raw i420 --stats json 2>"$dir/recv" &
receiver=$!
until grep -q '^listening on' "$dir/recv"; do sleep 0.05; done
"$vstream" send --from "$film" --loop --to "$(sed -n 's/^listening on //p' "$dir/recv")" --stats json 2>"$dir/send" &
sender=$!
sleep 20
figure() { # PID: resident MB and processor seconds
    awk '/VmHWM/ { printf "%.0f MB resident at most, ", $2 / 1024 }' "/proc/$1/status"
    awk -v hz="$(getconf CLK_TCK)" '{ printf "%.0f %% of a core\n", ($14 + $15) / hz / 20 * 100 }' "/proc/$1/stat"
}
rate() { grep -o '"fps":[0-9.]*' "$1" | cut -d: -f2 | tail -n +3 | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "film held for 20 s:"
echo "  sender   $(rate "$dir/send") fps, $(figure $sender)"
echo "  receiver $(rate "$dir/recv") fps, $(figure $receiver)"
