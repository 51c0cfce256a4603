//! `portcullis.json`: what is in an archive, how it was judged where it was made, and what it
//! leaves out.
//!
//! People and other programs read it, and so does the next export, which leaves out what an earlier
//! inventory has. It admits nothing: the far side judges for itself. `inventory` writes the same
//! document for what a mirror has, without an archive around it.

use serde::{Deserialize, Serialize};

use super::ArchiveError;
use crate::{
    oci::Digest,
    timestamp::Timestamp,
    trust::{keys::PublicKey, signing::PrivateKey},
};

/// What is in an archive or a mirror.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inventory {
    /// The version of this document: 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The hash of the policy by which the images were judged.
    pub policy: String,
    /// The hash of the trust material that went with it.
    pub trust: String,
    /// The images.
    pub images: Vec<InventoryImage>,
    /// On top of which archive this one is, for a delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// All content that is in the archive, in lexical order.
    pub content: Vec<Digest>,
    /// Content that the images need and that the base has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<Digest>,
}

/// The archive that a delta is on top of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// When it was made.
    pub created: Timestamp,
    /// What its inventory hashes to.
    pub inventory: Digest,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InventoryImage {
    /// Its full name.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
    /// Bytes of everything that belongs to it.
    pub size: u64,
    /// Where it runs.
    pub platforms: Vec<String>,
    /// What the near side decided.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// By which rule.
    pub rule: Option<String>,
    /// Who vouched for it there.
    pub signed_by: Vec<String>,
    /// The manifests that carry signatures, attestations and whatever else refers to it.
    pub evidence: Vec<Digest>,
}

impl Inventory {
    /// Reads the document.
    ///
    /// # Errors
    /// When it is none, or of a later version.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let invalid = |reason: String| ArchiveError::Json { name: FILE, reason };
        let inventory: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        match inventory.version {
            VERSION => Ok(inventory),
            other => Err(invalid(format!("it has version {other}, and version 1 can be read"))),
        }
    }

    /// The document as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("names and digests are always JSON");
        text.push(b'\n');
        text
    }

    /// Everything that is there where this inventory was made or imported.
    pub fn held(&self) -> impl Iterator<Item = &Digest> {
        self.content.iter().chain(&self.omitted)
    }
}

/// The signature over an inventory, as `cosign verify-blob --signature` reads it.
///
/// # Errors
/// When the key cannot sign.
pub(super) fn sign(
    inventory: &[u8],
    key: &PrivateKey,
) -> Result<String, crate::trust::signing::PrivateKeyError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    Ok(format!("{}\n", STANDARD.encode(key.sign(inventory)?)))
}

/// Whether `key` made `signature` over the inventory.
pub(super) fn is_signed(inventory: &[u8], signature: &[u8], key: &PublicKey) -> bool {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let signature = STANDARD.decode(signature.trim_ascii());
    signature.is_ok_and(|signature| key.verifies(inventory, &signature))
}

/// The name of the file.
pub(super) const FILE: &str = "portcullis.json";
/// The name of the file with its signature.
pub const SIGNATURE: &str = "portcullis.json.sig";
/// Bytes of an inventory that are read.
pub(super) const MAX_SIZE: usize = 32 << 20;
/// The version of the document that is written and read.
pub(super) const VERSION: u32 = 1;
