//! A verdict in words: one sentence with repository, digest, rule, what was required and what was
//! found; and the next step, which is a command or a line of policy wherever there is one.

use super::{
    Mode, Outcome, Reason,
    hearing::{Case, Hearing},
    outright,
    policy::{Pattern, Policy, Require, Rule},
    signer::Party,
    words::listed,
};
use crate::oci::{Digest, ImageName};

/// The sentence for a judgement under a rule.
pub(super) fn message(
    case: Case<'_>,
    pattern: &Pattern,
    hearing: &Hearing<'_>,
    reason: Reason,
    signed_by: &[String],
) -> String {
    let Case { policy, rule, image, digest, .. } = case;
    let name = format!("`{image}@{digest}`");
    let unenforced = rule.mode != Mode::Enforce;
    let head = match reason.outcome() {
        Outcome::Admitted => format!("{name} is admitted"),
        _ if unenforced => {
            format!("{name} is served only because the rule's mode is `{}`", rule.mode)
        }
        Outcome::Denied => format!("{name} is refused"),
        Outcome::Undecided => format!("{name} cannot be judged now"),
    };
    match reason {
        Reason::Never => format!("{head}: rule `{pattern}` admits nothing"),
        Reason::InsecureRule => {
            format!("{head} without proof: rule `{pattern}` says `insecure-accept-anything`")
        }
        _ => {
            let found = found(case, hearing, reason, signed_by);
            let demand = rule.require.demand();
            let ended = outright::ended_exception(policy, image, digest);
            format!("{head}: rule `{pattern}` requires {demand}, and {found}{ended}")
        }
    }
}

/// What follows "requires ..., and".
fn found(case: Case<'_>, hearing: &Hearing<'_>, reason: Reason, signed_by: &[String]) -> String {
    match reason {
        Reason::Admitted if case.rule.require.attestations().is_empty() => {
            format!("{} signed it", listed(signed_by))
        }
        Reason::Admitted => format!("{} vouched for it", listed(signed_by)),
        Reason::Pinned => "this digest is pinned".to_owned(),
        Reason::BelowThreshold if case.rule.require.attestations().is_empty() => {
            missing(case, hearing)
        }
        Reason::BelowThreshold => missing_places(case, hearing),
        Reason::EvidenceUnreachable | Reason::LimitReached => match hearing.failures.as_slice() {
            [] if reason == Reason::LimitReached => {
                "there are too many ways in which its signers could fill it".to_owned()
            }
            [] => "nothing was looked for".to_owned(),
            [(place, failure), ..] => format!("looking at `{place}` failed: {failure}"),
        },
        Reason::NoSignature => match hearing.beside.as_slice() {
            [] => format!("no {} was found", wanted(&case.rule.require)),
            [what, rest @ ..] => {
                let noun = wanted(&case.rule.require);
                let others = match rest.len() {
                    0 => String::new(),
                    others => format!(", and {others} more like it"),
                };
                format!("no {noun} that counts was found, only {what}{others}")
            }
        },
        Reason::ConditionFalse => match hearing.closest() {
            Some(refused) => format!("the attestation found {}", refused.fault.detail),
            None => "no attestation says so".to_owned(),
        },
        _ => match (hearing.closest(), hearing.refused.len()) {
            (None, _) => "the pinned digest is another one".to_owned(),
            (Some(refused), 1) => format!("the {} found {}", refused.noun(), refused.fault.detail),
            (Some(refused), count) => {
                let (noun, detail) = (refused.noun(), &refused.fault.detail);
                format!("none of the {count} {noun}s found counts: the closest {detail}")
            }
        },
    }
}

fn missing(case: Case<'_>, hearing: &Hearing<'_>) -> String {
    let offers = Party::offers(&hearing.parties);
    let mut signed = Vec::new();
    let mut missing = Vec::new();
    for name in case.rule.require.authorities() {
        let has_signed = offers.iter().any(|offer| offer.speaks(name, None).is_some());
        let names = if has_signed { &mut signed } else { &mut missing };
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if missing.is_empty() {
        let count = hearing.parties.len();
        return format!(
            "{} signed it with {count} distinct {}, each of which fills one place",
            listed(&signed),
            if count == 1 { "key" } else { "keys" }
        );
    }
    format!("only {} signed it: {} did not", listed(&signed), listed(&missing))
}

/// What `require` asks for, in one word.
fn wanted(require: &Require) -> &'static str {
    let of_attestations: usize =
        require.attestations().iter().map(|one| one.by.authorities().len()).sum();
    if require.authorities().len() > of_attestations { "signature" } else { "attestation" }
}

/// What is missing where more is required than signatures.
fn missing_places(case: Case<'_>, hearing: &Hearing<'_>) -> String {
    let offers = Party::offers(&hearing.parties);
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for (name, attestation) in case.rule.require.places() {
        let what = match attestation {
            Some(one) => format!("an attestation of type `{}` by `{name}`", one.kind),
            None => format!("a signature by `{name}`"),
        };
        let is_there = offers.iter().any(|offer| offer.speaks(name, attestation).is_some());
        let list = if is_there { &mut there } else { &mut missing };
        if !list.contains(&what) {
            list.push(what);
        }
    }
    let there = there.join(" and ");
    match missing.as_slice() {
        [] => format!("{there} was found, each of which fills one place"),
        missing => format!("only {there} was found: {} is missing", missing.join(" and ")),
    }
}

/// What to do about a judgement for `reason` under `rule`.
pub(super) fn next_step(
    policy: &Policy,
    rule: &Rule,
    image: &ImageName,
    digest: &Digest,
    reason: Reason,
) -> String {
    let place = place_of(policy, rule);
    let by_key = is_by_key(policy, rule);
    let sign = if by_key {
        format!("`portcullis sign {image}@{digest} --key KEY`")
    } else {
        format!("`cosign sign {image}@{digest}`, as somebody whom the rule at {place} asks")
    };
    let attest = rule.require.attestations().first().map(|attestation| {
        let key = if by_key { " --key KEY" } else { "" };
        let kind = &attestation.kind;
        format!("`cosign attest{key} --type {kind} --predicate FILE {image}@{digest}`")
    });
    let also =
        attest.as_ref().map(|attest| format!(", attest it with {attest}")).unwrap_or_default();
    match reason {
        Reason::Admitted | Reason::Exception | Reason::InsecureRule | Reason::Pinned => {
            String::new()
        }
        Reason::ConditionFalse => format!(
            "if what it says is right, change `where` in the rule at {place}; else build the image as the rule wants it and attest that with {}",
            attest.unwrap_or(sign)
        ),
        Reason::NoSignature if by_key => format!(
            "sign it with {sign} or `cosign sign --key KEY {image}@{digest}`{also}, or change the rule at {place}"
        ),
        Reason::NoSignature => format!("sign it with {sign}{also}, or change the rule"),
        Reason::BelowThreshold => {
            format!(
                "have those who are missing sign it with {sign}{also}, or change the rule at {place}"
            )
        }
        Reason::SignerNotTrusted => format!(
            "if you trust who signed it, add their public key, or their `issuer` and `subject`, to the authorities that the rule at {place} asks; else sign it with {sign}"
        ),
        Reason::SignatureInvalid => {
            format!(
                "the signature is damaged, was tampered with or lacks what the policy wants: sign the image again with {sign}"
            )
        }
        Reason::SignatureNotMirrored => format!(
            "whoever copied the image here left a part of its signature behind: copy both, as `cosign copy` does, or name the repository that has it by `signatures_in` in the rule at {place}"
        ),
        Reason::DigestMismatch if !rule.require.is_attainable(digest) => {
            format!("pull a pinned digest, or add {digest} to the `pin` of the rule at {place}")
        }
        Reason::DigestMismatch => format!(
            "the content changed after it was signed, or the signature was copied from another image: sign this one with {sign}"
        ),
        Reason::NameMismatch => format!(
            "sign it under this name with {sign}, or say which names to take with `signed_as` in the rule at {place}"
        ),
        Reason::TimeOutsideValidity if by_key => {
            format!("sign it with a current key: {sign}, or change the key's window in the policy")
        }
        Reason::TimeOutsideValidity => format!(
            "sign it again, seen by a log or a timestamping authority of the `trust_root`: {sign}"
        ),
        Reason::DenyList => {
            format!("sign it with a key that is not on the deny list: {sign}")
        }
        Reason::Never => format!("change the rule at {place} if this image should be admitted"),
        Reason::EvidenceUnreachable | Reason::UpstreamUnreachable => {
            "try again when the registry that holds the signatures answers".to_owned()
        }
        Reason::LimitReached => format!(
            "remove what is not a signature of {digest} from its signatures and referrers at `{image}`"
        ),
        Reason::NoPolicy
        | Reason::NoRule
        | Reason::UnsupportedManifest
        | Reason::UpstreamIntegrity => format!("see the rule at {place}"),
    }
}

/// Whether anybody whom `rule` asks signs with a key.
fn is_by_key(policy: &Policy, rule: &Rule) -> bool {
    let asked = rule.require.authorities();
    let mut asked = asked.iter().filter_map(|name| policy.authority(name)).peekable();
    asked.peek().is_none() || asked.any(|authority| !authority.keys().is_empty())
}

/// Where `rule` is written: `policy.toml:12`, between backticks.
fn place_of(policy: &Policy, rule: &Rule) -> String {
    let file = policy.path().map(|path| path.display().to_string()).unwrap_or_default();
    format!("`{file}:{}`", rule.place.line)
}
