//! cosign's encrypted private keys.
//!
//! A PEM block around JSON: scrypt makes a key of the password, NaCl's secretbox hides the PKCS #8
//! document under it. cosign 2 and 3 write the label `ENCRYPTED SIGSTORE PRIVATE KEY` and
//! N = 65536, r = 8, p = 1; older ones, and skopeo until 1.9, know it as
//! `ENCRYPTED COSIGN PRIVATE KEY`. (Read from files that cosign 2.6 and 3.1 wrote.)
//!
//! The parameters come from the file, so they are bounded: a file must not be able to ask for more
//! memory than the machine has.

use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::{Key, KeyInit as _, Nonce, XSalsa20Poly1305, aead::Aead as _};
use serde::{Deserialize, Serialize};

use super::key::{PrivateKey, PrivateKeyError};
use crate::{
    environment::Entropy,
    secret::Secret,
    trust::pem::{self, PemError},
};

/// `key` as a file that only `password` opens.
///
/// # Errors
/// When the encryption fails, which the library does not explain.
pub fn encrypt(
    key: &PrivateKey,
    password: &Secret<Vec<u8>>,
    entropy: &dyn Entropy,
) -> Result<String, EncryptedKeyError> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    entropy.fill(&mut salt);
    entropy.fill(&mut nonce);
    let kdf = Kdf {
        name: SCRYPT.to_owned(),
        params: Parameters { n: 1 << 16, r: 8, p: 1 },
        salt: salt.into(),
    };
    let ciphertext = XSalsa20Poly1305::new(&kdf.stretch(password)?)
        .encrypt(Nonce::from_slice(&nonce), key.pkcs8().expose().as_slice())
        .map_err(|_| EncryptedKeyError::Password)?;
    let cipher = Cipher { name: SECRETBOX.to_owned(), nonce: nonce.into() };
    let file = KeyFile { kdf, cipher, ciphertext };
    let json = serde_json::to_vec(&file).map_err(|_| EncryptedKeyError::Shape)?;
    Ok(pem::encode(LABELS[0], &json))
}

/// The key in `file`, opened by `password`.
///
/// # Errors
/// When it is no encrypted key, or the password does not open it.
pub fn decrypt(file: &[u8], password: &Secret<Vec<u8>>) -> Result<PrivateKey, EncryptedKeyError> {
    let (_, json) = pem::decode(file, &LABELS)?;
    let file: KeyFile = serde_json::from_slice(&json).map_err(|_| EncryptedKeyError::Shape)?;
    if file.kdf.name != SCRYPT || file.cipher.name != SECRETBOX || file.cipher.nonce.len() != 24 {
        return Err(EncryptedKeyError::Shape);
    }
    let pkcs8 = XSalsa20Poly1305::new(&file.kdf.stretch(password)?)
        .decrypt(Nonce::from_slice(&file.cipher.nonce), file.ciphertext.as_slice())
        .map_err(|_| EncryptedKeyError::Password)?;
    Ok(PrivateKey::from_pkcs8(&pkcs8)?)
}

/// Why an encrypted key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedKeyError {
    /// What was inside is no key to sign with.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// The file asks for more work than any honest one.
    #[error("its password stretching asks for too much memory or time")]
    Parameters,
    /// The password does not open it.
    #[error("the password does not open it")]
    Password,
    /// Not one PEM block of an encrypted key.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The block does not hold what cosign writes.
    #[error("it is not an encrypted key as cosign and `portcullis keygen` write them")]
    Shape,
}

/// The label that is written, and the older one that is read too.
const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
const SCRYPT: &str = "scrypt";
const SECRETBOX: &str = "nacl/secretbox";
/// Bytes of memory that stretching a password may take: four times what cosign asks for.
const MAX_MEMORY: u64 = 256 << 20;
/// How often that memory may be gone through.
const MAX_PARALLELISM: u32 = 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kdf: Kdf,
    cipher: Cipher,
    #[serde(with = "base64_text")]
    ciphertext: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Parameters,
    #[serde(with = "base64_text")]
    salt: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    #[serde(with = "base64_text")]
    nonce: Vec<u8>,
}

impl Kdf {
    /// The key that `password` makes.
    fn stretch(&self, password: &Secret<Vec<u8>>) -> Result<Key, EncryptedKeyError> {
        let Parameters { n, r, p } = self.params;
        let memory = n.checked_mul(128).and_then(|bytes| bytes.checked_mul(r.into()));
        let affordable = memory.is_some_and(|bytes| bytes <= MAX_MEMORY) && p <= MAX_PARALLELISM;
        if !affordable || !n.is_power_of_two() {
            return Err(EncryptedKeyError::Parameters);
        }
        let log_n = u8::try_from(n.ilog2()).map_err(|_| EncryptedKeyError::Parameters)?;
        let mut key = Key::default();
        let parameters = scrypt::Params::new(log_n, r, p, key.len())
            .map_err(|_| EncryptedKeyError::Parameters)?;
        scrypt::scrypt(password.expose(), &self.salt, &parameters, &mut key)
            .map_err(|_| EncryptedKeyError::Parameters)?;
        Ok(key)
    }
}

/// Bytes as standard base64, as Go writes them.
mod base64_text {
    use base64::Engine as _;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::STANDARD;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
