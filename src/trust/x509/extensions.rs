//! What a certificate's key is for: basic constraints, key usage, extended key usage (RFC 5280,
//! 4.2.1.9, 4.2.1.3, 4.2.1.12).

use spki::{ObjectIdentifier, der::Tag};

use super::Certificate;
use crate::trust::{der::Der, json::Malformed};

/// Whether the key may sign certificates, and how long a path may grow below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) struct BasicConstraints {
    pub(in crate::trust) is_critical: bool,
    pub(in crate::trust) is_authority: bool,
    /// Certificates of authorities that may follow below.
    pub(in crate::trust) path_length: Option<u32>,
}

/// What the key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) struct KeyUsage {
    pub(in crate::trust) is_critical: bool,
    bits: u16,
}

impl KeyUsage {
    /// `digitalSignature`.
    pub(in crate::trust) const DIGITAL_SIGNATURE: u16 = 1;
    /// `nonRepudiation`, since renamed to `contentCommitment`.
    pub(in crate::trust) const CONTENT_COMMITMENT: u16 = 1 << 1;
    /// `keyCertSign`.
    pub(in crate::trust) const CERTIFICATE_SIGNING: u16 = 1 << 5;
    /// `cRLSign`.
    pub(in crate::trust) const REVOCATION_SIGNING: u16 = 1 << 6;

    /// Whether every use in `uses` is among its own.
    pub(in crate::trust) const fn allows(self, uses: u16) -> bool {
        self.bits & uses == uses
    }

    /// Whether all its uses are in `uses`.
    pub(in crate::trust) const fn is_within(self, uses: u16) -> bool {
        self.bits & !uses == 0
    }
}

/// What the key may be used for, in more detail. No purpose is there twice, and there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct ExtendedKeyUsage {
    pub(in crate::trust) is_critical: bool,
    pub(in crate::trust) purposes: Vec<ObjectIdentifier>,
}

impl Certificate {
    /// Its basic constraints.
    ///
    /// # Errors
    /// When they are malformed.
    pub(in crate::trust) fn basic_constraints(
        &self,
    ) -> Result<Option<BasicConstraints>, Malformed> {
        let Some(extension) = self.extension(BASIC_CONSTRAINTS) else { return Ok(None) };
        let mut fields = Der::only(&extension.value, Tag::Sequence, "`basicConstraints`")?.inside();
        let is_authority =
            fields.take_if(Tag::Boolean)?.map(|value| value.boolean()).transpose()?;
        let path_length = fields.take_if(Tag::Integer)?.map(|value| value.small()).transpose()?;
        fields.finish()?;
        let is_authority = is_authority.unwrap_or_default();
        Ok(Some(BasicConstraints { is_critical: extension.is_critical, is_authority, path_length }))
    }

    /// Whether it may sign other certificates: what does not say so may not.
    ///
    /// # Errors
    /// When an extension that says so is malformed.
    pub(in crate::trust) fn is_authority(&self) -> Result<bool, Malformed> {
        Ok(self.basic_constraints()?.is_some_and(|constraints| constraints.is_authority))
    }

    /// Its key usage.
    ///
    /// # Errors
    /// When it is malformed.
    pub(in crate::trust) fn key_usage(&self) -> Result<Option<KeyUsage>, Malformed> {
        let Some(extension) = self.extension(KEY_USAGE) else { return Ok(None) };
        let bits = Der::only(&extension.value, Tag::BitString, "`keyUsage`")?.flags()?;
        Ok(Some(KeyUsage { is_critical: extension.is_critical, bits }))
    }

    /// Its extended key usage.
    ///
    /// # Errors
    /// When it is malformed.
    pub(in crate::trust) fn extended_key_usage(
        &self,
    ) -> Result<Option<ExtendedKeyUsage>, Malformed> {
        let Some(extension) = self.extension(EXTENDED_KEY_USAGE) else { return Ok(None) };
        let mut list = Der::only(&extension.value, Tag::Sequence, "`extKeyUsage`")?.inside();
        let mut purposes = Vec::new();
        while !list.is_empty() {
            let purpose = list.take(Tag::ObjectIdentifier)?.oid()?;
            if purposes.contains(&purpose) {
                return Err(Malformed("a certificate is for one purpose twice".to_owned()));
            }
            purposes.push(purpose);
        }
        if purposes.is_empty() {
            return Err(Malformed("a certificate's extended key usage is empty".to_owned()));
        }
        Ok(Some(ExtendedKeyUsage { is_critical: extension.is_critical, purposes }))
    }

    /// Its subject key identifier, where it has a well-formed one.
    pub(in crate::trust) fn subject_key_identifier(&self) -> Option<&[u8]> {
        let extension = self.extension(SUBJECT_KEY_IDENTIFIER)?;
        let identifier = Der::only(&extension.value, Tag::OctetString, "`subjectKeyIdentifier`");
        identifier.ok().map(|identifier| identifier.content())
    }
}

/// `id-kp-codeSigning`.
pub(in crate::trust) const CODE_SIGNING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `id-kp-timeStamping`.
pub(in crate::trust) const TIME_STAMPING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
