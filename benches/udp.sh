#!/bin/sh
# udp.sh VSTREAM FILM [SECONDS]: a film over udp:// through networks of shape's, and SRT with the same bytes in the same
# networks. Prints frames that came, those that were whole, what was repaired, redundancy, latency and processor time.
set -eu
vstream=$1 film=$2 seconds=${3:-60}
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; rm -rf "$dir"' EXIT

figure() { grep -o "\"$2\":[0-9.]*" "$1" | tail -1 | cut -d: -f2; }
cpu() { awk -v hz="$(getconf CLK_TCK)" -v s="$seconds" '{ printf "%.0f %%", ($14 + $15) / hz / s * 100 }' "/proc/$1/stat"; }
listening() { until grep -qs '^listening on' "$1"; do sleep 0.05; done; sed -n '/^listening on /{s///p;q}' "$1"; }

# through NAME SCHEME OPTIONS NETWORK...: a sender, a network, a receiver, for so long.
through() {
    name=$1 scheme=$2 options=$3
    shift 3
    rm -f "$dir/recv" "$dir/shape" "$dir/send" # an earlier address must not be read
    "$vstream" recv --listen "$scheme://127.0.0.1:0$options" --output /dev/null --raw i420 --stats json 2>"$dir/recv" &
    recv=$!
    at=$(listening "$dir/recv")
    at=${at#*://}
    case $scheme in tcp) proto= ;; *) proto=--udp ;; esac
    "$vstream" shape --listen 127.0.0.1:0 --to "${at%%\?*}" $proto --seed 1 --http 127.0.0.1:0 --stats json "$@" 2>"$dir/shape" &
    shape=$!
    through=$(listening "$dir/shape")
    "$vstream" send --from "$film" --loop --to "$scheme://${through#*://}" --duration "${seconds}s" --stats json 2>"$dir/send" &
    send=$!
    pids="$recv $shape $send"
    sleep $((seconds - 1))
    times="$(cpu $send) of a core sends, $(cpu $recv) receives"
    wait $send || true
    wait $recv || true
    kill $shape 2>/dev/null || true
    wait $shape 2>/dev/null || true
    sent=$(grep '"way":"up"' "$dir/shape" | awk -F'"bytes":' '{ split($2, b, ","); if (b[1] > m) m = b[1] } END { print m + 0 }')
    echo "$name: $(figure "$dir/send" frames) frames sent, $(figure "$dir/recv" frames) came, stale $(figure "$dir/recv" stale_pct) %," \
        "lost $(figure "$dir/recv" lost), fec $(figure "$dir/recv" fec), resend $(figure "$dir/recv" resend)," \
        "latency $(figure "$dir/recv" latency_ms) ms, $((sent / 1000)) kB through for $(($(figure "$dir/send" bytes) / 1000)) kB of frames; $times"
    grep -o '"stale_pct":[0-9.]*' "$dir/recv" | cut -d: -f2 | sort -n | awk '{ v[NR] = $1 } END { print "  stale in the worst second " v[NR] " %" }'
}

echo "a film over $seconds s:"
through "tcp, clean" tcp ""
through "udp, clean" udp ""
through "udp, 5 % and 40 ms, latency 160 ms" udp "?latency=160ms" --delay 20ms --loss 5%
through "udp, 10 % and 40 ms, latency 240 ms" udp "?latency=240ms" --delay 20ms --loss 10%
through "udp, 5 % and 40 ms, no latency" udp "" --delay 20ms --loss 5%
through "udp, bursts of 8, 2 %, no latency" udp "" --delay 20ms --burst-loss 2%:8

# SRT carries an MPEG transport stream of the film's JPEGs; what it does not repair in time it drops.
srt() {
    name=$1 latency=$2
    shift 2
    base=$((20000 + $$ % 20000))
    [ -f "$dir/film.ts" ] || ffmpeg -nostdin -v error -y -i "$film" -t 20 -c:v mjpeg -q:v 4 -f nut - 2>/dev/null |
        head -c 60000000 >"$dir/film.ts"
    srt-live-transmit -q -s 500 -pf json "srt://:$((base + 1))?latency=$latency" "udp://127.0.0.1:$((base + 2))" >"$dir/srt" 2>&1 &
    receiver=$!
    "$vstream" shape --listen "127.0.0.1:$base" --to "127.0.0.1:$((base + 1))" --udp --seed 1 --http 127.0.0.1:0 "$@" 2>/dev/null &
    shape=$!
    srt-live-transmit -q "udp://127.0.0.1:$((base + 3))" "srt://127.0.0.1:$base?latency=$latency" >/dev/null 2>&1 &
    sender=$!
    pids="$receiver $shape $sender"
    sleep 2
    # The rate of the film: 1316 bytes a datagram, as MPEG transport streams have them.
    ffmpeg -nostdin -v error -re -stream_loop -1 -t "$seconds" -i "$film" -an -c:v copy -f mpegts "udp://127.0.0.1:$((base + 3))?pkt_size=1316" 2>/dev/null || true
    sleep 1
    received=$(figure "$dir/srt" packets) dropped=$(grep -o '"dropped":[0-9]*' "$dir/srt" | tail -1 | cut -d: -f2)
    echo "$name: ${received:-?} packets in the last report, ${dropped:-?} dropped as too late"
    kill $pids 2>/dev/null || true
}
if command -v srt-live-transmit >/dev/null; then
    srt "SRT, 5 % and 40 ms, latency 160 ms" 160 --delay 20ms --loss 5%
    srt "SRT, 10 % and 40 ms, latency 240 ms" 240 --delay 20ms --loss 10%
else
    echo "no srt-live-transmit here (package srt-tools): SRT is left out"
fi
