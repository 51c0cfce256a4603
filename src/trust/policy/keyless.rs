//! Keyless authorities: who somebody is, instead of which key they hold.
//!
//! A certificate says that a key is `subject`, as `issuer` knows them. Who makes such certificates is
//! named by a trust root: Fulcio, with its logs and timestamping authorities. Who runs an authority of their
//! own names its certificates with `ca` instead; a trust root beside it then says which logs and timestamping
//! authorities to believe.
//!
//! | what is written | whom it names |
//! | --- | --- |
//! | `issuer`, `subject` | whom Sigstore's public instance knows by both |
//! | `issuer`, `subject`, `trust_root` | the same, of another instance |
//! | `ca`, `subject` | who has a certificate of one's own authority in that name |
//!
//! What kind of name `subject` is shows in its text, and a certificate must have that kind: a URI has
//! `://`, a mail address `@`, anything else is a user name, or with `ca` a host's name (G-21). What is
//! written and could have no effect is an error (G-20).

use std::{fmt, path::PathBuf, sync::Arc};

use super::{
    authority::{Folder, Wanted, read_bounded},
    document::{Field, Section, nearest},
    matcher::Matcher,
    trust_root::{TrustRoot, TrustRoots},
};
use crate::trust::{
    pem,
    words::listed,
    x509::{
        AlternativeName, Certificate,
        fulcio::{Claim, Identity, Subject},
    },
};

/// Whose certificates, by whom.
#[derive(Clone, Debug)]
pub struct Keyless {
    /// Who knows them; nothing where one's own authority says all.
    pub issuer: Option<Matcher>,
    /// Who they are.
    pub subject: SubjectMatcher,
    /// What else their issuer must say.
    pub claims: Vec<(Claim, Matcher)>,
    /// Who certifies them.
    pub certified_by: Certifier,
    /// Whether a log must have seen the signature.
    pub log: Wanted,
    /// Whether a log must have seen the certificate.
    pub sct: Wanted,
}

/// What a name in a certificate must be: its kind and its text.
#[derive(Clone, Debug)]
pub struct SubjectMatcher {
    kind: SubjectKind,
    matcher: Matcher,
}

/// Who certifies signers.
#[derive(Clone, Debug)]
pub enum Certifier {
    /// An instance of Sigstore.
    Sigstore(Arc<TrustRoot>),
    /// One's own authority.
    Own {
        /// The files of its certificates.
        files: Vec<PathBuf>,
        /// Those certificates.
        anchors: Anchors,
        /// Whose logs and timestamps are believed, if anybody's.
        observers: Option<Arc<TrustRoot>>,
    },
}

/// Certificates that are trusted because the policy names them.
#[derive(Clone, Debug)]
pub struct Anchors(pub(in crate::trust) Vec<Certificate>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubjectKind {
    Email,
    /// A user's, or a host's.
    Name,
    Uri,
}

impl Keyless {
    /// The trust root, if there is one.
    #[must_use]
    pub fn trust_root(&self) -> Option<&Arc<TrustRoot>> {
        match &self.certified_by {
            Certifier::Sigstore(root) => Some(root),
            Certifier::Own { observers, .. } => observers.as_ref(),
        }
    }

    /// The certificates of one's own authority, if there is one.
    pub(in crate::trust) fn anchors(&self) -> &[Certificate] {
        match &self.certified_by {
            Certifier::Sigstore(_) => &[],
            Certifier::Own { anchors, .. } => &anchors.0,
        }
    }

    /// Whether a certificate of this identity is one of theirs.
    pub(in crate::trust) fn is(&self, identity: &Identity) -> bool {
        let claims = |(claim, matcher): &(Claim, Matcher)| {
            identity.claims.get(claim).is_some_and(|value| matcher.matches(value))
        };
        self.issuer.as_ref().is_some_and(|issuer| issuer.matches(&identity.issuer))
            && self.subject.is(&identity.subject)
            && self.claims.iter().all(claims)
    }

    /// Whether one of the names in a certificate of one's own authority is theirs. Where an issuer is
    /// asked for, names alone are not enough.
    pub(in crate::trust) fn is_named(&self, names: &[AlternativeName]) -> bool {
        self.issuer.is_none() && names.iter().any(|name| self.subject.is_name(name))
    }
}

impl SubjectMatcher {
    fn is(&self, subject: &Subject) -> bool {
        let (kind, text) = match subject {
            Subject::Email(text) => (SubjectKind::Email, text),
            Subject::UserName(text) => (SubjectKind::Name, text),
            Subject::Uri(text) => (SubjectKind::Uri, text),
        };
        self.kind == kind && self.matcher.matches(text)
    }

    fn is_name(&self, name: &AlternativeName) -> bool {
        let (kind, text) = match name {
            AlternativeName::Email(text) => (SubjectKind::Email, text),
            AlternativeName::Dns(text) => (SubjectKind::Name, text),
            AlternativeName::Uri(text) => (SubjectKind::Uri, text),
            AlternativeName::UserName(_) | AlternativeName::Other(_) => return false,
        };
        self.kind == kind && self.matcher.matches(text)
    }
}

impl fmt::Display for SubjectMatcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.matcher.fmt(formatter)
    }
}

/// The members by which a section is a keyless authority.
pub(super) const MEMBERS: [&str; 5] = ["issuer", "subject", "claims", "ca", "sct"];

/// Reads the authority in `section`.
pub(super) fn read(
    section: &Section<'_, '_>,
    folder: &mut Folder<'_>,
    roots: &mut TrustRoots,
) -> Option<Keyless> {
    let ca = section.field("ca");
    let required: &[&'static str] =
        if ca.is_some() { &["subject"] } else { &["issuer", "subject"] };
    for name in required {
        if section.present(&[*name]).is_empty() {
            let next_step = "a keyless identity is an `issuer` and a `subject`, together";
            section.problem(format!("has no `{name}`"), next_step);
        }
    }
    let issuer = section.field("issuer").map(|field| read_issuer(&field));
    let subject = section.field("subject").map(|field| read_subject(&field));
    let claims = section.field("claims").map(|field| read_claims(&field));
    if let Some(field) = section.field("claims")
        && issuer.is_none()
    {
        field.problem("has no effect without an `issuer`, who makes them", "name the `issuer`");
    }
    let root = section.field("trust_root").map(|field| roots.open(folder, &field));
    let demands = read_demands(section, ca.is_some());
    let certified_by = match ca {
        Some(ca) => read_anchors(&ca, folder)
            .zip(root.map_or(Some(None), |root| root.map(Some)))
            .map(|((files, anchors), observers)| Certifier::Own { files, anchors, observers }),
        None => root.unwrap_or_else(TrustRoots::public_good).map(Certifier::Sigstore),
    };
    let (log, sct) = demands?;
    let keyless = Keyless {
        issuer: issuer.map_or(Some(None), |issuer| issuer.map(Some))?,
        subject: subject??,
        claims: claims.map_or(Some(Vec::new()), |claims| claims)?,
        certified_by: certified_by?,
        log,
        sct,
    };
    check_demands(section, &keyless);
    Some(keyless)
}

/// What logs must have seen: signatures, and certificates.
fn read_demands(section: &Section<'_, '_>, is_own: bool) -> Option<(Wanted, Wanted)> {
    let default = if is_own { Wanted::Optional } else { Wanted::Required };
    let read = |name| match section.field(name) {
        Some(field) => field.word(&Wanted::WORDS),
        None => Some(default),
    };
    let (log, sct) = (read("log"), read("sct"));
    if let Some(field) = section.field("sct").filter(|_| is_own) {
        let what = "has no effect: the certificates of one's own authority are in no log";
        field.problem(what, "take the key out");
    }
    log.zip(sct)
}

/// A log can only be asked for where the trust root has one.
fn check_demands(section: &Section<'_, '_>, keyless: &Keyless) {
    let root = keyless.trust_root();
    let has = |logs: fn(&TrustRoot) -> bool| root.is_some_and(|root| logs(root));
    if keyless.log == Wanted::Required && !has(|root| !root.root.logs().is_empty()) {
        let next_step = "write `log = \"optional\"`, or a `trust_root` that has a log";
        section.problem("no log of signatures is trusted, and `log` is required", next_step);
    }
    if keyless.sct == Wanted::Required && !has(|root| !root.root.certificate_logs().is_empty()) {
        let next_step = "write `sct = \"optional\"`, or a `trust_root` that has one";
        section.problem("no log of certificates is trusted, and `sct` is required", next_step);
    }
}

fn read_matcher(field: &Field<'_, '_>) -> Option<Matcher> {
    let text = field.text()?;
    Matcher::parse(text).map_err(|error| field.problem(error.to_string(), "")).ok()
}

/// Whole issuers only: half of a URL is somebody else's.
fn read_issuer(field: &Field<'_, '_>) -> Option<Matcher> {
    let issuer = read_matcher(field)?;
    if issuer.is_exact() || issuer.is_regex() {
        return Some(issuer);
    }
    field.problem("an issuer is a whole URL", "write it out, or a regular expression `^...$`");
    None
}

fn read_subject(field: &Field<'_, '_>) -> Option<SubjectMatcher> {
    let matcher = read_matcher(field)?;
    let text = matcher.to_string();
    let kind = if text.contains("://") {
        SubjectKind::Uri
    } else if text.contains('@') {
        SubjectKind::Email
    } else if matcher.is_regex() {
        let what = "does not say whether it is a URI or a mail address";
        field.problem(what, "write `://` or `@` into the regular expression");
        return None;
    } else {
        SubjectKind::Name
    };
    Some(SubjectMatcher { kind, matcher })
}

fn read_claims(field: &Field<'_, '_>) -> Option<Vec<(Claim, Matcher)>> {
    let section = field.section()?;
    let claims: Vec<_> = section.fields().map(|(name, field)| read_claim(name, &field)).collect();
    if claims.is_empty() {
        field.problem("is an empty table", "name a claim, or take the key out");
    }
    claims.into_iter().collect()
}

fn read_claim(name: &str, field: &Field<'_, '_>) -> Option<(Claim, Matcher)> {
    let matcher = read_matcher(field);
    let Some(claim) = Claim::from_word(name) else {
        let known: Vec<_> = Claim::ALL.iter().map(|claim| claim.as_str()).collect();
        let next_step = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", listed(&known)),
        };
        field.problem("no certificate has such a claim", next_step);
        return None;
    };
    Some((claim, matcher?))
}

/// The certificates in the files that `field` names, each of an authority.
fn read_anchors(field: &Field<'_, '_>, folder: &mut Folder<'_>) -> Option<(Vec<PathBuf>, Anchors)> {
    let mut files = Vec::new();
    let mut anchors = Vec::new();
    let mut right = true;
    for (place, text) in field.texts()? {
        let file = folder.file(text);
        match read_certificates(&file) {
            Ok(certificates) => anchors.extend(certificates),
            Err(why) => {
                right = false;
                let what = format!("`{}` is no authority to trust: {why}", file.display());
                field.problem_at(&place, what, "name PEM files of certificates of authorities");
            }
        }
        files.push(file);
    }
    right.then_some((files, Anchors(anchors)))
}

fn read_certificates(file: &std::path::Path) -> Result<Vec<Certificate>, String> {
    let content = read_bounded(file, MAX_CA_FILE).map_err(|error| error.to_string())?;
    let blocks = pem::decode_several(&content, &["CERTIFICATE"], MAX_ANCHORS)
        .map_err(|error| error.to_string())?;
    let read = |der: Vec<u8>| {
        let certificate = Certificate::from_der(&der).map_err(|error| error.to_string())?;
        match certificate.is_authority() {
            Ok(true) => Ok(certificate),
            Ok(false) => Err("a certificate in it may not sign others".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    blocks.into_iter().map(read).collect()
}

/// Bytes of a file of certificates.
const MAX_CA_FILE: u64 = 256 << 10;
/// Certificates of one file.
const MAX_ANCHORS: usize = 16;

#[cfg(test)]
mod tests;
