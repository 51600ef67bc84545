#!/bin/sh
# loopback.sh [FILE]: a video file (or the test card) sent and received on this machine, with the figures of both ends
# as JSON. Ends with the file, or with Ctrl-C. Wants vstream on the path (cargo install --path .).
set -eu
source=${1:-test}
vstream recv --listen tcp://127.0.0.1:9000 --stats json --output received.avi &
receiver=$!
trap 'kill "$receiver" 2>/dev/null || true' EXIT
vstream send --from "$source" --to tcp://127.0.0.1:9000 --stats json
wait "$receiver"
echo "received.avi holds what arrived"
