//! What the tests stand on: a scripted upstream, images and signatures to put there, the real
//! program as a process of its own, and a client that shows everything it was sent.
//!
//! Nothing here knows the inside of the program. It is started as an operator starts it, asked as a
//! client asks it, and killed as a machine kills it; so the tests hold for any way of building it.

pub(crate) mod client;
pub(crate) mod content;
pub(crate) mod fault;
pub(crate) mod image;
pub(crate) mod mirror;
pub(crate) mod setup;
pub(crate) mod signing;
pub(crate) mod stage;
pub(crate) mod upstream;

use std::{fs, future::Future, path::Path, time::Duration};

pub(crate) use bytes::Bytes;
pub(crate) use portcullis::oci::Digest;
use portcullis::{
    environment::{Clock, SystemClock},
    timestamp::Timestamp,
};
use rcgen::{CertifiedKey, KeyPair};
pub(crate) use serde_json::{Value, json};

pub(crate) use client::{Answer, Ask};
pub(crate) use content::{Document, OCI_INDEX, OCI_MANIFEST};
pub(crate) use fault::{Fault, Gate};
pub(crate) use image::Image;
pub(crate) use mirror::Mirror;
pub(crate) use setup::Setup;
pub(crate) use signing::{Key, Signature, payload};
pub(crate) use stage::{NAME, Stage};
pub(crate) use upstream::Upstream;

/// Puts a file into a test's own folder.
#[expect(clippy::disallowed_methods, reason = "a test's folder is not the store")]
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A certificate for `localhost` that signs itself.
pub(crate) fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("there is entropy")
}

/// The time in `seconds` from now, as a policy writes it.
pub(crate) fn in_seconds(seconds: u64) -> String {
    let time = SystemClock.now() + Duration::from_secs(seconds);
    Timestamp::from(time).to_string()
}

/// Asks again until `condition` holds; for what happens soon, at a time that nobody promised.
pub(crate) async fn eventually<F>(what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if condition().await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("still not so after {PATIENCE:?}: {what}");
}

/// How long [`eventually`] waits. Long, since two cores may run many tests at once.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(25);
