#!/bin/sh
# namespaces.sh VSTREAM [PEERS] [SCHEME]: a coordinator and ten peers in a chain, each in a network namespace of its own,
# and between any two of them the network, a namespace where a `vstream shape` before each takes 20 ms each way and loses
# 2 %: what every peer gets, over 20 s. Needs root.
set -eu
vstream=$(realpath "$1") peers=${2:-10} scheme=${3:-udp}
dir=$(mktemp -d)
end() {
    for space in net $(seq 0 "$peers"); do
        ip netns pids "vs-$space" 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del "vs-$space" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap end EXIT

run() { space=$1; shift; ip netns exec "vs-$space" "$vstream" "$@"; }
# A namespace behind the network, where all of them have one address and each its own port.
place() { # NUMBER PORT
    ip netns add "vs-$1"
    ip -n vs-net link add "to-$1" type veth peer name eth0 netns "vs-$1"
    ip -n vs-net addr add "10.77.$1.1/24" dev "to-$1"
    ip -n vs-net link set "to-$1" up
    ip -n "vs-$1" addr add "10.77.$1.2/24" dev eth0
    ip -n "vs-$1" link set lo up
    ip -n "vs-$1" link set eth0 up
    ip -n "vs-$1" route add default via "10.77.$1.1"
    run net shape --listen "$on://10.77.0.1:$2" --to "10.77.$1.2:$2" --delay 20ms --loss 2% --http 127.0.0.1:0 2>"$dir/shape$1" &
    until grep -qs '^listening' "$dir/shape$1"; do sleep 0.05; done
}
case $scheme in udp) on=udp ;; *) on=tcp ;; esac
ip netns add vs-net
ip -n vs-net link set lo up
place 0 9000
run 0 send --from 'test?size=640x360' --coordinate "$scheme://:9000" --wait-peers "$peers" --stats json 2>"$dir/source" &
for i in $(seq 1 "$peers"); do
    place "$i" $((9000 + i))
    run "$i" relay --join "$scheme://10.77.0.1:9000" --listen "$scheme://:$((9000 + i))" --peer "peer_$i" --stats json 2>"$dir/$i" &
    until grep -qs '^joined' "$dir/$i"; do sleep 0.1; done
done
until grep -qs 'peers are ready' "$dir/source"; do sleep 0.1; done
sleep 20
echo "$peers peers in a chain over $scheme, 20 ms each way and 2 % of loss before each; over 20 s:"
for i in $(seq 1 "$peers"); do
    grep '"latency_ms"' "$dir/$i" | grep -v '"final"' | tail -n 20 | sed 's/.*"frames":\([0-9]*\).*"latency_ms":\([0-9.]*\).*"stale_pct":\([0-9.]*\).*/\1 \2 \3/' |
        awk -v i="$i" 'NR == 1 { first = $1 } { stale += $3 } END { printf "  peer_%d %.1f fps, %.0f ms, %.2f %% of tiles older than they should be\n", i, ($1 - first) / (NR - 1), $2, stale / NR }'
done
