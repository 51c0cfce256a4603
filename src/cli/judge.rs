//! Judging without a running mirror: the mirror's own parts, on a folder that is thrown away.
//!
//! There is one way to a verdict, and this is it: what `verify` says is what `serve` would do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    failure::CliError,
    health,
    scratch::Scratch,
    verify::{Judge, Judged},
};
use crate::{
    app::{self, Kept},
    config::Config,
    environment::Environment,
    mirror::{Client, Context, Mirror},
    oci::{Digest, ImageName, Reference, UpstreamTable},
    trust::recording::Recording,
};

/// A mirror without doors.
#[derive(Debug)]
pub(super) struct MirrorJudge {
    mirror: Mirror,
    kept: Kept,
    /// Where the operator's listener of a running mirror is.
    admin: Option<SocketAddr>,
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
        Ok(Self { mirror, kept, admin: config.listen.admin, folder })
    }

    /// Lets go of everything, and only then of the folder that it is in.
    pub(super) async fn close(self) {
        let Self { mirror, kept, folder, .. } = self;
        drop(mirror);
        kept.close().await;
        drop(folder);
    }
}

impl Judge for MirrorJudge {
    async fn judge(&self, image: &ImageName, reference: &Reference) -> Result<Judged, String> {
        let client =
            Client { address: IpAddr::V4(Ipv4Addr::LOCALHOST), label: Some("verify".to_owned()) };
        let context = Context { request: "verify".to_owned(), client, content: false };
        let verdict = self.mirror.verdict(&context, image, reference).await;
        let (digest, verdict) = verdict.map_err(|error| error.to_string())?;
        Ok(Judged { digest, verdict })
    }

    async fn evidence(&self, image: &ImageName, digest: &Digest) -> Recording {
        self.mirror.evidence(image, digest).await
    }

    fn refresh(&self, image: &ImageName, reference: &Reference) -> Result<(), CliError> {
        let no_listener = || CliError::Usage("`listen.admin` is off: nobody can be asked".into());
        health::recheck(self.admin.ok_or_else(no_listener)?, image, reference)
    }

    fn table(&self) -> &UpstreamTable {
        self.mirror.table()
    }
}
