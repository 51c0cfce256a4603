#!/usr/bin/env bash
# Carries images to a mirror that reaches no upstream, and uses both ends with the programs that people use.
#
# Near side: a registry, `seed`, `export` to volumes and to a layout that other programs read. Far side: the registry is
# stopped, `import`, pulls by podman, skopeo and crane, and cosign's own verification through the mirror. What is not signed
# is refused at both ends, also in a layout that skopeo made. Needs what run.sh needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/clients/images.sh
. "$here/images.sh"

readonly CARRIED=(acme/cosign2 acme/cosign3 acme/index)

# side NAME LINES: a configuration and the policy that both ends have.
side() {
  local folder=$work/$1
  free_port
  address_of[$1]=127.0.0.1:$port
  mkdir -p "$folder"
  cp "$work/release.pub" "$folder/"
  cat >"$folder/portcullis.toml" <<TOML
data = "data"
policy = "policy.toml"
[listen]
address = "${address_of[$1]}"
admin = "off"
[[upstream]]
name = "registry.test"
url = "http://$registry"
$2
TOML
  cat >"$folder/policy.toml" <<'TOML'
version = 1
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/acme/*"
require = "release"
TOML
}

# at SIDE COMMAND...: portcullis with that side's configuration.
at() {
  local name=$1 command=$2
  shift 2
  "$binary" "$command" --config "$work/$name/portcullis.toml" "$@"
}

pod() { podman --root "$work/pod" --runroot "$work/pod-run" --storage-driver vfs "$@"; }

# refused SIDE COMMAND...: must end with 1 and say that something is denied.
refused() {
  local status=0
  at "$@" >"$work/refused.out" || status=$?
  cat "$work/refused.out"
  [ "$status" -eq 1 ] && grep -q '^denied' "$work/refused.out"
}

prepare() {
  signing_keys
  build_image acme/cosign2 docker linux/amd64
  build_image acme/cosign3 oci linux/amd64
  build_image acme/unsigned oci linux/amd64
  build_image acme/index oci linux/amd64
  build_image acme/index oci linux/arm64
  build manifest create localhost/acme/index:all localhost/acme/index:amd64 localhost/acme/index:arm64
}

fill_registry() {
  local repository
  for repository in acme/cosign2 acme/cosign3 acme/unsigned; do
    push "$repository" "$registry"
  done
  build manifest push --all --tls-verify=false localhost/acme/index:all "docker://$registry/acme/index:$TAG"
  sign_classic cosign2 release "$registry" registry.test acme/cosign2
  sign_classic cosign3 release "$registry" registry.test acme/cosign3
  sign_classic cosign3 release "$registry" registry.test acme/index
}

near_side() {
  local repository
  {
    echo "# what the far side needs"
    for repository in "${CARRIED[@]}" acme/unsigned; do
      echo "registry.test/$repository:$TAG"
    done
  } >"$work/images.txt"
  refused near seed "$work/images.txt"
  sed -i '/unsigned/d' "$work/images.txt"
  at near seed "$work/images.txt"
  at near export --output "$work/bag.tar" --volume-size 1MiB "$work/images.txt"
  (cd "$work" && sha256sum --check --quiet bag.tar.sha256)
  [ -f "$work/bag.tar.002" ]
  at near export --output "$work/layout" --all
}

other_programs_read_the_layout() {
  local name=registry.test/acme/cosign3:$TAG digest
  (cd "$work/layout" && sha256sum --check --quiet SHA256SUMS)
  digest=$(crane digest --insecure "$registry/acme/cosign3:$TAG")
  [ "$(skopeo inspect --format '{{.Digest}}' "oci:$work/layout:$name")" = "$digest" ]
  skopeo copy --quiet "oci:$work/layout:$name" "dir:$work/by-skopeo"
  oras manifest fetch --oci-layout "$work/layout@$digest" >"$work/by-oras"
  [ "$(sha256sum <"$work/by-oras")" = "${digest#sha256:}  -" ]
  crane push --insecure --index "$work/layout" "$registry/pushed/by-crane:all"
  # podman makes a name of the folder's path when it reads a layout itself, so its storage is filled by skopeo.
  skopeo copy --quiet "oci:$work/layout:$name" "containers-storage:[vfs@$work/pod+$work/pod-run]$name"
  pod image exists "$name"
}

# A layout as skopeo makes it: names are tags only, and evidence is copied by hand.
skopeo_makes_layouts() {
  local digest signature
  digest=$(crane digest --insecure "$registry/acme/cosign3:$TAG")
  signature=sha256-${digest#sha256:}.sig
  for tag in "$TAG" "$signature"; do
    skopeo copy --quiet --preserve-digests --src-tls-verify=false "docker://$registry/acme/cosign3:$tag" "oci:$work/made:$tag"
  done
  skopeo copy --quiet --src-tls-verify=false "docker://$registry/acme/unsigned:$TAG" "oci:$work/made-unsigned:$TAG"
  oras cp --from-plain-http "$registry/acme/unsigned:$TAG" --to-oci-layout "$work/made-by-oras:$TAG"
}

import_at_the_far_side() {
  at far import "$work/made" --repository registry.test/acme/cosign3
  refused far import "$work/made-unsigned" --repository registry.test/acme/unsigned
  refused far import "$work/made-by-oras" --repository registry.test/acme/unsigned
  at far import "$work/bag.tar.001"
  tar --create --directory "$work/layout" . | at far import -
  at far list | grep -q 'registry.test/acme/index:v1'
}

pulls_at_the_far_side() {
  local far=${address_of[far]} repository
  for repository in "${CARRIED[@]}"; do
    crane pull --insecure --format oci "$far/$repository:$TAG" "$work/pulled-$(basename "$repository")"
    skopeo copy --quiet --src-tls-verify=false "docker://$far/$repository:$TAG" "dir:$work/copied-$(basename "$repository")"
  done
  pod pull --quiet --tls-verify=false "$far/acme/cosign2:$TAG"
  cosign2 verify --key "$work/release.pub" --insecure-ignore-tlog --allow-http-registry "$far/acme/cosign2:$TAG" >/dev/null
  if crane manifest --insecure "$far/acme/unsigned:$TAG" 2>"$work/unsigned.log"; then
    return 1
  fi
  grep -q 'offline' "$work/unsigned.log"
}

main() {
  declare -gA address_of=()
  binary=$(portcullis_binary)
  open_workspace
  stay_on_this_machine
  quietly images prepare
  free_port && registry=127.0.0.1:$port
  start_registry registry registry "$port"
  quietly signatures fill_registry
  side near ""
  side far "offline = true"
  quietly "near side" near_side
  quietly "other programs read it" other_programs_read_the_layout
  quietly "skopeo and oras make layouts" skopeo_makes_layouts
  stop registry
  quietly "import" import_at_the_far_side
  start far "$binary" serve --config "$work/far/portcullis.toml"
  ready far "http://${address_of[far]}/v2/"
  quietly "pulls without a network" pulls_at_the_far_side
  say "air gap: everything arrived, and nothing else"
}

main
