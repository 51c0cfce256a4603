//! The log entry that travels with a classic signature: Rekor's promise to have logged it.
//!
//! Whether the log really promised can only be told with the log's key, and no trust root can be
//! configured yet. What needs no key is checked all the same, because an entry that speaks of another
//! signature is a lie whoever signed it (G-10): its body must hold this signature, the hash of this
//! payload and the key that verifies it. A signature whose entry contradicts it does not count; an
//! entry that agrees adds nothing, and the finding says that it was not verified.
//!
//! Shape: `signatures.md` a.5, cosign `BUNDLE_SPEC`. Members are exact on every level (G-14).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::Digest as _;

use super::{
    json::{Json, Malformed},
    keys::PublicKey,
    pem,
};
use crate::oci::digest::hex_of;

/// An entry that agrees with the signature it came with, as far as that can be told without a key.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    /// The key, or the certificate, that the entry says has signed: DER.
    signer: Vec<u8>,
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
        if annotation.len() > MAX_ANNOTATION {
            return Err(Malformed("it is larger than 64 KiB".to_owned()));
        }
        let [promise, entry] = Json::parse(annotation.as_bytes())?
            .members("the annotation", ["SignedEntryTimestamp", "Payload"])?;
        decode(promise, "`SignedEntryTimestamp`")?;
        let [body, time, index, log] =
            entry.members("`Payload`", ["body", "integratedTime", "logIndex", "logID"])?;
        time.integer("`integratedTime`")?;
        index.integer("`logIndex`")?;
        log.text("`logID`")?;
        Self::read_body(&decode(body, "`body`")?, signature, payload)
    }

    /// Whether the entry says that `key` has signed.
    pub(super) fn names(&self, key: &PublicKey) -> bool {
        self.signer == key.spki()
    }

    /// Reads a `hashedrekord` 0.0.1, the only kind that stands for an image signature.
    fn read_body(body: &[u8], signature: &[u8], payload: &[u8]) -> Result<Self, Malformed> {
        let [version, kind, spec] =
            Json::parse(body)?.members("the entry", ["apiVersion", "kind", "spec"])?;
        let (version, kind) = (version.text("`apiVersion`")?, kind.text("`kind`")?);
        if (kind.as_str(), version.as_str()) != ("hashedrekord", "0.0.1") {
            return Err(Malformed("it is not a `hashedrekord` 0.0.1".to_owned()));
        }
        let [data, signed] = spec.members("`spec`", ["data", "signature"])?;
        let [hash] = data.members("`data`", ["hash"])?;
        check_hash(hash, payload)?;
        let [content, key] = signed.members("`signature`", ["content", "publicKey"])?;
        if decode(content, "`content`")? != signature {
            return Err(Malformed("it is about another signature".to_owned()));
        }
        let [key] = key.members("`publicKey`", ["content"])?;
        let (_, signer) = pem::decode(&decode(key, "`publicKey`")?, &["PUBLIC KEY", "CERTIFICATE"])
            .map_err(|error| Malformed(format!("`publicKey`: {error}")))?;
        Ok(Self { signer })
    }
}

/// The hash in the entry is of `payload`. Keys on the longer curves may have signed a longer hash.
fn check_hash(hash: Json, payload: &[u8]) -> Result<(), Malformed> {
    let [algorithm, value] = hash.members("`hash`", ["algorithm", "value"])?;
    let ours = match algorithm.text("`algorithm`")?.as_str() {
        "sha256" => hex_of(&sha2::Sha256::digest(payload)),
        "sha384" => hex_of(&sha2::Sha384::digest(payload)),
        "sha512" => hex_of(&sha2::Sha512::digest(payload)),
        _ => return Err(Malformed("its hash algorithm is not known".to_owned())),
    };
    if value.text("`value`")? == ours {
        Ok(())
    } else {
        Err(Malformed("it is about another payload".to_owned()))
    }
}

/// The bytes of a text in standard base64, which is the strict one: padded, canonical, no spaces
/// (G-15).
fn decode(value: Json, what: &str) -> Result<Vec<u8>, Malformed> {
    let text = value.text(what)?;
    STANDARD.decode(text).map_err(|_| Malformed(format!("{what} is not standard base64")))
}

/// Bytes of the annotation. Real ones have 1,500.
const MAX_ANNOTATION: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            r#"{{"SignedEntryTimestamp":"AAAA","Payload":{{"body":"{}","integratedTime":1674251859,"logIndex":11608800,"logID":"c0d2"}}}}"#,
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
