#!/bin/sh
# run.sh [SECONDS]: each fuzz target for that long (60). Needs cargo-fuzz: cargo install cargo-fuzz. What is found is
# kept in fuzz/artifacts; what is learnt stays outside the committed corpus.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1 # libFuzzer's instrumentation wants a nightly compiler or this
for target in fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    mkdir -p "target/corpus/$name"
    cargo fuzz run "$name" "target/corpus/$name" "corpus/$name" -- -max_total_time="${1:-60}" -rss_limit_mb=1024 -timeout=10
done
