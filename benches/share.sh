#!/bin/sh
# share.sh VSTREAM FILM [SCHEME]: RFC 8867's 5.4 (three streams on one bottleneck, begun 20 s after each other) and 5.6 (one
# beside a long TCP flow) at 20 times their rates, in real time through the kernel's tbf between two namespaces: a
# queue of 300 ms, and 100 ms of round trip where there is netem. Needs root and iperf3; 260 s. tests/adapt.rs has the same in virtual time.
set -eu
vstream=$(realpath "$1") film=$(realpath "$2") scheme=${3:-udp}
dir=$(mktemp -d)
end() {
    for i in a b; do
        ip netns pids "vs-share-$i" 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del "vs-share-$i" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap end EXIT
in_a() { ip netns exec vs-share-a "$@"; }
in_b() { ip netns exec vs-share-b "$@"; }
ip netns add vs-share-a
ip netns add vs-share-b
ip link add eth0 netns vs-share-a type veth peer name eth0 netns vs-share-b
for i in a b; do
    ip -n "vs-share-$i" link set lo up
    ip -n "vs-share-$i" link set eth0 up
done
ip -n vs-share-a addr add 10.78.0.1/24 dev eth0
ip -n vs-share-b addr add 10.78.0.2/24 dev eth0
# All of the round trip on the way back, so that the bottleneck is a queue and no more.
tc -n vs-share-b qdisc add dev eth0 root netem delay 100ms 2>/dev/null || echo "no netem in this kernel: without propagation delay"

bottleneck() { tc -n vs-share-a qdisc replace dev eth0 root tbf rate "$1mbit" burst 40k latency 300ms; }
receive() { # N
    in_b "$vstream" recv --listen "$scheme://:900$1" --output /dev/null --raw i420 --stats json 2>"$dir/$1" &
    until grep -q '^listening on' "$dir/$1"; do sleep 0.05; done
}
send() { # N SECONDS
    in_a "$vstream" send --from "$film" --loop --adapt --quality 95 --to "$scheme://10.78.0.2:900$1" --duration "$2s" --stats none 2>/dev/null &
}
rate() { # N FROM TO: Mbit/s between these seconds
    sed -n 's/.*"t":\([0-9.]*\).*"peer":.*"bitrate":\([0-9]*\).*/\1 \2/p' "$dir/$1" |
        awk -v from="$2" -v to="$3" '$1 >= from && $1 < to { s += $2; n++ } END { printf "%.1f", n ? s / n / 1e6 : 0 }'
}

echo "| 5.4, $scheme: three streams on 70 Mbit/s | first, second, third, Mbit/s | Jain's fairness | used |"
echo "|---|---|---|---|"
bottleneck 70
for i in 1 2 3; do receive "$i"; done
for i in 1 2 3; do
    send "$i" $((140 - 20 * i))
    sleep 20
done
sleep 60
for from in 60 80 100; do
    echo "$(rate 1 $from $((from + 20))) $(rate 2 $from $((from + 20))) $(rate 3 $from $((from + 20)))" |
        awk -v from="$from" '{ s = $1 + $2 + $3; q = $1 * $1 + $2 * $2 + $3 * $3
            printf "| %d–%d s | %s, %s, %s | %.2f | %.0f %% |\n", from, from + 20, $1, $2, $3, s * s / (3 * q), s / 70 * 100 }'
done
wait

echo "| 5.6, $scheme: beside a long TCP flow on 40 Mbit/s | the stream, the TCP flow, Mbit/s |"
echo "|---|---|"
bottleneck 40
in_b iperf3 -s -1 >/dev/null &
receive 4
in_a iperf3 -c 10.78.0.2 -t 120 -i 20 -f m --forceflush >"$dir/tcp" &
send 4 120
sleep 119
for from in 20 40 60 80 100; do
    tcp=$(awk -v from="$from" '$3 ~ "^" from "\\." { print $7; exit }' "$dir/tcp")
    echo "| $from–$((from + 20)) s | $(rate 4 $from $((from + 20))), ${tcp:-?} |"
done
