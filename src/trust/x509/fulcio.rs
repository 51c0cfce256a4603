//! Sigstore's certificates: for ten minutes, a key speaks for who somebody was at their issuer
//! (`signatures.md` c.1; Fulcio's `certificate-specification.md` and `oid-info.md`).
//!
//! Whoever is named twice, or in two ways, is nobody: exactly one subject alternative name, one
//! issuer whose two spellings agree, no extension that another reader could see differently (G-21,
//! G-22). What else the issuer's token said is in [`Claim`]s, from which a policy can tell a fork
//! from its source and a release from a branch (G-24).

use std::collections::BTreeMap;

use spki::{ObjectIdentifier, der::Tag};

use super::{AlternativeName, Certificate, Extension, KeyUsage, extensions::CODE_SIGNING};
use crate::trust::{der::Der, json::Malformed, words::words};

/// Who signed, as their issuer knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Identity {
    /// Who says so: the URL of an OpenID Connect issuer.
    pub(in crate::trust) issuer: String,
    pub(in crate::trust) subject: Subject,
    /// What else the issuer said.
    pub(in crate::trust) claims: BTreeMap<Claim, String>,
}

/// Whom the issuer speaks of: a kind and a text, which only mean something together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::trust) enum Subject {
    Email(String),
    Uri(String),
    UserName(String),
}

impl Subject {
    /// The text without its kind.
    pub(in crate::trust) fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::UserName(text) => text,
        }
    }
}

words! {
    /// What an issuer can say besides, by the names in Fulcio's documentation.
    pub enum Claim {
        /// OID 19.
        BuildConfigDigest = "build_config_digest",
        /// OID 18.
        BuildConfigUri = "build_config_uri",
        /// OID 10.
        BuildSignerDigest = "build_signer_digest",
        /// OID 9: of a reusable workflow, the one that is used.
        BuildSignerUri = "build_signer_uri",
        /// OID 20.
        BuildTrigger = "build_trigger",
        /// OID 23.
        DeploymentEnvironment = "deployment_environment",
        /// OID 4, deprecated.
        GithubWorkflowName = "github_workflow_name",
        /// OID 6, deprecated.
        GithubWorkflowRef = "github_workflow_ref",
        /// OID 5, deprecated.
        GithubWorkflowRepository = "github_workflow_repository",
        /// OID 3, deprecated.
        GithubWorkflowSha = "github_workflow_sha",
        /// OID 2, deprecated.
        GithubWorkflowTrigger = "github_workflow_trigger",
        /// OID 21.
        RunInvocationUri = "run_invocation_uri",
        /// OID 11.
        RunnerEnvironment = "runner_environment",
        /// OID 12: whose workflow ran, which may use that of another.
        SourceRepository = "source_repository",
        /// OID 13.
        SourceRepositoryDigest = "source_repository_digest",
        /// OID 15.
        SourceRepositoryIdentifier = "source_repository_identifier",
        /// OID 17.
        SourceRepositoryOwnerIdentifier = "source_repository_owner_identifier",
        /// OID 16.
        SourceRepositoryOwnerUri = "source_repository_owner_uri",
        /// OID 14.
        SourceRepositoryRef = "source_repository_ref",
        /// OID 22.
        SourceRepositoryVisibilityAtSigning = "source_repository_visibility_at_signing",
        /// OID 24.
        TokenSubject = "token_subject",
    }
}

impl Claim {
    /// The last arc of its object identifier below [`ARC`].
    const fn arc(self) -> u32 {
        match self {
            Self::GithubWorkflowTrigger => 2,
            Self::GithubWorkflowSha => 3,
            Self::GithubWorkflowName => 4,
            Self::GithubWorkflowRepository => 5,
            Self::GithubWorkflowRef => 6,
            Self::BuildSignerUri => 9,
            Self::BuildSignerDigest => 10,
            Self::RunnerEnvironment => 11,
            Self::SourceRepository => 12,
            Self::SourceRepositoryDigest => 13,
            Self::SourceRepositoryRef => 14,
            Self::SourceRepositoryIdentifier => 15,
            Self::SourceRepositoryOwnerUri => 16,
            Self::SourceRepositoryOwnerIdentifier => 17,
            Self::BuildConfigUri => 18,
            Self::BuildConfigDigest => 19,
            Self::BuildTrigger => 20,
            Self::RunInvocationUri => 21,
            Self::SourceRepositoryVisibilityAtSigning => 22,
            Self::DeploymentEnvironment => 23,
            Self::TokenSubject => 24,
        }
    }

    /// Whether its text is the extension itself, as the first ones were written.
    const fn is_raw(self) -> bool {
        self.arc() < ISSUER
    }
}

impl Identity {
    /// Whom `certificate` names, when it is one that Fulcio makes. Whether Fulcio made it is for
    /// [`super::path`] to say.
    ///
    /// # Errors
    /// When it is another kind of certificate, or names nobody, or two.
    pub(in crate::trust) fn of(certificate: &Certificate) -> Result<Self, Malformed> {
        check_use(certificate)?;
        let mut claims = BTreeMap::new();
        for claim in Claim::ALL {
            let Some(extension) = extension(certificate, claim.arc()) else { continue };
            let value = if claim.is_raw() { raw(extension) } else { text(extension) }?;
            claims.insert(*claim, value);
        }
        Ok(Self { issuer: issuer(certificate)?, subject: subject(certificate)?, claims })
    }
}

/// The key signs content, and neither certificates nor anything else.
fn check_use(certificate: &Certificate) -> Result<(), Malformed> {
    let wrong = |what: &str| Err(Malformed(format!("the certificate is none of Fulcio's: {what}")));
    if certificate.is_authority()? {
        return wrong("it is an authority's own");
    }
    let signs = KeyUsage::DIGITAL_SIGNATURE;
    let is_right =
        |usage: KeyUsage| usage.is_critical && usage.allows(signs) && usage.is_within(signs);
    if !certificate.key_usage()?.is_some_and(is_right) {
        return wrong("its key is not for digital signatures alone");
    }
    let purposes = certificate.extended_key_usage()?.map(|usage| usage.purposes);
    if purposes.as_deref() != Some(&[CODE_SIGNING]) {
        return wrong("it is not for code signing alone");
    }
    Ok(())
}

fn subject(certificate: &Certificate) -> Result<Subject, Malformed> {
    let wrong = |what: &str| Malformed(format!("the certificate names no signer: {what}"));
    let names =
        certificate.alternative_names()?.ok_or_else(|| wrong("it has no `subjectAltName`"))?;
    if certificate.subject() != EMPTY_NAME || !names.is_critical {
        return Err(wrong("its `subjectAltName` is not all that it says about the subject"));
    }
    let [name] = <[AlternativeName; 1]>::try_from(names.names)
        .map_err(|_| wrong("it has several subject alternative names"))?;
    match name {
        AlternativeName::Email(text) => Ok(Subject::Email(text)),
        AlternativeName::Uri(text) => Ok(Subject::Uri(text)),
        AlternativeName::UserName(text) => Ok(Subject::UserName(text)),
        AlternativeName::Dns(_) | AlternativeName::Other(_) => {
            Err(wrong("its subject is no mail address, URI or user name"))
        }
    }
}

/// The issuer, which is written twice: as it is, and later as a DER text.
fn issuer(certificate: &Certificate) -> Result<String, Malformed> {
    let old = extension(certificate, RAW_ISSUER).map(raw).transpose()?;
    let new = extension(certificate, ISSUER).map(text).transpose()?;
    match (old, new) {
        (Some(old), Some(new)) if old != new => {
            Err(Malformed("the certificate names two issuers".to_owned()))
        }
        (_, Some(issuer)) | (Some(issuer), None) if !issuer.is_empty() => Ok(issuer),
        _ => Err(Malformed("the certificate names no issuer".to_owned())),
    }
}

fn extension(certificate: &Certificate, arc: u32) -> Option<&Extension> {
    certificate.extension(ARC.push_arc(arc).ok()?)
}

fn raw(extension: &Extension) -> Result<String, Malformed> {
    plain(&extension.value)
}

fn text(extension: &Extension) -> Result<String, Malformed> {
    plain(Der::only(&extension.value, Tag::Utf8String, "an extension of Fulcio's")?.content())
}

fn plain(bytes: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(bytes).ok();
    let text = text.filter(|text| !text.chars().any(char::is_control));
    text.map(str::to_owned)
        .ok_or_else(|| Malformed("an extension of Fulcio's is no text".to_owned()))
}

/// Fulcio's extensions.
const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
const RAW_ISSUER: u32 = 1;
const ISSUER: u32 = 8;
/// A `Name` of no parts.
const EMPTY_NAME: [u8; 2] = [0x30, 0];
