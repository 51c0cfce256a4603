//! The protected headers, which JWS and COSE spell differently and which mean the same.
//!
//! | header | `notary.x509` | `notary.x509.signingAuthority` | critical |
//! | --- | --- | --- | --- |
//! | signing scheme | needed | needed | always |
//! | signing time | needed, and only the signer's word | forbidden | |
//! | authentic signing time | forbidden | needed | always |
//! | expiry | optional, after the signing time | the same | always |
//!
//! A header that is called critical and that nobody here understands makes the signature void, always:
//! notation itself asks only when a plugin is involved. Plugins are not run, so a signature that
//! demands one is refused with these words. Source: the Notary Project's signature specification,
//! "Signed attributes".

use std::time::SystemTime;

use super::algorithm::Algorithm;
use crate::trust::json::Malformed;

/// The protected headers as an envelope writes them.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) algorithm: Algorithm,
    pub(super) content_type: String,
    /// What is called critical, in the order of the envelope.
    pub(super) critical: Vec<String>,
    pub(super) scheme: String,
    pub(super) signing_time: Option<SystemTime>,
    pub(super) authentic_signing_time: Option<SystemTime>,
    pub(super) expiry: Option<SystemTime>,
}

/// The protected headers of a signature, without contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) algorithm: Algorithm,
    pub(super) scheme: Scheme,
    /// When the signer says that it signed. With [`Scheme::SigningAuthority`] that is to be believed.
    pub(super) signing_time: SystemTime,
    /// The first moment at which the signer no longer stands by the signature.
    pub(super) expiry: Option<SystemTime>,
}

/// Who vouches for the time of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Nobody, unless a timestamp authority countersigned.
    X509,
    /// The signer itself, which is a service that others trust to tell the time.
    SigningAuthority,
}

impl Written {
    /// Makes sure that the headers agree with each other and that all of them are understood.
    ///
    /// # Errors
    /// When they do not, or are not.
    pub(super) fn check(self) -> Result<Headers, Malformed> {
        if self.content_type != PAYLOAD {
            return Err(Malformed(format!("its content type is not `{PAYLOAD}`")));
        }
        let scheme = match self.scheme.as_str() {
            "notary.x509" => Scheme::X509,
            "notary.x509.signingAuthority" => Scheme::SigningAuthority,
            _ => return Err(Malformed("its signing scheme is not known".into())),
        };
        let (signing_time, other) = match scheme {
            Scheme::X509 => (self.signing_time, self.authentic_signing_time),
            Scheme::SigningAuthority => (self.authentic_signing_time, self.signing_time),
        };
        let Some(signing_time) = signing_time.filter(|_| other.is_none()) else {
            return Err(Malformed(
                "it must have the signing time of its scheme, and no other".into(),
            ));
        };
        if self.expiry.is_some_and(|expiry| expiry <= signing_time) {
            return Err(Malformed("it expires before it was signed".into()));
        }
        self.check_critical(scheme)?;
        Ok(Headers { algorithm: self.algorithm, scheme, signing_time, expiry: self.expiry })
    }

    /// What has to be called critical is, and nothing else.
    fn check_critical(&self, scheme: Scheme) -> Result<(), Malformed> {
        let mut needed = vec![SCHEME];
        if scheme == Scheme::SigningAuthority {
            needed.push(AUTHENTIC_SIGNING_TIME);
        }
        if self.expiry.is_some() {
            needed.push(EXPIRY);
        }
        if let Some(missing) = needed.iter().find(|name| !self.is_critical(name)) {
            return Err(Malformed(format!("`{missing}` is not among its critical headers")));
        }
        if self.critical.iter().any(|name| [PLUGIN, PLUGIN_VERSION].contains(&name.as_str())) {
            return Err(Malformed(
                "it asks for a verification plugin, and none is run here".into(),
            ));
        }
        match self.critical.iter().find(|name| !needed.contains(&name.as_str())) {
            Some(unknown) => {
                let unknown: String = unknown.chars().take(60).collect();
                Err(Malformed(format!("its critical header `{unknown}` is not understood")))
            }
            None if self.critical.len() == needed.len() => Ok(()),
            None => Err(Malformed("it names a critical header twice".into())),
        }
    }

    fn is_critical(&self, name: &str) -> bool {
        self.critical.iter().any(|critical| critical == name)
    }
}

/// The content type of every payload.
const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
pub(super) const SCHEME: &str = "io.cncf.notary.signingScheme";
pub(super) const SIGNING_TIME: &str = "io.cncf.notary.signingTime";
pub(super) const AUTHENTIC_SIGNING_TIME: &str = "io.cncf.notary.authenticSigningTime";
pub(super) const EXPIRY: &str = "io.cncf.notary.expiry";
const PLUGIN: &str = "io.cncf.notary.verificationPlugin";
const PLUGIN_VERSION: &str = "io.cncf.notary.verificationPluginMinVersion";
/// The unprotected header with the RFC 3161 token.
pub(super) const TIMESTAMP: &str = "io.cncf.notary.timestampSignature";
/// The unprotected header with the name of the program that signed.
pub(super) const AGENT: &str = "io.cncf.notary.signingAgent";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn written() -> Written {
        Written {
            algorithm: Algorithm::Es256,
            content_type: PAYLOAD.to_owned(),
            critical: vec![SCHEME.to_owned()],
            scheme: "notary.x509".to_owned(),
            signing_time: Some(at(100)),
            authentic_signing_time: None,
            expiry: None,
        }
    }

    fn refusal(change: impl FnOnce(&mut Written)) -> String {
        let mut headers = written();
        change(&mut headers);
        headers.check().unwrap_err().0
    }

    #[test]
    fn takes_what_both_schemes_need() {
        assert_eq!(written().check().unwrap().scheme, Scheme::X509);
        let authority = Written {
            critical: vec![AUTHENTIC_SIGNING_TIME.into(), EXPIRY.into(), SCHEME.into()],
            scheme: "notary.x509.signingAuthority".to_owned(),
            signing_time: None,
            authentic_signing_time: Some(at(100)),
            expiry: Some(at(101)),
            ..written()
        };
        let headers = authority.check().unwrap();
        assert_eq!(headers.scheme, Scheme::SigningAuthority);
        assert_eq!((headers.signing_time, headers.expiry), (at(100), Some(at(101))));
    }

    #[test]
    fn refuses_critical_headers_that_nobody_understands() {
        let plugin = refusal(|headers| headers.critical.push(PLUGIN.to_owned()));
        assert!(plugin.contains("plugin"), "{plugin}");
        let unknown = refusal(|headers| headers.critical.push("mine".to_owned()));
        assert!(unknown.contains("`mine` is not understood"), "{unknown}");
        // Understood, critical, and not there.
        let absent = refusal(|headers| headers.critical.push(EXPIRY.to_owned()));
        assert!(absent.contains("not understood"), "{absent}");
        let twice = refusal(|headers| headers.critical.push(SCHEME.to_owned()));
        assert!(twice.contains("twice"), "{twice}");
    }

    #[test]
    fn refuses_headers_that_should_be_critical_and_are_not() {
        assert!(refusal(|headers| headers.critical.clear()).contains(SCHEME));
        assert!(refusal(|headers| headers.expiry = Some(at(200))).contains(EXPIRY));
    }

    #[test]
    fn refuses_the_times_of_another_scheme() {
        for change in [
            (|headers: &mut Written| headers.signing_time = None) as fn(&mut Written),
            |headers| headers.authentic_signing_time = Some(at(100)),
            |headers| headers.scheme = "notary.x509.signingAuthority".to_owned(),
        ] {
            assert!(refusal(change).contains("signing time"));
        }
        let expired = refusal(|headers| {
            headers.expiry = Some(at(100));
            headers.critical.push(EXPIRY.to_owned());
        });
        assert!(expired.contains("expires before"), "{expired}");
    }

    #[test]
    fn refuses_other_content_types_and_schemes() {
        assert!(refusal(|headers| headers.content_type = "text/plain".into()).contains("content"));
        assert!(refusal(|headers| headers.scheme = "notary.x510".into()).contains("scheme"));
    }
}
