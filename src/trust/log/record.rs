//! A log's record of a signature, as it travels with it: in a bundle (Sigstore's
//! `protos/sigstore_rekor.proto`) or in the annotation of a classic signature (`signatures.md` a.5,
//! cosign `BUNDLE_SPEC`). Members are exact on every level (G-14); nothing in it is true yet.

use super::{
    Body, Kind, LogEntry, Signed,
    proof::{Checkpoint, Node, decimal},
};
use crate::trust::{
    json::{Json, Malformed, Members},
    root::LogId,
};

/// A record as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Record {
    pub(super) log: LogId,
    pub(super) kind: Kind,
    pub(super) index: u64,
    /// Seconds since 1970; 0 in logs that give no time.
    pub(super) time: u64,
    /// The log's signature over the rest, where it gives one.
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<Proof>,
    pub(super) body: Vec<u8>,
}

/// Where the record is in the log's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    index: u64,
    size: u64,
    root: Vec<u8>,
    hashes: Vec<Node>,
    pub(super) checkpoint: Checkpoint,
}

impl Record {
    /// Reads an entry of a bundle's `tlogEntries`.
    ///
    /// # Errors
    /// When it is malformed.
    pub(in crate::trust) fn of_bundle(entry: Json) -> Result<Self, Malformed> {
        let mut members = Members::of(entry, "a log entry")?;
        let [log] = members.require("logId")?.members("`logId`", ["keyId"])?;
        let log = log.base64("`keyId`")?.try_into();
        let [kind, version] =
            members.require("kindVersion")?.members("`kindVersion`", ["kind", "version"])?;
        let promise = members.take("inclusionPromise").map(|promise| {
            let [promise] = promise.members("`inclusionPromise`", ["signedEntryTimestamp"])?;
            promise.base64("`signedEntryTimestamp`")
        });
        let record = Self {
            log: LogId(log.map_err(|_| Malformed("`keyId` has not 32 bytes".to_owned()))?),
            kind: Kind::of(&kind.text("`kind`")?, &version.text("`version`")?)?,
            index: whole(members.take("logIndex"), "`logIndex`")?,
            time: whole(members.take("integratedTime"), "`integratedTime`")?,
            promise: promise.transpose()?,
            proof: Some(Proof::parse(members.require("inclusionProof")?)?),
            body: members.require("canonicalizedBody")?.base64("`canonicalizedBody`")?,
        };
        members.finish()?;
        Ok(record)
    }

    /// Reads the annotation of a classic signature: a promise without a proof.
    ///
    /// # Errors
    /// When it is malformed.
    pub(in crate::trust) fn of_annotation(annotation: &str) -> Result<Self, Malformed> {
        if annotation.len() > MAX_ANNOTATION {
            return Err(Malformed("it is larger than 64 KiB".to_owned()));
        }
        let [promise, entry] = Json::parse(annotation.as_bytes())?
            .members("the annotation", ["SignedEntryTimestamp", "Payload"])?;
        let [body, time, index, log] =
            entry.members("`Payload`", ["body", "integratedTime", "logIndex", "logID"])?;
        let log = LogId::from_hex(&log.text("`logID`")?);
        Ok(Self {
            log: log.ok_or_else(|| Malformed("`logID` is not 32 bytes in hex".to_owned()))?,
            kind: Kind::HashedRekord1,
            index: natural(&index, "`logIndex`")?,
            time: natural(&time, "`integratedTime`")?,
            promise: Some(promise.base64("`SignedEntryTimestamp`")?),
            proof: None,
            body: body.base64("`body`")?,
        })
    }

    /// The record as one about `signed`, as far as that can be told without the log's key.
    ///
    /// # Errors
    /// When it is about something else, or contradicts itself (G-10).
    pub(in crate::trust) fn about(self, signed: &Signed<'_>) -> Result<LogEntry, Malformed> {
        let wrong = |what: &str| Err(Malformed(what.to_owned()));
        let body = Body::parse(&self.body, signed)?;
        if body.kind != self.kind {
            return wrong("its body is of another kind than it says");
        }
        if signed.payload.is_some() && self.kind == Kind::HashedRekord1 {
            return wrong("it is of a kind that stands for no envelope");
        }
        if self.kind == Kind::HashedRekord2 && (self.time != 0 || self.promise.is_some()) {
            return wrong("it has a time or a promise, which its log does not give");
        }
        if self.proof.as_ref().is_some_and(|proof| !proof.includes(&self)) {
            return wrong("its proof does not lead to its checkpoint");
        }
        Ok(LogEntry { record: self, signer: body.signer, details: body.details })
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

    /// Whether `record` is in the tree of the checkpoint. Rekor 1 counts within a shard, and says so
    /// here; Rekor 2 has one count, and what is repeated here is not looked at.
    fn includes(&self, record: &Record) -> bool {
        let Self { index, size, root, hashes, checkpoint } = self;
        if record.kind == Kind::HashedRekord2 {
            return checkpoint.includes(&record.body, record.index, hashes);
        }
        *size == checkpoint.size
            && *root == checkpoint.root
            && checkpoint.includes(&record.body, *index, hashes)
    }
}

/// A whole number, which the JSON form of protobuf writes as a text, and leaves out when it is 0.
fn whole(value: Option<Json>, what: &str) -> Result<u64, Malformed> {
    match value {
        None => Ok(0),
        Some(Json::Text(text)) => {
            let number = decimal(&text).filter(|number| i64::try_from(*number).is_ok());
            number.ok_or_else(|| Malformed(format!("{what} is not a whole number from 0 on")))
        }
        Some(number) => natural(&number, what),
    }
}

fn natural(number: &Json, what: &str) -> Result<u64, Malformed> {
    u64::try_from(number.integer(what)?)
        .map_err(|_| Malformed(format!("{what} is not a whole number from 0 on")))
}

/// Hashes of a proof: the height of a tree of 2^64 entries.
const MAX_HASHES: usize = 64;
/// Bytes of the annotation. Real ones have 1,500.
const MAX_ANNOTATION: usize = 64 << 10;
