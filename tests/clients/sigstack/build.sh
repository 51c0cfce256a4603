#!/usr/bin/env bash
# Builds one server of the stack: build.sh NAME OUTPUT. Needs Go; the versions are pinned here.
#
# Three are built from a copy of their module, at the released version and with the module's own go.sum, because they listen on
# every interface of the machine: Fulcio and the two with a fixed port for metrics, of which the timestamp authority even ends
# when that port is taken. memtrillian is a program of ours that only works inside Trillian's module.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=${1:?the name of a server}
output=$(realpath -m "${2:?where the program goes}")
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
export GOFLAGS=-buildvcs=false

# released MODULE@VERSION: as it is.
released() {
  GOBIN=$scratch go install -trimpath -ldflags=-s "$1"
  mv "$scratch"/* "$output"
}

# changed MODULE@VERSION PACKAGE FILE OLD NEW: with one text replaced, which has to be there.
changed() {
  copy "$1"
  grep -qF "$4" "$scratch/module/$3" || { echo "build.sh: $3 no longer has: $4" >&2; exit 1; }
  OLD=$4 NEW=$5 perl -pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/' "$scratch/module/$3"
  build "$2"
}

copy() {
  local folder
  folder=$(go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
  cp -r "$folder" "$scratch/module"
  chmod -R u+w "$scratch/module"
}

build() { (cd "$scratch/module" && go build -trimpath -ldflags=-s -o "$output" "$1"); }

case $name in
  oidcd) (cd "$here/oidcd" && go build -trimpath -ldflags=-s -o "$output" .) ;;
  ct_server) released github.com/google/certificate-transparency-go/trillian/ctfe/ct_server@v1.3.3 ;;
  rekor2-posix) released github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0 ;;
  fulcio) changed github.com/sigstore/fulcio@v1.8.8 . cmd/app/serve.go \
    'fmt.Sprintf(":%v", viper.GetString("metrics-port"))' 'fmt.Sprintf("127.0.0.1:%v", viper.GetString("metrics-port"))' ;;
  timestamp-server) changed github.com/sigstore/timestamp-authority/v2@v2.1.3 ./cmd/timestamp-server pkg/server/prometheus.go \
    '":2112"' '"127.0.0.1:0"' ;;
  rekor-server) changed github.com/sigstore/rekor@v1.5.4 ./cmd/rekor-server cmd/rekor-server/app/serve.go '":2112"' '"127.0.0.1:0"' ;;
  memtrillian)
    copy github.com/google/trillian@v1.8.0
    mkdir -p "$scratch/module/cmd/memtrillian"
    cp "$here/memtrillian/main.go" "$scratch/module/cmd/memtrillian/"
    build ./cmd/memtrillian
    ;;
  *) echo "build.sh: no such server: $name" >&2; exit 2 ;;
esac
