# shellcheck shell=bash
# What every suite shares: one private work folder, processes that are ended again by their id, and upstream registries.
#
# Source it, then call `open_workspace`. Everything listens on loopback, on ports that were free a moment ago; nothing is
# written outside the work folder, and HOME points into it so that no client reads or leaves credentials of its user.
#
# KEEP=1  keeps the whole work folder; otherwise only its logs are kept, and only after a failure.

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository_root=$(cd "$lib/../.." && pwd)
# shellcheck source=tests/clients/tools.sh
. "$lib/tools.sh"

declare -A pid_of=()
started=()
next_port=$((20000 + RANDOM % 10000))

say() { printf '%s\n' "$*" >&2; }
die() { say "$0: $*"; exit 1; }

open_workspace() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-test.XXXXXX")
  logs=$work/logs
  mkdir -p "$logs" "$work/home" "$work/run"
  export HOME=$work/home XDG_RUNTIME_DIR=$work/run
  unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME DOCKER_CONFIG REGISTRY_AUTH_FILE
  export OTEL_TRACES_EXPORTER=none # distribution v3 would look for a collector
  trap close_workspace EXIT
  trap 'exit 143' INT TERM HUP
}

# The signers look for trust roots of the public Sigstore and the clients for public registries, in vain here and at length
# elsewhere. Behind a proxy that is not there, both fail at once and the same way on every machine; loopback is not proxied.
stay_on_this_machine() {
  export HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY='' NO_PROXY=127.0.0.1,localhost
}

# Runs at every exit, so it must not stop half-way: no `set -e`, and the exit status is the one we came with.
close_workspace() {
  local status=$? index
  set +e
  for ((index = ${#started[@]} - 1; index >= 0; index--)); do
    stop "${started[index]}"
  done
  # Container engines leave mounts behind when they are ended in the middle of a run.
  awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount -l
  if [ -n "${KEEP:-}" ]; then
    say "work folder kept: $work"
  elif [ "$status" -ne 0 ]; then
    find "$work" -mindepth 1 -maxdepth 1 ! -path "$logs" -exec rm -rf {} +
    say "logs kept: $logs"
  else
    rm -rf "$work"
  fi
  exit "$status"
}

# start NAME COMMAND...: in the background, its output in logs/NAME.log. Outlives no suite.
start() {
  local name=$1
  shift
  "$@" >>"$logs/$name.log" 2>&1 </dev/null &
  pid_of[$name]=$!
  started+=("$name")
}

# Ends a process that `start` began and waits until it is gone; silent when it is gone already.
stop() {
  local name=$1 pid=${pid_of[$1]:-}
  [ -n "$pid" ] || return 0
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  unset "pid_of[$name]"
  return 0
}

running() { [ -n "${pid_of[$1]:-}" ] && kill -0 "${pid_of[$1]}" 2>/dev/null; }

# Sets `port` to a loopback port that nobody listens on. Below the range that the kernel hands out to outgoing connections.
# Not printed: a subshell would forget which ports were given away.
free_port() {
  while :; do
    next_port=$((next_port + 1))
    ss -Hltn "sport = :$next_port" | grep -q . || break
  done
  port=$next_port
}

# eventually SECONDS COMMAND...: until it succeeds. A sleep of a fixed length would be too long or too short somewhere.
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# quietly NAME COMMAND...: preparation, whose output matters only when it fails.
quietly() {
  local name=$1 began=$SECONDS status
  shift
  set +e
  (
    set -e
    "$@"
  ) >"$logs/$name.log" 2>&1 </dev/null
  status=$?
  set -e
  if [ "$status" -ne 0 ]; then
    tail -n 20 "$logs/$name.log" >&2
    die "$name failed"
  fi
  say "$name: $((SECONDS - began)) s"
}

answers() { curl --silent --fail --output /dev/null --max-time 2 "$1"; }

# ready NAME URL: waits for a server that was started as NAME, and says why when it does not come up.
ready() {
  if ! eventually 20 answers "$2" || ! running "$1"; then
    tail -n 20 "$logs/$1.log" >&2
    die "$1 does not answer at $2"
  fi
}

# start_registry NAME PROGRAM PORT: distribution v3 (`registry`) or Debian's 2.8 (`docker-registry`); both read this configuration.
start_registry() {
  local name=$1 program=$2 address=127.0.0.1:$3
  mkdir -p "$work/$name"
  cat >"$work/$name.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $work/$name}
http: {addr: $address, secret: only-for-tests}
YAML
  start "$name" "$program" serve "$work/$name.yml"
  ready "$name" "http://$address/v2/"
}

# start_memory_registry NAME ARGUMENT...: the in-memory one, which can have the referrers API. Sets `address`.
start_memory_registry() {
  local name=$1
  shift
  start "$name" memregistry "$@"
  eventually 10 test -s "$logs/$name.log" || die "$name does not start"
  address=$(head -n 1 "$logs/$name.log")
}

# The binary under test: PORTCULLIS_BIN, else the release build of this checkout, else its debug build.
portcullis_binary() {
  local candidate
  for candidate in "${PORTCULLIS_BIN:-}" "$repository_root/target/release/portcullis" "$repository_root/target/debug/portcullis"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no portcullis binary: run \`cargo build --release\` or set PORTCULLIS_BIN"
}
