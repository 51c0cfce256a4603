#!/usr/bin/env bash
# Records Notation signatures made by the Notary Project's libraries, and what their verifier says of them: see README.md here.
#
# Every case is one envelope over one manifest, with the certificates to trust. Nothing of a recording is edited by hand: change
# this script and run it again. Needs openssl and tests/clients/install.sh notation-tool.
#
#   tests/vectors/record-notation.sh [FOLDER]     (default: notation/ beside this script)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/tools.sh
. "$here/../clients/tools.sh"
output=${1:-$here/notation}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
manifest=$here/cosign2-p256/manifest.json

# sign NAME KIND [jws|cose] [OPTION...]: one folder with an envelope by the keys of KIND, over $signed.
sign() {
  local folder=$output/$1 keys=$work/$2 format=jws
  shift 2
  [[ ${1:-} != jws && ${1:-} != cose ]] || { format=$1; shift; }
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$keys/ca.pem" "$folder/"
  cp "$manifest" "$folder/manifest.json"
  notation-tool sign -manifest "${signed:-$manifest}" -keys "$keys" -format "$format" -out "$folder/envelope.$format" "$@"
}

# judge NAME REASON [OPTION...]: what Portcullis has to say, and what notation says, under these options of its verifier.
judge() {
  local folder=$output/$1 reason=$2 accepted
  shift 2
  accepted=$(notation-tool judge -manifest "$manifest" -ca "$folder/ca.pem" "$@" "$folder"/envelope.* | jq .accepted)
  jq --null-input --arg reason "$reason" --arg time "$(date --utc +%FT%TZ)" --argjson accepted "$accepted" \
    --arg made_by "notation-go $(module_version)" \
    '{made_by: $made_by, time: $time, judged_with: [$ARGS.positional[] | split("/") | last], notation_accepts: $accepted, reason: $reason}' \
    --args -- "$@" >"$folder/case.json"
}

module_version() {
  go version -m "$(command -v notation-tool)" | awk '$2 == "github.com/notaryproject/notation-go" { print substr($3, 2) }'
}

readonly KINDS=(rsa2048 rsa3072 rsa4096 ec256 ec384 ec521)
for kind in "${KINDS[@]}"; do
  notation-tool certs -out "$work/$kind" -alg "$kind" -cn "release $kind"
done
notation-tool certs -out "$work/tsa" -cn tsa -tsa
echo 01 >"$work/tsa/serial"
notation-tool certs -out "$work/other" -cn other -tsa
notation-tool certs -out "$work/revocable" -cn revocable -crl http://crl.test/ca.crl
notation-tool certs -out "$work/short" -cn short -valid 8s

# The certificate of `short` is valid while it signs and not when it is judged.
sign short-stamped short -tsa "$work/tsa"
sign short-stamped-cose short cose -tsa "$work/tsa"
sign short-unstamped short
for kind in "${KINDS[@]}"; do
  for format in jws cose; do
    sign "$format-$kind" "$kind" "$format"
  done
done
for name in stamped stamped-unasked stamped-by-another; do
  sign $name ec256 -tsa "$work/tsa"
done
sign stamped-cose ec384 cose -tsa "$work/tsa"
sign stamped-rsa rsa2048 -tsa "$work/tsa"
for name in unstamped identified misidentified foreign; do
  sign $name ec256
done
sign annotated ec256 cose -metadata build=42
sign expiring ec256 -expiry 87600h
sign expired ec256 -expiry 1s
sign expired-permissive ec256 -expiry 1s
signed=$here/index/manifest.json
sign moved ec256
signed=
sign revocable revocable
cp "$work/revocable"/*.crl "$work/tsa/ca.pem" "$output/revocable/"
mv "$output/revocable/ca.pem" "$output/revocable/tsa.pem"
cp "$work/revocable/ca.pem" "$output/revocable/"
cp "$work/other/ca.pem" "$output/foreign/"
sleep 9

for kind in "${KINDS[@]}"; do
  for format in jws cose; do
    judge "$format-$kind" admitted
  done
done
for name in stamped stamped-cose stamped-rsa short-stamped short-stamped-cose; do
  cp "$work/tsa/ca.pem" "$output/$name/tsa.pem"
  judge $name admitted -tsa-root "$output/$name/tsa.pem"
done
cp "$work/tsa/ca.pem" "$output/unstamped/tsa.pem"
judge unstamped time_outside_validity -tsa-root "$output/unstamped/tsa.pem"
cp "$work/other/ca.pem" "$output/stamped-by-another/tsa.pem"
judge stamped-by-another time_outside_validity -tsa-root "$output/stamped-by-another/tsa.pem"
judge stamped-unasked admitted
judge short-unstamped time_outside_validity
judge identified admitted -identity "x509.subject: C=US, ST=WA, O=Acme, CN=release ec256"
judge misidentified signer_not_trusted -identity "x509.subject: C=US, ST=WA, O=Acme, CN=somebody"
judge foreign signer_not_trusted
judge annotated admitted
judge expiring admitted
judge expired time_outside_validity
judge expired-permissive admitted -level permissive
judge moved digest_mismatch
judge revocable evidence_unreachable
echo "recorded $(find "$output" -name case.json | wc -l) cases, notation accepts $(cat "$output"/*/case.json | jq --slurp 'map(select(.notation_accepts)) | length')"
