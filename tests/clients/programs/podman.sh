# shellcheck shell=bash
# Podman as its users should configure it: the upstream is blocked, so a refusal cannot be answered by going around.
reason_in[podman]=body

podman_start() {
  mkdir -p "$work/podman"
  local upstream
  for upstream in registry.test debian.test; do
    cat <<TOML
[[registry]]
prefix = "$upstream"
location = "$upstream"
blocked = true
[[registry.mirror]]
location = "$(at_mirror "$upstream/x" | sed 's|/x$||')"
insecure = true
TOML
  done >"$work/podman/registries.conf"
}

podman_with() {
  CONTAINERS_REGISTRIES_CONF=$work/podman/registries.conf podman --storage-driver vfs --root "$work/podman/root" \
    --runroot "$work/podman/run" --tmpdir "$work/podman/tmp" --cgroup-manager cgroupfs --events-backend none --runtime runc "$@"
}

podman_pull() {
  podman_with rmi --all --force >/dev/null
  podman_with pull "$1"
}

# The limits are spelt out because podman raises them to the host's by default, which not every host allows.
podman_run() { podman_with run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$1"; }
