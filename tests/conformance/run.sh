#!/usr/bin/env bash
# Runs the OCI conformance suite, read-only, through the mirror: in front of an upstream with the referrers API and of one
# without, for versions 1.1 and dev, each with a cold cache.
#
# The suite reads what this script has pushed to the upstream, so every check that needs a push is off; 28 are left, and all
# of them must pass. It looks at statuses and headers, not at bodies: those are compared by the Rust tests. The images are
# unsigned, so the policy here is `insecure-accept-anything`.
#
# Needs tests/clients/install.sh (crane oras memregistry conformance) and a portcullis binary, found as in tests/clients.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh"

readonly REPOSITORY=conformance/one
readonly EXPECTED=28
passed=0
failed=0

# seed ADDRESS: two images, an index of them, and a referrer of the first image and of the index. Sets $content, the suite's
# settings that say what is there.
seed() {
  local repository=$1/$REPOSITORY folder=$work/seed number manifests=() blobs=()
  mkdir -p "$folder"
  echo note >"$folder/note.txt"
  for number in 1 2; do
    head -c 200000 /dev/urandom >"$folder/file"
    tar -C "$folder" -cf "$folder/layer.tar" file
    crane append --insecure --oci-empty-base --new_layer "$folder/layer.tar" --new_tag "$repository:image$number"
    mapfile -t -O ${#blobs[@]} blobs < <(crane manifest --insecure "$repository:image$number" | jq -r '.config.digest, .layers[].digest')
  done
  crane index append --insecure --docker-empty-base=false --manifest "$repository:image1" --manifest "$repository:image2" \
    --tag "$repository:index"
  for number in image1 index; do
    (cd "$folder" && oras attach --no-tty --plain-http --artifact-type application/vnd.example.note "$repository:$number" note.txt:text/plain)
  done
  for number in image1 image2 index; do
    manifests+=("$(crane digest --insecure "$repository:$number")")
  done
  content=(
    "OCI_RO_DATA_TAGS=image1 image2 index"
    "OCI_RO_DATA_MANIFESTS=${manifests[*]}"
    "OCI_RO_DATA_BLOBS=${blobs[*]}"
    "OCI_RO_DATA_REFERRERS=${manifests[0]} ${manifests[2]}"
  )
}

# start_mirror NAME UPSTREAM_ADDRESS: with an empty store. Sets $mirror.
start_mirror() {
  local folder=$work/$1
  free_port && mirror=127.0.0.1:$port
  free_port
  mkdir -p "$folder"
  cat >"$folder/portcullis.toml" <<TOML
data = "data"
policy = "policy.toml"

[listen]
address = "$mirror"
admin = "127.0.0.1:$port"

[[upstream]]
name = "registry.test"
url = "http://$2"
default = true
TOML
  cat >"$folder/policy.toml" <<TOML
version = 1

[[rule]]
match = ["registry.test/**"]
require = "insecure-accept-anything"
TOML
  start "$1" "$binary" serve --config "$folder/portcullis.toml"
  ready "$1" "http://$mirror/v2/"
}

# suite NAME ADDRESS VERSION: one run. Exits 1 of the suite are in its report, which is what counts here.
suite() {
  local results=$logs/$1
  mkdir -p "$results"
  env OCI_REGISTRY="$2" OCI_TLS=disabled OCI_VERSION="$3" OCI_REPO1="$REPOSITORY" OCI_REPO2=conformance/two \
    OCI_LOG=error OCI_RESULTS_DIR="$results" OCI_API_PUSH=false OCI_API_BLOBS_DELETE=false OCI_API_MANIFESTS_DELETE=false \
    OCI_API_TAGS_DELETE=false OCI_API_BLOBS_UPLOAD_CANCEL=false OCI_API_MANIFESTS_TAG_PARAM=false "${content[@]}" \
    oci-conformance >"$results/stdout.txt" 2>"$results/stderr.txt" || true
  judge "$1" "$results"
}

# judge NAME RESULTS: reads the counts of junit.xml. `tests` includes those that are off.
judge() {
  local name=$1 report=$2/junit.xml counts ran bad
  if [ ! -s "$report" ]; then
    tail -n 20 "$2/stderr.txt" >&2
    say "$name: the suite wrote no report"
    failed=$((failed + EXPECTED))
    return
  fi
  counts=$(sed -n 's/.*<testsuite \([^>]*\)>.*/\1/p' "$report" | head -n 1)
  bad=$(($(count failures) + $(count errors)))
  ran=$(($(count tests) - $(count disabled) - $(count skipped) - bad))
  printf '%-28s %d of %d\n' "$name" "$ran" "$EXPECTED"
  passed=$((passed + ran))
  failed=$((failed + bad))
  if [ "$ran" -ne "$EXPECTED" ]; then
    [ "$bad" -gt 0 ] || failed=$((failed + EXPECTED - ran))
    grep -E ': (FAIL|Error)$' "$2/stdout.txt" >&2 || true
  fi
}

# count ATTRIBUTE: of $counts.
count() { sed -n "s/.*\\b$1=\"\\([0-9]*\\)\".*/\\1/p" <<<"$counts" | grep . || echo 0; }

main() {
  local api version name
  binary=$(portcullis_binary)
  open_workspace
  for api in true false; do
    name=$([ "$api" = true ] && echo referrers || echo tag-schema)
    start_memory_registry "upstream-$name" -referrers="$api"
    seed "$address" >"$logs/seed-$name.log" 2>&1 || { tail -n 20 "$logs/seed-$name.log" >&2; die "cannot seed the upstream"; }
    for version in 1.1 dev; do
      start_mirror "mirror-$name-$version" "$address"
      suite "$name-$version" "$mirror" "$version"
      stop "mirror-$name-$version"
    done
  done
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

main "$@"
