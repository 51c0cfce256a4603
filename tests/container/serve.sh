#!/usr/bin/env bash
# Runs the image that run.sh has built, and pulls through it: serve.sh STORAGE
#
# In a network namespace without anything but loopback, so the container can have the host's network and the default ports,
# whatever else runs on the machine. With TLS, by the certificates of certs/generate.sh.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh"

readonly IMAGE=localhost/portcullis
readonly MIRROR=127.0.0.1:5000
storage=${1:?usage: serve.sh STORAGE}
export COSIGN_PASSWORD=only-for-tests
passed=0
failed=0

engine() {
  podman --storage-driver vfs --root "$storage" --runroot "$work/podman-run" --tmpdir "$work/podman-tmp" \
    --cgroup-manager cgroupfs --events-backend none --runtime runc "$@"
}

# One signed and one unsigned image, in a registry that the container reaches as 127.0.0.1.
seed() {
  local repository=$1/acme
  echo content >"$work/content"
  tar -C "$work" -cf "$work/layer.tar" content
  for name in signed unsigned; do
    crane append --insecure --oci-empty-base --new_layer "$work/layer.tar" --new_tag "$repository/$name:v1"
  done
  cosign3 generate-key-pair --output-key-prefix "$work/config/release"
  cosign3 sign --yes --key "$work/config/release.key" --tlog-upload=false --new-bundle-format=false --use-signing-config=false \
    --allow-http-registry --sign-container-identity registry.test/acme/signed \
    "$repository/signed@$(crane digest --insecure "$repository/signed:v1")"
  rm "$work/config/release.key"
}

configure() {
  PORTCULLIS_CERTS=$work/config "$repository_root/certs/generate.sh"
  cat >"$work/config/portcullis.toml" <<TOML
policy = "policy.toml"

[listen]
address = "0.0.0.0:5000"
tls = { certificate = "mirror.pem", key = "mirror.key" }

[[upstream]]
name = "registry.test"
url = "http://$1"
default = true
TOML
  cat >"$work/config/policy.toml" <<TOML
version = 1

[authority.release]
key = "release.pub"

[[rule]]
match = ["registry.test/**"]
require = "release"
TOML
  # Readable for the container's user; the folder around it is root's alone.
  chmod -R a+rX "$work/config"
}

start_container() {
  engine run --detach --name portcullis --network host --read-only --read-only-tmpfs=false --cap-drop all \
    --security-opt no-new-privileges --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
    --volume "$work/config:/etc/portcullis:ro" "$IMAGE"
}

# check TEXT COMMAND...
check() {
  local text=$1
  shift
  if "$@" >>"$logs/checks.log" 2>&1; then
    passed=$((passed + 1))
    say "ok      $text"
  else
    failed=$((failed + 1))
    say "FAILED  $text"
  fi
}

refuses() { ! "$@"; }

answers_denied() {
  curl --silent --header 'Accept: */*' "https://$MIRROR/v2/acme/unsigned/manifests/v1" | jq --exit-status '.errors[0].code == "DENIED"'
}

runs_as() { [ "$(engine inspect --format '{{.Config.User}}' portcullis)" = "$1" ]; }

exits_cleanly() {
  engine stop --time 20 portcullis
  [ "$(engine inspect --format '{{.State.ExitCode}}' portcullis)" = 0 ]
}

main() {
  open_workspace
  stay_on_this_machine
  mkdir -p "$work/config"
  ip link set lo up
  free_port
  start_registry upstream registry "$port"
  quietly seed seed "127.0.0.1:$port"
  quietly configure configure "127.0.0.1:$port"
  export SSL_CERT_FILE=$work/config/ca.pem CURL_CA_BUNDLE=$work/config/ca.pem
  quietly start start_container
  if ! eventually 20 answers "https://$MIRROR/v2/"; then
    engine logs portcullis >&2 || true
    die "the container does not answer"
  fi
  check "the image's own health check passes" engine healthcheck run portcullis
  check "it runs as 65532, not root" runs_as 65532:65532
  check "it has no shell" refuses engine exec portcullis /bin/sh -c true
  check "a signed image is pulled through it" crane pull "$MIRROR/acme/signed:v1" "$work/signed.tar"
  check "an unsigned image is refused" refuses crane pull "$MIRROR/acme/unsigned:v1" "$work/unsigned.tar"
  check "with the policy's answer" answers_denied
  check "it stops when asked, with exit code 0" exits_cleanly
  [ "$failed" -eq 0 ] || engine logs portcullis >&2
  engine rm --force portcullis >/dev/null
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

main
