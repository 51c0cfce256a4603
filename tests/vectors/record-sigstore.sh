#!/usr/bin/env bash
# Records what cosign signs with a whole Sigstore: certificates, logs, timestamps. Each case becomes a folder of tests/vectors/sigstore
# in the form of the other recordings (README.md), beside the trust root that all of them are judged under.
#
# Needs a running Sigstore and what its `sign-all.sh` has signed in the registry at ADDRESS under acme/app; curl and jq.
#
#   tests/vectors/record-sigstore.sh STACK ADDRESS [FOLDER]     (default: `sigstore` beside this script)
set -euo pipefail

readonly stack=$1 address=$2
output=${3:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/sigstore}
readonly output
readonly KINDS=(
  bundle-keyless-rekor2-tsa bundle-keyless-rekor1 bundle-keyless-rekor1-tsa bundle-keyless-localissuer bundle-keyless-email
  bundle-keyless-nosct bundle-keyless-tsa-notlog bundle2-keyless-rekor1
  bundle-key-rekor2-tsa bundle-key-rekor1 bundle-key-tsa-notlog
  sig-key-rekor1 sig-keyless-rekor1 sig-keyless-rekor1-tsa sig-keyless-tsa-notlog
)

# fetch KIND PATH FILE: exact bytes, whatever the media type.
fetch() {
  curl --silent --show-error --fail --header 'Accept: */*' --output "$3" "http://$address/v2/acme/app/$1/$2"
}

# The manifest of the signatures, by the tag or as the one referrer, and the payload of each of its layers.
save_signatures() {
  local kind=$1 folder=$2 digest=$3 layer index=0
  if ! fetch "$kind" "manifests/sha256-${digest#sha256:}.sig" "$folder/signatures.json" 2>/dev/null; then
    fetch "$kind" "referrers/$digest" "$folder/referrers.json"
    fetch "$kind" "manifests/$(jq --raw-output '.manifests[0].digest' "$folder/referrers.json")" "$folder/signatures.json"
  fi
  for layer in $(jq --raw-output '.layers[].digest' "$folder/signatures.json"); do
    fetch "$kind" "blobs/$layer" "$folder/payload-$index.json"
    index=$((index + 1))
  done
}

record() {
  local kind=$1 folder=$output/$1 digest
  mkdir -p "$folder"
  fetch "$kind" manifests/v1 "$folder/manifest.json"
  digest=sha256:$(sha256sum "$folder/manifest.json" | cut -d ' ' -f 1)
  save_signatures "$kind" "$folder" "$digest"
  jq --null-input --arg name "$address/acme/app/$kind" --arg digest "$digest" '$ARGS.named' >"$folder/case.json"
}

rm -rf "$output"
mkdir -p "$output"
for name in trusted_root.json cosign.pub other.pub; do
  cp "$stack/$name" "$output/$name"
done
cp "$stack/fulcio-root.pem" "$output/ca.pem"
for kind in "${KINDS[@]}"; do
  record "$kind"
done
