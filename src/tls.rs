//! The only file that builds rustls configurations, for both sides of the mirror.
//!
//! Both sides speak TLS 1.2 and 1.3 with the aws-lc-rs provider, which is passed explicitly: there is
//! no process-wide default that another library could change. Both offer HTTP/2 and HTTP/1.1 by
//! ALPN (RFC 7301). Certificates of peers are always verified; there is no switch to turn that off.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use rustls::{
    ClientConfig, ConfigBuilder, InconsistentKeys, RootCertStore, ServerConfig, WantsVersions,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// What a client believes: the machine's own roots together with `extra`, or `extra` alone where
/// `only` is set. The machine's roots are read once, when they are first needed; `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name others.
///
/// # Errors
/// When one of `extra` is no certificate, or when nothing is left to believe.
pub fn roots(extra: &[CertificateDer<'static>], only: bool) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if !only {
        // A machine's store may hold a certificate that no verifier can use; the others count.
        roots.add_parsable_certificates(SYSTEM_ROOTS.iter().cloned());
    }
    for certificate in extra {
        roots.add(certificate.clone()).map_err(TlsError::Authority)?;
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// How the mirror talks to a server whose certificate leads to one of `roots`.
#[must_use]
pub fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let builder = versions(ClientConfig::builder_with_provider(provider()));
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn();
    Arc::new(config)
}

/// How the mirror talks to its clients: with the certificate chain and the private key in two PEM
/// files (PKCS #8, PKCS #1 or SEC 1).
///
/// # Errors
/// When a file cannot be read or holds no such thing, or when the key is not the certificate's.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: key.to_owned() },
        error => unreadable(key, error),
    })?;
    let builder = versions(ServerConfig::builder_with_provider(provider()));
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, private_key).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::KeyMismatch {
                        certificate: certificate.to_owned(),
                        key: key.to_owned(),
                    }
                }
                source => TlsError::Unusable {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                    source,
                },
            }
        })?;
    config.alpn_protocols = alpn();
    Ok(Arc::new(config))
}

/// Every certificate in the PEM file at `path`, in order.
///
/// # Errors
/// When the file cannot be read, is no PEM, or holds no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An extra root is not a certificate.
    #[error("a configured certificate authority cannot be used: {0}")]
    Authority(#[source] rustls::Error),
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The private key belongs to another certificate.
    #[error(
        "the key in `{}` is not the key of the first certificate in `{}`: put the server's own certificate first, or name its key",
        key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The file holds no certificate.
    #[error("`{}` holds no certificate: it must have a `-----BEGIN CERTIFICATE-----` block", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no private key.
    #[error("`{}` holds no private key: it must have an unencrypted `-----BEGIN PRIVATE KEY-----` block", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// Neither the machine nor the configuration names a root.
    #[error(
        "this machine has no root certificates: install `ca-certificates`, or set `ca` of the upstream"
    )]
    NoRoots,
    /// The file is not PEM.
    #[error("`{}` is not a PEM file: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Certificate or key are of a kind that cannot be used.
    #[error("certificate `{}` and key `{}` cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

static SYSTEM_ROOTS: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a root certificate of this machine cannot be read");
    }
    loaded.certs
});

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// TLS 1.2 and 1.3, the versions that rustls has.
fn versions<S: rustls::ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
) -> ConfigBuilder<S, rustls::WantsVerifier> {
    builder
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for both versions")
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

fn unreadable(path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Io { path, source },
        source => TlsError::Pem { path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
            path
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["mirror.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn serves_with_a_certificate_and_its_key() {
        let (certificate, key) = pair();
        let files = Files::new();
        let config =
            server_config(&files.write("a.pem", &certificate), &files.write("a.key", &key))
                .unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }

    #[test]
    fn says_which_file_is_wrong_and_how() {
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        let files = Files::new();
        let certificate = files.write("a.pem", &certificate);
        let key = files.write("a.key", &key);
        let other_key = files.write("b.key", &other_key);
        let text = files.write("text", "no PEM at all");
        let torn = files.write("torn", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        let missing = files.folder.path().join("missing");

        let problem = |certificate: &Path, key: &Path| {
            server_config(certificate, key).expect_err("must be refused")
        };
        assert!(matches!(problem(&certificate, &other_key), TlsError::KeyMismatch { .. }));
        assert!(
            matches!(problem(&missing, &key), TlsError::Io { path, .. } if path.ends_with("missing"))
        );
        assert!(
            matches!(problem(&certificate, &missing), TlsError::Io { path, .. } if path.ends_with("missing"))
        );
        assert!(matches!(problem(&text, &key), TlsError::NoCertificate { .. }));
        assert!(matches!(problem(&key, &key), TlsError::NoCertificate { .. }));
        assert!(matches!(problem(&certificate, &certificate), TlsError::NoKey { .. }));
        assert!(matches!(problem(&torn, &key), TlsError::Pem { .. }));
    }

    #[test]
    fn an_empty_set_of_roots_is_an_error() {
        assert!(matches!(roots(&[], true), Err(TlsError::NoRoots)));
        let junk = CertificateDer::from(vec![1, 2, 3]);
        assert!(matches!(roots(&[junk], true), Err(TlsError::Authority(_))));
        let files = Files::new();
        let path = files.write("ca.pem", &pair().0);
        assert_eq!(roots(&certificates(&path).unwrap(), true).unwrap().len(), 1);
    }
}
