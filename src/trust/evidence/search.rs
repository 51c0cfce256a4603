//! One look at all places where the signatures of a manifest may be.
//!
//! Places are visited at once; what a place lists is fetched eight at a time. Whatever is known when
//! the deadline comes is kept, and each place that was not finished by then is noted as not looked at.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};

use super::{
    Evidence, EvidenceSource, Item, LookFailure, MAX_SIGNATURES, RawSignature,
    notes::{Notes, Part, too_many},
    place::{Kind, Layer, Place},
};
use crate::{
    oci::{Descriptor, Digest, Manifest, Reference},
    trust::{
        Format, Reason,
        format::{FORMATS, WireFormat, unjudged},
    },
};

/// Looks at all `places` for signatures of `subject`, for no longer than `deadline`.
pub(super) async fn search<S: EvidenceSource>(
    source: &S,
    subject: &Digest,
    places: &[Place],
    deadline: Duration,
) -> Evidence {
    let notes = Notes::new();
    let finished = Mutex::new(BTreeSet::new());
    let visits = places.iter().enumerate().map(|(at, place)| {
        let visit = Visit { source, subject, place, at, notes: &notes };
        let finished = &finished;
        async move {
            visit.run().await;
            finished.lock().expect("nothing panics while it holds this lock").insert(at);
        }
    });
    if tokio::time::timeout(deadline, join_all(visits)).await.is_err() {
        let finished = finished.lock().expect("nothing panics while it holds this lock");
        for (at, place) in places.iter().enumerate().filter(|(at, _)| !finished.contains(at)) {
            let reason = format!("it took longer than {} seconds", deadline.as_secs());
            let failure = LookFailure::new(reason, false);
            let (place, format) = (place.name(subject), place.format());
            notes.add(at, Part::Rest, Item::Failed { place, format, failure });
        }
    }
    Evidence { looked: true, items: notes.finish() }
}

/// A look at one place.
struct Visit<'s, S> {
    source: &'s S,
    subject: &'s Digest,
    place: &'s Place,
    /// The position of the place.
    at: usize,
    notes: &'s Notes,
}

impl<S: EvidenceSource> Visit<'_, S> {
    async fn run(&self) {
        let layers = match self.place.kind {
            Kind::Tag(format) => self.under_tag(format).await,
            Kind::Referrers => self.among_referrers().await,
        };
        match layers {
            Ok(layers) => self.fetch_payloads(layers).await,
            Err(failure) => self.note_failure(Part::Whole, failure),
        }
    }

    async fn under_tag(&self, format: &'static dyn WireFormat) -> Result<Vec<Layer>, LookFailure> {
        let reference = Reference::Tag(format.tag(self.subject));
        let Some(bytes) = self.source.manifest(&self.place.image, &reference).await? else {
            self.note_absence();
            return Ok(Vec::new());
        };
        self.notes.spend(bytes.len() as u64)?;
        let manifest = Manifest::parse(&bytes, None).map_err(|error| {
            LookFailure::new(format!("what is there is no manifest: {error}"), false)
        })?;
        let (name, digest) = (self.place.name(self.subject), Digest::of(&bytes));
        let layers = Layer::all(&manifest, digest, format, &name);
        Ok(layers.unwrap_or_else(|detail| {
            self.note(Part::Whole, ignored(&name, format.format(), digest, detail));
            Vec::new()
        }))
    }

    async fn among_referrers(&self) -> Result<Vec<Layer>, LookFailure> {
        let mut descriptors = self.list().await?;
        descriptors.sort_by_key(|descriptor| descriptor.digest);
        descriptors.dedup_by_key(|descriptor| descriptor.digest);
        let mut wanted = Vec::new();
        let mut unsupported = None;
        for descriptor in descriptors {
            let kind = descriptor.artifact_type.as_deref().unwrap_or_default();
            match FORMATS.into_iter().find(|format| format.artifact_type() == kind) {
                Some(format) => wanted.push((format, descriptor.digest)),
                None => {
                    let format = unjudged(kind).map(|format| (format, descriptor.digest));
                    unsupported = unsupported.or(format);
                }
            }
        }
        match unsupported {
            Some((format, digest)) => self.note_unsupported(format, digest),
            None if wanted.is_empty() => self.note_absence(),
            None => {}
        }
        if wanted.len() > MAX_SIGNATURES {
            self.note_failure(Part::Rest, too_many());
            wanted.truncate(MAX_SIGNATURES);
        }
        let wanted = wanted.into_iter().enumerate();
        let opens: Vec<_> =
            wanted.map(|(nth, (format, digest))| self.open(nth, format, digest)).collect();
        let opened: Vec<_> = stream::iter(opens).buffered(AT_ONCE).collect().await;
        Ok(opened.into_iter().flatten().collect())
    }

    /// The referrers; when there are too many, those of the formats that are judged.
    async fn list(&self) -> Result<Vec<Descriptor>, LookFailure> {
        let (image, subject) = (&self.place.image, self.subject);
        match self.source.referrers(image, subject, None).await {
            Err(failure) if failure.is_limit() => {
                let mut narrowed = Vec::new();
                for format in FORMATS {
                    let kind = Some(format.artifact_type());
                    narrowed.extend(self.source.referrers(image, subject, kind).await?);
                }
                Ok(narrowed)
            }
            answer => answer,
        }
    }

    /// The signatures in the referrer `digest`.
    async fn open(
        &self,
        nth: usize,
        format: &'static dyn WireFormat,
        digest: Digest,
    ) -> Vec<Layer> {
        let name = format!("{}@{digest}", self.place.image);
        let item = match self.fetch_referrer(&digest).await {
            Ok(bytes) => match self.read_referrer(bytes.as_deref(), digest, format, &name) {
                Ok(layers) => return layers,
                Err(detail) => ignored(&name, format.format(), digest, &detail),
            },
            Err(failure) => Item::Failed { place: name, format: format.format(), failure },
        };
        self.note(Part::Referrer(nth), item);
        Vec::new()
    }

    async fn fetch_referrer(&self, digest: &Digest) -> Result<Option<Bytes>, LookFailure> {
        let reference = Reference::Digest(*digest);
        let bytes = self.source.manifest(&self.place.image, &reference).await?;
        if let Some(bytes) = &bytes {
            self.notes.spend(bytes.len() as u64)?;
            if !digest.matches(bytes) {
                return Err(other_bytes());
            }
        }
        Ok(bytes)
    }

    /// The signatures in `bytes`, if they are a manifest that refers to the subject.
    fn read_referrer(
        &self,
        bytes: Option<&[u8]>,
        digest: Digest,
        format: &'static dyn WireFormat,
        name: &str,
    ) -> Result<Vec<Layer>, String> {
        let bytes = bytes.ok_or("is listed and not there")?;
        let manifest = Manifest::parse(bytes, None).map_err(|error| error.to_string())?;
        if manifest.subject.as_ref().is_none_or(|subject| subject.digest != *self.subject) {
            return Err("does not refer to this manifest".to_owned());
        }
        Ok(Layer::all(&manifest, digest, format, name)?)
    }

    async fn fetch_payloads(&self, mut layers: Vec<Layer>) {
        if layers.len() > MAX_SIGNATURES {
            self.note_failure(Part::Rest, too_many());
            layers.truncate(MAX_SIGNATURES);
        }
        let layers = layers.into_iter().enumerate();
        let fetches: Vec<_> = layers.map(|(nth, layer)| self.fetch_payload(nth, layer)).collect();
        stream::iter(fetches).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn fetch_payload(&self, nth: usize, layer: Layer) {
        let Layer { format, place, manifest, descriptor } = layer;
        let (digest, size) = (descriptor.digest, descriptor.size);
        let limit = format.payload_limit(&descriptor.media_type).unwrap_or_default();
        let format = format.format();
        let fetched = async {
            if size > limit as u64 {
                let reason = format!("a payload is larger than {limit} bytes");
                return Err(LookFailure::new(reason, true));
            }
            self.notes.spend(size)?;
            let payload = self.source.blob(&self.place.image, &digest, limit).await?;
            let right = |payload: &Bytes| payload.len() as u64 == size && digest.matches(payload);
            if payload.as_ref().is_none_or(right) { Ok(payload) } else { Err(other_bytes()) }
        };
        let item = match fetched.await {
            Ok(Some(payload)) => {
                let (place, annotations) = (place.to_string(), descriptor.annotations);
                Item::Found(RawSignature { format, place, manifest, digest, annotations, payload })
            }
            Ok(None) => {
                let detail = format!("lists the payload {digest}, which is not there");
                ignored(&place, format, manifest, &detail)
            }
            Err(failure) => Item::Failed { place: place.to_string(), format, failure },
        };
        self.note(Part::Payload(nth), item);
    }

    fn note(&self, part: Part, item: Item) {
        self.notes.add(self.at, part, item);
    }

    fn note_absence(&self) {
        let (place, format) = (self.place.name(self.subject), self.place.format());
        self.note(Part::Whole, Item::Absent { place, format });
    }

    fn note_failure(&self, part: Part, failure: LookFailure) {
        let (place, format) = (self.place.name(self.subject), self.place.format());
        self.note(part, Item::Failed { place, format, failure });
    }

    fn note_unsupported(&self, format: Format, digest: Digest) {
        let item = Item::Ignored {
            place: format!("{}@{digest}", self.place.image),
            format,
            manifest: digest,
            reason: Reason::NoSignature,
            detail: format!("a `{format}` signature, a format that is not supported yet"),
        };
        self.note(Part::Whole, item);
    }
}

fn ignored(place: &str, format: Format, manifest: Digest, detail: &str) -> Item {
    Item::Ignored {
        place: place.to_owned(),
        format,
        manifest,
        reason: Reason::SignatureInvalid,
        detail: detail.to_owned(),
    }
}

fn other_bytes() -> LookFailure {
    LookFailure::new("the source sent other bytes than the digest names", false)
}

/// Requests under way for one place.
const AT_ONCE: usize = 8;
