# shellcheck shell=bash
# Docker with the mirror named as the registry. The daemon is private and changes nothing of the host's network; the same
# daemon serves docker-mirrors, whose setting concerns only the names of Docker Hub.
reason_in[docker]=body

docker_start() {
  ! running dockerd || return 0
  local home=$work/docker
  mkdir -p "$home"
  echo "{\"registry-mirrors\": [\"http://localhost:$mirror_port\"]}" >"$home/daemon.json"
  start dockerd dockerd --iptables=false --bridge=none \
    --storage-driver=vfs --data-root="$home/data" --exec-root="$home/exec" --pidfile="$home/pid" \
    --config-file="$home/daemon.json" --host="unix://$home/docker.sock"
  eventually 60 docker_with version || die "dockerd does not start: see $logs/dockerd.log"
}

docker_with() { docker --host "unix://$work/docker/docker.sock" "$@"; }

docker_forget() {
  docker_with image prune --all --force >/dev/null
}

docker_pull() {
  docker_forget
  docker_with pull "$(at_mirror "$1")"
}

docker_run() { docker_with run --rm --network none "$(at_mirror "$1")"; }
