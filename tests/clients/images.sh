# shellcheck shell=bash
# The images that the clients pull: built from nothing, pushed to both upstreams and signed by the real signers.
#
# | repository      | what it is                                                     | the mirror says |
# | acme/cosign2    | Docker manifest, signed by cosign 2                            | admitted        |
# | acme/cosign3    | OCI manifest, signed by cosign 3 in the classic format         | admitted        |
# | acme/skopeo     | OCI manifest, signed by skopeo's library while it is copied    | admitted        |
# | acme/index      | image index for two platforms, signed by cosign 3 as an index  | admitted        |
# | acme/unsigned   | no signature                                                   | denied          |
# | acme/unseen     | the same, and nobody asks for it while the upstream is there   | denied          |
# | acme/altered    | signed, then its tag was moved to other content, and the       | denied          |
# |                 | signature was copied to where that content's would be          |                 |
# | acme/foreign    | signed by a key that the policy does not know                  | denied          |

readonly SIGNED=(acme/cosign2 acme/cosign3 acme/skopeo)
readonly TAG=v1
export COSIGN_PASSWORD=only-for-tests

build() { buildah --root "$work/build" --runroot "$work/build-run" --storage-driver vfs "$@"; }

# build_image REPOSITORY FORMAT PLATFORM: busybox and one file that tells images apart, so that no two share a manifest.
build_image() {
  local repository=$1 format=$2 platform=$3 context=$work/context
  mkdir -p "$context"
  cp /bin/busybox "$context/busybox"
  echo "$repository for $platform" >"$context/about"
  cat >"$context/Dockerfile" <<DOCKERFILE
FROM scratch
COPY busybox /bin/busybox
COPY about /about
CMD ["/bin/busybox", "cat", "/about"]
DOCKERFILE
  build bud --isolation chroot --format "$format" --platform "$platform" --timestamp 0 \
    --tag "localhost/$repository:$(basename "$platform")" "$context"
}

build_images() {
  local repository
  for repository in acme/cosign3 acme/skopeo acme/unsigned acme/unseen acme/altered acme/other acme/foreign; do
    build_image "$repository" oci linux/amd64
  done
  build_image acme/cosign2 docker linux/amd64
  build_image acme/index oci linux/amd64
  build_image acme/index oci linux/arm64
  build manifest create localhost/acme/index:all localhost/acme/index:amd64 localhost/acme/index:arm64
}

push() { build push --tls-verify=false "localhost/$1:amd64" "docker://$2/$1:$TAG"; }

# sign_classic COSIGN KEY ADDRESS NAME REPOSITORY: the name inside the signature is the one that clients use, not the address.
sign_classic() {
  local cosign=$1 key=$2 address=$3 name=$4 repository=$5 options=()
  [ "$cosign" = cosign2 ] || options=(--new-bundle-format=false --use-signing-config=false)
  "$cosign" sign --yes --key "$work/$key.key" --tlog-upload=false --allow-http-registry "${options[@]}" \
    --sign-container-identity "$name/$repository" "$address/$repository@$(crane digest --insecure "$address/$repository:$TAG")"
}

# skopeo signs what it copies; copier is skopeo's library, because Debian's skopeo cannot sign. It always names a tag.
push_signed_by_skopeo() {
  local address=$1 name=$2
  push acme/skopeo "$address"
  printf '%s' "$COSIGN_PASSWORD" >"$work/password"
  copier -sign-key "$work/release.key" -passphrase-file "$work/password" -identity "$name/acme/skopeo:$TAG" \
    "docker://$address/acme/skopeo:$TAG" "docker://$address/acme/skopeo:$TAG"
}

# Someone who may push, but not sign: other content under the tag, and the old signature beside it.
alter() {
  local address=$1 signed altered
  signed=$(crane digest --insecure "$address/acme/altered:$TAG")
  build push --tls-verify=false localhost/acme/other:amd64 "docker://$address/acme/altered:$TAG"
  altered=$(crane digest --insecure "$address/acme/altered:$TAG")
  crane copy --insecure "$address/acme/altered:sha256-${signed#sha256:}.sig" "$address/acme/altered:sha256-${altered#sha256:}.sig"
}

# seed ADDRESS NAME: everything of the table, to the registry at ADDRESS, signed for the upstream called NAME.
seed() {
  local address=$1 name=$2 repository
  for repository in acme/cosign2 acme/cosign3 acme/unsigned acme/unseen acme/altered acme/foreign; do
    push "$repository" "$address"
  done
  build manifest push --all --tls-verify=false localhost/acme/index:all "docker://$address/acme/index:$TAG"
  push_signed_by_skopeo "$address" "$name"
  sign_classic cosign2 release "$address" "$name" acme/cosign2
  sign_classic cosign3 release "$address" "$name" acme/cosign3
  sign_classic cosign3 release "$address" "$name" acme/index
  sign_classic cosign3 release "$address" "$name" acme/altered
  sign_classic cosign3 foreign "$address" "$name" acme/foreign
  alter "$address"
}

signing_keys() {
  cosign3 generate-key-pair --output-key-prefix "$work/release"
  cosign3 generate-key-pair --output-key-prefix "$work/foreign"
}
