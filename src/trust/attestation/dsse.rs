//! The envelope: a payload, its type, and exactly one signature over both (DSSE 1.0.2).
//!
//! What is signed is neither the JSON text nor the payload alone but the "pre-authentication
//! encoding" of both, and what a signer said is read back from those very bytes ([`payload_of`]):
//! nothing can be signed as one thing and read as another.

use super::statement::{SIGNATURE, Statement, kind_of};
use crate::trust::{
    json::{Json, Malformed, Members},
    steps::{Claim, Fault},
};

/// An envelope as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Envelope {
    pub(in crate::trust) payload: Vec<u8>,
    pub(in crate::trust) signature: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope that holds an in-toto statement.
    ///
    /// # Errors
    /// When it is anything else, or has not exactly one signature.
    pub(in crate::trust) fn parse(envelope: Json) -> Result<Self, Malformed> {
        let [payload, kind, signatures] =
            envelope.members("the envelope", ["payload", "payloadType", "signatures"])?;
        if kind.text("`payloadType`")? != PAYLOAD_TYPE {
            return Err(Malformed(format!("its payload type is not `{PAYLOAD_TYPE}`")));
        }
        let signatures = signatures.list("`signatures`", 1)?;
        let signature = signatures.into_iter().next();
        let signature =
            signature.ok_or_else(|| Malformed("the envelope is not signed".to_owned()))?;
        let mut members = Members::of(signature, "the envelope's signature")?;
        let signature = members.require("sig")?.base64("`sig`")?;
        // Says which key to try, and proves nothing.
        members.take("keyid").map(|name| name.text("`keyid`")).transpose()?;
        members.finish()?;
        Ok(Self { payload: payload.base64("`payload`")?, signature })
    }

    /// The bytes that the signature is over.
    pub(in crate::trust) fn message(&self) -> Vec<u8> {
        let length = self.payload.len();
        let mut message = format!("{}{length} ", head()).into_bytes();
        message.extend_from_slice(&self.payload);
        message
    }
}

impl Envelope {
    /// The type of attestation that the envelope says it holds; `None` for a signature. Nothing of that
    /// is authentic yet.
    ///
    /// # Errors
    /// When it holds no statement.
    pub(in crate::trust) fn attests(&self) -> Result<Option<String>, Fault> {
        let kind = kind_of(&self.payload)
            .map_err(|error| Fault::invalid(format!("is over a malformed statement: {error}")))?;
        Ok((kind != SIGNATURE).then_some(kind))
    }
}

/// How to read what is said in an envelope with an attestation, or with a signature.
pub(in crate::trust) fn claim_of(attests: bool) -> fn(&[u8]) -> Result<Claim, Malformed> {
    let signs = |message: &[u8]| {
        let digests = statement_in(message)?.signs()?;
        Ok(Claim { digests, reference: None, statement: None })
    };
    let says = |message: &[u8]| {
        let statement = statement_in(message)?;
        Ok(Claim { digests: statement.digests()?, reference: None, statement: Some(statement) })
    };
    if attests { says } else { signs }
}

/// The statement in the envelope whose signed bytes are `message`.
fn statement_in(message: &[u8]) -> Result<Statement, Malformed> {
    let payload = payload_of(message)
        .ok_or_else(|| Malformed("it is not an envelope's message".to_owned()))?;
    Statement::parse(payload)
}

/// The payload in the signed bytes of an envelope with an in-toto statement.
pub(in crate::trust) fn payload_of(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(head().as_bytes())?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let (length, payload) = (&rest[..space], &rest[space + 1..]);
    (length == payload.len().to_string().as_bytes()).then_some(payload)
}

/// Everything before the payload's length.
fn head() -> String {
    format!("DSSEv1 {} {PAYLOAD_TYPE} ", PAYLOAD_TYPE.len())
}

/// The one type of payload that is read.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Envelope, Malformed> {
        Envelope::parse(Json::parse(text.as_bytes()).unwrap())
    }

    const GOOD: &str = r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAE=","keyid":"x"}]}"#;

    #[test]
    fn reads_what_signers_write() {
        let envelope = Envelope { payload: b"{}".to_vec(), signature: vec![0, 1] };
        assert_eq!(read(GOOD), Ok(envelope.clone()));
        assert_eq!(read(&GOOD.replace(r#","keyid":"x""#, "")), Ok(envelope.clone()));
        assert_eq!(envelope.message(), b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    }

    #[test]
    fn g13_refuses_every_other_envelope() {
        for (what, with) in [
            ("application/vnd.in-toto+json", "application/vnd.in-toto.x+json"),
            ("application/vnd.in-toto+json", "Application/vnd.in-toto+json"),
            (r#"{"sig":"AAE=","keyid":"x"}"#, ""),
            (r#"{"sig":"AAE=","keyid":"x"}"#, r#"{"sig":"AAE="},{"sig":"AAE="}"#),
            (r#""sig":"AAE=","#, ""),
            (r#""keyid":"x""#, r#""keyid":1"#),
            (r#""keyid":"x""#, r#""cert":"x""#),
            ("e30=", "e30"),
            ("e30=", "e31="),
            ("e30=", " e30="),
            ("AAE=", "__8="),
            (r#"{"payload""#, r#"{"Payload":"","payload""#),
        ] {
            let bad = GOOD.replacen(what, with, 1);
            assert_ne!(bad, GOOD, "{what}");
            assert!(read(&bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_message_is_read_in_one_way() {
        for bad in [
            "{}",
            "DSSEv1 28 application/vnd.in-toto+json 3 {}",
            "DSSEv1 28 application/vnd.in-toto+json 02 {}",
            "DSSEv1 28 application/vnd.in-toto+json +2 {}",
            "DSSEv1 27 application/vnd.in-toto+json 2 {}",
            "DSSEv1 28 application/vnd.in-toto+json 2",
            "dssev1 28 application/vnd.in-toto+json 2 {}",
        ] {
            assert_eq!(payload_of(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn encoding_and_reading_round_trip(payload: Vec<u8>) {
            let envelope = Envelope { payload, signature: vec![] };
            let message = envelope.message();
            prop_assert_eq!(payload_of(&message), Some(envelope.payload.as_slice()));
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>, text in "DSSEv1 28 application/vnd.in-toto\\+json \\PC{0,9}") {
            let _ = (payload_of(&bytes), payload_of(text.as_bytes()));
        }
    }
}
