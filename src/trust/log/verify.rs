//! Whether a log of the trust root really has a record (`signatures.md` c.3, c.4).
//!
//! | log | vouches by | gives a time |
//! | --- | --- | --- |
//! | Rekor 1 | a promise over the record, a signed checkpoint of the tree it is in, or both | with a promise |
//! | Rekor 2 | a signed checkpoint | no |
//!
//! Which of the two a log is follows from the trust root: newer logs have identifiers over their
//! name. A time that no promise covers was written by whoever brought it, and is none (G-29).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Kind, LogEntry, note, proof::decimal, record::Record};
use crate::{
    oci::digest::hex_of,
    trust::{
        json::Malformed,
        keys::PublicKey,
        root::{Log, LogId, TrustedRoot},
    },
};

/// That a log has logged a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Logged {
    /// Which log. Entries of one log count once, however many there are (G-27).
    pub(in crate::trust) log: LogId,
    /// Where in it.
    pub(in crate::trust) index: u64,
    /// When, where the log has promised that.
    pub(in crate::trust) time: Option<SystemTime>,
}

impl LogEntry {
    /// What a log of `root` vouches for; nothing when `root` does not know the log.
    ///
    /// # Errors
    /// When the log is known and does not vouch for the entry, or not at that time.
    pub(in crate::trust) fn verify(&self, root: &TrustedRoot) -> Result<Option<Logged>, Malformed> {
        let record = &self.record;
        let Some(log) = root.log(record.log) else { return Ok(None) };
        let key = log.key()?;
        let time = if record.kind == Kind::HashedRekord2 {
            check_tiles(record, log, key)?;
            None
        } else {
            check_classic(record, log, key)?
        };
        Ok(Some(Logged { log: log.id, index: record.index, time }))
    }
}

/// Rekor 2: the checkpoint is the log's own, under its own name.
fn check_tiles(record: &Record, log: &Log, key: &PublicKey) -> Result<(), Malformed> {
    if log.id != note::key_id(&log.origin, key) {
        return wrong("it is of a kind that its log does not hold");
    }
    let Some(proof) = &record.proof else { return wrong("it comes without a proof") };
    let checkpoint = &proof.checkpoint;
    if *checkpoint.origin != *log.origin {
        return wrong("its checkpoint is of another log");
    }
    if !checkpoint.note.is_signed_by(log.id, key, |name| name == &*log.origin) {
        return wrong("its checkpoint is not signed by its log");
    }
    Ok(())
}

/// Rekor 1: what is there must be the log's own, and something must be. Gives the time.
fn check_classic(
    record: &Record,
    log: &Log,
    key: &PublicKey,
) -> Result<Option<SystemTime>, Malformed> {
    if log.id.0 != *key.fingerprint().as_bytes() {
        return wrong("it is of a kind that its log does not hold");
    }
    if let Some(proof) = &record.proof {
        let checkpoint = &proof.checkpoint;
        // `rekor.sigstore.dev - 2605736670972794746`: who, and which shard.
        let name = checkpoint.origin.rsplit_once(" - ");
        let Some(name) = name.filter(|(_, shard)| decimal(shard).is_some()) else {
            return wrong("its checkpoint is of another kind of log");
        };
        if !checkpoint.note.is_signed_by(log.id, key, |signer| signer == name.0) {
            return wrong("its checkpoint is not signed by its log");
        }
    }
    let Some(promise) = &record.promise else {
        return if record.proof.is_some() { Ok(None) } else { wrong("it proves nothing") };
    };
    if !key.verifies(promised(record).as_bytes(), promise) {
        return wrong("its promise is not signed by its log");
    }
    let time = UNIX_EPOCH + Duration::from_secs(record.time);
    if !log.span.contains(time) {
        return wrong("it was logged when its log was not valid");
    }
    Ok(Some(time))
}

/// What a promise is over: the record in canonical JSON (RFC 8785), made from what was read and not
/// from how it was written.
fn promised(record: &Record) -> String {
    format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        STANDARD.encode(&record.body),
        record.time,
        hex_of(&record.log.0),
        record.index,
    )
}

fn wrong<T>(what: &str) -> Result<T, Malformed> {
    Err(Malformed(what.to_owned()))
}
