//! The verification material of a bundle: who signed, and what a log and a timestamping authority
//! said about it (Sigstore's `protos/sigstore_bundle.proto`, `sigstore_rekor.proto`).

use crate::trust::{
    json::{Json, Malformed, Members},
    log::Record,
};

/// What came with a signature.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) signer: Signer,
    pub(super) entries: Vec<Record>,
    pub(super) has_timestamp: bool,
}

/// By what the signer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// A certificate, in the bundle.
    Certificate,
    /// A key, which is not in the bundle: the policy has it. What the bundle says about it is a hint
    /// that nobody has signed, and is not looked at (G-26).
    Key,
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
        let has_timestamp = match members.take("timestampVerificationData") {
            Some(data) => has_timestamp(data)?,
            None => false,
        };
        members.finish()?;
        Ok(Self { signer, entries, has_timestamp })
    }
}

fn read_signer(members: &mut Members<'_>) -> Result<Signer, Malformed> {
    let names = ["publicKey", "certificate", "x509CertificateChain"];
    match names.map(|name| members.take(name)) {
        [Some(key), None, None] => {
            let mut key = Members::of(key, "`publicKey`")?;
            key.take("hint").map(|hint| hint.text("`hint`")).transpose()?;
            key.finish()?;
            Ok(Signer::Key)
        }
        [None, Some(certificate), None] => check_certificate(certificate),
        [None, None, Some(chain)] => {
            let [chain] = chain.members("`x509CertificateChain`", ["certificates"])?;
            let chain = chain.list("`certificates`", MAX_CHAIN)?;
            if chain.is_empty() {
                return Err(Malformed("`certificates` is empty".to_owned()));
            }
            chain.into_iter().try_for_each(|one| check_certificate(one).map(drop))?;
            Ok(Signer::Certificate)
        }
        _ => Err(Malformed("it does not name exactly one signer".to_owned())),
    }
}

fn check_certificate(certificate: Json) -> Result<Signer, Malformed> {
    let [bytes] = certificate.members("`certificate`", ["rawBytes"])?;
    if bytes.base64("`rawBytes`")?.len() > MAX_CERTIFICATE {
        return Err(Malformed("a certificate is larger than 16 KiB".to_owned()));
    }
    Ok(Signer::Certificate)
}

fn has_timestamp(data: Json) -> Result<bool, Malformed> {
    let mut members = Members::of(data, "`timestampVerificationData`")?;
    let timestamps = match members.take("rfc3161Timestamps") {
        Some(timestamps) => timestamps.list("`rfc3161Timestamps`", MAX_TIMESTAMPS)?,
        None => Vec::new(),
    };
    members.finish()?;
    let has_any = !timestamps.is_empty();
    for timestamp in timestamps {
        let [timestamp] = timestamp.members("a timestamp", ["signedTimestamp"])?;
        timestamp.base64("`signedTimestamp`")?;
    }
    Ok(has_any)
}

/// Entries of one bundle.
const MAX_ENTRIES: usize = 8;
/// Timestamps of one bundle.
const MAX_TIMESTAMPS: usize = 8;
/// Certificates of a chain.
const MAX_CHAIN: usize = 6;
/// Bytes of a certificate.
const MAX_CERTIFICATE: usize = 16 << 10;
