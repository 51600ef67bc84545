#!/bin/sh
# soak.sh VSTREAM [SECONDS]: the frames of an hour (108,000) at 200 a second, so that it takes nine minutes. Resident
# memory, open files and latency of both ends every tenth of it: nothing may grow.
set -eu
vstream=$1 seconds=${2:-540}
dir=$(mktemp -d)
trap 'kill $receiver $sender 2>/dev/null || true; rm -rf "$dir"' EXIT
"$vstream" recv --listen tcp://127.0.0.1:0 --output /dev/null --raw i420 --stats json 2>"$dir/recv" &
receiver=$!
until grep -q '^listening on' "$dir/recv"; do sleep 0.05; done
"$vstream" send --from 'test?size=320x240&fps=200' --to "$(sed -n 's/^listening on //p' "$dir/recv")" --stats none 2>/dev/null &
sender=$!
figures() { # PID
    awk '/VmRSS/ { printf "%.1f MB", $2 / 1024 }' "/proc/$1/status"
    printf ' %s files' "$(find "/proc/$1/fd" | wc -l)"
}
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep $((seconds / 10))
    last=$(grep '^{' "$dir/recv" | tail -n 1)
    frames=$(echo "$last" | grep -o '"frames":[0-9]*' | cut -d: -f2)
    latency=$(echo "$last" | grep -o '"latency_ms":[0-9.]*' | cut -d: -f2)
    echo "$frames frames: sender $(figures $sender), receiver $(figures $receiver), latency $latency ms"
done
