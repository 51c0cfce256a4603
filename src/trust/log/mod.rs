//! Log entries that travel with a signature, and what a transparency log vouches for with them.
//!
//! An entry that speaks of another signature is a lie whoever signed it (G-10): its [body](body) must
//! hold this signature, the hash of these bytes and the key or certificate that verifies them, and its
//! [proof](proof) must lead to the root that it names. That needs no key, and a signature whose entry
//! contradicts it does not count. Whether the log really has it is then [verified](verify) with the
//! keys of a trust root. A [record] is an entry as it is written, a [note] what a log signs; the logs
//! that certificates are in give [receipts](sct) of their own.

mod body;
pub(super) mod note;
mod proof;
mod record;
mod sct;
mod verify;

pub(super) use self::{
    body::{Body, Kind, Signed, hash_of},
    record::Record,
    sct::count_receipts,
    verify::Logged,
};
use super::{
    json::Malformed,
    keys::{Algorithm, PublicKey},
    root::LogId,
    x509::Certificate,
};

/// An entry that agrees with the signature it came with, as far as that can be told without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    record: Record,
    /// The key, or the certificate, that the entry says has signed: DER.
    signer: Vec<u8>,
    /// How it says that the key signs, where it says so: a `PublicKeyDetails` of Sigstore.
    details: Option<String>,
}

impl LogEntry {
    /// Reads the annotation that came with `signature` over `payload`.
    ///
    /// # Errors
    /// When it is malformed, or is about something else.
    pub(super) fn parse(
        annotation: &str,
        signature: &[u8],
        payload: &[u8],
    ) -> Result<Self, Malformed> {
        let signed = Signed { signature, message: payload, payload: None };
        Record::of_annotation(annotation)?.about(&signed)
    }

    /// Whether the entry says that `key` has signed.
    pub(super) fn names(&self, key: &PublicKey) -> bool {
        self.says(key.spki(), key)
    }

    /// Whether the entry says that the key of `certificate` has signed.
    pub(super) fn names_certificate(&self, certificate: &Certificate) -> bool {
        self.says(certificate.der(), certificate.public_key())
    }

    /// The log and the place in it that the entry says it has: no two entries share them.
    pub(super) const fn place(&self) -> (LogId, u64) {
        (self.record.log, self.record.index)
    }

    fn says(&self, signer: &[u8], key: &PublicKey) -> bool {
        let details = self.details.as_deref();
        self.signer == signer && details.is_none_or(|details| fits(details, key.algorithm()))
    }
}

/// What is to be said about a log entry or a timestamp, neither of which can be verified yet.
pub(super) const fn remark(has_entry: bool, has_timestamp: bool) -> Option<&'static str> {
    match (has_entry, has_timestamp) {
        (true, true) => Some("log entry and timestamp not verified: no trust root configured"),
        (true, false) => Some("log entry not verified: no trust root configured"),
        (false, true) => Some("timestamp not verified: no trust root configured"),
        (false, false) => None,
    }
}

/// Whether a key of this kind can sign in the way that `details` names.
pub(super) fn fits(details: &str, algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::EcdsaP256 => details == "PKIX_ECDSA_P256_SHA_256",
        Algorithm::EcdsaP384 => {
            matches!(details, "PKIX_ECDSA_P384_SHA_384" | "PKIX_ECDSA_P384_SHA_256")
        }
        Algorithm::EcdsaP521 => {
            matches!(details, "PKIX_ECDSA_P521_SHA_512" | "PKIX_ECDSA_P521_SHA_256")
        }
        Algorithm::Ed25519 => matches!(details, "PKIX_ED25519" | "PKIX_ED25519_PH"),
        Algorithm::Rsa => details.starts_with("PKIX_RSA_PKCS1V15_") && details.ends_with("_SHA256"),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;
    use crate::oci::digest::hex_of;

    /// Made by `cosign generate-key-pair`.
    const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEztXUsy/RF5pvjUM1a+wXrZO0Sdvw
z6VW8bOKbW5Nvs3KgE75ztsxCkJXG4OxcYWFsGvHHLtDRkkYOE2ie1u0Yg==
-----END PUBLIC KEY-----
";
    const SIGNATURE: &[u8] = b"a signature";
    const PAYLOAD: &[u8] = b"a payload";

    fn body() -> String {
        format!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#,
            hex_of(&sha2::Sha256::digest(PAYLOAD)),
            STANDARD.encode(SIGNATURE),
            STANDARD.encode(PUBLIC_KEY),
        )
    }

    fn annotation(body: &str) -> String {
        format!(
            r#"{{"SignedEntryTimestamp":"AAAA","Payload":{{"body":"{}","integratedTime":1674251859,"logIndex":11608800,"logID":"c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d"}}}}"#,
            STANDARD.encode(body)
        )
    }

    fn read(annotation: &str) -> Result<LogEntry, Malformed> {
        LogEntry::parse(annotation, SIGNATURE, PAYLOAD)
    }

    #[test]
    fn an_entry_names_the_key_that_signed() {
        let key = PublicKey::from_pem(PUBLIC_KEY.as_bytes()).unwrap();
        assert!(read(&annotation(&body())).unwrap().names(&key));
    }

    #[test]
    fn g10_refuses_an_entry_about_something_else() {
        let entry = annotation(&body());
        assert!(LogEntry::parse(&entry, b"another signature", PAYLOAD).is_err());
        assert!(LogEntry::parse(&entry, SIGNATURE, b"another payload").is_err());
        let other_hash = hex_of(&sha2::Sha256::digest(b"another payload"));
        let our_hash = hex_of(&sha2::Sha256::digest(PAYLOAD));
        for (what, with) in [
            (our_hash.as_str(), other_hash.as_str()),
            (our_hash.as_str(), &our_hash.to_uppercase()),
            ("sha256", "sha1"),
            ("sha256", "sha512"),
            ("hashedrekord", "rekord"),
            ("0.0.1", "0.0.2"),
            (&STANDARD.encode(SIGNATURE), &STANDARD.encode("another signature")),
            (&STANDARD.encode(PUBLIC_KEY), &STANDARD.encode(PUBLIC_KEY.repeat(2))),
            (&STANDARD.encode(PUBLIC_KEY), ""),
        ] {
            let changed = body().replacen(what, with, 1);
            assert_ne!(changed, body(), "{what}");
            assert!(read(&annotation(&changed)).is_err(), "{changed} was taken");
        }
    }

    #[test]
    fn g14_refuses_second_readings_of_an_entry() {
        for (what, with) in [
            (r#""kind""#, r#""kind":"hashedrekord","kind""#),
            (r#""algorithm""#, r#""algorithm":"sha256","algorithm""#),
            (r#""hash""#, r#""url":"http://x","hash""#),
            (r#""spec""#, r#""Spec""#),
        ] {
            assert!(
                read(&annotation(&body().replacen(what, with, 1))).is_err(),
                "{with} was taken"
            );
        }
        for (what, with) in [
            (r#""Payload""#, r#""payload""#),
            (r#""body":""#, r#""body":["#),
            (r#""body":""#, r#""body":" "#),
            (r#""logIndex":11608800"#, r#""logIndex":"11608800""#),
            (r#""SignedEntryTimestamp":"AAAA""#, r#""SignedEntryTimestamp":"AAA""#),
            (r#"{"Signed"#, r#"{"more":1,"Signed"#),
        ] {
            let changed = annotation(&body()).replacen(what, with, 1);
            assert_ne!(changed, annotation(&body()), "{what}");
            assert!(read(&changed).is_err(), "{changed} was taken");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}", cut in 0_usize..400) {
            let _ = read(&text);
            let _ = read(&annotation(&text));
            let mut body = body();
            body.truncate(cut);
            let _ = read(&annotation(&body));
        }
    }
}
