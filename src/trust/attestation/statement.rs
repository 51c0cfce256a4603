//! The statement: what an envelope's signer says about which artifacts (in-toto attestation framework
//! 1.0, `spec/v1/statement.md`; `signatures.md` b.4 and f.1).
//!
//! ```json
//! {"_type":"https://in-toto.io/Statement/v1",
//!  "subject":[{"digest":{"sha256":"..."}}],
//!  "predicateType":"https://sigstore.dev/cosign/sign/v1",
//!  "predicate":{}}
//! ```
//!
//! A statement binds by `sha256` and by nothing else. A subject that is named by further digests is
//! not taken, because they could not be compared and would have to agree (G-12). Its name is for
//! people: it says what somebody called it, and never which repository was meant.

use serde::Deserialize;

use crate::{
    oci::Digest,
    trust::json::{Json, Malformed, Members},
};

/// A statement as it is written.
#[derive(Debug)]
pub(in crate::trust) struct Statement {
    /// What its bytes hash to: whoever writes them twice has still said one thing.
    pub(in crate::trust) digest: Digest,
    pub(in crate::trust) predicate_type: String,
    /// What it says; `null` where it says nothing.
    pub(in crate::trust) predicate: Json,
    subjects: Vec<Subject>,
}

/// One artifact.
#[derive(Debug)]
struct Subject {
    /// Its SHA-256, where it is named by that.
    digest: Option<Digest>,
    whole: Json,
}

impl Statement {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// When they are no statement about at least one artifact.
    pub(in crate::trust) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut members = Members::of(Json::parse(bytes)?, "the statement")?;
        let kind = members.require("_type")?.text("`_type`")?;
        if !TYPES.contains(&kind.as_str()) {
            return Err(Malformed("its `_type` is not that of a statement".to_owned()));
        }
        let predicate_type = members.require("predicateType")?.text("`predicateType`")?;
        let subjects = members.require("subject")?.list("`subject`", MAX_SUBJECTS)?;
        if subjects.is_empty() {
            return Err(Malformed("it is about nothing".to_owned()));
        }
        let subjects = subjects.into_iter().map(Subject::parse).collect::<Result<_, _>>()?;
        let predicate = members.take("predicate").unwrap_or(Json::Null);
        members.finish()?;
        Ok(Self { digest: Digest::of(bytes), predicate_type, predicate, subjects })
    }

    /// The manifests that it is about.
    ///
    /// # Errors
    /// When none is named by `sha256`.
    pub(in crate::trust) fn digests(&self) -> Result<Vec<Digest>, Malformed> {
        let digests: Vec<_> = self.subjects.iter().filter_map(|subject| subject.digest).collect();
        if digests.is_empty() {
            return Err(Malformed("it names nothing by `sha256`".to_owned()));
        }
        Ok(digests)
    }

    /// Its entry for the manifest `digest`.
    pub(in crate::trust) fn subject(&self, digest: &Digest) -> Option<&Json> {
        let subject = self.subjects.iter().find(|subject| subject.digest.as_ref() == Some(digest));
        subject.map(|subject| &subject.whole)
    }

    /// The manifests that are signed.
    ///
    /// # Errors
    /// When the statement is no signature, or no manifest is named in the way that signatures do.
    pub(in crate::trust) fn signs(&self) -> Result<Vec<Digest>, Malformed> {
        if self.predicate_type != SIGNATURE {
            return Err(Malformed("it is an attestation and no signature".to_owned()));
        }
        // cosign 3.0 leaves it out, later versions write it empty.
        if !matches!(&self.predicate, Json::Null) && self.predicate != Json::Object(Vec::new()) {
            return Err(Malformed("its predicate is not empty".to_owned()));
        }
        self.digests()
    }
}

impl Subject {
    fn parse(subject: Json) -> Result<Self, Malformed> {
        let whole = subject.clone();
        let mut members = Members::of(subject, "a subject")?;
        let digests = members.require("digest")?.object("`digest`")?;
        if digests.is_empty() || digests.len() > MAX_DIGESTS {
            return Err(Malformed(format!("a subject has not from 1 to {MAX_DIGESTS} digests")));
        }
        for name in ["name", "uri", "mediaType", "downloadLocation", "content", "annotations"] {
            members.take(name);
        }
        members.finish()?;
        let digest = |(algorithm, value): (String, Json)| Ok((algorithm, value.text("a digest")?));
        let digests = digests.into_iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { digest: sha256_of(&digests)?, whole })
    }
}

/// The SHA-256 among `digests`; `None` where there are other digests only.
fn sha256_of(digests: &[(String, String)]) -> Result<Option<Digest>, Malformed> {
    let Some((_, value)) = digests.iter().find(|(algorithm, _)| algorithm == "sha256") else {
        return Ok(None);
    };
    if digests.len() > 1 {
        return Err(Malformed("it names a subject by more digests than `sha256`".to_owned()));
    }
    let digest = format!("sha256:{value}").parse();
    digest.map(Some).map_err(|error| Malformed(format!("a subject's `sha256`: {error}")))
}

/// The predicate type that the statement in `bytes` says it has, read without the rest of it.
///
/// # Errors
/// When it says none.
pub(in crate::trust) fn kind_of(bytes: &[u8]) -> Result<String, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        predicate_type: String,
    }
    let kind: Kind = serde_json::from_slice(bytes).map_err(|error| Malformed(error.to_string()))?;
    Ok(kind.predicate_type)
}

/// The predicate type of what is a signature and nothing more.
pub(in crate::trust) const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// What a statement says it is.
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// Artifacts that one statement is about.
const MAX_SUBJECTS: usize = 1024;
/// Digests of one artifact.
const MAX_DIGESTS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn good() -> String {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{HEX}"}},"annotations":{{"a":"b"}}}}],"predicateType":"{SIGNATURE}","predicate":{{}}}}"#
        )
    }

    fn signs(text: &str) -> Result<Vec<Digest>, Malformed> {
        Statement::parse(text.as_bytes())?.signs()
    }

    #[test]
    fn reads_what_signers_write() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        assert_eq!(signs(&good()), Ok(vec![digest]));
        for (what, with) in [
            (r#","predicate":{}"#, ""),
            ("Statement/v1", "Statement/v0.1"),
            (r#""annotations":{"a":"b"}"#, r#""name":"registry.test/other/app""#),
            (r#""subject":["#, r#""subject":[{"digest":{"gitCommit":"00"}},"#),
        ] {
            let text = good().replacen(what, with, 1);
            assert_ne!(text, good(), "{what}");
            assert_eq!(signs(&text), Ok(vec![digest]), "{text}");
        }
    }

    #[test]
    fn g11_g12_g14_refuses_what_signs_nothing_or_says_two_things() {
        let many = format!(r#""subject":[{}"#, r#"{"digest":{"a":"b"}},"#.repeat(1024));
        let digests = (0..17).map(|at| format!(r#""a{at}":"b","#)).collect::<String>();
        for (what, with) in [
            (SIGNATURE, "https://slsa.dev/provenance/v1"),
            (SIGNATURE, "https://sigstore.dev/cosign/sign/v1/"),
            (&format!(r#""{SIGNATURE}""#), &format!(r#"["{SIGNATURE}"]"#)),
            (&format!(r#","predicateType":"{SIGNATURE}""#), ""),
            ("Statement/v1", "Statement/v2"),
            (r#""_type":"#, r#""type":"#),
            (r#""predicate":{}"#, r#""predicate":{"result":"failed"}"#),
            (r#""predicate":{}"#, r#""predicate":[]"#),
            (r#""predicate":{}"#, r#""predicate":{},"more":1"#),
            (r#""predicate":{}"#, r#""predicate":{},"subject":[]"#),
            (r#""sha256":"#, r#""sha1":"#),
            (r#""sha256":"#, r#""SHA256":"#),
            (r#""sha256":"#, r#""sha512":"00","sha256":"#),
            (r#""sha256":"#, &format!(r#""sha256":"{HEX}","sha256":"#)),
            (r#""sha256":"#, &format!(r#"{digests}"sha256":"#)),
            (HEX, &HEX.to_uppercase()),
            (HEX, &HEX[1..]),
            (HEX, "../../x"),
            (r#""subject":["#, &many),
            (r#""digest":"#, r#""Digest":"#),
            (r#""annotations":"#, r#""digests":"#),
        ] {
            let bad = good().replacen(what, with, 1);
            assert_ne!(bad, good(), "{what}");
            assert!(signs(&bad).is_err(), "{bad:.300} was taken");
        }
        let none = good().replacen(r#"{"digest""#, "", 1);
        for bad in [none.as_str(), "", "[]", "{}", "\u{feff}{}"] {
            assert!(signs(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}", cut in 0_usize..300) {
            let _ = signs(&text);
            let mut good = good();
            good.truncate(cut);
            let _ = signs(&good);
        }
    }
}
