# shellcheck shell=bash
# crane, and with it everything that is built on go-containerregistry.
reason_in[crane]=body

crane_pull() {
  rm -rf "$work/crane"
  crane pull --insecure --format oci "$(at_mirror "$1")" "$work/crane"
  crane validate --insecure --remote "$(at_mirror "$1")"
}
