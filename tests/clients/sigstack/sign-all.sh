#!/usr/bin/env bash
# sign-all.sh DIR REGISTRY IMAGE [OUT]
#   DIR       directory of a running up.sh
#   REGISTRY  host:port of a plain-HTTP OCI registry
#   IMAGE     repository[:tag] in it; a one-file image is pushed there if absent
#   OUT       where the results go (default DIR/signed-<registry>)
# For every kind of signature it copies IMAGE to REGISTRY/<repository>/<kind>
# (so that each kind is alone), signs, verifies with cosign, and dumps what the
# registry then holds. Results: OUT/results.tsv, OUT/<kind>/...
# Environment: COSIGN3, COSIGN2, CRANE (binaries); ONLY=<regexp> to take fewer kinds.
set -uo pipefail
DIR=$(cd "${1:?usage: sign-all.sh DIR REGISTRY IMAGE [OUT]}" && pwd); REG=${2:?REGISTRY}; IMAGE=${3:?IMAGE}
OUT=${4:-$DIR/signed-${REG//:/-}}
BIN=${SIGSTACK_BIN:+$(cd "$SIGSTACK_BIN" && pwd)}
COSIGN3=${COSIGN3:-$BIN/cosign3} COSIGN2=${COSIGN2:-$BIN/cosign2} CRANE=${CRANE:-$BIN/crane}
# shellcheck source=/dev/null
. "$DIR/env.sh"
REPO=${IMAGE%%:*}; TAG=${IMAGE#"$REPO"}; TAG=${TAG#:}; TAG=${TAG:-latest}
rm -rf "$OUT"; mkdir -p "$OUT/home"; OUT=$(cd "$OUT" && pwd); cd "$OUT" || exit 1
export HOME=$OUT/home TUF_ROOT=$OUT/home/tuf COSIGN_PASSWORD='' SIGSTORE_NO_CACHE=true
# no TUF, no public service: every trust anchor is named (cosign 2 reads these)
export SIGSTORE_ROOT_FILE=$DIR/fulcio-chain.pem SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=$DIR/ct.pub SIGSTORE_REKOR_PUBLIC_KEY=$DIR/rekor1.pub
export HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY='' NO_PROXY=127.0.0.1,localhost   # anything that wants out fails at once

gh()    { curl -sf "$OIDC_URL/mint/github"; }                         # https://token.actions.githubusercontent.com
local_gh() { curl -sf "$OIDC_URL/mint/github?iss=$ISS_ACTIONS"; }      # same claims, http loopback issuer
email() { curl -sf "$OIDC_URL/mint/email?email=dev@acme.test"; }
GH_ID=https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0
VGH=(--certificate-identity "$GH_ID" --certificate-oidc-issuer "$ISS_GITHUB")
VLGH=(--certificate-identity "$GH_ID" --certificate-oidc-issuer "$ISS_ACTIONS")
VEM=(--certificate-identity dev@acme.test --certificate-oidc-issuer "$ISS_EMAIL")
TR=(--trusted-root "$DIR/trusted_root.json")
SC() { printf '%s' "$DIR/signing_config.$1.json"; }
KEY=(--key "$DIR/cosign.key"); PUB=(--key "$DIR/cosign.pub")
HTTP=(--allow-http-registry)

# ------------------------------------------------------------------ the image
if ! "$CRANE" digest --insecure "$REG/$REPO:$TAG" >/dev/null 2>&1; then
  mkdir -p layer && echo "hello from sigstack" > layer/hello.txt
  tar --sort=name --mtime=@0 --owner=0 --group=0 -C layer -cf layer.tar hello.txt
  "$CRANE" append --insecure --oci-empty-base -f layer.tar -t "$REG/$REPO:$TAG" >/dev/null 2>&1
fi
DIGEST=$("$CRANE" digest --insecure "$REG/$REPO:$TAG") || { echo "no image $REG/$REPO:$TAG" >&2; exit 1; }

# ------------------------------------------------------------------ predicates
cat > slsa1.json <<EOF
{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":"refs/tags/v1.0.0","repository":"https://github.com/acme/app","path":".github/workflows/release.yml"}},"internalParameters":{"github":{"event_name":"push"}},"resolvedDependencies":[{"uri":"git+https://github.com/acme/app@refs/tags/v1.0.0","digest":{"gitCommit":"5bdf7d1f2e2a4f0c9d3b1a6e8c7f0d9e4b3a2c10"}}]},"runDetails":{"builder":{"id":"https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0"},"metadata":{"invocationId":"https://github.com/acme/app/actions/runs/9001/attempts/1"}}}
EOF
cat > spdx.json <<EOF
{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"app","documentNamespace":"https://acme.test/spdx/app-1","creationInfo":{"creators":["Tool: sigstack"],"created":"2026-01-01T00:00:00Z"},"packages":[{"SPDXID":"SPDXRef-Package-app","name":"app","versionInfo":"1.0.0","downloadLocation":"NOASSERTION"}]}
EOF
cat > app.spdx <<EOF
SPDXVersion: SPDX-2.3
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: app
DocumentNamespace: https://acme.test/spdx/app-1
EOF
cat > cdx.json <<EOF
{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[{"type":"library","name":"left-pad","version":"1.3.0"}]}
EOF
cat > vuln.json <<EOF
{"invocation":{"parameters":null,"uri":"https://github.com/acme/app/actions/runs/9001","event_id":"9001","builder.id":"sigstack"},"scanner":{"uri":"pkg:github/acme/scanner@1.2.3","version":"1.2.3","db":{"uri":"https://acme.test/db","version":"2"},"result":{"vulnerabilities":[{"id":"CVE-2026-0001","severity":"LOW"}]}},"metadata":{"scanStartedOn":"2026-01-01T00:00:00Z","scanFinishedOn":"2026-01-01T00:01:00Z"}}
EOF
cat > vex.json <<EOF
{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.test/vex/1","author":"acme","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-0001"},"products":[{"@id":"pkg:oci/app"}],"status":"not_affected","justification":"component_not_present"}]}
EOF
echo '{"reviewed":true,"by":"dev@acme.test"}' > custom.json

# ------------------------------------------------------------------ machinery
printf 'kind\tsign_s\tsign\tverify_s\tverify\twant\n' > results.tsv
bad=0; ref='' kind=''
prep() { # kind: is it wanted? fresh copy of the image
  kind=$1
  [[ $kind =~ ${ONLY:-.} ]] || return 1
  mkdir -p "$OUT/$kind"
  "$CRANE" copy --insecure "$REG/$REPO:$TAG" "$REG/$REPO/$kind:$TAG" >/dev/null 2>&1
  ref=$REG/$REPO/$kind@$DIGEST
}
timed() { # log command...  -> rc in $rc, seconds in $secs
  local log=$1; shift; local t0 t1; t0=$(date +%s%N)
  printf '%q ' "$@" | sed -E 's/eyJ[A-Za-z0-9_.-]{40,}/<TOKEN>/g' > "$log.cmd"; echo >> "$log.cmd"
  "$@" > "$log.out" 2> "$log.err"; rc=$?; t1=$(date +%s%N)
  secs=$(awk -v a="$t0" -v b="$t1" 'BEGIN{printf "%.2f",(b-a)/1e9}')
}
sign()   { timed "$OUT/$kind/sign" "$@"; srcc=$rc ssecs=$secs; [ $rc = 0 ] || echo "  $kind: sign failed: $(grep -v '^WARN' "$OUT/$kind/sign.err" | tail -1 | cut -c1-300)"; }
verify() { # want(0|fail) name command...
  local want=$1 name=$2; shift 2
  timed "$OUT/$kind/verify-$name" "$@"
  local got=ok; [ $rc = 0 ] || got=fail; local w=ok; [ "$want" = 0 ] || w=fail
  printf '%s\t%s\t%s\t%s\t%s %s\t%s\n' "$kind" "$ssecs" "$([ "$srcc" = 0 ] && echo ok || echo FAIL)" "$secs" "$name" "$got" "$w" >> results.tsv
  if [ $got != $w ]; then bad=$((bad+1)); echo "  $kind: verify $name: got $got, want $w: $(tail -1 "$OUT/$kind/verify-$name.err" | cut -c1-300)"; fi
}
get() { curl -sfL -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json' "http://$REG/v2/$REPO/$kind/$1"; }
dumpm() { # manifest reference, name: manifest and layer blobs
  get "manifests/$1" > "$OUT/$kind/$2.manifest.json" || return 0
  local i=0 d
  for d in $(jq -r '.layers[]?.digest' "$OUT/$kind/$2.manifest.json"); do get "blobs/$d" > "$OUT/$kind/$2.layer$i"; i=$((i+1)); done
  for d in $(jq -r '.manifests[]?.digest' "$OUT/$kind/$2.manifest.json"); do dumpm "$d" "referrer-${d:7:12}"; done
}
dump() {
  get tags/list | jq -c . > "$OUT/$kind/tags.json"
  if get "referrers/$DIGEST" > "$OUT/$kind/referrers.json"; then
    for d in $(jq -r '.manifests[]?.digest' "$OUT/$kind/referrers.json"); do dumpm "$d" "referrer-${d:7:12}"; done
  else rm -f "$OUT/$kind/referrers.json"; fi
  local t; for t in $(jq -r '.tags[]' "$OUT/$kind/tags.json"); do case $t in sha256-*) dumpm "$t" "tag-$t";; esac; done
}
V3=("$COSIGN3" verify "${HTTP[@]}" "${TR[@]}"); A3=("$COSIGN3" verify-attestation "${HTTP[@]}" "${TR[@]}")
S3() { "$COSIGN3" sign --yes "${HTTP[@]}" "$@"; }

# ------------------------------------------------ cosign 3: bundles, signatures
k3() { # kind signing-config token-function|key [extra sign args]
  local k=$1 cfg=$2 who=$3; shift 3
  prep "$k" || return 1
  local a=("$COSIGN3" sign --yes "${HTTP[@]}" "${TR[@]}" --signing-config "$(SC "$cfg")")
  if [ "$who" = key ]; then a+=("${KEY[@]}"); else a+=(--identity-token "$($who)"); fi
  sign "${a[@]}" "$@" "$ref"; dump
}
k3 bundle-keyless-rekor2-tsa rekor2-tsa gh && { verify 0 cosign3 "${V3[@]}" "${VGH[@]}" "$ref"
  verify fail wrong-identity "${V3[@]}" --certificate-identity "${GH_ID/release/evil}" --certificate-oidc-issuer "$ISS_GITHUB" "$ref"
  verify fail wrong-issuer "${V3[@]}" --certificate-identity "$GH_ID" --certificate-oidc-issuer https://accounts.google.com "$ref"
  for part in ctlogs tlogs timestampAuthorities certificateAuthorities; do
    jq ".$part=[]" "$DIR/trusted_root.json" > "tr-no-$part.json"
    verify fail "no-$part" "$COSIGN3" verify "${HTTP[@]}" --trusted-root "tr-no-$part.json" "${VGH[@]}" "$ref"
  done
  verify 0 workflow-claims "${V3[@]}" "${VGH[@]}" --certificate-github-workflow-repository acme/app --certificate-github-workflow-ref refs/tags/v1.0.0 \
    --certificate-github-workflow-trigger push --certificate-github-workflow-name Release "$ref"; }
# Rekor v2 gives no time: without a TSA nothing says that the 10-minute certificate was valid
k3 bundle-keyless-rekor2-notsa rekor2   gh && verify fail cosign3 "${V3[@]}" "${VGH[@]}" "$ref"
k3 bundle-key-rekor2-notsa   rekor2     key && verify 0 cosign3 "${V3[@]}" "${PUB[@]}" "$ref"
k3 bundle-keyless-rekor1     rekor1     gh && verify 0 cosign3 "${V3[@]}" "${VGH[@]}" "$ref"
k3 bundle-keyless-rekor1-tsa rekor1-tsa gh && verify 0 cosign3 "${V3[@]}" "${VGH[@]}" "$ref"
k3 bundle-keyless-localissuer rekor2-tsa local_gh && verify 0 cosign3 "${V3[@]}" "${VLGH[@]}" "$ref"
k3 bundle-keyless-email      rekor2-tsa email && verify 0 cosign3 "${V3[@]}" "${VEM[@]}" "$ref"
k3 bundle-keyless-nosct      nosct      gh && { verify fail cosign3-strict "${V3[@]}" "${VGH[@]}" "$ref"
  verify 0 cosign3-ignore-sct "${V3[@]}" "${VGH[@]}" --insecure-ignore-sct "$ref"; }
k3 bundle-keyless-tsa-notlog tsa        gh && { verify fail cosign3-strict "${V3[@]}" "${VGH[@]}" "$ref"
  verify 0 cosign3-ignore-tlog "${V3[@]}" "${VGH[@]}" --insecure-ignore-tlog --use-signed-timestamps "$ref"; }
k3 bundle-key-rekor2-tsa     rekor2-tsa key && { verify 0 cosign3 "${V3[@]}" "${PUB[@]}" "$ref"
  verify fail wrong-key "${V3[@]}" --key "$DIR/other.pub" "$ref"; }
k3 bundle-key-rekor1         rekor1     key && verify 0 cosign3 "${V3[@]}" "${PUB[@]}" "$ref"
k3 bundle-key-notlog         none       key && { verify fail cosign3-strict "${V3[@]}" "${PUB[@]}" "$ref"
  verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog "$ref"
  verify fail wrong-key "${V3[@]}" --key "$DIR/other.pub" --insecure-ignore-tlog "$ref"; }
k3 bundle-key-tsa-notlog     tsa        key && verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog --use-signed-timestamps "$ref"
k3 bundle-key-annotations    none       key -a team=core -a build=42 && { verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog -a team=core "$ref"
  verify fail wrong-annotation "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog -a team=other "$ref"; }
prep bundle-key-notlog-flag && { sign "$COSIGN3" sign --yes "${HTTP[@]}" "${KEY[@]}" --use-signing-config=false --tlog-upload=false "$ref"; dump
  verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog "$ref"; }
# cosign 3 can still write the classic format (deprecated flags)
prep classic3-key-notlog && { sign "$COSIGN3" sign --yes "${HTTP[@]}" "${KEY[@]}" --use-signing-config=false --new-bundle-format=false --tlog-upload=false "$ref"; dump
  verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog "$ref"; }

# ------------------------------------------------ cosign 3: attestations
a3() { # kind signing-config who type predicate
  local k=$1 cfg=$2 who=$3 type=$4 pred=$5
  prep "$k" || return 1
  local a=("$COSIGN3" attest --yes "${HTTP[@]}" "${TR[@]}" --signing-config "$(SC "$cfg")" --type "$type" --predicate "$pred")
  if [ "$who" = key ]; then a+=("${KEY[@]}"); else a+=(--identity-token "$($who)"); fi
  sign "${a[@]}" "$ref"; dump
}
a3 att-keyless-slsa1   rekor2-tsa gh  slsaprovenance1 slsa1.json && { verify 0 cosign3 "${A3[@]}" --type slsaprovenance1 "${VGH[@]}" "$ref"
  verify fail wrong-type "${A3[@]}" --type vuln "${VGH[@]}" "$ref"; # cosign 3 accepts ANY bundle on the image as "the signature", whatever its predicateType
  verify 0 as-signature "${V3[@]}" "${VGH[@]}" "$ref"; }
a3 att-keyless-slsa1-rekor1 rekor1 gh slsaprovenance1 slsa1.json && verify 0 cosign3 "${A3[@]}" --type slsaprovenance1 "${VGH[@]}" "$ref"
a3 att-keyless-spdxjson rekor2-tsa gh spdxjson        spdx.json  && verify 0 cosign3 "${A3[@]}" --type spdxjson "${VGH[@]}" "$ref"
# --type spdx (tag-value: the predicate is a JSON string) cannot be a bundle: "invalid attestation: decoding json"
a3 att-keyless-spdx-broken rekor2-tsa gh spdx         app.spdx   && verify fail cosign3 "${A3[@]}" --type spdx "${VGH[@]}" "$ref"
a3 att-keyless-cyclonedx rekor2-tsa gh cyclonedx      cdx.json   && verify 0 cosign3 "${A3[@]}" --type cyclonedx "${VGH[@]}" "$ref"
a3 att-keyless-vuln    rekor2-tsa gh  vuln            vuln.json  && verify 0 cosign3 "${A3[@]}" --type vuln "${VGH[@]}" "$ref"
a3 att-keyless-openvex rekor2-tsa gh  openvex         vex.json   && verify 0 cosign3 "${A3[@]}" --type openvex "${VGH[@]}" "$ref"
a3 att-keyless-custom  rekor2-tsa gh  custom          custom.json && verify 0 cosign3 "${A3[@]}" --type custom "${VGH[@]}" "$ref"
a3 att-keyless-uri     rekor2-tsa gh  https://acme.test/review/v1 custom.json && verify 0 cosign3 "${A3[@]}" --type https://acme.test/review/v1 "${VGH[@]}" "$ref"
a3 att-key-slsa1       rekor2-tsa key slsaprovenance1 slsa1.json && verify 0 cosign3 "${A3[@]}" --type slsaprovenance1 "${PUB[@]}" "$ref"
a3 att-key-vuln-notlog none       key vuln            vuln.json  && { verify 0 cosign3-ignore-tlog "${A3[@]}" --type vuln "${PUB[@]}" --insecure-ignore-tlog "$ref"
  verify fail cosign3-strict "${A3[@]}" --type vuln "${PUB[@]}" "$ref"; }
a3 att-key-spdxjson-notlog none   key spdxjson        spdx.json  && verify 0 cosign3-ignore-tlog "${A3[@]}" --type spdxjson "${PUB[@]}" --insecure-ignore-tlog "$ref"
a3 att-key-custom-notlog none     key custom          custom.json && verify 0 cosign3-ignore-tlog "${A3[@]}" --type custom "${PUB[@]}" --insecure-ignore-tlog "$ref"

# ------------------------------------------------ cosign 2: classic .sig and .att tags
V2=("$COSIGN2" verify "${HTTP[@]}"); A2=("$COSIGN2" verify-attestation "${HTTP[@]}")
S2=("$COSIGN2" sign --yes "${HTTP[@]}" --rekor-url "$REKOR1_URL" --fulcio-url "$FULCIO_URL")
T2=("$COSIGN2" attest --yes "${HTTP[@]}" --rekor-url "$REKOR1_URL" --fulcio-url "$FULCIO_URL")
prep sig-key-notlog && { sign "${S2[@]}" "${KEY[@]}" --tlog-upload=false -a team=core "$ref"; dump
  verify 0 cosign2 "${V2[@]}" "${PUB[@]}" --insecure-ignore-tlog "$ref"; verify fail wrong-key "${V2[@]}" --key "$DIR/other.pub" --insecure-ignore-tlog "$ref"
  verify fail cosign2-strict "${V2[@]}" "${PUB[@]}" --rekor-url "$REKOR1_URL" "$ref"
  verify 0 cosign3-ignore-tlog "${V3[@]}" "${PUB[@]}" --insecure-ignore-tlog "$ref"; }
prep sig-key-rekor1 && { sign "${S2[@]}" "${KEY[@]}" "$ref"; dump
  verify 0 cosign2-offline "${V2[@]}" "${PUB[@]}" --offline "$ref"; verify 0 cosign3 "${V3[@]}" "${PUB[@]}" "$ref"; }
prep sig-keyless-rekor1 && { sign "${S2[@]}" --identity-token "$(gh)" "$ref"; dump
  verify 0 cosign2-offline "${V2[@]}" "${VGH[@]}" --offline "$ref"; verify 0 cosign3 "${V3[@]}" "${VGH[@]}" "$ref"; }
prep sig-keyless-rekor1-tsa && { sign "${S2[@]}" --identity-token "$(gh)" --timestamp-server-url "$TSA_URL" "$ref"; dump
  verify 0 cosign2-offline-tsa "${V2[@]}" "${VGH[@]}" --offline --use-signed-timestamps --timestamp-certificate-chain "$DIR/tsa-chain.pem" "$ref"
  verify 0 cosign3-tsa "${V3[@]}" "${VGH[@]}" --use-signed-timestamps "$ref"; }
prep sig-keyless-tsa-notlog && { sign "${S2[@]}" --identity-token "$(gh)" --tlog-upload=false --timestamp-server-url "$TSA_URL" "$ref"; dump
  verify 0 cosign2-tsa "${V2[@]}" "${VGH[@]}" --insecure-ignore-tlog --use-signed-timestamps --timestamp-certificate-chain "$DIR/tsa-chain.pem" "$ref"; }
prep att2-keyless-custom-rekor1-tsa && { sign "${T2[@]}" --identity-token "$(gh)" --timestamp-server-url "$TSA_URL" --type custom --predicate custom.json "$ref"; dump
  verify 0 cosign2-offline-tsa "${A2[@]}" --type custom "${VGH[@]}" --offline --use-signed-timestamps --timestamp-certificate-chain "$DIR/tsa-chain.pem" "$ref"; }
prep att2-key-vuln-notlog && { sign "${T2[@]}" "${KEY[@]}" --tlog-upload=false --type vuln --predicate vuln.json "$ref"; dump
  verify 0 cosign2 "${A2[@]}" --type vuln "${PUB[@]}" --insecure-ignore-tlog "$ref"; verify 0 cosign3 "${A3[@]}" --type vuln "${PUB[@]}" --insecure-ignore-tlog "$ref"; }
prep att2-keyless-slsa1-rekor1 && { sign "${T2[@]}" --identity-token "$(gh)" --type slsaprovenance1 --predicate slsa1.json "$ref"; dump
  verify 0 cosign2-offline "${A2[@]}" --type slsaprovenance1 "${VGH[@]}" --offline "$ref"; verify 0 cosign3 "${A3[@]}" --type slsaprovenance1 "${VGH[@]}" "$ref"; }
prep att2-key-spdx-notlog && { sign "${T2[@]}" "${KEY[@]}" --tlog-upload=false --type spdx --predicate app.spdx "$ref"; dump
  verify 0 cosign2 "${A2[@]}" --type spdx "${PUB[@]}" --insecure-ignore-tlog "$ref"; }
prep bundle2-keyless-rekor1 && { sign "${S2[@]}" --new-bundle-format --use-signing-config=false --identity-token "$(gh)" "$ref"; dump
  verify 0 cosign3 "${V3[@]}" "${VGH[@]}" "$ref"; }

column -t -s "$(printf '\t')" results.tsv
echo "sign-all.sh: $(($(wc -l < results.tsv)-1)) checks, $bad not as wanted; $OUT"
[ $bad = 0 ]
