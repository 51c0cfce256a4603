#!/usr/bin/env bash
# Builds the Dockerfile without any registry to pull base images from, and pulls a signed image through the container.
#
#   tests/container/run.sh             the whole build, with the host's Rust and the crates that it has fetched
#   tests/container/run.sh prebuilt    the target `runtime-prebuilt`, which takes the host's release binary
#
# The bases are made of Debian packages by debootstrap, from where apt is set up to fetch them. What runs afterwards runs in a
# network namespace of its own (serve.sh). Needs root and tests/clients/install.sh (apt crane cosign3 registry).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh"

# What ELF needs on this architecture: the C library with its loader, and libgcc for unwinding.
readonly RUNTIME_FILES=(
  lib64/ld-linux-x86-64.so.2
  lib/x86_64-linux-gnu/{ld-linux-x86-64.so.2,libc.so.6,libm.so.6,libgcc_s.so.1,libnss_dns.so.2,libnss_files.so.2,libresolv.so.2}
  etc/ssl/certs/ca-certificates.crt
)

images() { buildah --root "$work/images" --runroot "$work/images-run" --storage-driver vfs "$@"; }

# debian_tree FOLDER: Debian as the machine has it, from the mirror that apt uses.
debian_tree() {
  local release mirror
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # shellcheck disable=SC2016 # apt-get's own placeholders
  mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | awk -v release="$release" '$1 == release { print $2; exit }')
  debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates "$release" "$1" "$mirror"
}

# The toolchain and the crates are mounted when the image is built, so that neither is copied nor fetched.
builder_base() {
  local container
  container=$(images from scratch)
  images add "$container" "$work/debian" /
  images config --env PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin --env CARGO_HOME=/opt/cargo --env CARGO_NET_OFFLINE=true "$container"
  images commit --rm "$container" localhost/builder
}

runtime_base() {
  local container file tree=$work/runtime
  for file in "${RUNTIME_FILES[@]}"; do
    install -D --mode=0755 "$work/debian/$file" "$tree/$file"
  done
  install --directory --mode=1777 "$tree/tmp"
  container=$(images from scratch)
  images add "$container" "$tree" /
  images commit --rm "$container" localhost/runtime
}

# Docker's image format, because OCI's has no health check.
build_image() {
  images bud --isolation chroot --format docker --layers=false --pull-never --target "$1" --tag localhost/portcullis \
    --build-arg BUILDER=localhost/builder --build-arg RUNTIME=localhost/runtime \
    --build-arg REVISION="$(git -C "$repository_root" rev-parse HEAD)" \
    --volume "$toolchain:/opt/rust:ro" --volume "$cargo_home/registry:/opt/cargo/registry" "$repository_root"
}

main() {
  local target=runtime
  [ "${1:-}" != prebuilt ] || target=runtime-prebuilt
  toolchain=$(rustc --print sysroot)
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  # Before HOME is another: all crates must be there, because nothing is fetched from inside of the build.
  cargo fetch --quiet --locked --manifest-path "$repository_root/Cargo.toml"
  open_workspace
  quietly debian debian_tree "$work/debian"
  quietly builder builder_base
  quietly runtime runtime_base
  quietly "$target" build_image "$target"
  unshare --net "$here/serve.sh" "$work/images"
}

main "$@"
