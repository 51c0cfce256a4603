#!/usr/bin/env bash
# Builds every fuzz target and runs each for a while; the first crash ends it with its input.
#
#   fuzz/run.sh [SECONDS]      (default: 60 each)
#
# Needs a nightly toolchain and `cargo install cargo-fuzz`. What was found worth keeping stays in
# fuzz/corpus and makes the next run better; fuzz/seeds holds what a first run starts from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
cargo +nightly fuzz build
host=$(rustc +nightly --version --verbose | sed -n 's/^host: //p')
for target in $(cargo +nightly fuzz list); do
  echo "--- $target, $seconds s"
  mkdir -p "fuzz/corpus/$target" fuzz/artifacts
  # Not by `cargo fuzz run`, which builds everything again once a corpus has grown.
  "fuzz/target/$host/release/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" \
    -artifact_prefix="fuzz/artifacts/$target-" -max_total_time="$seconds" \
    -rss_limit_mb=1024 -timeout=5 -print_funcs=0 -print_final_stats=1 2>&1 |
    grep -Ev '^#|^"'
done
echo "no crash"
