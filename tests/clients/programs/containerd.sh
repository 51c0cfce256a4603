# shellcheck shell=bash
# containerd with hosts.toml, which sends `ns=`. Both `server` and `[host]` name the mirror: with either alone this version
# goes to the real registry. It resolves by HEAD, whose answer has no body: what it shows is the status line.
reason_in[containerd]=phrase

containerd_start() {
  local home=$work/containerd upstream
  mkdir -p "$home"
  for upstream in registry.test debian.test; do
    mkdir -p "$home/hosts/$upstream"
    cat >"$home/hosts/$upstream/hosts.toml" <<TOML
server = "http://$mirror"
[host."http://$mirror"]
capabilities = ["pull", "resolve"]
TOML
  done
  cat >"$home/config.toml" <<TOML
version = 2
root = "$home/root"
state = "$home/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$home/containerd.sock"
TOML
  start containerd containerd --config "$home/config.toml"
  eventually 30 containerd_with version || die "containerd does not start: see $logs/containerd.log"
}

containerd_with() { ctr --address "$work/containerd/containerd.sock" --namespace portcullis "$@"; }

containerd_pull() {
  containerd_with images list --quiet | xargs -r ctr --address "$work/containerd/containerd.sock" --namespace portcullis images remove --sync
  containerd_with images pull --hosts-dir "$work/containerd/hosts" --snapshotter native "$1"
}

containerd_run() { containerd_with run --rm --snapshotter native "$1" portcullis-test; }
