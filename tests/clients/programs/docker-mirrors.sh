# shellcheck shell=bash
# Docker with the mirror as `registry-mirrors`: for Docker Hub's names only, and with Hub itself always as the last resort.
# A refusal is an entry in the daemon's log; its user sees what Hub said, which here is that it cannot be reached.
# shellcheck source=tests/clients/programs/docker.sh
. "$here/programs/docker.sh"
reason_in[docker-mirrors]=log
upstreams[docker-mirrors]=docker.io

docker_mirrors_start() { docker_start; }

docker_mirrors_pull() {
  docker_forget
  docker_with pull "${1#docker.io/}"
}

docker_mirrors_run() { docker_with run --rm --network none "${1#docker.io/}"; }
