//! A verdict in words: one sentence with repository, digest, rule, what was required and what was
//! found; and the next step, which is a command or a line of policy wherever there is one.

use super::{
    Mode, Outcome, Reason,
    hearing::{Case, Hearing},
    outright,
    policy::{Pattern, Policy, Rule},
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
        Reason::Admitted => format!("{} signed it", listed(signed_by)),
        Reason::Pinned => "this digest is pinned".to_owned(),
        Reason::BelowThreshold => missing(case, hearing),
        Reason::EvidenceUnreachable | Reason::LimitReached => match hearing.failures.as_slice() {
            [] if reason == Reason::LimitReached => {
                "there are too many ways in which its signers could fill it".to_owned()
            }
            [] => "nothing was looked for".to_owned(),
            [(place, failure), ..] => format!("looking at `{place}` failed: {failure}"),
        },
        Reason::NoSignature => match hearing.beside.as_slice() {
            [] => "no signature was found".to_owned(),
            [what] => format!("no signature that counts was found, only {what}"),
            [what, rest @ ..] => {
                let others = rest.len();
                format!(
                    "no signature that counts was found, only {what}, and {others} more like it"
                )
            }
        },
        _ => match (hearing.closest_fault(), hearing.faults.len()) {
            (None, _) => "the pinned digest is another one".to_owned(),
            (Some(fault), 1) => format!("the signature found {}", fault.detail),
            (Some(fault), count) => {
                format!("none of the {count} signatures found counts: the closest {}", fault.detail)
            }
        },
    }
}

fn missing(case: Case<'_>, hearing: &Hearing<'_>) -> String {
    let mut signed = Vec::new();
    let mut missing = Vec::new();
    for name in case.rule.require.authorities() {
        let has_signed = hearing.parties.iter().any(|party| party.speaks_for(name));
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

/// What to do about a judgement for `reason` under `rule`.
pub(super) fn next_step(
    policy: &Policy,
    rule: &Rule,
    image: &ImageName,
    digest: &Digest,
    reason: Reason,
) -> String {
    let place = place_of(policy, rule);
    let sign = format!("`portcullis sign {image}@{digest} --key KEY`");
    match reason {
        Reason::Admitted | Reason::Exception | Reason::InsecureRule | Reason::Pinned => {
            String::new()
        }
        Reason::NoSignature => format!(
            "sign it with {sign} or `cosign sign --key KEY {image}@{digest}`, or change the rule at {place}"
        ),
        Reason::BelowThreshold => {
            format!("have those who are missing sign it with {sign}, or change the rule at {place}")
        }
        Reason::SignerNotTrusted => format!(
            "if you trust who signed it, add their public key to an authority that the rule at {place} asks; else sign it with {sign}"
        ),
        Reason::SignatureInvalid => {
            format!(
                "the signature is damaged or was tampered with: sign the image again with {sign}"
            )
        }
        Reason::DigestMismatch if !rule.require.is_attainable(digest) => {
            format!("pull a pinned digest, or add {digest} to the `pin` of the rule at {place}")
        }
        Reason::DigestMismatch => format!(
            "the content changed after it was signed, or the signature was copied from another image: sign this one with {sign}"
        ),
        Reason::NameMismatch => format!(
            "sign it under this name with {sign}, or say which names to take with `signed_as` in the rule at {place}"
        ),
        Reason::TimeOutsideValidity => {
            format!("sign it with a current key: {sign}, or change the key's window in the policy")
        }
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
        Reason::ConditionFalse
        | Reason::NoPolicy
        | Reason::NoRule
        | Reason::UnsupportedManifest
        | Reason::UpstreamIntegrity => format!("see the rule at {place}"),
    }
}

/// Where `rule` is written: `policy.toml:12`, between backticks.
fn place_of(policy: &Policy, rule: &Rule) -> String {
    let file = policy.path().map(|path| path.display().to_string()).unwrap_or_default();
    format!("`{file}:{}`", rule.place.line)
}
