#!/bin/sh
# guard.sh VSTREAM FILM.i420 [ROUNDS]: processor time of both ends for each frame of 1080p film over tcp, tls and udp, and under a key,
# in turn; medians of the rounds, and each as a ratio to tcp. Every frame crosses, so that all of them carry the same.
set -eu
vstream=$1 film=$2 rounds=${3:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_STATE_HOME="$dir" VSTREAM_STATS=none VSTREAM_TIMEOUT=60s
frames=$(($(stat -Lc %s "$film") / (1920 * 1080 * 3 / 2)))
# What the process before it took, in ms a frame: the second line of `times` is the children's.
spent() { # NAME.END
    times >"$dir/times.$1" # no pipe: that would be a shell without children
    awk -v n="$frames" 'NR == 2 { split($0, t, /[ms ]+/); print ((t[1] + t[3]) * 60 + t[2] + t[4]) * 1000 / n }' "$dir/times.$1" >>"$dir/$1"
}
once() { # NAME SCHEME
    rm -f "$dir/recv"
    ("$vstream" recv --listen "$2://127.0.0.1:0" --output /dev/null --raw i420 2>"$dir/recv"; spent "$1.recv") &
    until grep -qs "^listening on" "$dir/recv"; do sleep 0.05; done
    url=$(sed -n 's/^listening on //p' "$dir/recv")
    ("$vstream" send --from - --raw i420:1920x1080@30 --every-frame --to "$url" <"$film" 2>"$dir/send"; spent "$1.send")
    wait
}
for _ in $(seq "$rounds"); do
    once tcp tcp
    once tls tls
    VSTREAM_KEY='a key of the bench' once key tcp
    once udp udp
done
median() { sort -n "$dir/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "| 1080p film, every frame | sender, ms a frame | receiver | sender to tcp's | receiver to tcp's |"
echo "|---|---|---|---|---|"
for kind in tcp tls key udp; do
    echo "$kind $(median $kind.send) $(median $kind.recv) $(median tcp.send) $(median tcp.recv)" |
        awk '{ printf "| %s | %.1f | %.1f | %.2f | %.2f |\n", $1, $2, $3, $2 / $4, $3 / $5 }'
done
