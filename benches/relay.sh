#!/bin/sh
# relay.sh VSTREAM FILM: a film at 1080p30 over four relays in a row, by udp and by tcp. What each hop adds, in processor
# time and memory too; what one adds between two slow networks, where a relay that waited for whole frames would add all
# of a frame's sending time; and how long the last peer of a chain has no frame when one in the middle is killed.
set -eu
vstream=$(realpath "$1") film=$(realpath "$2")
dir=$(mktemp -d)
pids=
# shellcheck disable=SC2086 # one word each
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
cd "$dir"

start() { # NAME ARGS...: starts it in the background; where it listens is in $at, its number in $pid
    name=$1; shift
    rm -f "$name.log" # of the part before
    "$vstream" "$@" --stats json 2>"$name.log" &
    pid=$!
    pids="$pids $pid"
    until grep -qs '^listening on' "$name.log"; do sleep 0.05; done
    at=$(sed -n 's/^listening on //p' "$name.log" | head -n 1)
}
stop() {
    # shellcheck disable=SC2086 # one word each
    kill $pids 2>/dev/null || true
    wait
    pids=
}
send() { "$vstream" send --from "$film" --loop --stats json "$@" 2>send.log & pids="$pids $!"; }
percentiles() { # of the numbers on stdin, in µs
    sort -n | awk '{ v[NR] = $1 } END { printf "p50 %.2f ms, p95 %.2f ms (%d frames)\n", v[int((NR + 1) / 2)] / 1000, v[int(NR * 0.95)] / 1000, NR }'
}
field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
seen() { # DIR: sequence number and time of each frame, without the first two seconds
    sed -n 's/.*"seq":\([0-9]*\).*/\1/p' "$1/frames.jsonl" >"$1.seq"
    sed -n 's/.*"received":\([0-9]*\).*/\1/p' "$1/frames.jsonl" >"$1.at"
    paste -d ' ' "$1.seq" "$1.at" | tail -n +60
}
hop() { # FROM TO: what the second adds to the first, frame by frame
    seen "$1" >a; seen "$2" >b
    awk 'NR == FNR { at[$1] = $2; next } $1 in at { print $2 - at[$1] }' a b | percentiles
}

for scheme in udp tcp; do
    echo "four relays over $scheme, each saving its frames (1080p30, 15 s):"
    next=
    for i in 4 3 2 1; do
        # shellcheck disable=SC2086 # two words or none
        start r$i relay --listen $scheme://127.0.0.1:0 $next --save $scheme$i
        next="--next $at"
    done
    send --to "$at"
    sleep 15
    stop
    for i in 2 3 4; do printf '  hop %d adds ' $i; hop $scheme$((i - 1)) $scheme$i; done

    echo "the same without files (15 s):"
    start r5 recv --listen $scheme://127.0.0.1:0
    next="--next $at"
    for i in 4 3 2 1; do
        # shellcheck disable=SC2086 # two words
        start r$i relay --listen $scheme://127.0.0.1:0 $next
        eval "r$i=$pid"
        next="--next $at"
    done
    send --to "$at"
    sleep 15
    for i in 1 2 3 4; do
        eval "pid=\$r$i"
        awk '/VmHWM/ { printf "  relay: %.0f MB resident at most, ", $2 / 1024 }' "/proc/$pid/status"
        awk -v hz="$(getconf CLK_TCK)" '{ printf "%.1f %% of a core\n", ($14 + $15) / hz / 15 * 100 }' "/proc/$pid/stat"
    done
    # Of its fullest second: where a network is full for seconds, whatever holds a relay up adds until it is not.
    rate=$(grep '"latency_ms"' r5.log | grep -v '"final"' | field bitrate | sort -n | awk 'END { print int($1 * 1.5) }')
    stop
done

echo "one relay between two networks of $((rate / 1000000)) Mbit/s, 1.5 times the stream's highest rate (15 s):"
start last recv --listen tcp://127.0.0.1:0 --save last
start after shape --listen 127.0.0.1:0 --to "${at#tcp://}" --rate $((rate / 1000))kbit --http 127.0.0.1:0
start middle relay --listen tcp://127.0.0.1:0 --next "tcp://${at#*://}" --save middle
start before shape --listen 127.0.0.1:0 --to "${at#tcp://}" --rate $((rate / 1000))kbit --http 127.0.0.1:0
send --to "tcp://${at#*://}"
sleep 15
stop
printf '  the relay and the network after it add '; hop middle last

echo "four peers of a coordinator, the second is killed (live):"
"$vstream" send --from "$film" --loop --coordinate tcp://127.0.0.1:0 --wait-peers 4 2>send.log &
pids="$pids $!"
until grep -qs '^listening on' send.log; do sleep 0.05; done
to=$(sed -n 's/^listening on //p' send.log | head -n 1)
for i in 1 2 3 4; do
    start p$i relay --join "$to" --peer p$i --listen tcp://127.0.0.1:0 --save p$i
    [ $i -ne 2 ] || second=$pid
    until grep -qs '^joined' p$i.log; do sleep 0.05; done
done
sleep 6
kill -9 "$second"
sleep 4
stop
seen p4 | awk 'NR > 1 && $2 - last > gap { gap = $2 - last } { last = $2 } END { printf "  the last peer was without a frame for %.0f ms at most\n", gap / 1000 }'
