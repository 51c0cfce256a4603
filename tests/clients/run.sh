#!/usr/bin/env bash
# Pulls through the mirror with the programs that people use, and checks what each of them gets and is refused.
#
#   tests/clients/run.sh            all clients
#   tests/clients/run.sh NAME...    only these of: podman buildah skopeo docker docker-mirrors containerd crane oras cosign
#
# Needs root, tests/clients/install.sh, and a portcullis binary: PORTCULLIS_BIN, else target/release, else target/debug.
# Each field of the table that is printed at the end has a log; KEEP=1 keeps the work folder with everything in it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/clients/images.sh
. "$here/images.sh"
# shellcheck source=tests/clients/mirror.sh
. "$here/mirror.sh"
# shellcheck source=tests/clients/scenarios.sh
. "$here/scenarios.sh"

clients=(podman buildah skopeo docker docker-mirrors containerd crane oras cosign)
[ $# -eq 0 ] || clients=("$@")

start_upstreams() {
  free_port && distribution_port=$port
  start_registry distribution registry "$distribution_port"
  free_port && debian_port=$port
  start_registry debian docker-registry "$debian_port"
}

# Restarted as well as cut off: what was admitted must come from the disk, not from a lucky cache in memory.
cut_off() {
  stop distribution
  stop debian
  stop mirror
  start_mirror
}

main() {
  local client began=$SECONDS since
  binary=$(portcullis_binary)
  open_workspace
  stay_on_this_machine
  for client in "${clients[@]}"; do
    # shellcheck source=/dev/null
    . "$here/programs/$client.sh"
  done
  quietly keys signing_keys
  quietly images build_images
  start_upstreams
  quietly seed-distribution seed "127.0.0.1:$distribution_port" registry.test
  quietly seed-debian seed "127.0.0.1:$debian_port" debian.test
  configure_mirror "$distribution_port" "$debian_port"
  start_mirror
  for client in "${clients[@]}"; do
    ! defined "$client" start || call "$client" start
    since=$SECONDS
    online "$client"
    say "$client: $((SECONDS - since)) s"
  done
  say "the upstreams are stopped and the mirror is restarted ..."
  cut_off
  for client in "${clients[@]}"; do
    since=$SECONDS
    offline "$client"
    say "$client without upstream: $((SECONDS - since)) s"
  done
  say "real clients: $((SECONDS - began)) s"
  print_table "${clients[@]}"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

main
