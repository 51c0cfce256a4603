# shellcheck shell=bash
# Buildah with the mirror named as the registry, the way a Dockerfile's FROM line would.
reason_in[buildah]=body

buildah_with() {
  buildah --storage-driver vfs --root "$work/buildah/root" --runroot "$work/buildah/run" "$@"
}

buildah_pull() {
  buildah_with rm --all >/dev/null
  buildah_with rmi --all --force >/dev/null
  buildah_with pull --policy always --retry 0 --tls-verify=false "$(at_mirror "$1")"
}

buildah_run() {
  local container
  container=$(buildah_with from --pull-never "$(at_mirror "$1")")
  buildah_with run --isolation chroot "$container" -- /bin/busybox cat /about
}
