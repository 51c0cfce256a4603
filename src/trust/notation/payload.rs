//! What a Notation signer says: `{"targetArtifact": {mediaType, digest, size, annotations}}`.
//!
//! The target is the descriptor of the signed manifest, and all three of its parts count. No
//! repository is named, so a signature speaks for the manifest wherever it is (G-9). The annotations
//! are what the signer wanted to add, and a policy may ask for some of them.

use std::collections::BTreeMap;

use crate::{
    oci::Digest,
    trust::json::{Json, Malformed, Members},
};

/// The descriptor of what was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Target {
    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// When it is anything else than one target with nothing beside it.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let [target] = Json::parse(payload)?.members("the payload", ["targetArtifact"])?;
        let mut target = Members::of(target, "`targetArtifact`")?;
        let media_type = target.require("mediaType")?.text("`mediaType`")?;
        let digest = target.require("digest")?.text("`digest`")?;
        let digest = digest.parse().map_err(|_| Malformed("`digest` is no digest".into()))?;
        let size = target.require("size")?.integer("`size`")?;
        let size = u64::try_from(size).map_err(|_| Malformed("`size` is negative".into()))?;
        let annotations = match target.take("annotations") {
            Some(annotations) => texts(annotations)?,
            None => BTreeMap::new(),
        };
        target.finish()?;
        Ok(Self { media_type, digest, size, annotations })
    }
}

fn texts(annotations: Json) -> Result<BTreeMap<String, String>, Malformed> {
    let members = annotations.object("`annotations`")?;
    members.into_iter().map(|(name, value)| Ok((name, value.text("an annotation")?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:b8479de3f88fb259a0a9ea82a5b2a052a1ef3c4ebbcfc61482d5ae4c831f8af9";

    fn with(target: &str) -> String {
        format!(r#"{{"targetArtifact":{target}}}"#)
    }

    #[test]
    fn reads_what_was_signed() {
        let text = with(&format!(
            r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":517,"annotations":{{"build":"7"}}}}"#
        ));
        let target = Target::parse(text.as_bytes()).unwrap();
        assert_eq!((target.media_type.as_str(), target.size), ("a/b", 517));
        assert_eq!(target.digest.to_string(), DIGEST);
        assert_eq!(target.annotations["build"], "7");
    }

    #[test]
    fn g14_refuses_a_payload_with_two_meanings() {
        for target in [
            format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","digest":"{DIGEST}","size":1}}"#),
            format!(r#"{{"mediaType":"a/b","Digest":"{DIGEST}","size":1}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":-1}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":1.5}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":1,"urls":["x"]}}"#),
            format!(r#"{{"mediaType":"a/b","digest":"{}","size":1}}"#, DIGEST.to_uppercase()),
            r#"{"mediaType":"a/b","size":1}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(Target::parse(with(&target).as_bytes()).is_err(), "{target}");
        }
        let target = format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":1}}"#);
        assert!(Target::parse(with(&target).as_bytes()).is_ok());
        let beside = format!(r#"{{"targetArtifact":{target},"more":1}}"#);
        assert!(Target::parse(beside.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = Target::parse(&bytes);
        }
    }
}
