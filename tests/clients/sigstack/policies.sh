# shellcheck shell=bash
# The policies of the matrix: a folder each under $work/policies, with the one policy file and what it names.

readonly UPSTREAM=registry.test
readonly WORKFLOW='https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*'

write_policies() {
  local root=$work/stack/trusted_root.json
  # A trust root that knows other logs, and is right in everything else.
  jq --slurpfile rogue "$work/rogue/trusted_root.json" '.tlogs = $rogue[0].tlogs' "$root" >"$work/foreign-log.json"

  policy key "$(by_key cosign)" '"signer"'
  policy key-logged "$(by_key cosign "$root")" '"signer"'
  policy workflow "$(by_identity "$ISS_GITHUB" "$WORKFLOW" "$root" github-hosted)" '"signer"'
  policy e-mail "$(by_identity "$ISS_EMAIL" dev@acme.test "$root")" '"signer"'
  policy says-key "$(by_key cosign)" "$(says true)"
  policy says-workflow "$(by_identity "$ISS_GITHUB" "$WORKFLOW" "$root")" "$(says true)"
  policy says-false "$(by_key cosign)" "$(says false)"
  policy other-key "$(by_key other)" '"signer"'
  policy other-identity "$(by_identity "$ISS_GITHUB" 'https://github.com/evil/*/.github/workflows/release.yml@refs/tags/v*' "$root")" '"signer"'
  policy other-issuer "$(by_identity https://accounts.google.com "$WORKFLOW" "$root")" '"signer"'
  policy rogue-root "$(by_identity "$ISS_GITHUB" "$WORKFLOW" "$work/rogue/trusted_root.json")" '"signer"'
  policy foreign-log "$(by_identity "$ISS_GITHUB" "$WORKFLOW" "$work/foreign-log.json")" '"signer"'

  policy anybody "$(everybody cosign acme "$root")" "$(any_of_all)"
  policy nobody "$(everybody other evil "$root")" "$(any_of_all)"
}

# policy NAME AUTHORITIES REQUIRE. The name inside a classic signature is the registry's address, which the test makes up.
policy() {
  mkdir -p "$work/policies/$1"
  cp "$work/stack/cosign.pub" "$work/stack/other.pub" "$work/policies/$1"
  cat >"$work/policies/$1/policy.toml" <<TOML
version = 1
$2
[[rule]]
match = "$UPSTREAM/**"
signed_as = "any"
require = $3
TOML
}

# by_key KEY [TRUST_ROOT]: with a trust root, a log must have seen the signature.
by_key() {
  printf '[authority.signer]\nkey = "%s.pub"\n' "$1"
  [ -z "${2:-}" ] || printf 'trust_root = "%s"\nlog = "required"\n' "$2"
}

# by_identity ISSUER SUBJECT TRUST_ROOT [RUNNER]
by_identity() {
  printf '[authority.signer]\nissuer = "%s"\nsubject = "%s"\ntrust_root = "%s"\n' "$1" "$2" "$3"
  [ -z "${4:-}" ] || printf 'claims = { runner_environment = "%s" }\n' "$4"
}

# everybody KEY OWNER TRUST_ROOT: who signed any of the kinds that are pulled, or namesakes.
everybody() {
  by_key "$1"
  by_identity "$ISS_GITHUB" "https://github.com/$2/*/.github/workflows/release.yml@refs/tags/v*" "$3" | sed 's/signer/workflow/'
  by_identity "$ISS_EMAIL" "dev@$2.test" "$3" | sed 's/signer/mail/'
}

# says true|false: an attestation of any of the types, each of which says what the predicates of sign-all.sh say, or not.
says() {
  local kind condition says=()
  while read -r kind condition; do
    [ "$1" = true ] || condition="!($condition)"
    says+=("{ attestation = { type = \"$kind\", by = \"signer\", where = \"$condition\" } }")
  done <<'CONDITIONS'
slsaprovenance1 predicate.buildDefinition.buildType == 'https://actions.github.io/buildtypes/workflow/v1' && predicate.buildDefinition.externalParameters.workflow.repository == 'https://github.com/acme/app'
vuln predicate.scanner.result.vulnerabilities.all(v, v.severity in ['LOW', 'MEDIUM']) && timestamp(predicate.metadata.scanFinishedOn) < now
spdxjson predicate.packages.exists(p, p.name == 'app' && p.versionInfo.matches('^1[.][0-9.]+$'))
cyclonedx predicate.components.all(c, c.name != 'log4j-core') && size(predicate.components) > 0
openvex predicate.statements.all(s, s.status == 'not_affected')
custom predicate.Data.contains('reviewed')
https://acme.test/review/v1 predicate.reviewed && predicate.by.endsWith('@acme.test')
CONDITIONS
  printf '{ any = [%s] }' "$(join "${says[@]}")"
}

# A signature or an attestation, by any of `everybody`.
any_of_all() {
  local by='{ any = ["signer", "workflow"] }'
  printf '{ any = ["signer", "workflow", "mail", { attestation = { type = "vuln", by = %s } }, { attestation = { type = "slsaprovenance1", by = %s } }] }' "$by" "$by"
}

join() {
  local IFS=,
  printf '%s' "$*"
}
