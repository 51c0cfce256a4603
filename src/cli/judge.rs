//! Judging without a running mirror: the mirror's own parts, on a folder that is thrown away.
//!
//! There is one way to a verdict, and this is it: what `verify` says is what `serve` would do.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    failure::CliError,
    scratch::Scratch,
    verify::{Judge, Judged, Unjudged},
};
use crate::{
    app::{self, Kept},
    config::Config,
    environment::Environment,
    images::ImageArgument,
    mirror::{Client, Context, Mirror},
    oci::ImageName,
};

/// A mirror without doors.
#[derive(Debug)]
pub(super) struct MirrorJudge {
    mirror: Mirror,
    kept: Kept,
    /// Holds what is fetched while it is judged.
    folder: Scratch,
}

impl MirrorJudge {
    /// Judges by the policy and the upstreams of `config`.
    pub(super) fn new(mut config: Config, environment: &Environment) -> Result<Self, CliError> {
        let failed = |error| CliError::Failed(format!("cannot make a temporary folder: {error}"));
        let folder = Scratch::new(environment).map_err(failed)?;
        folder.path().clone_into(&mut config.data);
        let (mirror, kept) = app::mirror(&config, environment)?;
        Ok(Self { mirror, kept, folder })
    }

    /// Lets go of everything, and only then of the folder that it is in.
    pub(super) async fn close(self) {
        let Self { mirror, kept, folder } = self;
        drop(mirror);
        kept.close().await;
        drop(folder);
    }
}

impl Judge for MirrorJudge {
    fn canonical(&self, image: &ImageArgument) -> Result<Option<ImageName>, String> {
        image.image(self.mirror.table()).map(Some).map_err(|error| error.to_string())
    }

    async fn judge(&self, image: &ImageArgument) -> Result<Judged, Unjudged> {
        let name = image.image(self.mirror.table());
        let name = name.map_err(|error| Unjudged::Missing(error.to_string()))?;
        let verdict = self.mirror.verdict(&context(), &name, &image.reference_or_latest()).await;
        let (digest, verdict) = verdict.map_err(|error| Unjudged::Missing(error.to_string()))?;
        Ok(Judged { image: name, digest, verdict })
    }

    async fn tags(&self, name: &str) -> Result<Vec<String>, String> {
        let image = self.mirror.table().parse_image(name).map_err(|error| error.to_string())?;
        let mut tags: Vec<String> = Vec::new();
        let mut last = None;
        loop {
            let page = self.mirror.tags(&context(), &image, None, last.as_deref()).await;
            let page = page.map_err(|error| error.to_string())?;
            tags.extend(page.tags);
            last = page.next;
            if last.is_none() {
                return Ok(tags);
            }
        }
    }
}

/// Who asks: this command.
fn context() -> Context {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let client = Client { address, label: Some("verify".to_owned()), job: None };
    Context { request: "verify".to_owned(), client, content: false }
}
