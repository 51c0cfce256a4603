# shellcheck shell=bash
# oras copies the whole graph below a name into an OCI layout: manifests, configurations, layers.
reason_in[oras]=body

oras_pull() {
  rm -rf "$work/oras"
  oras copy --no-tty --from-plain-http "$(at_mirror "$1")" --to-oci-layout "$work/oras:$TAG"
}
