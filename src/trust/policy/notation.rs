//! The `notation` of an authority: trust stores, identities, and how strict to be.
//!
//! ```toml
//! [authority.corp.notation]
//! trust_store = ["corp-ca.pem", "stores/corp"]     # files, or folders of them
//! signing_authority = ["signing-service.pem"]      # for signatures by a service that vouches for the time
//! identities = ["x509.subject: C=US, ST=WA, O=Acme, CN=release"]    # or "*"
//! tsa = ["tsa-root.pem"]                           # roots of timestamp authorities
//! verify_timestamp = "always"                      # always | after_certificate_expiry
//! level = "strict"                                 # strict | permissive
//! override = { expiry = "log" }                    # authentic_timestamp, expiry, revocation: enforce | log; revocation also skip
//! crl = ["corp.crl"]                               # revocation lists, files or folders
//! metadata = { build = "release" }                 # what the signer must have signed with the image
//! ```
//! Notation's `audit` and `skip` take signatures by anybody, so they are no levels here; a rule that
//! should only record has a `mode` for it. For the same reason `authenticity` cannot be overridden.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    authority::{Folder, read_bounded},
    document::{Field, Place, Section},
    problem::WarningKind,
};
use crate::trust::{
    notation::{Action, Identities, Name, NotationTrust, RevocationList, Timestamps},
    x509::Certificate,
};

/// What the field `notation` of an authority says, with the files in `folder` that it names.
pub(super) fn read(section: &Section<'_, '_>, folder: &mut Folder<'_>) -> Option<NotationTrust> {
    let section = section.field("notation")?.section()?;
    let mut reader = Reader { folder };
    let store = reader.certificates(&section, "trust_store", Store::Signers);
    let signing_authorities = reader.certificates(&section, "signing_authority", Store::Signers);
    let timestamp_authorities = reader.certificates(&section, "tsa", Store::Roots);
    let revocation_lists = reader.revocation_lists(&section);
    let identities = identities(&section);
    let actions = Actions::read(&section);
    let timestamps = match section.field("verify_timestamp") {
        Some(field) => field.word(&TIMESTAMPS),
        None => Some(Timestamps::Always),
    };
    if section.present(&["trust_store", "signing_authority"]).is_empty() {
        section.problem("has no `trust_store`", "name the certificates to trust");
    }
    if !section.present(&["verify_timestamp"]).is_empty() && section.present(&["tsa"]).is_empty() {
        let next_step = "name `tsa`, whose timestamps count, or take it out";
        section.problem("`verify_timestamp` has no effect without `tsa`", next_step);
    }
    let metadata = metadata(&section);
    section.finish();
    let actions = actions?;
    let trust = NotationTrust {
        store: store?,
        signing_authorities: signing_authorities?,
        timestamp_authorities: timestamp_authorities?,
        identities: identities?,
        timestamps: timestamps?,
        timestamp_action: actions.timestamp,
        expiry_action: actions.expiry,
        revocation_action: actions.revocation,
        revocation_lists: revocation_lists?,
        metadata: metadata?,
    };
    let has_any = !trust.store.is_empty() || !trust.signing_authorities.is_empty();
    has_any.then_some(trust)
}

/// What comes of each check that may be overridden.
struct Actions {
    timestamp: Action,
    expiry: Action,
    revocation: Action,
}

impl Actions {
    fn read(section: &Section<'_, '_>) -> Option<Self> {
        let level = match section.field("level") {
            Some(field) => level(&field)?,
            None => Action::Enforce,
        };
        let mut actions = Self { timestamp: level, expiry: level, revocation: level };
        let Some(field) = section.field("override") else { return Some(actions) };
        let section = field.section()?;
        for name in ["authenticity", "integrity"] {
            if let Some(field) = section.field(name) {
                let what = format!("`{name}` is always enforced: without it anybody could sign");
                field.problem(what, "take it out");
            }
        }
        let two = [("enforce", Action::Enforce), ("log", Action::Log)];
        let three = [two[0], two[1], ("skip", Action::Skip)];
        for (name, action, words) in [
            ("authentic_timestamp", &mut actions.timestamp, &two[..]),
            ("expiry", &mut actions.expiry, &two),
            ("revocation", &mut actions.revocation, &three),
        ] {
            if let Some(field) = section.field(name) {
                let wanted = field.word(words)?;
                if wanted == *action {
                    field.problem("is what the level says already", "take it out");
                }
                *action = wanted;
            }
        }
        section.finish();
        Some(actions)
    }
}

fn level(field: &Field<'_, '_>) -> Option<Action> {
    let text = field.text()?;
    if ["audit", "skip"].contains(&text) {
        field.problem(
            format!("level `{text}` takes signatures that nobody trusted has made"),
            "use `strict` or `permissive`, and `mode = \"audit\"` in a rule that should only record",
        );
        return None;
    }
    field.word(&[("strict", Action::Enforce), ("permissive", Action::Log)])
}

fn identities(section: &Section<'_, '_>) -> Option<Identities> {
    let Some(field) = section.field("identities") else {
        section.problem("has no `identities`", "name who may sign, or write `\"*\"` for everybody");
        return None;
    };
    let texts = field.texts()?;
    if let [(_, "*")] = texts.as_slice() {
        return Some(Identities::Any);
    }
    let names: Vec<_> = texts.iter().map(|(place, text)| identity(&field, place, text)).collect();
    let names = names.into_iter().collect::<Option<Vec<_>>>()?;
    let mut overlaps = false;
    for (at, name) in names.iter().enumerate() {
        for (other, (place, _)) in names.iter().zip(&texts).skip(at + 1) {
            if name.is_met_by(other) || other.is_met_by(name) {
                overlaps = true;
                let what =
                    format!("overlaps with `{name}`: one of them lets in all of the other's");
                field.problem_at(place, what, "keep the one that is meant");
            }
        }
    }
    (!overlaps).then_some(Identities::Subjects(names))
}

fn identity(field: &Field<'_, '_>, place: &Place, text: &str) -> Option<Name> {
    let next_step = "write `x509.subject: C=US, ST=WA, O=Acme, CN=release`";
    if text == "*" {
        field.problem_at(place, "`*` cannot stand beside others", "write it alone");
        return None;
    }
    let Some(name) = text.strip_prefix("x509.subject:") else {
        field.problem_at(place, "is not an identity", next_step);
        return None;
    };
    match Name::parse(name) {
        Ok(name) => {
            if name.lacks_state() {
                let what =
                    format!("`{name}` names no state (`ST`): signers of any state are let in");
                field.warning_at(place, WarningKind::LooseIdentity, what);
            }
            Some(name)
        }
        Err(why) => {
            field.problem_at(place, format!("`{}` {why}", name.trim()), next_step);
            None
        }
    }
}

fn metadata(section: &Section<'_, '_>) -> Option<BTreeMap<String, String>> {
    let Some(field) = section.field("metadata") else { return Some(BTreeMap::new()) };
    let section = field.section()?;
    let wanted =
        section.fields().map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())));
    let wanted = wanted.collect::<Vec<_>>().into_iter().collect::<Option<BTreeMap<_, _>>>()?;
    if wanted.is_empty() {
        field.problem("asks for nothing", "name an annotation, or take it out");
    }
    Some(wanted)
}

/// What the certificates of a store have to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// Authorities, or signers that nobody else vouches for.
    Signers,
    /// Authorities that nobody else vouches for.
    Roots,
}

impl Store {
    fn check(self, certificate: &Certificate) -> Result<(), &'static str> {
        let is_authority = certificate.is_authority().unwrap_or_default();
        let is_self_signed = certificate.is_signed_by(certificate);
        match self {
            Self::Signers if !is_authority && !is_self_signed => {
                Err("is neither that of an authority nor self-signed")
            }
            Self::Roots if !is_authority || !is_self_signed => {
                Err("is not that of a root authority")
            }
            Self::Signers | Self::Roots => Ok(()),
        }
    }
}

struct Reader<'r, 't> {
    folder: &'r mut Folder<'t>,
}

impl Reader<'_, '_> {
    /// The certificates in the files that the field `name` names; none where there is no such field.
    fn certificates(
        &mut self,
        section: &Section<'_, '_>,
        name: &'static str,
        store: Store,
    ) -> Option<Vec<Certificate>> {
        let Some(field) = section.field(name) else { return Some(Vec::new()) };
        let mut certificates: Vec<Certificate> = Vec::new();
        for (place, file, content) in self.contents(&field)? {
            let read = parse_certificates(&content).and_then(|found| {
                found.iter().try_for_each(|one| store.check(one).map_err(str::to_owned))?;
                Ok(found)
            });
            match read {
                Ok(found) => {
                    for certificate in found {
                        if !certificates.contains(&certificate) {
                            certificates.push(certificate);
                        }
                    }
                }
                Err(why) => {
                    let what = format!("`{}` is no certificate to trust: {why}", file.display());
                    field.problem_at(&place, what, "use PEM or DER files of certificates alone");
                    return None;
                }
            }
        }
        Some(certificates)
    }

    fn revocation_lists(&mut self, section: &Section<'_, '_>) -> Option<Vec<RevocationList>> {
        let Some(field) = section.field("crl") else { return Some(Vec::new()) };
        let mut lists = Vec::new();
        for (place, file, content) in self.contents(&field)? {
            match RevocationList::from_file(&content) {
                Ok(list) => lists.push(list),
                Err(why) => {
                    let what = format!("`{}` is no revocation list: {why}", file.display());
                    field.problem_at(&place, what, "use PEM or DER files of one list each");
                    return None;
                }
            }
        }
        Some(lists)
    }

    /// Every file that `field` names, by itself or by its folder, with its content.
    fn contents(&mut self, field: &Field<'_, '_>) -> Option<Vec<(Place, PathBuf, Vec<u8>)>> {
        let mut contents = Vec::new();
        for (place, text) in field.texts()? {
            let path = self.folder.file(text);
            let read = files_of(&path).and_then(|files| {
                let read = files.into_iter().map(|file| {
                    let content = read_bounded(&file, MAX_FILE)?;
                    Ok((place.clone(), file, content))
                });
                read.collect::<std::io::Result<Vec<_>>>()
            });
            match read {
                Ok(read) => {
                    self.folder.also(read.iter().map(|(_, file, _)| file.clone()));
                    contents.extend(read);
                }
                Err(error) => {
                    let what = format!("cannot read `{}`: {error}", path.display());
                    let next_step = "paths are relative to the policy's folder";
                    field.problem_at(&place, what, next_step);
                    return None;
                }
            }
        }
        Some(contents)
    }
}

/// `path` itself, or the files in the folder that it is, in the order of their names. A link in a
/// folder is an error, as it is to notation: it could lead out of the folder that was reviewed.
fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            let name = entry.file_name();
            let what = format!("`{}` in it is no regular file", name.display());
            return Err(std::io::Error::other(what));
        }
        files.push(entry.path());
    }
    if files.is_empty() || files.len() > MAX_FILES {
        let what = format!("the folder must hold from 1 to {MAX_FILES} files");
        return Err(std::io::Error::other(what));
    }
    files.sort();
    Ok(files)
}

/// The certificates in a file: one in DER, or some in PEM with nothing around them.
fn parse_certificates(content: &[u8]) -> Result<Vec<Certificate>, String> {
    if content.first() == Some(&DER_SEQUENCE) {
        return Ok(vec![Certificate::from_der(content).map_err(|error| error.to_string())?]);
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is neither PEM nor DER".to_owned())?;
    let blocks = text.split_inclusive(PEM_END).filter(|block| !block.trim().is_empty());
    let certificates = blocks.map(|block| Certificate::from_pem(block.trim_start().as_bytes()));
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() { Err("it is empty".to_owned()) } else { Ok(certificates) }
}

const TIMESTAMPS: [(&str, Timestamps); 2] =
    [("always", Timestamps::Always), ("after_certificate_expiry", Timestamps::AfterExpiry)];
const PEM_END: &str = "-----END CERTIFICATE-----";
const DER_SEQUENCE: u8 = 0x30;
/// Bytes of a file. Revocation lists are the large ones.
const MAX_FILE: u64 = 16 << 20;
/// Files in a folder.
const MAX_FILES: usize = 256;
