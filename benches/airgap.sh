#!/usr/bin/env bash
# How fast archives are written and taken in, beside what the machine can do with the same bytes.
#
#   benches/airgap.sh [GIBIBYTES]      (default: 10)
#
# Makes an image with layers of 1 GiB, imports it from a tar file and exports it again, and prints MB/s of both, of
# `sha256sum` and of `cp`, and the most memory that was resident. PORTCULLIS_BIN names the program, else the release build.
# Everything is in one folder under TMPDIR, which needs four times the size, and goes away at the end.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
binary=${PORTCULLIS_BIN:-$root/target/release/portcullis}
gibibytes=${1:-10}
work=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

digest_of() { sha256sum "$1" | cut -d' ' -f1; }

# put FILE: moves a file into the layout under its digest; sets `digest` and `size`.
put() {
  digest=$(digest_of "$1")
  size=$(stat --format=%s "$1")
  mv "$1" "$work/layout/blobs/sha256/$digest"
}

descriptor() { printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$1" "$digest" "$size"; }

make_layout() {
  local number layers=()
  mkdir -p "$work/layout/blobs/sha256"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/layout/oci-layout"
  for ((number = 0; number < gibibytes; number++)); do
    # Noise once, then holes: neither reads nor hashing are quicker for it, and no disk is filled by making it.
    head --bytes=1M /dev/urandom >"$work/layer"
    truncate --size=1G "$work/layer"
    put "$work/layer"
    layers+=("$(descriptor application/vnd.oci.image.layer.v1.tar)")
  done
  printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/config"
  put "$work/config"
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' application/vnd.oci.image.manifest.v1+json \
    "$(descriptor application/vnd.oci.image.config.v1+json)" "$(IFS=,; echo "${layers[*]}")" >"$work/manifest"
  put "$work/manifest"
  printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"bench.test/acme/large:v1"}}]}' \
    "$(descriptor application/vnd.oci.image.manifest.v1+json | sed 's/}$//')" >"$work/layout/index.json"
}

configure() {
  cat >"$work/portcullis.toml" <<TOML
data = "data"
policy = "policy.toml"
offline = true
[[upstream]]
name = "bench.test"
TOML
  cat >"$work/policy.toml" <<TOML
version = 1
[[rule]]
match = "bench.test/**"
require = { pin = ["sha256:$digest"] }
TOML
}

# measured NAME COMMAND...: prints MB/s and the most resident memory of one command.
measured() {
  local name=$1 began ended peak=0 now pid
  shift
  sync
  began=$(date +%s%N)
  "$@" >"$work/output" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
    peak=${now:-$peak}
    sleep 0.05
  done
  wait "$pid" || { cat "$work/output" >&2; exit 1; }
  sync
  ended=$(date +%s%N)
  awk -v name="$name" -v bytes=$((gibibytes << 30)) -v nanoseconds=$((ended - began)) -v peak="$peak" \
    'BEGIN { printf "%-12s %8.0f MB/s   %6.0f MiB resident\n", name, bytes / nanoseconds * 1000, peak / 1024 }'
}

make_layout
configure
tar --create --file "$work/bag.tar" --directory "$work/layout" .
rm -rf "$work/layout"
cd "$work"
measured sha256sum sha256sum bag.tar
measured cp cp bag.tar copy.tar
rm copy.tar
measured import "$binary" import --config portcullis.toml bag.tar
measured "import again" "$binary" import --config portcullis.toml bag.tar
rm bag.tar
measured export "$binary" export --config portcullis.toml --output exported.tar --all
