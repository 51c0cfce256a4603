//! A data directory that is open for carrying: the mirror's own parts, without doors.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    app::Kept,
    cli::{CliError, shared},
    config::Config,
    environment::Environment,
    mirror::{Client, Context, Denied, Mirror, Order, Platforms},
    oci::Reference,
    store::Store,
};

/// A mirror without doors, on its data directory.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) mirror: Mirror,
    pub(super) context: Context,
    kept: Kept,
}

impl Station {
    /// Opens the data directory for `command`.
    ///
    /// # Errors
    /// When a mirror runs on it, or configuration or policy are wrong.
    pub(super) fn open(
        config: &Config,
        environment: &Environment,
        command: &str,
    ) -> Result<Self, CliError> {
        let instead = "go through its admin listener with `--server ADDR`";
        let (mirror, kept) = shared::open_mirror(config, environment, instead)?;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let client = Client { address, label: Some(command.to_owned()), job: None };
        let context = Context { request: command.to_owned(), client, content: false };
        Ok(Self { mirror, context, kept })
    }

    pub(super) const fn store(&self) -> &Store {
        self.kept.store()
    }

    /// An order for everything that has a name here.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) async fn everything(&self, platforms: &Platforms) -> Result<Vec<Order>, CliError> {
        let tagged = self.mirror.tagged().await;
        let tagged = tagged.map_err(|error| CliError::Failed(error.to_string()))?;
        let orders = tagged.into_iter().map(|(image, tag)| Order {
            image,
            reference: Reference::Tag(tag),
            platforms: platforms.clone(),
            denied: Denied::Left,
            from: None,
        });
        Ok(orders.collect())
    }

    /// Lets go of the data directory.
    pub(super) async fn close(self) {
        let Self { mirror, kept, .. } = self;
        drop(mirror);
        kept.close().await;
    }
}
