//! An image is brought here whole: judged like a pull, then fetched with everything that vouches
//! for it, then named.
//!
//! `seed` does this from the upstreams and `import` from an archive; the difference is an
//! [`Origin`](super::Origin). The order makes it atomic for whoever pulls by name: the tag is the
//! last thing that is written, so a name means a whole image or what it meant before. What was
//! fetched before something failed stays, and the next try goes on from there.

use std::{fmt, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Cargo, Collection, Context, Mirror, Origin, Platforms, PullError, Role, Room, Wanted,
    judge::Case, resolve::FreshTag,
};
use crate::{
    oci::{Digest, ImageName, Reference},
    store::TagMove,
    trust::{Outcome, Verdict},
};

/// What to bring.
#[derive(Clone, Debug)]
pub struct Order {
    /// The repository.
    pub image: ImageName,
    /// What of it.
    pub reference: Reference,
    /// For which machines.
    pub platforms: Platforms,
    /// What becomes of what policy denies.
    pub denied: Denied,
    /// Which archive brings it, for the tag's history.
    pub from: Option<String>,
}

/// What becomes of what policy denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Kept all the same. It cannot be pulled until a later policy admits it.
    Kept,
    /// Left where it is.
    Left,
}

/// An image that was looked at.
#[derive(Clone, Debug)]
pub struct Weighed {
    /// What was judged.
    pub digest: Digest,
    /// The id of the decision (ULID).
    pub decision: Arc<str>,
    /// Whether policy admits it, and why.
    pub verdict: Arc<Verdict>,
    /// What belongs to it; `None` for what is left where it is.
    pub cargo: Option<Cargo>,
}

/// Hears how far it has come.
pub trait Watch: Send + Sync + fmt::Debug {
    /// So many more bytes will be needed.
    fn planned(&self, bytes: u64);

    /// So many more bytes are here, whether they were here before or came now.
    fn arrived(&self, bytes: u64, fetched: bool);
}

impl Mirror {
    /// The same mirror, for one import: everything comes from `archive`, and nothing else is asked.
    #[must_use]
    pub fn importing(&self, archive: &Arc<dyn Collection>) -> Self {
        self.with_origins(|_| Origin::Archive(Arc::clone(archive), self.room.store.clone()))
    }

    /// The same mirror, asking nobody: what is here is all there is.
    #[must_use]
    pub fn offline(&self) -> Self {
        self.with_origins(|_| Origin::Offline(self.room.store.clone()))
    }

    /// Judges an image as a pull would, and finds what belongs to it.
    ///
    /// # Errors
    /// When it cannot be had or recorded.
    pub async fn weigh(&self, context: &Context, order: &Order) -> Result<Weighed, PullError> {
        let room = &self.room;
        let policy = room.policy.load_full();
        let (image, reference) = (&order.image, &order.reference);
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => {
                let wanted = || Wanted::Manifest(image.clone(), reference.clone());
                let asked = async { room.origin(&image.upstream)?.resolve(image, tag).await };
                asked.await.map_err(|error| PullError::upstream(wanted(), error))?
            }
        };
        let case = Case::new(context.clone(), policy, image.clone(), reference.clone(), digest);
        let decided = room.judge(&case).await?;
        let outcome = decided.verdict.outcome;
        let wanted = match (outcome, order.denied) {
            (Outcome::Admitted, _) | (Outcome::Denied, Denied::Kept) => true,
            (Outcome::Denied, Denied::Left) | (Outcome::Undecided, _) => false,
        };
        let cargo = match wanted {
            true => Some(room.pack(image, &digest, &order.platforms).await?),
            false => None,
        };
        let (decision, verdict) = (decided.decision.clone(), decided.verdict.clone());
        Ok(Weighed { digest, decision, verdict, cargo })
    }

    /// Brings an image here, unless policy denies it: see [`Weighed::verdict`].
    ///
    /// # Errors
    /// When it cannot be had, stored or recorded. Its tag then means what it meant before.
    ///
    /// # Cancel safety
    /// What was fetched so far is kept, and the tag is not touched.
    pub async fn carry(
        &self,
        context: &Context,
        order: &Order,
        watch: &dyn Watch,
    ) -> Result<Weighed, PullError> {
        let weighed = self.weigh(context, order).await?;
        if let Some(cargo) = &weighed.cargo {
            watch.planned(cargo.blobs.iter().map(|(_, size)| size).sum());
            self.room.fill_all(&order.image, cargo, watch).await?;
            self.judge_children(context, order, cargo).await?;
            self.name(order, &weighed.digest).await?;
        }
        Ok(weighed)
    }

    /// A child inherits the verdict of its index; written down now, the far side need not ask.
    async fn judge_children(
        &self,
        context: &Context,
        order: &Order,
        cargo: &Cargo,
    ) -> Result<(), PullError> {
        let policy = self.room.policy.load_full();
        for child in cargo.manifests.iter().filter(|piece| piece.role == Role::Child) {
            let digest = child.descriptor.digest;
            let reference = Reference::Digest(digest);
            let image = order.image.clone();
            let case = Case::new(context.clone(), policy.clone(), image, reference, digest);
            self.room.judge(&case).await?;
        }
        Ok(())
    }

    async fn name(&self, order: &Order, digest: &Digest) -> Result<(), PullError> {
        let Reference::Tag(tag) = &order.reference else { return Ok(()) };
        let room = &self.room;
        let now = room.environment.clock.now();
        let brought = TagMove { digest: *digest, since: now, from: order.from.clone() };
        room.store.bring_tag(&order.image, tag, brought).await?;
        let fresh = FreshTag { digest: *digest, resolved: now, asked_again: false };
        room.tags.insert((order.image.clone(), tag.clone()), fresh);
        Ok(())
    }

    fn with_origins(&self, origin: impl Fn(&crate::oci::UpstreamName) -> Origin) -> Self {
        let room = &self.room;
        let origins = room.origins.keys().map(|name| (name.clone(), origin(name))).collect();
        Self {
            room: Arc::new(Room {
                audit: room.audit.clone(),
                environment: room.environment.clone(),
                freshness: room.freshness,
                metrics: room.metrics.clone(),
                policy: Arc::clone(&room.policy),
                // What is carried is ordered by name, each once.
                prefetch: false,
                store: room.store.clone(),
                table: room.table.clone(),
                origins,
                tags: room.tags.clone(),
                decided: room.decided.clone(),
                readable: room.readable.clone(),
                resolving: super::Flights::default(),
                fetching: super::Flights::default(),
                judging: super::Flights::default(),
            }),
        }
    }
}

impl Room {
    /// Fetches the blobs that are not here yet, a few at once.
    async fn fill_all(
        self: &Arc<Self>,
        image: &ImageName,
        cargo: &Cargo,
        watch: &dyn Watch,
    ) -> Result<(), PullError> {
        let fills: Vec<_> =
            cargo.blobs.iter().map(|blob| self.fill_one(image, blob, watch)).collect();
        stream::iter(fills).buffer_unordered(FILLS_AT_ONCE).try_collect::<()>().await
    }

    async fn fill_one(
        self: &Arc<Self>,
        image: &ImageName,
        (digest, size): &(Digest, u64),
        watch: &dyn Watch,
    ) -> Result<(), PullError> {
        if self.store.open_blob(digest).await?.is_some() {
            watch.arrived(*size, false);
            return Ok(());
        }
        let wanted = || Wanted::Blob(image.clone(), *digest);
        let origin = self.origin(&image.upstream);
        let origin = origin.map_err(|error| PullError::upstream(wanted(), error))?;
        let source = origin.blob(image, digest);
        let mut follower = self.store.fill(digest, Some(*size), source).await?;
        let mut seen = 0;
        while seen < *size {
            let readable = follower.readable(seen).await;
            let now = readable.map_err(|error| self.fill_failure(image, digest, error))?;
            watch.arrived(now - seen, true);
            seen = now;
        }
        let stored = follower.stored().await;
        stored.map_err(|error| self.fill_failure(image, digest, error))
    }
}

/// Blobs that are fetched at the same time for one image.
const FILLS_AT_ONCE: usize = 3;
