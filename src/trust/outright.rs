//! Verdicts that need no evidence: the deny list, exceptions, what no rule covers, and what the
//! mirror finds out by itself.

use super::{
    Mode, Reason,
    policy::{Denial, Exception, Policy},
    verdict::Verdict,
};
use crate::{
    oci::{Digest, ImageName, Reference, digest::Algorithm},
    timestamp::Timestamp,
};

/// The denial, if the content `digest` or its repository is on the deny list, which wins over
/// everything.
#[must_use]
pub fn deny_listed(policy: &Policy, image: &ImageName, digest: &Digest) -> Option<Verdict> {
    policy.denial_of(image, digest).map(|denial| denied(policy, image, digest, denial))
}

/// The denial, if the deny list names the content of the manifest `digest` by any digest. One manifest
/// has a name by each algorithm, and an entry is about the content, not about a spelling of it.
#[must_use]
pub fn content_deny_listed(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    content: &[u8],
) -> Option<Verdict> {
    let names = [Algorithm::Sha256, Algorithm::Sha512].map(|by| Digest::with(by, content));
    let denial = names.iter().find_map(|name| policy.denial_of(image, name))?;
    Some(denied(policy, image, digest, denial))
}

fn denied(policy: &Policy, image: &ImageName, digest: &Digest, denial: &Denial) -> Verdict {
    let why = denial.reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let place = place(policy, denial.place.line);
    Verdict {
        rule: Some(denial.place.key.clone()),
        next_step: format!("use another image; the deny list is at {place}"),
        ..failed(
            policy,
            image,
            digest,
            Reason::DenyList,
            &format!("the deny list names {}{why}", denial.what),
        )
    }
}

/// The verdict of an exception that applies.
pub(super) fn excepted(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    exception: &Exception,
) -> Verdict {
    let until = Timestamp(exception.until);
    let why = format!("an exception admits it until {until} ({})", exception.reason);
    Verdict {
        rule: Some(exception.place.key.clone()),
        valid_until: Some(exception.until),
        next_step: format!("before {until}: have it signed, or renew the exception"),
        ..failed(policy, image, digest, Reason::Exception, &why)
    }
}

/// The denial of a manifest that no rule covers.
pub(super) fn uncovered(policy: &Policy, image: &ImageName, digest: &Digest) -> Verdict {
    let ended = ended_exception(policy, image, digest);
    if policy.is_absent() {
        let file = policy.path().map_or("policy.toml".into(), |path| path.display().to_string());
        let why = "no policy has been written, so nothing is admitted";
        return Verdict {
            next_step: format!("{}; then name it with `--policy {file}`", minimal(image, &file)),
            ..failed(policy, image, digest, Reason::NoPolicy, why)
        };
    }
    let file = policy.path().map(|path| path.display().to_string()).unwrap_or_default();
    Verdict {
        next_step: format!(
            "add a rule to `{file}`: `[[rule]]`, `match = \"{image}\"`, `require = \"AUTHORITY\"`"
        ),
        ..failed(policy, image, digest, Reason::NoRule, &format!("no rule covers `{image}`{ended}"))
    }
}

/// A remark for somebody whose exception has ended; empty for everybody else.
pub(super) fn ended_exception(policy: &Policy, image: &ImageName, digest: &Digest) -> String {
    let ended = policy.exceptions().iter().find(|exception| exception.covers(image, digest));
    ended
        .map(|exception| format!(" (an exception for it ended at {})", Timestamp(exception.until)))
        .unwrap_or_default()
}

/// The verdict on a signature artifact that is exactly what it claims: readable without a rule, so
/// that clients can verify too.
#[must_use]
pub fn readable_artifact(policy: &Policy, image: &ImageName, digest: &Digest) -> Verdict {
    let why = "it is signature material and nothing else, which needs no rule";
    Verdict { rule: None, ..failed(policy, image, digest, Reason::Admitted, why) }
}

/// The denial of a manifest that is not served at all; `why` says what is wrong with it.
#[must_use]
pub fn unsupported(policy: &Policy, image: &ImageName, digest: &Digest, why: &str) -> Verdict {
    failed(policy, image, digest, Reason::UnsupportedManifest, why)
}

/// "Nobody can tell now": evidence could not be looked at, `why` says how.
#[must_use]
pub fn unreachable(policy: &Policy, image: &ImageName, digest: &Digest, why: &str) -> Verdict {
    failed(policy, image, digest, Reason::EvidenceUnreachable, why)
}

/// "Nobody can tell now" about a tag that could not be resolved; `why` says what failed.
#[must_use]
pub fn unresolved(policy: &Policy, image: &ImageName, reference: &Reference, why: &str) -> Verdict {
    unjudged(policy, image, &format!("{image}:{reference}"), Reason::UpstreamUnreachable, why)
}

/// The verdict for `reason`, which `why` puts into words, made without judging anything.
#[must_use]
pub fn failed(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    reason: Reason,
    why: &str,
) -> Verdict {
    unjudged(policy, image, &format!("{image}@{digest}"), reason, why)
}

fn unjudged(policy: &Policy, image: &ImageName, what: &str, reason: Reason, why: &str) -> Verdict {
    let head = match reason.outcome() {
        super::Outcome::Admitted => "is admitted",
        super::Outcome::Denied => "is refused",
        super::Outcome::Undecided => "cannot be judged now",
    };
    Verdict {
        outcome: reason.outcome(),
        reason,
        rule: policy.covering_pattern(image).map(|(pattern, _)| pattern.to_string()),
        mode: Mode::Enforce,
        enforced: true,
        policy: policy.hash().to_owned(),
        trust: policy.trust_hash().to_owned(),
        message: format!("`{what}` {head}: {why}"),
        next_step: step_after(reason).to_owned(),
        evidence: Vec::new(),
        tree: None,
        valid_until: None,
        signed_by: Vec::new(),
        inherited_from: None,
    }
}

const fn step_after(reason: Reason) -> &'static str {
    match reason {
        Reason::UnsupportedManifest => "push the image again with a current client",
        Reason::UpstreamIntegrity => {
            "the upstream or something on the way alters content: look there; nothing was kept"
        }
        Reason::UpstreamUnreachable | Reason::EvidenceUnreachable | Reason::LimitReached => {
            "try again when the upstream answers"
        }
        _ => "",
    }
}

/// The smallest policy that could admit `image`.
fn minimal(image: &ImageName, file: &str) -> String {
    format!(
        "write `{file}` with the lines `version = 1`, `[authority.release]`, `key = \"release.pub\"`, `[[rule]]`, `match = \"{image}\"`, `require = \"release\"` (`portcullis keygen release` makes the key)"
    )
}

fn place(policy: &Policy, line: usize) -> String {
    let file = policy.path().map(|path| path.display().to_string()).unwrap_or_default();
    format!("`{file}:{line}`")
}
