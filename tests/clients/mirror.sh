# shellcheck shell=bash
# The mirror under test, and how its answers are read without any client.
#
# Names in this suite are canonical (`registry.test/acme/cosign2:v1`). How a client reaches one differs on purpose, so that
# every way to name an upstream is used by some client: default upstream, first path segment, `ns=`, `Host`.

# configure_mirror DISTRIBUTION_PORT DEBIAN_PORT: sets $mirror and $mirror_port, writes configuration and policy.
#
# dockerd asks its `registry-mirrors` only for Docker Hub's names and says nowhere that it means Hub, so those requests are
# told apart by the Host name `localhost`. The third upstream is the first registry under Hub's name.
configure_mirror() {
  free_port && mirror_port=$port
  free_port && admin_port=$port
  mirror=127.0.0.1:$mirror_port
  mkdir -p "$work/mirror"
  cp "$work/release.pub" "$work/mirror/"
  cat >"$work/mirror/portcullis.toml" <<TOML
data = "data"
policy = "policy.toml"

[listen]
address = "$mirror"
admin = "127.0.0.1:$admin_port"

[cache]
tag_fresh = "1s"
denied_fresh = "1s"

[[upstream]]
name = "registry.test"
url = "http://127.0.0.1:$1"
default = true

[[upstream]]
name = "debian.test"
url = "http://127.0.0.1:$2"

[[upstream]]
name = "docker.io"
url = "http://127.0.0.1:$1"
hosts = ["localhost"]
TOML
  cat >"$work/mirror/policy.toml" <<TOML
version = 1

[authority.release]
key = "release.pub"

[[rule]]
match = ["registry.test/acme/*", "debian.test/acme/*"]
require = "release"

[[rule]]
match = ["docker.io/acme/*"]
require = "release"
signed_as = "registry.test/acme/*"
TOML
}

start_mirror() {
  start mirror "$binary" serve --config "$work/mirror/portcullis.toml"
  ready mirror "http://$mirror/v2/"
}

# at_mirror NAME: a canonical name as a client writes it that names the mirror as its registry.
at_mirror() {
  case $1 in
    registry.test/*) printf '%s/%s\n' "$mirror" "${1#registry.test/}" ;;
    *) printf '%s/%s\n' "$mirror" "$1" ;;
  esac
}

# manifest_url NAME: of a canonical name with tag or digest, each upstream named in the path.
manifest_url() {
  case $1 in
    *@*) printf 'http://%s/v2/%s/manifests/%s\n' "$mirror" "${1%@*}" "${1#*@}" ;;
    *) printf 'http://%s/v2/%s/manifests/%s\n' "$mirror" "${1%:*}" "${1##*:}" ;;
  esac
}

# denial NAME: the message of the refusal, and a failure unless the answer is the contract's: 403, JSON, code DENIED.
denial() {
  local status
  status=$(curl --silent --header 'Accept: */*' --output "$work/denial.json" --write-out '%{http_code} %{content_type}' "$(manifest_url "$1")")
  case $status in
    "403 application/json"*) ;;
    *) say "the mirror answers $status for $1 instead of a denial"; return 1 ;;
  esac
  jq --exit-status --raw-output '.errors[0] | select(.code == "DENIED") | .message | select(length > 0)' "$work/denial.json"
}

# denial_phrase NAME: what a client sees that only ever sends HEAD.
denial_phrase() {
  curl --silent --head --header 'Accept: */*' "$(manifest_url "$1")" | sed -n '1s/^HTTP\/1.1 403 \(.*\)\r$/\1/p' | grep .
}
