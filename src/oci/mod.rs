//! The vocabulary of the OCI specifications, as types that cannot hold a wrong value.
//!
//! Everything a peer sends (a name, a tag, a digest, a manifest) is parsed here once, at the edge;
//! the rest of the program never sees the text again. Nothing in this module does input or output.
//!
//! Sources: OCI distribution specification 1.1 ("Pulling manifests", "Error codes"), OCI image
//! specification 1.1 ("Content descriptors", "Image manifest", "Image index").

pub mod code;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod reference;
pub mod table;

pub use code::ErrorCode;
pub use digest::{Algorithm, Digest, Hasher, ParseDigestError};
pub use manifest::{Descriptor, Manifest, ManifestError, Platform, Shape};
pub use media_type::MediaType;
pub use name::{ImageName, ParseNameError, Repository, UpstreamName};
pub use reference::{CosignSuffix, ParseReferenceError, Reference, Tag};
pub use table::{UpstreamNames, UpstreamTable};
