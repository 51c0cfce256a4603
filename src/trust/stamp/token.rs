//! The envelope around it: CMS `SignedData` with exactly one signer (RFC 5652, 5; RFC 3161, 2.4.2).

use spki::{ObjectIdentifier, der::Tag};

use super::info::Info;
use crate::trust::{
    der::{Der, Value, around, instead, malformed, wrapped},
    json::Malformed,
    keys::{Hash, Scheme},
    x509::Certificate,
};

/// A timestamp as it is written. Nothing in it is true yet.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) info: Info,
    /// Certificates that came along.
    pub(super) certificates: Vec<Certificate>,
    signer: Signer,
    /// The attributes as they are signed.
    attributes: Vec<u8>,
    scheme: Scheme,
    signature: Vec<u8>,
    /// Hashes of the signer's certificate, as the signer has signed them.
    own_certificate: Option<CertificateHash>,
}

/// By what the signer's certificate is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Signer {
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    KeyIdentifier(Vec<u8>),
}

/// A hash of a certificate by the function that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CertificateHash {
    Sha1(Vec<u8>),
    Sha2(Hash, Vec<u8>),
}

impl Token {
    /// Reads the DER of a `TimeStampToken`.
    ///
    /// # Errors
    /// When it is anything else, or contradicts itself.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Der::only(bytes, Tag::Sequence, WHAT)?.inside();
        if outer.take(Tag::ObjectIdentifier)?.oid()? != SIGNED_DATA {
            return Err(malformed(WHAT));
        }
        let mut around_data = outer.take(around(0))?.inside();
        outer.finish()?;
        let mut data = around_data.take(Tag::Sequence)?.inside();
        around_data.finish()?;
        data.take(Tag::Integer)?.small()?;
        data.take(Tag::Set)?;
        let content = read_content(&mut data.take(Tag::Sequence)?.inside())?;
        let certificates = match data.take_if(around(0))? {
            Some(certificates) => read_certificates(&mut certificates.inside())?,
            None => Vec::new(),
        };
        data.take_if(around(1))?;
        let mut signers = data.take(Tag::Set)?.inside();
        data.finish()?;
        let mut signer = signers.take(Tag::Sequence)?.inside();
        if !signers.is_empty() {
            return Err(Malformed("it has several signers".to_owned()));
        }
        Self::read_signer(&mut signer, content, certificates)
    }

    /// Reads the one `SignerInfo`.
    fn read_signer(
        fields: &mut Der<'_>,
        content: &[u8],
        certificates: Vec<Certificate>,
    ) -> Result<Self, Malformed> {
        fields.take(Tag::Integer)?.small()?;
        let signer = read_signer_name(&fields.value()?)?;
        let unknown = || Malformed("it is signed by a scheme that is not taken".to_owned());
        let hash = Hash::of_algorithm(fields.take(Tag::Sequence)?.raw()).ok_or_else(unknown)?;
        let signed = fields.take_if(around(0))?;
        let signed =
            signed.ok_or_else(|| Malformed("its signer signs no attributes".to_owned()))?;
        let scheme = Scheme::of_signer(fields.take(Tag::Sequence)?.raw(), hash);
        let signature = fields.take(Tag::OctetString)?.content().to_vec();
        fields.take_if(around(1))?;
        if !fields.is_empty() {
            return Err(malformed(WHAT));
        }
        let attributes = Attributes::parse(&mut signed.inside())?;
        if attributes.digest != hash.of(content) {
            return Err(Malformed("it is signed over other content than it has".to_owned()));
        }
        Ok(Self {
            info: Info::parse(content)?,
            certificates,
            signer,
            attributes: wrapped(Tag::Set, signed.content())?,
            scheme: scheme.ok_or_else(unknown)?,
            signature,
            own_certificate: attributes.own_certificate,
        })
    }

    /// Whether its signer is who `certificate` is about, as far as the names tell.
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        match &self.signer {
            Signer::IssuerAndSerial { issuer, serial } => {
                certificate.issuer() == issuer && certificate.serial() == serial
            }
            Signer::KeyIdentifier(identifier) => {
                certificate.subject_key_identifier() == Some(identifier)
            }
        }
    }

    /// Whether its signer says which certificate is theirs.
    pub(super) const fn says_certificate(&self) -> bool {
        self.own_certificate.is_some()
    }

    /// Whether the key of `certificate` signed it, and the signer does not say that theirs is another.
    pub(super) fn is_signed_by(&self, certificate: &Certificate) -> bool {
        let is_own = self.own_certificate.as_ref().is_none_or(|hash| hash.is_of(certificate));
        let key = certificate.public_key();
        is_own && key.verifies_by(self.scheme, &self.attributes, &self.signature)
    }
}

impl CertificateHash {
    fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Sha1(hash) => sha1(certificate.der()) == *hash,
            Self::Sha2(function, hash) => function.of(certificate.der()) == *hash,
        }
    }
}

/// What a signer signs beside the content.
struct Attributes {
    digest: Vec<u8>,
    own_certificate: Option<CertificateHash>,
}

impl Attributes {
    /// Reads attributes: each once, and those that tie them to the content in any case (RFC 5652, 11).
    fn parse(list: &mut Der<'_>) -> Result<Self, Malformed> {
        let mut seen = Vec::new();
        let (mut kind, mut digest, mut old, mut new) = (None, None, None, None);
        while !list.is_empty() {
            let mut attribute = list.take(Tag::Sequence)?.inside();
            let name = attribute.take(Tag::ObjectIdentifier)?.oid()?;
            let mut values = attribute.take(Tag::Set)?.inside();
            attribute.finish()?;
            if seen.contains(&name) {
                return Err(Malformed("it has one attribute twice".to_owned()));
            }
            seen.push(name);
            match name {
                CONTENT_TYPE => kind = Some(values.take(Tag::ObjectIdentifier)?.oid()?),
                MESSAGE_DIGEST => digest = Some(values.take(Tag::OctetString)?.content().to_vec()),
                SIGNING_CERTIFICATE => old = Some(read_own(&values.value()?, false)?),
                SIGNING_CERTIFICATE_2 => new = Some(read_own(&values.value()?, true)?),
                _ => continue,
            }
            values.finish()?;
        }
        match digest {
            Some(digest) if kind == Some(TIMESTAMP_INFO) => {
                Ok(Self { digest, own_certificate: new.or(old) })
            }
            _ => Err(Malformed("its signer does not say what they sign".to_owned())),
        }
    }
}

/// The first certificate of a `SigningCertificate` (RFC 2634, 5.4) or of its second version, which
/// names the hash function (RFC 5035, 3): the signer's own.
fn read_own(value: &Value<'_>, is_second: bool) -> Result<CertificateHash, Malformed> {
    let mut certificates = value.inside().take(Tag::Sequence)?.inside();
    let mut first = certificates.take(Tag::Sequence)?.inside();
    if !is_second {
        return Ok(CertificateHash::Sha1(first.take(Tag::OctetString)?.content().to_vec()));
    }
    let function = match first.take_if(Tag::Sequence)? {
        Some(function) => Hash::of_algorithm(function.raw()),
        None => Some(Hash::Sha256),
    };
    let function = function.ok_or_else(|| {
        Malformed("its signer names their certificate by a hash that is not taken".to_owned())
    })?;
    Ok(CertificateHash::Sha2(function, first.take(Tag::OctetString)?.content().to_vec()))
}

/// The bytes of an `EncapsulatedContentInfo` that holds a `TSTInfo`.
fn read_content<'a>(fields: &mut Der<'a>) -> Result<&'a [u8], Malformed> {
    if fields.take(Tag::ObjectIdentifier)?.oid()? != TIMESTAMP_INFO {
        return Err(Malformed("it is no timestamp".to_owned()));
    }
    let mut around_content = fields.take(around(0))?.inside();
    let content = around_content.take(Tag::OctetString)?.content();
    around_content.finish()?;
    if fields.is_empty() { Ok(content) } else { Err(malformed(WHAT)) }
}

fn read_certificates(list: &mut Der<'_>) -> Result<Vec<Certificate>, Malformed> {
    let mut certificates = Vec::new();
    while !list.is_empty() {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(Malformed("it comes with too many certificates".to_owned()));
        }
        certificates.push(Certificate::from_der(list.take(Tag::Sequence)?.raw())?);
    }
    Ok(certificates)
}

fn read_signer_name(name: &Value<'_>) -> Result<Signer, Malformed> {
    if name.tag() == instead(0) {
        return Ok(Signer::KeyIdentifier(name.content().to_vec()));
    }
    if name.tag() != Tag::Sequence {
        return Err(malformed(WHAT));
    }
    let mut fields = name.inside();
    let issuer = fields.take(Tag::Sequence)?.raw().to_vec();
    let serial = fields.take(Tag::Integer)?.content().to_vec();
    fields.finish()?;
    Ok(Signer::IssuerAndSerial { issuer, serial })
}

/// Only to find a certificate again whose key then has to have signed, as the first version of the
/// attribute knows no other function.
fn sha1(bytes: &[u8]) -> Vec<u8> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

const WHAT: &str = "the timestamp";
/// Certificates in one timestamp.
const MAX_CERTIFICATES: usize = 8;
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TIMESTAMP_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
