//! An envelope: what JWS and COSE have in common once they are read.

use super::{cose, header::Headers, jws};
use crate::trust::json::Malformed;

/// A signature envelope that has the form of one. Nothing in it is true yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Envelope {
    pub(super) headers: Headers,
    /// The exact bytes that were signed.
    pub(super) message: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) payload: Vec<u8>,
    /// Certificates in DER, the signer's first and the root last.
    pub(super) chain: Vec<Vec<u8>>,
    /// The RFC 3161 token over the signature, in DER.
    pub(super) timestamp: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads the layer `content` of the type `media_type`.
    ///
    /// # Errors
    /// When it is no envelope of that type.
    pub(in crate::trust) fn parse(media_type: &str, content: &[u8]) -> Result<Self, Malformed> {
        match media_type {
            JWS => jws::parse(content),
            COSE => cose::parse(content),
            _ => Err(Malformed("it is neither a JWS nor a COSE envelope".into())),
        }
    }
}

/// The media type of a JWS envelope.
pub(in crate::trust) const JWS: &str = "application/jose+json";
/// The media type of a COSE envelope.
pub(in crate::trust) const COSE: &str = "application/cose";
/// Certificates in an envelope (`signatures.md` 0.1).
pub(super) const MAX_CHAIN: usize = 6;
/// Critical headers in an envelope. Three are ever understood.
pub(super) const MAX_CRITICAL: usize = 16;
