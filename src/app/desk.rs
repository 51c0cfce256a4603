//! The operator's desk: what the admin listener can have done on the running mirror.

use std::{io::Read, path::PathBuf, sync::Arc};

use futures_util::FutureExt as _;

use crate::{
    archive::{self, Import, Item, Reading},
    http::{Answer, ImportWanted, Operations},
    mirror::{Client, Context, Denied, Mirror, Watch},
    recheck,
    store::Store,
    trust::Pattern,
};

/// The desk of one mirror.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) mirror: Mirror,
    pub(super) store: Store,
    /// The folder of the audit log.
    pub(super) log: PathBuf,
}

impl Operations for Desk {
    fn import(&self, reader: Box<dyn Read + Send>, wanted: ImportWanted) -> Answer {
        let (mirror, store) = (self.mirror.clone(), self.store.clone());
        async move {
            let items = import(&mirror, &store, reader, &wanted).await?;
            let lines =
                items.iter().map(|item| serde_json::to_string(item).map(|line| line + "\n"));
            lines.collect::<Result<_, _>>().map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    fn recheck(&self, pattern: String) -> Answer {
        let (mirror, log) = (self.mirror.clone(), self.log.clone());
        async move {
            let pattern = match pattern.as_str() {
                "" => None,
                text => {
                    Some(Pattern::parse(text, mirror.table()).map_err(|error| error.to_string())?)
                }
            };
            let pattern = pattern.as_ref();
            let report = recheck::run(&mirror, &log, pattern, recheck::GENTLE, |_, _| {}).await?;
            serde_json::to_string(&report).map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn list(&self) -> Answer {
        let mirror = self.mirror.clone();
        async move {
            let images = mirror.holdings().await.map_err(|error| error.to_string())?;
            Ok(format!("{}\n", serde_json::json!({ "images": images })))
        }
        .boxed()
    }
}

async fn import(
    mirror: &Mirror,
    store: &Store,
    reader: Box<dyn Read + Send>,
    wanted: &ImportWanted,
) -> Result<Vec<Item>, String> {
    let home = wanted.repository.as_deref().map(|name| mirror.table().parse_image(name));
    let home = home.transpose().map_err(|error| error.to_string())?;
    let reading = Reading { key: None, home: home.as_ref(), table: mirror.table() };
    let received = archive::receive(reader, store, reading).await;
    let (archive, fresh) = received.map_err(|error| error.to_string())?;
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let client = Client { address, label: Some("import".to_owned()), job: None };
    let context = Context { request: "import".to_owned(), client, content: false };
    let denied = if wanted.keep_denied { Denied::Kept } else { Denied::Left };
    let work = Import { mirror, store, context: &context, denied };
    let mut items = Vec::new();
    let mut tell = |item: &Item| items.push(item.clone());
    let imported = archive::import(&work, Arc::new(archive), &Nobody, &mut tell).await;
    imported.map_err(|error| error.to_string())?;
    for digest in &fresh {
        mirror.discard_unneeded(digest).await.map_err(|error| error.to_string())?;
    }
    Ok(items)
}

/// Watches nothing: the operator sees the answer.
#[derive(Debug)]
struct Nobody;

impl Watch for Nobody {
    fn planned(&self, _bytes: u64) {}

    fn arrived(&self, _bytes: u64, _fetched: bool) {}
}
