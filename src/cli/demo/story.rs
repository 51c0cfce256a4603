//! What the demo tells: each image pulled, what came back, and how to try it.

use std::{io, net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

use super::{
    DemoError,
    images::{ALTERED, DemoImage, SIGNED, TAG, UNSIGNED},
};
use crate::{
    cli::output::Output,
    oci::{Manifest, manifest::MAX_MANIFEST_SIZE},
};

/// The demo, up and running.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) mirror: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) configuration: PathBuf,
}

impl Story {
    /// Pulls the three images through the mirror and says what happens.
    pub(super) async fn tell(&self, output: &mut Output) -> Result<(), DemoError> {
        output.line(format_args!(
            "Portcullis: a registry mirror that opens only for signed images.\n\n\
             An upstream registry with three images runs at http://{}, the mirror in front of it at\n\
             http://{}. The policy: whatever comes from it must be signed by the demo's key.",
            self.upstream, self.mirror
        ))?;
        for (number, image) in [SIGNED, UNSIGNED, ALTERED].into_iter().enumerate() {
            output.line(format_args!(
                "\n{}. {}:{TAG} ({})",
                number + 1,
                image.repository,
                image.story
            ))?;
            output.line(self.pull(image).await?)?;
        }
        Ok(())
    }

    /// Says how to go on from here.
    pub(super) fn invite(&self, output: &mut Output) -> io::Result<()> {
        let (mirror, signed, unsigned) = (self.mirror, SIGNED.repository, UNSIGNED.repository);
        output.line(format_args!(
            "\nBoth stay up. Try it with a client of yours:\n\n  \
             podman pull --tls-verify=false {mirror}/{signed}:{TAG}\n  \
             podman pull --tls-verify=false {mirror}/{unsigned}:{TAG}\n  \
             docker pull {mirror}/{signed}:{TAG}\n  \
             crane manifest --insecure {mirror}/{unsigned}:{TAG}\n  \
             curl -i http://{mirror}/v2/{unsigned}/manifests/{TAG}\n\n\
             Ask the records, in another terminal:\n\n  \
             portcullis why --config {} {mirror}/{unsigned}:{TAG}\n\n\
             Press Ctrl-C to end.",
            self.configuration.display()
        ))
    }

    /// One pull as a client does it: the manifest, then everything it lists.
    async fn pull(&self, image: DemoImage) -> Result<String, DemoError> {
        let (status, body) = self.ask(&format!("{}/manifests/{TAG}", image.repository)).await?;
        if status != StatusCode::OK {
            return Ok(refusal(status, &body));
        }
        let manifest =
            Manifest::parse(&body, None).map_err(|error| DemoError::Pull(error.to_string()))?;
        let mut bytes = body.len();
        for part in manifest.references() {
            let (status, body) =
                self.ask(&format!("{}/blobs/{}", image.repository, part.digest)).await?;
            if !part.digest.matches(&body) {
                return Ok(refusal(status, &body));
            }
            bytes += body.len();
        }
        Ok(format!(
            "   pulled: the manifest and {} blobs, {bytes} bytes",
            manifest.references().count()
        ))
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, Bytes), DemoError> {
        let failed = |error: &dyn std::fmt::Display| DemoError::Pull(error.to_string());
        let request = Request::get(format!("http://{}/v2/{path}", self.mirror))
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(&error))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_MANIFEST_SIZE).collect().await;
        Ok((status, body.map_err(|error| failed(&error))?.to_bytes()))
    }
}

/// A refusal as its body tells it.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |member: &str| error["errors"][0][member].as_str().unwrap_or("(no text)").to_owned();
    format!("   refused ({status})\n   why:  {}\n   next: {}", text("message"), text("detail"))
}
