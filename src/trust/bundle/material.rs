//! The verification material of a bundle: who signed, and what a log and a timestamping authority
//! said about it (Sigstore's `protos/sigstore_bundle.proto`, `sigstore_rekor.proto`).

use crate::trust::{
    json::{Json, Malformed, Members},
    log::{
        Body, Kind, LogEntry, Signed,
        proof::{Checkpoint, Node, decimal},
    },
};

/// What came with a signature.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) signer: Signer,
    pub(super) entries: Vec<Entry>,
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

/// An entry of a transparency log, as it is written.
#[derive(Debug)]
pub(super) struct Entry {
    kind: Kind,
    index: u64,
    /// Seconds since 1970; 0 in logs that give no time.
    time: u64,
    has_promise: bool,
    proof: Proof,
    body: Vec<u8>,
}

/// Where the entry is in the log's tree.
#[derive(Debug)]
struct Proof {
    index: u64,
    size: u64,
    root: Vec<u8>,
    hashes: Vec<Node>,
    checkpoint: Checkpoint,
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
        let entries = entries.into_iter().map(Entry::parse).collect::<Result<_, _>>()?;
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

impl Entry {
    fn parse(entry: Json) -> Result<Self, Malformed> {
        let mut members = Members::of(entry, "a log entry")?;
        let [log] = members.require("logId")?.members("`logId`", ["keyId"])?;
        log.base64("`keyId`")?;
        let [kind, version] =
            members.require("kindVersion")?.members("`kindVersion`", ["kind", "version"])?;
        let promise = members.take("inclusionPromise");
        let has_promise = promise.is_some();
        if let Some(promise) = promise {
            let [promise] = promise.members("`inclusionPromise`", ["signedEntryTimestamp"])?;
            promise.base64("`signedEntryTimestamp`")?;
        }
        let entry = Self {
            kind: Kind::of(&kind.text("`kind`")?, &version.text("`version`")?)?,
            index: whole(members.take("logIndex"), "`logIndex`")?,
            time: whole(members.take("integratedTime"), "`integratedTime`")?,
            has_promise,
            proof: Proof::parse(members.require("inclusionProof")?)?,
            body: members.require("canonicalizedBody")?.base64("`canonicalizedBody`")?,
        };
        members.finish()?;
        Ok(entry)
    }

    /// Whether the entry is about `signed`, as far as that can be told without the log's key.
    ///
    /// # Errors
    /// When it is about something else, or contradicts itself.
    pub(super) fn check(&self, signed: &Signed<'_>) -> Result<LogEntry, Malformed> {
        let wrong = |what: &str| Err(Malformed(what.to_owned()));
        let body = Body::parse(&self.body, signed)?;
        if body.kind != self.kind {
            return wrong("its body is of another kind than it says");
        }
        if signed.payload.is_some() && self.kind == Kind::HashedRekord1 {
            return wrong("it is of a kind that stands for no envelope");
        }
        let Proof { index, size, root, hashes, checkpoint } = &self.proof;
        let included = if self.kind == Kind::HashedRekord2 {
            if self.time != 0 || self.has_promise {
                return wrong("it has a time or a promise, which its log does not give");
            }
            checkpoint.includes(&self.body, self.index, hashes)
        } else {
            *size == checkpoint.size
                && *root == checkpoint.root
                && checkpoint.includes(&self.body, *index, hashes)
        };
        if included { Ok(body.entry) } else { wrong("its proof does not lead to its checkpoint") }
    }
}

impl Proof {
    fn parse(proof: Json) -> Result<Self, Malformed> {
        let mut members = Members::of(proof, "`inclusionProof`")?;
        let hashes = match members.take("hashes") {
            Some(hashes) => hashes.list("`hashes`", MAX_HASHES)?,
            None => Vec::new(),
        };
        let node = |hash: Json| {
            let bytes = hash.base64("a hash")?;
            bytes.try_into().map_err(|_| Malformed("a hash has not 32 bytes".to_owned()))
        };
        let [envelope] = members.require("checkpoint")?.members("`checkpoint`", ["envelope"])?;
        let root = members.take("rootHash").map(|root| root.base64("`rootHash`")).transpose()?;
        let proof = Self {
            index: whole(members.take("logIndex"), "`logIndex`")?,
            size: whole(members.take("treeSize"), "`treeSize`")?,
            root: root.unwrap_or_default(),
            hashes: hashes.into_iter().map(node).collect::<Result<_, _>>()?,
            checkpoint: Checkpoint::parse(&envelope.text("`envelope`")?)?,
        };
        members.finish()?;
        Ok(proof)
    }
}

/// A whole number, which the JSON form of protobuf writes as a text, and leaves out when it is 0.
fn whole(value: Option<Json>, what: &str) -> Result<u64, Malformed> {
    let number = match value {
        None => Some(0),
        Some(Json::Text(text)) => decimal(&text),
        Some(number) => u64::try_from(number.integer(what)?).ok(),
    };
    let number = number.filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| Malformed(format!("{what} is not a whole number from 0 on")))
}

/// Entries of one bundle.
const MAX_ENTRIES: usize = 8;
/// Timestamps of one bundle.
const MAX_TIMESTAMPS: usize = 8;
/// Certificates of a chain.
const MAX_CHAIN: usize = 6;
/// Bytes of a certificate.
const MAX_CERTIFICATE: usize = 16 << 10;
/// Hashes of a proof: the height of a tree of 2^64 entries.
const MAX_HASHES: usize = 64;
