#!/bin/sh
# namespaces.sh VSTREAM [PEERS]: a coordinator and ten peers in a chain, each in a network namespace of its own behind a
# link of 20 ms each way that loses 2 % (netem): what the last one gets, over 20 s. Needs root.
set -eu
vstream=$(realpath "$1") peers=${2:-10}
dir=$(mktemp -d)
end() {
    for i in $(seq 0 "$peers"); do
        ip netns pids "vs$i" 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del "vs$i" 2>/dev/null || true
    done
    ip link del vs-bridge 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
ip link add vs-bridge type bridge
ip link set vs-bridge up
for i in $(seq 0 "$peers"); do
    ip netns add "vs$i"
    ip link add "vs-$i" type veth peer name eth0 netns "vs$i"
    ip link set "vs-$i" master vs-bridge up
    ip -n "vs$i" addr add "10.77.0.$((i + 1))/24" dev eth0
    ip -n "vs$i" link set lo up
    ip -n "vs$i" link set eth0 up
    tc -n "vs$i" qdisc add dev eth0 root netem delay 20ms loss 2%
done
in_space() { i=$1; shift; ip netns exec "vs$i" "$vstream" "$@"; }
in_space 0 send --from 'test?size=640x360' --coordinate tcp://10.77.0.1:9100 --wait-peers "$peers" --stats json 2>"$dir/source" &
for i in $(seq 1 "$peers"); do
    in_space "$i" relay --join tcp://10.77.0.1:9100 --peer "peer_$i" --stats json 2>"$dir/$i" &
    until grep -q '^joined' "$dir/$i"; do sleep 0.1; done
done
until grep -q 'peers are ready' "$dir/source"; do sleep 0.1; done
sleep 20
echo "$peers peers in a chain, 20 ms and 2 % of loss on each link; frames a second of each over 20 s, and the last one's latency:"
for i in $(seq 1 "$peers"); do
    sed -n 's/.*"peer":"10[^"]*:[0-9]*".*"frames":\([0-9]*\).*"latency_ms":\([0-9.]*\).*/\1 \2/p' "$dir/$i" | tail -n 20 |
        awk -v i="$i" 'NR == 1 { first = $1 } END { printf "  peer_%d %.1f fps, %.0f ms\n", i, ($1 - first) / (NR - 1), $2 }'
done
