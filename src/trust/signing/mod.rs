//! Signing, as cosign signs: keys, their encrypted files, and signatures beside an image.
//!
//! For the people whose upstream does not sign: `portcullis keygen` and `portcullis sign` let them
//! vouch for an image with a key of their own. Both ways work with cosign: it can use what is made
//! here, and its keys can be used here. Pure: files, passwords and registries are the command's.

mod attach;
mod encrypted;
mod key;

pub use self::{
    attach::{AttachError, SignatureManifest, attach},
    encrypted::{EncryptedKeyError, decrypt, encrypt},
    key::{PrivateKey, PrivateKeyError},
};

#[cfg(test)]
mod tests;
