# shellcheck shell=bash
# Skopeo with the upstream's name mapped to the mirror. After it, copier pulls the same with a policy of its own: it verifies
# the signatures again with what the mirror hands out, and so proves that a client that checks for itself still can. Not for the
# index: this library wants a signature on each child and does not look at the index's own.
reason_in[skopeo]=body

skopeo_start() {
  mkdir -p "$work/skopeo"
  local upstream
  for upstream in registry.test debian.test; do
    cat <<TOML
[[registry]]
prefix = "$upstream"
location = "$(at_mirror "$upstream/x" | sed 's|/x$||')"
insecure = true
TOML
  done >"$work/skopeo/registries.conf"
  cat >"$work/skopeo/policy.json" <<JSON
{"default": [{"type": "sigstoreSigned", "keyPath": "$work/release.pub", "signedIdentity": {"type": "matchRepository"}}]}
JSON
}

skopeo_pull() {
  local registries=$work/skopeo/registries.conf
  rm -rf "$work/skopeo/copy" "$work/skopeo/verified"
  skopeo --insecure-policy --registries-conf "$registries" copy --all "docker://$1" "dir:$work/skopeo/copy"
  case $1 in */acme/index:*) return ;; esac
  copier -policy "$work/skopeo/policy.json" -registries-conf "$registries" "docker://$1" "dir:$work/skopeo/verified"
}
