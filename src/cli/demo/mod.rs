//! `portcullis demo`: the whole idea in ten seconds, without a network.
//!
//! A small upstream runs inside the process, and the mirror in front of it. Three images are pulled
//! through the mirror, as a client would, and what happens is told. Then both stay up, so that the
//! reader can pull with a client of their own. Everything lives in a temporary folder that goes away
//! with the process.

mod images;
mod registry;
mod story;
mod tar;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use clap::Args;

use self::{
    images::{ALTERED, SIGNED, UNSIGNED},
    registry::Registry,
    story::Story,
};
use super::{
    failure::{CliError, Exit},
    output::Output,
    scratch::Scratch,
    serve,
};
use crate::{
    app::{App, StartError},
    config::{self, ConfigRequest, Overrides, Problem},
    environment::Environment,
    oci::{Digest, ImageName},
    trust::signing::{self, AttachError, PrivateKey, PrivateKeyError},
};

/// Shows the whole idea in ten seconds, without a network.
///
/// Starts a small upstream with three images (one signed, one unsigned, one whose content changed after
/// it was signed) and the mirror in front of it, pulls all three through the mirror and tells what
/// happens. Then both stay up, for you to try.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Where the mirror listens; a free port when that one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// End after the story instead of staying up
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Runs the demo until the process is told to stop.
    pub(super) async fn run(
        &self,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let stop = serve::stopped()?;
        self.show(environment, output, stop)
            .await
            .map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Exit::Success)
    }

    async fn show(
        &self,
        environment: &Environment,
        output: &mut Output,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), DemoError> {
        let folder = Scratch::new(environment)?;
        let key = PrivateKey::generate(environment.entropy.as_ref())?;
        let upstream = stock(&key)?.serve().await?;
        let app = open_mirror(&folder, &key, upstream, self.listen, environment).await?;
        let story = Story {
            mirror: app.address(),
            upstream,
            configuration: folder.path().join(CONFIGURATION),
        };
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(app.serve(async {
            // The sender is dropped when there is nothing left to wait for.
            let _ = ended.await;
        }));
        story.tell(output).await?;
        if !self.once {
            story.invite(output)?;
            stop.await;
        }
        drop(end);
        let _ = serving.await;
        Ok(())
    }
}

/// The upstream with its three images.
fn stock(key: &PrivateKey) -> Result<Registry, DemoError> {
    let mut registry = Registry::default();
    let name = |repository: &str| -> ImageName {
        ImageName {
            upstream: UPSTREAM.parse().expect("a constant in the grammar"),
            repository: repository.parse().expect("a constant in the grammar"),
        }
    };
    let sign = |image: images::DemoImage, digest: &Digest| {
        signing::attach(key, &name(image.repository), digest, None)
    };
    let signed = images::push_image(&mut registry, SIGNED, "This is what was signed.\n");
    images::push_signature(&mut registry, SIGNED, &signed, &sign(SIGNED, &signed)?);
    images::push_image(&mut registry, UNSIGNED, "Nobody vouches for this.\n");
    // Signed first, then replaced; whoever replaced it moved the signature along.
    let original = images::push_image(&mut registry, ALTERED, "This is what was signed.\n");
    let signature = sign(ALTERED, &original)?;
    let altered = images::push_image(&mut registry, ALTERED, "This was slipped in afterwards.\n");
    images::push_signature(&mut registry, ALTERED, &altered, &signature);
    Ok(registry)
}

/// The mirror in front of `upstream`, configured as a person would do it: by files.
async fn open_mirror(
    folder: &Scratch,
    key: &PrivateKey,
    upstream: SocketAddr,
    listen: SocketAddr,
    environment: &Environment,
) -> Result<App, DemoError> {
    folder.write("demo.pub", &key.public().to_pem())?;
    folder.write("policy.toml", POLICY)?;
    let listen = match std::net::TcpListener::bind(listen) {
        Ok(_) => listen,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    let file = folder.write(CONFIGURATION, &configuration(upstream, folder))?;
    let overrides = Overrides { listen: Some(listen.to_string()), ..Overrides::default() };
    let request = ConfigRequest { file: Some(file), overrides, ..ConfigRequest::default() };
    let loaded =
        config::load(&request).map_err(|rejected| DemoError::Configuration(rejected.problems))?;
    Ok(App::start(loaded.config, environment).await?)
}

fn configuration(upstream: SocketAddr, folder: &Scratch) -> String {
    let data = folder.path().join("data");
    format!(
        r#"data = "{}"
policy = "policy.toml"

[[upstream]]
name = "{UPSTREAM}"
url = "http://{upstream}"
"#,
        data.display()
    )
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The mirror could not start.
    #[error("the demo's mirror could not start: {0}")]
    App(#[from] StartError),
    /// The configuration that the demo wrote is wrong.
    #[error("the demo's configuration is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Configuration(Vec<Problem>),
    /// A file or a port could not be had.
    #[error("the demo could not be set up: {0}")]
    Io(#[from] io::Error),
    /// The demo's key could not be made.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// The mirror in this process could not be asked.
    #[error("the demo's mirror could not be asked: {0}")]
    Pull(String),
    /// The demo's signature could not be made.
    #[error(transparent)]
    Sign(#[from] AttachError),
}

/// What the demo's upstream is called.
const UPSTREAM: &str = "registry.demo";
/// The configuration file in the demo's folder.
const CONFIGURATION: &str = "portcullis.toml";
const POLICY: &str = r#"version = 1

[authority.demo]
key = "demo.pub"

[[rule]]
match = "registry.demo/**"
require = "demo"
"#;
