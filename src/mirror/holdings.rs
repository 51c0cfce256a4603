//! What is here: the images that have a name, as far as records say.

use serde::Serialize;

use super::{Client, Context, Mirror, Platforms, PullError, judge::Case};
use crate::{
    oci::{Digest, ImageName, Reference, Tag},
    timestamp::Timestamp,
};

/// An image that is here under a name.
#[derive(Clone, Debug, Serialize)]
pub struct Holding {
    /// The repository.
    #[serde(serialize_with = "as_text")]
    pub image: ImageName,
    /// The name there.
    pub tag: Tag,
    /// What it means.
    pub digest: Digest,
    /// Whether a verdict by the policy of now admits it. What was not pulled since the policy
    /// changed has none yet.
    pub admitted: bool,
    /// Who vouched for it.
    pub signed_by: Vec<String>,
    /// Where it runs.
    pub platforms: Vec<String>,
    /// Bytes of everything that belongs to it.
    pub size: u64,
    /// Since when the name means this.
    pub since: Timestamp,
    /// Which archive brought it; none for what came from the upstream.
    pub from: Option<String>,
}

impl Mirror {
    /// Every name that is known here, evidence aside, in lexical order.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn tagged(&self) -> Result<Vec<(ImageName, Tag)>, PullError> {
        let store = &self.room.store;
        let mut found = Vec::new();
        for image in store.images().await? {
            let tags = store.tags(&image).await?;
            let tags = tags.iter().filter_map(|tag| tag.parse::<Tag>().ok());
            found.extend(tags.filter(|tag| !tag.is_evidence()).map(|tag| (image.clone(), tag)));
        }
        Ok(found)
    }

    /// The images that are here, by name. Judges nothing and asks nobody.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn holdings(&self) -> Result<Vec<Holding>, PullError> {
        let offline = self.offline();
        let mut holdings = Vec::new();
        for (image, tag) in self.tagged().await? {
            holdings.extend(offline.holding(image, tag).await?);
        }
        Ok(holdings)
    }

    async fn holding(&self, image: ImageName, tag: Tag) -> Result<Option<Holding>, PullError> {
        let room = &self.room;
        let Some(record) = room.store.tag(&image, &tag).await? else { return Ok(None) };
        let digest = record.digest;
        let Some(fetched) = room.kept(&image, &digest).await? else { return Ok(None) };
        let case = Case::new(
            nobody(),
            room.policy.load_full(),
            image.clone(),
            Reference::Digest(digest),
            digest,
        );
        let decided = room.recorded(&case, &fetched);
        let cargo = room.pack(&image, &digest, &Platforms::default()).await?;
        let last = record.history.last();
        Ok(Some(Holding {
            image,
            tag,
            digest,
            admitted: decided.is_some(),
            signed_by: decided.map_or_else(Vec::new, |decided| decided.verdict.signed_by.clone()),
            size: cargo.size(),
            platforms: cargo.platforms,
            since: Timestamp(last.map_or(record.resolved, |last| last.since)),
            from: last.and_then(|last| last.from.clone()),
        }))
    }

    /// Removes the content `digest` again, which an import brought, unless something needs it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn discard_unneeded(&self, digest: &Digest) -> Result<(), PullError> {
        let store = &self.room.store;
        for image in store.images().await? {
            let needed = store.manifest(&image, digest).await?.is_some()
                || !store.referencing(&image, digest).await?.is_empty();
            if needed {
                return Ok(());
            }
        }
        Ok(store.discard(digest).await?)
    }
}

fn nobody() -> Context {
    let client = Client { address: std::net::Ipv4Addr::LOCALHOST.into(), label: None, job: None };
    Context { request: String::new(), client, content: false }
}

fn as_text<S: serde::Serializer>(image: &ImageName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(image)
}
