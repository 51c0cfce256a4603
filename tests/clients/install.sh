#!/usr/bin/env bash
# Installs the programs that the real-client, conformance and container suites drive, on Debian 12 as root.
#
# Debian's own packages come from apt; what Debian does not have is built by `go install` and `cargo install` at the
# versions pinned below, into a folder outside the checkout, so that a second clone or a second CI run builds nothing.
# Running it again is cheap: each program is skipped when its stamp names the same version.
#
#   tests/clients/install.sh           everything
#   tests/clients/install.sh NAME...   only these of: apt crane oras registry cosign2 cosign3 copier notation-tool conformance memregistry cargo-deny
#
# PORTCULLIS_TOOLS  where the programs go (default: ${XDG_CACHE_HOME:-~/.cache}/portcullis-tools)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/tools.sh
. "$here/tools.sh"

readonly APT_PACKAGES=(
  podman skopeo buildah runc               # containers/image clients, and the OCI runtime that they share
  docker.io containerd                     # dockerd, docker, containerd, ctr
  docker-registry                          # Debian's registry 2.8, the second upstream
  busybox-static debootstrap               # images from nothing
  netavark aardvark-dns                    # buildah and podman refuse to start without a network backend
  ca-certificates curl iproute2 jq openssl procps shellcheck
)

readonly CRANE=github.com/google/go-containerregistry/cmd/crane@v0.22.1
readonly ORAS=oras.land/oras/cmd/oras@v1.3.6
readonly REGISTRY=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
readonly COSIGN2=github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
readonly COSIGN3=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
readonly CARGO_DENY=cargo-deny@0.20.2

# `dpkg-query` first: `apt-get update` takes seconds and needs the network even when there is nothing to install.
install_packages() {
  local package missing=()
  for package in "${APT_PACKAGES[@]}"; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "install: apt packages ${missing[*]}"
  apt-get -qq update
  without_services apt-get -qq install -y --no-install-recommends "${missing[@]}"
}

# dockerd and docker-registry would be started by their packages, on ports and with firewall rules that nobody asked for.
without_services() {
  local gate=/usr/sbin/policy-rc.d
  if [ -e "$gate" ]; then
    DEBIAN_FRONTEND=noninteractive "$@" </dev/null >/dev/null
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$gate"
  chmod +x "$gate"
  local status=0
  DEBIAN_FRONTEND=noninteractive "$@" </dev/null >/dev/null || status=$?
  rm -f "$gate"
  return "$status"
}

# stamped NAME VERSION COMMAND...: runs COMMAND, which must leave $TOOLS/bin/NAME, unless it was made from VERSION before.
stamped() {
  local name=$1 version=$2 started=$SECONDS
  shift 2
  local stamp=$TOOLS/stamps/$name
  if [ -x "$TOOLS/bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then
    return 0
  fi
  echo "install: $name ($version) ..."
  "$@" "$TOOLS/bin/$name"
  printf '%s\n' "$version" >"$stamp"
  echo "install: $name took $((SECONDS - started)) s"
}

# go_program MODULE@VERSION OUTPUT: both cosigns build a program of the same name, so each is built apart and moved.
go_program() {
  local scratch
  scratch=$(mktemp -d "$TOOLS/build.XXXXXX")
  GOBIN=$scratch go install -trimpath -ldflags=-s "$1"
  mv "$scratch"/* "$2"
  rmdir "$scratch"
}

cargo_program() {
  cargo install --quiet --locked --root "$TOOLS" "$1"
}

# checkout_program FOLDER OUTPUT: a Go module of this checkout. The tag keeps GPG, and with it a C library, out of copier.
checkout_program() {
  (cd "$1" && go build -buildvcs=false -trimpath -ldflags=-s -tags containers_image_openpgp -o "$2" .)
}

# Files that are built from this checkout are stamped with their own hash.
hash_of() {
  cat "$@" | sha256sum | cut -c1-16
}

install_one() {
  local conformance=$here/../conformance copier=$here/copier
  case $1 in
    apt) install_packages ;;
    crane) stamped crane "$CRANE" go_program "$CRANE" ;;
    oras) stamped oras "$ORAS" go_program "$ORAS" ;;
    registry) stamped registry "$REGISTRY" go_program "$REGISTRY" ;;
    cosign2) stamped cosign2 "$COSIGN2" go_program "$COSIGN2" ;;
    cosign3) stamped cosign3 "$COSIGN3" go_program "$COSIGN3" ;;
    copier) stamped copier "$(hash_of "$copier"/*)" checkout_program "$copier" ;;
    notation-tool) stamped notation-tool "$(hash_of "$here"/notation-tool/*)" checkout_program "$here/notation-tool" ;;
    memregistry) stamped memregistry "$(hash_of "$conformance"/registry/*)" checkout_program "$conformance/registry" ;;
    conformance) stamped oci-conformance "$(hash_of "$conformance/build-suite.sh")" "$conformance/build-suite.sh" ;;
    cargo-deny) stamped cargo-deny "$CARGO_DENY" cargo_program "$CARGO_DENY" ;;
    *) echo "install: no such program: $1" >&2; exit 2 ;;
  esac
}

main() {
  command -v go >/dev/null || { echo "install: Go 1.26 or newer is needed to build what Debian does not have" >&2; exit 1; }
  mkdir -p "$TOOLS/bin" "$TOOLS/stamps"
  [ $# -gt 0 ] || set -- apt crane oras registry memregistry conformance copier notation-tool cosign2 cosign3 cargo-deny
  local name
  for name in "$@"; do
    install_one "$name"
  done
}

main "$@"
