//! The verification material of a bundle: who signed, and what a log and a timestamping authority
//! said about it (Sigstore's `protos/sigstore_bundle.proto`, `sigstore_rekor.proto`).

use crate::trust::{
    json::{Json, Malformed, Members},
    log::Record,
    steps::{Chain, SignedBy},
    x509::Certificate,
};

/// What came with a signature.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) signer: SignedBy,
    pub(super) entries: Vec<Record>,
    /// Each a DER `TimeStampResp`.
    pub(super) timestamps: Vec<Vec<u8>>,
}

impl Material {
    /// Reads the member `verificationMaterial`.
    ///
    /// # Errors
    /// When it is malformed, or larger than anything that signers write.
    pub(super) fn parse(material: Json) -> Result<Self, Malformed> {
        let mut members = Members::of(material, "`verificationMaterial`")?;
        let signer = read_signer(&mut members)?;
        let entries = match members.take("tlogEntries") {
            Some(entries) => entries.list("`tlogEntries`", MAX_ENTRIES)?,
            None => Vec::new(),
        };
        let entries = entries.into_iter().map(Record::of_bundle).collect::<Result<_, _>>()?;
        let timestamps = match members.take("timestampVerificationData") {
            Some(data) => read_timestamps(data)?,
            None => Vec::new(),
        };
        members.finish()?;
        Ok(Self { signer, entries, timestamps })
    }
}

/// A key is not in the bundle: the policy has it. What the bundle says about it is a hint that nobody has
/// signed, and is not looked at (G-26).
fn read_signer(members: &mut Members<'_>) -> Result<SignedBy, Malformed> {
    let names = ["publicKey", "certificate", "x509CertificateChain"];
    match names.map(|name| members.take(name)) {
        [Some(key), None, None] => {
            let mut key = Members::of(key, "`publicKey`")?;
            key.take("hint").map(|hint| hint.text("`hint`")).transpose()?;
            key.finish()?;
            Ok(SignedBy::Key)
        }
        [None, Some(certificate), None] => {
            let chain = Chain { leaf: read_certificate(certificate)?, intermediates: Vec::new() };
            Ok(SignedBy::Certificate(Box::new(chain)))
        }
        [None, None, Some(chain)] => read_chain(chain),
        _ => Err(Malformed("it does not name exactly one signer".to_owned())),
    }
}

/// A chain comes without its root, which nobody would believe because it came along.
fn read_chain(chain: Json) -> Result<SignedBy, Malformed> {
    let [chain] = chain.members("`x509CertificateChain`", ["certificates"])?;
    let chain = chain.list("`certificates`", MAX_CHAIN)?;
    let mut chain = chain.into_iter().map(read_certificate);
    let leaf = chain.next().ok_or_else(|| Malformed("`certificates` is empty".to_owned()))??;
    let intermediates = chain.collect::<Result<Vec<_>, _>>()?;
    if intermediates.iter().any(Certificate::is_self_issued) {
        return Err(Malformed("`certificates` holds a root".to_owned()));
    }
    Ok(SignedBy::Certificate(Box::new(Chain { leaf, intermediates })))
}

fn read_certificate(certificate: Json) -> Result<Certificate, Malformed> {
    let [bytes] = certificate.members("`certificate`", ["rawBytes"])?;
    Certificate::from_der(&bytes.base64("`rawBytes`")?)
}

fn read_timestamps(data: Json) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut members = Members::of(data, "`timestampVerificationData`")?;
    let timestamps = match members.take("rfc3161Timestamps") {
        Some(timestamps) => timestamps.list("`rfc3161Timestamps`", MAX_TIMESTAMPS)?,
        None => Vec::new(),
    };
    members.finish()?;
    let read = |timestamp: Json| {
        let [timestamp] = timestamp.members("a timestamp", ["signedTimestamp"])?;
        timestamp.base64("`signedTimestamp`")
    };
    timestamps.into_iter().map(read).collect()
}

/// Entries of one bundle.
const MAX_ENTRIES: usize = 8;
/// Timestamps of one bundle.
const MAX_TIMESTAMPS: usize = 8;
/// Certificates of a chain.
const MAX_CHAIN: usize = 6;
