//! Signed notes: a text and below it a line for everyone who signed it (C2SP `signed-note`).
//!
//! Lines of others are read over: a log's checkpoint may carry those of witnesses and of other logs,
//! in any order. No trust root names witnesses yet, so none is asked for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::trust::{
    json::Malformed,
    keys::{Algorithm, PublicKey},
    root::LogId,
};

/// A note as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Note {
    /// What is signed: whole lines.
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    /// Which key it may be: the first bytes of its identifier.
    hint: [u8; HINT],
    bytes: Vec<u8>,
}

impl Note {
    /// Reads `note`.
    ///
    /// # Errors
    /// When it is no signed note, or larger than any.
    pub(in crate::trust) fn parse(note: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed("its checkpoint is no signed note".to_owned());
        let is_plain = |letter: char| letter == '\n' || !letter.is_ascii_control();
        if note.len() > MAX_NOTE || !note.chars().all(is_plain) {
            return Err(malformed());
        }
        let end = note.rfind("\n\n").ok_or_else(malformed)?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        let lines = signatures.strip_suffix('\n').ok_or_else(malformed)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(malformed());
        }
        let signatures = lines.split('\n').map(Signature::parse).collect::<Option<_>>();
        Ok(Self { text: text.to_owned(), signatures: signatures.ok_or_else(malformed)? })
    }

    /// The lines that are signed.
    pub(in crate::trust) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Whether the key called `id` signed it, under a name that `is_name` accepts.
    pub(in crate::trust) fn is_signed_by(
        &self,
        id: LogId,
        key: &PublicKey,
        is_name: impl Fn(&str) -> bool,
    ) -> bool {
        let may_be = |line: &&Signature| id.0.starts_with(&line.hint) && is_name(&line.name);
        let mut lines = self.signatures.iter().filter(may_be);
        lines.any(|line| key.verifies(self.text.as_bytes(), &line.bytes))
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (hint, bytes) = signature.split_first_chunk()?;
        let is_right = !name.is_empty() && !name.contains('+') && !bytes.is_empty();
        is_right.then(|| Self { name: name.to_owned(), hint: *hint, bytes: bytes.to_vec() })
    }
}

/// The identifier of `key` when it signs notes as `name`: over the name and the key, and for ECDSA,
/// as logs did before there was a rule, over the key alone.
pub(in crate::trust) fn key_id(name: &str, key: &PublicKey) -> LogId {
    let spki = key.spki();
    let named = |kind: &[u8], key: &[u8]| {
        let hash = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(kind);
        LogId(hash.chain_update(key).finalize().into())
    };
    match key.algorithm() {
        Algorithm::Ed25519 => named(&[1], &spki[spki.len() - ED25519..]),
        Algorithm::Rsa => named(b"\xffPKIX-RSA-PKCS#1v1.5", spki),
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => {
            LogId(*key.fingerprint().as_bytes())
        }
    }
}

/// Bytes of a hint.
const HINT: usize = 4;
/// Bytes of an Ed25519 key, which end its `SubjectPublicKeyInfo`.
const ED25519: usize = 32;
/// Bytes of a note.
const MAX_NOTE: usize = 64 << 10;
/// Signatures of a note: the log's own and those of witnesses.
const MAX_SIGNATURES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "log.test\n7\n\n\u{2014} log.test AAAAAAE=\n\u{2014} other AAAAAQI=\n";

    #[test]
    fn reads_a_note_and_its_signatures() {
        let note = Note::parse(GOOD).unwrap();
        assert_eq!(note.lines().collect::<Vec<_>>(), ["log.test", "7"]);
        assert_eq!(note.signatures[1].hint, [0, 0, 0, 1]);
        assert_eq!(note.signatures[1].bytes, [2]);
        // Only the last empty line ends the text.
        let longer = Note::parse(&format!("a\n\n{GOOD}")).unwrap();
        assert_eq!(longer.text, "a\n\nlog.test\n7\n");
    }

    #[test]
    fn g17_refuses_what_two_readers_read_in_two_ways() {
        for (what, with) in [
            ("\u{2014} log", "- log"),
            ("\u{2014} log.test", "\u{2014} "),
            ("\u{2014} log.test", "\u{2014} log+test"),
            ("AAAAAAE=", "AAAAAA=="),
            ("AAAAAAE=", "AAAAAAF="),
            ("AAAAAQI=\n", "AAAAAQI="),
            ("\n7\n", "\n7\r\n"),
            ("\n7\n", "\n7\0\n"),
            ("\n\n", "\n"),
        ] {
            let bad = GOOD.replacen(what, with, 1);
            assert_ne!(bad, GOOD, "{what}");
            assert!(Note::parse(&bad).is_err(), "{bad:?} was taken");
        }
        let many = "\u{2014} log.test AAAAAAE=\n".repeat(33);
        assert!(Note::parse(&format!("log.test\n\n{many}")).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}(\\n){0,3}(\u{2014} \\PC{0,9} [A-Za-z0-9+/=]{0,9}\\n){0,3}") {
            let _ = Note::parse(&text);
        }
    }
}
