#!/bin/sh
# chain.sh [N] [PORT]: a source and N peers (4; 2 to 15) in a chain on this machine, each in a window of its own where there
# is a terminal for it (tmux, xterm), else in the background with a log. A film goes down the chain (VIDEO=FILE, else one that
# ffmpeg makes of its test picture; without ffmpeg the test card), each peer saves its frames and its log, the peer in
# the middle is killed, and the others are shown to have every frame. VSTREAM names the program, OUT the folder.
set -eu
peers=${1:-4} port=${2:-9100}
fail() { echo "$0: $*" >&2; exit 1; }
case $peers in
    [2-9] | 1[0-5]) ;;
    *) fail "$peers peers: it takes 2, as one is killed, to 15, as a stream goes over 16 hops and the source is one" ;;
esac
vstream=$(command -v "${VSTREAM:-vstream}") || fail "no vstream on the path: VSTREAM=target/release/vstream $0"
vstream=$(realpath "$vstream")
if [ -n "${VIDEO:-}" ]; then
    [ -f "$VIDEO" ] || [ -d "$VIDEO" ] || fail "VIDEO=$VIDEO: there is no such film"
    VIDEO=$(realpath "$VIDEO")
fi
mkdir -p "${OUT:=chain-$(date +%Y%m%d-%H%M%S)}"
cd "$OUT"
for old in source.* peer_*; do
    [ ! -e "$old" ] || fail "$PWD/ has the frames of an earlier run: choose another folder by OUT, or remove it"
done
started=
# Whoever has not ended yet.
end() {
    for name in $started; do
        [ -s "$name.code" ] || kill "$(cat "$name.pid")" 2>/dev/null || true
    done
    wait
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

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
    quoted=$(for word in "$@"; do printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done)
    # The number is the program's own: the shell that writes it becomes the program.
    run="sh -c 'echo \$\$ > $name.pid; exec \"\$@\"' $name $quoted; echo \$? > $name.code"
    if [ -n "${TMUX:-}" ]; then
        tmux split-window -d -c "$PWD" "$run"
        tmux select-layout tiled >/dev/null
    elif [ -n "${DISPLAY:-}" ] && command -v xterm >/dev/null; then
        xterm -T "$name" -e sh -c "$run" &
    else
        sh -c "$run" 2>"$name.out" &
    fi
    until [ -s "$name.pid" ]; do sleep 0.05; done
    started="$started $name"
}
lives() { # NAME: else shows what it said, and ends
    [ -s "$1.code" ] || return 0
    echo "$1 has ended too early; it said:" >&2
    cat "$1.out" >&2 2>/dev/null || cat "$1.log" >&2
    exit 1
}
said() { # NAME WORDS: waits until its log has them
    until grep -q "$2" "$1.log" 2>/dev/null; do
        lives "$1"
        lives source
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
until [ -f peer_${middle}_frames/frame_000060.jpg ]; do
    lives source
    sleep 0.05
done
echo "killing peer_$middle, after 60 frames"
kill -9 "$(cat peer_$middle.pid)"
until [ -s source.code ]; do sleep 0.1; done
[ "$(cat source.code)" -eq 0 ] || lives source

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
[ $held -eq $((peers - 1)) ] || fail "they have not the same frames"
echo "all $held others have the same frames; look at $PWD/"
