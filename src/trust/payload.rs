//! The payload of a classic signature: what its signer said, in the "simple signing" form.
//!
//! ```json
//! {"critical":{"identity":{"docker-reference":"registry.test/acme/app"},
//!              "image":{"docker-manifest-digest":"sha256:..."},
//!              "type":"cosign container image signature"},
//!  "optional":null}
//! ```
//!
//! cosign itself looks at the digest alone. This reader is as strict as containers/image: exact
//! members, the exact type, no name in another case, no member twice (G-14). What is `optional` may
//! say anything, since nothing here acts on it.

use super::json::{Json, Malformed};
use crate::oci::Digest;

/// What a signer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// The manifest.
    pub(super) digest: Digest,
    /// The place that was signed, as the signer wrote it. May be empty.
    pub(super) reference: String,
}

impl Payload {
    /// Reads `bytes`. Call it on bytes that a trusted key has signed.
    ///
    /// # Errors
    /// When they are no payload of a cosign signature.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_PAYLOAD_SIZE {
            return Err(Malformed("it is larger than 64 KiB".to_owned()));
        }
        let [critical, optional] =
            Json::parse(bytes)?.members("the payload", ["critical", "optional"])?;
        let [kind, image, identity] =
            critical.members("`critical`", ["type", "image", "identity"])?;
        let kind = kind.text("`type`")?;
        if kind != TYPE {
            let kind: String = kind.chars().take(60).collect();
            return Err(Malformed(format!("its type is `{kind}`, not `{TYPE}`")));
        }
        let [digest] = image.members("`image`", ["docker-manifest-digest"])?;
        let [reference] = identity.members("`identity`", ["docker-reference"])?;
        check_optional(optional)?;
        let digest = digest.text("`docker-manifest-digest`")?.parse();
        let digest =
            digest.map_err(|error| Malformed(format!("`docker-manifest-digest`: {error}")))?;
        Ok(Self { digest, reference: reference.text("`docker-reference`")? })
    }

    /// The bytes to sign, as cosign writes them.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let document = serde_json::json!({
            "critical": {
                "identity": {"docker-reference": self.reference},
                "image": {"docker-manifest-digest": self.digest.to_string()},
                "type": TYPE,
            },
            "optional": null,
        });
        document.to_string().into_bytes()
    }
}

/// The two members that containers/image gives a meaning have their types; the rest is free.
fn check_optional(optional: Json) -> Result<(), Malformed> {
    if optional == Json::Null {
        return Ok(());
    }
    for (name, value) in optional.object("`optional`")? {
        match name.as_str() {
            "creator" => drop(value.text("`creator`")?),
            "timestamp" => drop(value.integer("`timestamp`")?),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes of a payload. Real ones have 300.
pub(super) const MAX_PAYLOAD_SIZE: usize = 64 << 10;
/// What the payload of an image signature says it is.
const TYPE: &str = "cosign container image signature";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> String {
        let payload =
            Payload { digest: Digest::of(b"x"), reference: "registry.test/acme/app".to_owned() };
        String::from_utf8(payload.to_bytes()).unwrap()
    }

    #[test]
    fn writes_what_cosign_writes() {
        let digest = Digest::of(b"x");
        assert_eq!(
            good(),
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"registry.test/acme/app"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
            )
        );
    }

    #[test]
    fn reads_what_signers_write() {
        for optional in [
            "null",
            "{}",
            r#"{"team":"core","build":[1,{"a":null}]}"#,
            r#"{"creator":"x","timestamp":1700000000}"#,
        ] {
            let text = good().replace(r#""optional":null"#, &format!(r#""optional":{optional}"#));
            let payload = Payload::parse(text.as_bytes()).expect(optional);
            assert_eq!(payload.reference, "registry.test/acme/app");
        }
        let spaced = good().replace(':', " : ").replace("sha256 : ", "sha256:");
        assert!(Payload::parse(spaced.as_bytes()).is_ok());
    }

    #[test]
    fn g14_refuses_every_second_reading() {
        let digest = Digest::of(b"x").to_string();
        for (what, with) in [
            (r#""critical":"#, r#""Critical":"#),
            ("docker-manifest-digest", "Docker-manifest-digest"),
            ("docker-reference", "docker-Reference"),
            (r#""type":"#, r#""type":"cosign container image signature","type":"#),
            (r#"{"critical""#, r#"{"critical":{},"critical""#),
            (r#""image":{"#, r#""image":{"docker-manifest-digest":"sha256:","#),
            (r#""image":{"#, r#""extra":1,"image":{"#),
            (r#""image":{"#, r#""image":{"more":1,"#),
            (r#""identity":{"#, r#""identity":{"more":1,"#),
            (r#","optional":null"#, ""),
            (r#","optional":null"#, r#","optional":null,"more":1"#),
            (r#""optional":null"#, r#""optional":[]"#),
            (r#""optional":null"#, r#""optional":{"a":1,"a":2}"#),
            (r#""optional":null"#, r#""optional":{"creator":1}"#),
            (r#""optional":null"#, r#""optional":{"timestamp":1.5}"#),
            ("cosign container image signature", "atomic container signature"),
            ("cosign container image signature", "Cosign container image signature"),
            (digest.as_str(), "sha256:abc"),
            (digest.as_str(), &digest.to_uppercase()),
            (&format!(r#""{digest}""#), "1"),
        ] {
            let text = good().replacen(what, with, 1);
            assert_ne!(text, good(), "{what}");
            assert!(Payload::parse(text.as_bytes()).is_err(), "{text} was taken");
        }
        for text in [format!("{}\n{{}}", good()), format!("\u{feff}{}", good()), "[]".to_owned()] {
            assert!(Payload::parse(text.as_bytes()).is_err(), "{text} was taken");
        }
        let large =
            good().replace("null", &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD_SIZE)));
        assert!(Payload::parse(large.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(content: Vec<u8>, reference in "\\PC{0,40}") {
            let payload = Payload { digest: Digest::of(&content), reference };
            prop_assert_eq!(Payload::parse(&payload.to_bytes()), Ok(payload));
        }

        #[test]
        fn parsing_never_panics(cut in 0_usize..300, with in "\\PC{0,3}", bytes: Vec<u8>) {
            let mut text = good();
            let cut = cut.min(text.len());
            text.replace_range(cut..(cut + 1).min(text.len()), &with);
            let _ = Payload::parse(text.as_bytes());
            let _ = Payload::parse(&bytes);
        }
    }
}
