#!/bin/sh
# chain.sh [N] [PORT]: a source and N peers (4) in a chain on this machine, each in a window of its own where there is a
# terminal for it (tmux, xterm), else in the background with a log. A film goes down the chain (VIDEO=FILE, else one that
# ffmpeg makes of its test picture; without ffmpeg the test card), each peer saves its frames and its log, the peer in
# the middle is killed, and the others are shown to have every frame. VSTREAM names the program, OUT the folder.
set -eu
peers=${1:-4} port=${2:-9100}
vstream=$(command -v "${VSTREAM:-vstream}") || { echo "no vstream on the path: VSTREAM=target/release/vstream $0" >&2; exit 1; }
vstream=$(realpath "$vstream")
mkdir -p "${OUT:=chain-$(date +%Y%m%d-%H%M%S)}"
cd "$OUT"
pids=
# shellcheck disable=SC2086 # one word each
trap 'kill $pids 2>/dev/null || true' EXIT

if [ -n "${VIDEO:-}" ]; then
    video=$VIDEO
elif command -v ffmpeg >/dev/null; then
    video=$PWD/film.mp4
    ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size=640x360:rate=30 -t 8 -pix_fmt yuv420p "$video"
else
    video='test?size=640x360' frames='--frames 240'
fi

# A process with its number in FILE.pid and its exit code in FILE.code, in a window where one can be opened.
start() { # NAME COMMAND...
    name=$1; shift
    run="echo \$\$ > $name.pid; $(printf "'%s' " "$@"); echo \$? > $name.code"
    if [ -n "${TMUX:-}" ]; then
        tmux split-window -d "cd '$PWD'; $run"
        tmux select-layout tiled >/dev/null
    elif [ -n "${DISPLAY:-}" ] && command -v xterm >/dev/null; then
        (cd "$PWD" && xterm -T "$name" -e sh -c "$run") &
    else
        sh -c "$run" 2>"$name.out" &
    fi
    until [ -s "$name.pid" ]; do sleep 0.05; done
    pids="$pids $(cat "$name.pid")"
}
said() { # NAME WORDS: waits until its log has them
    until grep -q "$2" "$1.log" 2>/dev/null; do
        [ ! -s "$1.code" ] || { echo "$1 has ended; it said:" >&2; cat "$1".log "$1".out >&2 || true; exit 1; }
        sleep 0.05
    done
}

# shellcheck disable=SC2086 # no words or two
start source "$vstream" send --from "$video" ${frames:-} --every-frame --coordinate "tcp://127.0.0.1:$port" \
    --wait-peers "$peers" --log source.log
said source 'listening on'
i=1
while [ $i -le "$peers" ]; do
    start peer_$i "$vstream" relay --join "tcp://127.0.0.1:$port" --peer peer_$i --listen tcp://127.0.0.1:0 \
        --save peer_${i}_frames --log peer_$i.log
    said peer_$i 'joined'
    i=$((i + 1))
done
middle=$(((peers + 1) / 2))
until [ -f peer_${middle}_frames/frame_000060.jpg ]; do sleep 0.05; done
echo "killing peer_$middle, after 60 frames"
# The shell that started it has its number; the program is that shell's child.
pkill -9 -P "$(cat peer_$middle.pid)"
until [ -s source.code ]; do sleep 0.1; done

frames() { find "peer_$1_frames" -name '*.jpg' | sort | xargs cat | cksum; }
held=0 first=
i=1
while [ $i -le "$peers" ]; do
    if [ $i -ne $middle ]; then
        until [ -s peer_$i.code ]; do sleep 0.05; done
        count=$(find peer_${i}_frames -name '*.jpg' | wc -l)
        echo "peer_$i: $count frames, checksum $(frames $i)"
        [ "${first:=$(frames $i)}" = "$(frames $i)" ] && held=$((held + 1))
    fi
    i=$((i + 1))
done
[ $held -eq $((peers - 1)) ] || { echo "they have not the same frames" >&2; exit 1; }
echo "all $held others have the same frames; look at $PWD/"
