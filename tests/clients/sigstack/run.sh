#!/usr/bin/env bash
# Judges every kind of signature that the real cosign makes with a complete Sigstore of its own, under policies that want it and
# under policies that want something else, and pulls some of them with podman through the mirror.
#
#   tests/clients/sigstack/run.sh
#
# What is expected is in matrix.txt, one line a kind and one column a policy. The whole is judged twice: in a registry with the
# referrers API and in one without it. Needs root for podman, tests/clients/install.sh, and a portcullis binary: see ../lib.sh.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../lib.sh"
# shellcheck source=tests/clients/sigstack/policies.sh
. "$here/policies.sh"

readonly IMAGE=acme/app
# One of each family: key or certificate, bundle or classic, signature or attestation.
readonly PULLED=(bundle-key-rekor2-tsa bundle-keyless-rekor2-tsa bundle-keyless-email sig-key-notlog sig-keyless-rekor1-tsa
  att-key-vuln-notlog att-keyless-slsa1 att2-key-vuln-notlog att2-keyless-slsa1-rekor1)

failed=0

# ---- the stacks

# The stack asks for twenty-two ports in a row. A second one, whose signatures nobody asks for, is the rogue.
start_stacks() {
  free_port && base=$port
  next_port=$((next_port + 60))
  export SIGSTACK_BIN=$TOOLS/bin
  "$here/up.sh" "$work/stack" "$base"
  WITH_REGISTRY=0 "$here/up.sh" "$work/rogue" $((base + 30))
  # shellcheck source=/dev/null
  . "$work/stack/env.sh"
}

stop_stacks() {
  local stack
  for stack in stack rogue; do
    [ ! -e "$work/$stack/pids" ] || "$here/down.sh" "$work/$stack" >>"$logs/down.log" 2>&1
  done
}

# ---- judging

# judge POLICY REGISTRY: the reason for each kind, as `kind reason` lines, sorted.
judge() {
  local kinds
  mapfile -t kinds < <(kinds)
  (
    cd "$work/policies/$1"
    # Denied and undecided are answers; 2 is a policy that does not load.
    { "$binary" verify --json --policy policy.toml --upstream "$UPSTREAM=http://$2" "${kinds[@]/#/$UPSTREAM/$IMAGE/}" \
      2>>"$logs/verify-$1.log" || [ $? -ne 2 ]; } |
      jq --raw-output --arg prefix "$IMAGE/" '.images[] | "\(.repository | ltrimstr($prefix)) \(.reason // .error)"'
  ) | sort
}

kinds() { awk '/^[a-z]/ { print $1 ":v1" }' "$here/matrix.txt"; }

# expected COLUMN: `kind reason` lines of the table, sorted. A dot is the reason that its line has in the column before.
expected() {
  awk -v column="$1" '
    /^#kind/ { for (i = 2; i <= NF; i++) at[$i] = i }
    /^[a-z]/ { for (i = 2; i <= at[column]; i++) if ($i != ".") last = $i; print $1, last }' "$here/matrix.txt" | sort
}

compare() {
  local registry=$1 policy
  for policy in $(policies); do
    judge "$policy" "$registry" >"$work/got"
    expected "$policy" >"$work/want"
    if ! diff "$work/want" "$work/got" >"$logs/$policy-$registry.diff"; then
      failed=$((failed + 1))
      say "--- $policy at $registry: expected < and got >"
      grep '^[<>]' "$logs/$policy-$registry.diff" >&2
    else
      say "$policy: $(wc -l <"$work/got") kinds as expected"
    fi
  done
}

policies() { awk '/^#kind/ { for (i = 2; i <= NF; i++) print $i }' "$here/matrix.txt"; }

# ---- pulling

# pull_under POLICY ok|refused REGISTRY: starts the mirror and pulls one of each family.
pull_under() {
  local kind status
  free_port && mirror=127.0.0.1:$port
  start "mirror-$1" "$binary" serve --listen "$mirror" --admin off --data "$work/data-$1" --policy "$work/policies/$1/policy.toml" \
    --upstream "$UPSTREAM=http://$3"
  ready "mirror-$1" "http://$mirror/v2/"
  for kind in "${PULLED[@]}"; do
    status=ok
    podman_pull "$mirror/$IMAGE/$kind:v1" >"$logs/podman-$1-$kind.log" 2>&1 || status=refused
    [ "$status" = ok ] || grep -q 'rule `' "$logs/podman-$1-$kind.log" || status="failed without a reason"
    if [ "$status" != "$2" ]; then
      failed=$((failed + 1))
      say "--- podman, $kind under $1: $status, not $2"
    fi
  done
  say "podman under $1: ${#PULLED[@]} kinds $2"
  stop "mirror-$1"
}

podman_pull() {
  podman --storage-driver vfs --root "$work/podman/root" --runroot "$work/podman/run" --tmpdir "$work/podman/tmp" \
    --cgroup-manager cgroupfs --events-backend none --runtime runc pull --quiet --tls-verify=false "$1"
}

main() {
  local began=$SECONDS address
  binary=$(portcullis_binary)
  open_workspace
  trap 'stop_stacks; close_workspace' EXIT
  start_stacks
  write_policies
  for address in "${REGISTRY:?}" "${REGISTRY_TAG:?}"; do
    quietly "sign-$address" "$here/sign-all.sh" "$work/stack" "$address" "$IMAGE:v1"
    compare "$address"
  done
  pull_under anybody ok "$REGISTRY"
  pull_under nobody refused "$REGISTRY"
  say "sigstack: $((SECONDS - began)) s"
  [ "$failed" -eq 0 ]
}

main
