# shellcheck shell=bash
# cosign verifies through the mirror: image, `.sig` tag and payload all come from it, for both major versions.
reason_in[cosign]=body

cosign_pull() {
  local version
  for version in cosign2 cosign3; do
    "$version" verify --key "$work/release.pub" --insecure-ignore-tlog --allow-http-registry "$(at_mirror "$1")"
  done
}
