#!/usr/bin/env bash
# Records what real signers write, so that a clone can test signature checking without any of them: see README.md here.
#
# Signs a tiny image in a throw-away registry with cosign 2, cosign 3 (classic format and bundles) and skopeo's library, has cosign
# confirm each verdict, and writes one folder a case. All keys but one are thrown away. Nothing of a recording is edited by hand:
# change this script and run it again. Needs tests/clients/install.sh (apt crane cosign2 cosign3 copier memregistry).
#
#   tests/vectors/record.sh [FOLDER]     (default: the folder of this script)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/lib.sh
. "$here/../clients/lib.sh"

readonly NAME=registry.test/acme/app        # the name inside every signature: upstream's name and repository
readonly KINDS=(p256 p384 p521 rsa2048 rsa3072 rsa4096)
readonly SIGNATURE_TYPE=application/vnd.dev.cosign.artifact.sig.v1+json
readonly BUNDLE_TYPE=application/vnd.dev.sigstore.bundle.v0.3+json
export COSIGN_PASSWORD="only for tests"

# ---- keys

# key_pair KIND: $work/keys/KIND.{key,pub}, made once. P-256 is cosign's own; the others are made by openssl and imported.
key_pair() {
  local prefix=$work/keys/$1
  [ ! -e "$prefix.pub" ] || return 0
  case $1 in
    p256* | foreign) cosign3 generate-key-pair --output-key-prefix "$prefix" ;;
    p384 | p521) import "$prefix" EC -pkeyopt "ec_paramgen_curve:P-${1#p}" -pkeyopt ec_param_enc:named_curve ;;
    rsa*) import "$prefix" RSA -pkeyopt "rsa_keygen_bits:${1#rsa}" ;;
    ed25519) import "$prefix" ED25519 ;;
    *) die "no such kind of key: $1" ;;
  esac >>"$logs/keys.log" 2>&1
}

import() {
  local prefix=$1
  shift
  openssl genpkey -algorithm "$@" -out "$prefix.pem"
  cosign3 import-key-pair --yes --key "$prefix.pem" --output-key-prefix "$prefix"
}

# ---- the image

# One layer of one file and an empty configuration: about 500 bytes of manifest, the same bytes on every machine.
push_images() {
  local folder=$work/image platform
  mkdir -p "$folder"
  for platform in amd64 arm64; do
    echo "hello from $platform" >"$folder/$platform.txt"
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder" -cf "$folder/$platform.tar" "$platform.txt"
    crane append --insecure --oci-empty-base --new_layer "$folder/$platform.tar" --new_tag "$address/source/$platform:v1"
    crane mutate --insecure --set-platform "linux/$platform" --tag "$address/source/$platform:v1" "$address/source/$platform:v1"
  done
  crane index append --insecure --docker-empty-base=false --tag "$address/source/index:v1" \
    --manifest "$address/source/amd64:v1" --manifest "$address/source/arm64:v1"
}

# fetch PATH FILE: exact bytes, whatever the media type.
fetch() {
  curl --silent --show-error --fail --header 'Accept: */*' --output "$2" "http://$address/v2/$1"
}

# ---- signing. Each takes a key and an image by digest, and signs it as $name.

name=$NAME

sign_with_cosign2() {
  local key=$1 image=$2
  shift 2
  cosign2 sign --yes --key "$key" --tlog-upload=false --allow-http-registry --sign-container-identity "$name" "$@" "$image"
}

sign_with_cosign3() {
  local key=$1 image=$2
  shift 2
  cosign3 sign --yes --key "$key" --tlog-upload=false --allow-http-registry --sign-container-identity "$name" \
    --new-bundle-format=false --use-signing-config=false "$@" "$image"
}

# What cosign 3 does by itself, without a log: a bundle as a referrer. It holds no name.
sign_with_bundle() {
  local key=$1 image=$2
  shift 2
  cosign3 sign --yes --key "$key" --tlog-upload=false --allow-http-registry --use-signing-config=false "$@" "$image"
}

# A bundle that says something about the image, and does not sign it.
sign_with_attestation() {
  local key=$1 image=$2
  echo '{"reviewed":true}' >"$work/predicate.json"
  cosign3 attest --yes --key "$key" --tlog-upload=false --allow-http-registry --use-signing-config=false \
    --type https://acme.test/review/v1 --predicate "$work/predicate.json" "$image"
}

# skopeo's library signs what it copies, so it copies the image onto itself. It always writes a tag into the name.
sign_with_copier() {
  local key=$1 repository=${2%@*}
  printf '%s' "$COSIGN_PASSWORD" >"$work/password"
  copier -sign-key "$key" -passphrase-file "$work/password" -identity "$name:v1" "docker://$repository:v1" "docker://$repository:v1"
}

# version_of TOOL[+TOOL]: as case.json tells it.
version_of() {
  local tool versions=()
  for tool in ${1//+/ }; do
    case $tool in
      copier) versions+=("containers/image $(module_version copier go.podman.io/image/v5)") ;;
      attestation | bundle) versions+=("cosign $(module_version cosign3 github.com/sigstore/cosign/v3)") ;;
      cosign*) versions+=("cosign $(module_version "$tool" "github.com/sigstore/cosign/v${tool#cosign}")") ;;
      openssl) versions+=("openssl $(openssl version | cut -d ' ' -f 2)") ;;
    esac
  done
  printf '%s\n' "${versions[@]}" | paste --serial --delimiters , | sed 's/,/, /g'
}

module_version() {
  go version -m "$(command -v "$1")" | awk -v module="$2" '$2 == module { print substr($3, 2) }'
}

# ---- cases

# begin CASE KIND...: an empty folder, a copy of the image of its own, and the keys. Sets case_folder, image, digest.
begin() {
  local kind source=${source_image:-source/amd64}
  case_name=$1
  case_folder=$output/$1
  shift
  say "recording $case_name"
  rm -rf "$case_folder"
  mkdir -p "$case_folder"
  crane copy --insecure "$address/$source:v1" "$address/$case_name:v1" >>"$logs/crane.log" 2>&1
  digest=$(crane digest --insecure "$address/$case_name:v1")
  image=$address/$case_name@$digest
  for kind in "$@"; do
    key_pair "$kind"
  done
}

# sign TOOL KIND [OPTION...]
sign() {
  local tool=$1 kind=$2
  shift 2
  "sign_with_$tool" "$work/keys/$kind.key" "$image" "$@" >>"$logs/$case_name.log" 2>&1 || {
    tail -n 5 "$logs/$case_name.log" >&2
    die "$case_name: $tool cannot sign"
  }
}

# finish REASON TOOL[+TOOL] KIND...: writes the folder; KIND are the keys that the policy trusts. Fails when cosign disagrees.
finish() {
  local reason=$1 tool=$2
  shift 2
  fetch "$case_name/manifests/$digest" "$case_folder/manifest.json"
  save_signatures "$digest"
  save_keys "$@"
  local found_by=tag
  [ ! -e "$case_folder/referrers.json" ] || found_by=referrers
  jq --null-input --arg name "$NAME" --arg digest "$digest" --arg made_by "$(version_of "$tool")" \
    --arg found_by "$found_by" --arg reason "$reason" --arg hash "${hash:-$(hash_used)}" \
    --argjson keys "$(cd "$case_folder" && shopt -s nullglob && jq --null-input --compact-output '$ARGS.positional' --args key.pub key-[0-9].pub)" \
    '{name: $name, digest: $digest, made_by: $made_by, keys: $keys, hash: (if $hash == "" then null else $hash end), found_by: $found_by,
      verdict: (if $reason == "admitted" then "admitted" else "denied" end), reason: $reason}' >"$case_folder/case.json"
  confirm "$reason"
}

# The manifest of the signatures, found as a client finds it, and the payload of each layer in its order.
save_signatures() {
  local hex=${1#sha256:} layer index=0
  if fetch "$case_name/manifests/sha256-$hex.sig" "$case_folder/signatures.json" 2>/dev/null; then :; else
    fetch "$case_name/referrers/sha256:$hex" "$case_folder/referrers.json"
    # This registry lists a referrer under the type of its configuration, so a bundle's artifact type is not the bundle's.
    fetch "$case_name/manifests/$(jq -r --arg type "$SIGNATURE_TYPE" \
      '.manifests[] | select(.artifactType == $type or .artifactType == null or .annotations["dev.sigstore.bundle.content"] != null).digest' "$case_folder/referrers.json")" "$case_folder/signatures.json"
  fi
  for layer in $(jq -r '.layers[].digest' "$case_folder/signatures.json"); do
    fetch "$case_name/blobs/$layer" "$case_folder/payload-$index.json"
    index=$((index + 1))
  done
}

# The first trusted key is key.pub, a second one key-2.pub.
save_keys() {
  local kind index=1
  for kind in "$@"; do
    cp "$work/keys/$kind.pub" "$case_folder/key$([ "$index" -eq 1 ] || echo "-$index").pub"
    index=$((index + 1))
  done
}

# The hash under which the first signature verifies with a trusted key, found by openssl, which shares no code with cosign.
# `none` is Ed25519, which signs the payload itself; nothing is printed where no key fits.
hash_used() {
  local hash key payload=$case_folder/payload-0.json
  if is_bundle; then
    jq -r '.dsseEnvelope.signatures[0].sig' "$case_folder/payload-0.json" | base64 --decode >"$work/signature"
    payload=$work/message
    encode_before_signing "$case_folder/payload-0.json" >"$payload"
  else
    jq -r '.layers[0].annotations["dev.cosignproject.cosign/signature"]' "$case_folder/signatures.json" | base64 --decode >"$work/signature"
  fi
  for key in "$case_folder"/key*.pub; do
    for hash in sha256 sha384 sha512; do
      if openssl dgst "-$hash" -verify "$key" -signature "$work/signature" "$payload"; then
        echo "$hash" >&3
        return
      fi
    done
    if openssl pkeyutl -verify -rawin -pubin -inkey "$key" -sigfile "$work/signature" -in "$payload"; then
      echo none >&3
      return
    fi
  done 3>&1 >/dev/null 2>&1
}

is_bundle() { jq --exit-status --arg type "$BUNDLE_TYPE" '.layers[0].mediaType == $type' "$case_folder/signatures.json" >/dev/null; }

# The bytes that a DSSE envelope's signature is over: the DSSE specification's "pre-authentication encoding".
encode_before_signing() {
  local kind
  kind=$(jq -r .dsseEnvelope.payloadType "$1")
  jq -r .dsseEnvelope.payload "$1" | base64 --decode >"$work/statement"
  printf 'DSSEv1 %d %s %d ' "${#kind}" "$kind" "$(stat --format %s "$work/statement")"
  cat "$work/statement"
}

# cosign has no opinion on the name inside a signature, so it admits that one too. Both versions hash by the curve when they
# sign with P-384 and P-521 and by SHA-256 when they verify; only cosign 2 can be told what to expect.
confirm() {
  local reason=$1 algorithm key status=0 expected=0 options=()
  case $reason in
    admitted | name_mismatch) ;;
    no_signature) ;; # any bundle by the key is a signature to cosign, whatever it says
    *) expected=1 ;;
  esac
  [ ! -e "$case_folder/referrers.json" ] || options=(--experimental-oci11)
  algorithm=$(jq -r '.hash | select(. != null and startswith("sha"))' "$case_folder/case.json")
  for key in "$case_folder"/key*.pub; do
    if is_bundle; then
      # cosign 3 refuses its own bundles by keys on the larger curves; openssl has already verified them.
      case $algorithm in sha384 | sha512) continue ;; esac
      cosign3 verify --insecure-ignore-tlog --allow-http-registry --key "$key" "$image" >>"$logs/$case_name.log" 2>&1 || status=1
      continue
    fi
    COSIGN_EXPERIMENTAL=1 cosign2 verify "${options[@]}" --signature-digest-algorithm "${algorithm:-sha256}" --insecure-ignore-tlog \
      --allow-http-registry --key "$key" "$image" >>"$logs/$case_name.log" 2>&1 || status=1
  done
  [ "$status" = "$expected" ] || die "$case_name: cosign's verdict is not the expected one: see $logs/$case_name.log"
}

record_each_kind_of_key() {
  local tool kind
  for tool in cosign2 cosign3; do
    for kind in "${KINDS[@]}"; do
      begin "$tool-$kind" "$kind"
      sign "$tool" "$kind"
      finish admitted "$tool" "$kind"
    done
  done
}

# Signed by openssl and attached by cosign, which is how keys are used that cosign cannot reach. SHA-256 on the larger curves
# is also what cosign wrote itself in its first years, and plain Ed25519 is the only form of it that cosign verifies.
record_signed_by_openssl() {
  local kind
  for kind in p384 p521 ed25519; do
    if [ "$kind" = ed25519 ]; then begin openssl-ed25519 "$kind"; else begin "openssl-$kind-sha256" "$kind"; fi
    cosign3 generate --allow-http-registry "$image" 2>>"$logs/$case_name.log" |
      jq --compact-output --join-output --arg name "$name" '.critical.identity["docker-reference"] = $name' >"$work/payload"
    openssl_sign "$kind" | base64 --wrap=0 >"$work/payload.signature"
    cosign3 attach signature --allow-http-registry --payload "$work/payload" --signature "$work/payload.signature" "$image" \
      >>"$logs/$case_name.log" 2>&1
    finish admitted openssl "$kind"
  done
}

openssl_sign() {
  case $1 in
    ed25519) openssl pkeyutl -sign -rawin -inkey "$work/keys/$1.pem" -in "$work/payload" ;;
    *) openssl dgst -sha256 -sign "$work/keys/$1.pem" "$work/payload" ;;
  esac
}

record_bundles() {
  local kind
  for kind in "${KINDS[@]}"; do
    begin "bundle-$kind" "$kind"
    sign bundle "$kind"
    finish admitted bundle "$kind"
  done

  begin bundle-annotated p256
  sign bundle p256 --annotations team=core --annotations build=42
  finish admitted bundle p256

  source_image=source/index begin bundle-index p256
  sign bundle p256
  finish admitted bundle p256

  begin bundle-signed-by-another-key p256 foreign
  sign bundle foreign
  finish signer_not_trusted bundle p256

  # Ed25519ph, as in the classic format.
  begin bundle-ed25519ph ed25519
  sign bundle ed25519
  hash=ed25519ph finish signer_not_trusted bundle ed25519

  begin bundle-attestation p256
  sign attestation p256
  finish no_signature attestation p256
}

record_other_shapes() {
  begin containers-image-p256 p256
  sign copier p256
  finish admitted copier p256

  begin two-signers p256 p256-second
  sign cosign2 p256
  sign cosign3 p256-second
  finish admitted cosign2+cosign3 p256 p256-second

  begin annotated p256
  sign cosign3 p256 --annotations team=core --annotations build=42
  finish admitted cosign3 p256

  begin referrer p256
  COSIGN_EXPERIMENTAL=1 sign cosign2 p256 --registry-referrers-mode=oci-1-1
  finish admitted cosign2 p256

  source_image=source/index begin index p256
  sign cosign3 p256
  finish admitted cosign3 p256
  fetch "$case_name/manifests/$(jq -r '.manifests[0].digest' "$case_folder/manifest.json")" "$case_folder/child-0.json"
  fetch "$case_name/manifests/$(jq -r '.manifests[1].digest' "$case_folder/manifest.json")" "$case_folder/child-1.json"

  # The one private key that is kept: what `portcullis sign` must be able to read. It signs nothing else, anywhere.
  begin encrypted-key p256-encrypted
  sign cosign3 p256-encrypted
  finish admitted cosign3 p256-encrypted
  cp "$work/keys/p256-encrypted.key" "$case_folder/encrypted.key"
  jq --arg password "$COSIGN_PASSWORD" '. + {password: $password}' "$case_folder/case.json" >"$work/case.json"
  cp "$work/case.json" "$case_folder/case.json"
}

record_what_must_be_refused() {
  begin signed-by-another-key p256 foreign
  sign cosign3 foreign
  finish signer_not_trusted cosign3 p256

  begin signed-as-another-name p256
  name=registry.test/acme/other sign cosign3 p256
  finish name_mismatch cosign3 p256

  # Both versions sign with Ed25519ph, the form that hashes first, and both refuse it when they verify.
  local tool
  for tool in cosign2 cosign3; do
    begin "$tool-ed25519ph" ed25519
    sign "$tool" ed25519
    hash=ed25519ph finish signer_not_trusted "$tool" ed25519
  done

  # A signature of the arm64 image, moved to where the amd64 image's would be.
  source_image=source/arm64 begin signed-for-another-image p256
  local moved=$digest
  sign cosign3 p256
  crane copy --insecure "$address/source/amd64:v1" "$address/$case_name:v1" >>"$logs/crane.log" 2>&1
  digest=$(crane digest --insecure "$address/$case_name:v1")
  image=$address/$case_name@$digest
  crane copy --insecure "$address/$case_name:sha256-${moved#sha256:}.sig" \
    "$address/$case_name:sha256-${digest#sha256:}.sig" >>"$logs/crane.log" 2>&1
  finish digest_mismatch cosign3 p256
}

main() {
  output=$(realpath -m "${1:-$here}")
  open_workspace
  stay_on_this_machine
  mkdir -p "$work/keys" "$output"
  start_memory_registry upstream
  push_images >>"$logs/crane.log" 2>&1
  record_each_kind_of_key
  record_signed_by_openssl
  record_bundles
  record_other_shapes
  record_what_must_be_refused
  say "recorded $(find "$output" -name case.json | wc -l) cases in $output"
}

main "$@"
