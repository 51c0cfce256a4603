//! One look at all places where the signatures of a manifest may be.
//!
//! Places are visited at once; what a place lists is fetched eight at a time. Whatever is known when
//! the deadline comes is kept, and each place that was not finished by then is noted as not looked at.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::sync::OnceCell;

use super::{
    Evidence, EvidenceSource, Item, LookFailure, MAX_SIGNATURES, RawSignature,
    notes::{Notes, Part, too_many},
    place::{Kind, Layer, Place},
    referrer::Referrer,
};
use crate::{
    oci::{Descriptor, Digest, ImageName, Manifest, Reference, Tag, reference::CosignSuffix},
    trust::{Format, Reason, format::WireFormat},
};

/// The manifest that is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    pub(super) image: &'s ImageName,
    pub(super) digest: &'s Digest,
}

/// Looks at all `places` for signatures of `subject`, for no longer than `deadline`.
pub(super) async fn search<S: EvidenceSource>(
    source: &S,
    subject: Subject<'_>,
    places: &[Place],
    deadline: Duration,
) -> Evidence {
    let notes = Notes::new();
    let content = OnceCell::new();
    let finished = Mutex::new(BTreeSet::new());
    let visits = places.iter().enumerate().map(|(at, place)| {
        let visit = Visit { source, subject, content: &content, place, at, notes: &notes };
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
            let (place, format) = (place.name(subject.digest), place.format());
            notes.add(at, Part::Rest, Item::Failed { place, format, failure });
        }
    }
    Evidence { looked: true, items: notes.finish() }
}

/// A look at one place.
struct Visit<'s, S> {
    source: &'s S,
    subject: Subject<'s>,
    /// The bytes of the subject, once anything needs them.
    content: &'s OnceCell<Bytes>,
    place: &'s Place,
    /// The position of the place.
    at: usize,
    notes: &'s Notes,
}

impl<S: EvidenceSource> Visit<'_, S> {
    async fn run(&self) {
        let layers = match &self.place.kind {
            Kind::Tag(format, suffix) => self.under_tag(*format, *suffix).await,
            Kind::Referrers(formats) => self.among_referrers(formats).await,
        };
        match layers {
            Ok(layers) => self.fetch_payloads(layers).await,
            Err(failure) => self.note_failure(Part::Whole, failure),
        }
    }

    async fn under_tag(
        &self,
        format: &'static dyn WireFormat,
        suffix: CosignSuffix,
    ) -> Result<Vec<Layer>, LookFailure> {
        let reference = Reference::Tag(Tag::cosign(self.subject.digest, suffix));
        let Some(bytes) = self.source.manifest(&self.place.image, &reference).await? else {
            self.note_absence();
            return Ok(Vec::new());
        };
        self.notes.spend(bytes.len() as u64)?;
        let manifest = Manifest::parse(&bytes, None).map_err(|error| {
            LookFailure::new(format!("what is there is no manifest: {error}"), false)
        })?;
        let (name, digest) = (self.name(), Digest::of(&bytes));
        let layers = Layer::all(&manifest, digest, format, &name);
        Ok(layers.unwrap_or_else(|detail| {
            self.note(Part::Whole, ignored(&name, format.format(), digest, detail));
            Vec::new()
        }))
    }

    async fn among_referrers(
        &self,
        formats: &[&'static dyn WireFormat],
    ) -> Result<Vec<Layer>, LookFailure> {
        let mut descriptors = self.list(formats).await?;
        descriptors.sort_by_key(|descriptor| descriptor.digest);
        descriptors.dedup_by_key(|descriptor| descriptor.digest);
        let mut listed = Vec::new();
        let mut beside = BTreeMap::new();
        for descriptor in &descriptors {
            match Referrer::of(descriptor.artifact_type.as_deref(), formats) {
                Referrer::Beside(format, what) => {
                    beside.entry(what).or_insert((format, descriptor.digest));
                }
                Referrer::Signature(format) => listed.push((Some(format), descriptor.digest)),
                Referrer::Unknown => listed.push((None, descriptor.digest)),
                Referrer::Else => {}
            }
        }
        self.cap(&mut listed, |(format, _)| format.map(WireFormat::format));
        let opens = listed.into_iter().enumerate();
        let opens: Vec<_> =
            opens.map(|(nth, (format, digest))| self.open(nth, format, digest, formats)).collect();
        let opened: Vec<_> = stream::iter(opens).buffered(AT_ONCE).collect().await;
        if beside.is_empty() && opened.iter().all(Option::is_none) {
            self.note_absence();
        }
        for (nth, (what, (format, digest))) in beside.into_iter().enumerate() {
            let place = format!("{}@{digest}", self.place.image);
            self.note(Part::Other(nth), seen_beside(&place, format, digest, what));
        }
        Ok(opened.into_iter().flatten().flatten().collect())
    }

    /// Leaves in `list` no more of a format than are examined, and notes it.
    fn cap<T>(&self, list: &mut Vec<T>, format_of: impl Fn(&T) -> Option<Format>) {
        let mut counts = HashMap::new();
        let before = list.len();
        list.retain(|entry| {
            let count: &mut usize = counts.entry(format_of(entry)).or_default();
            *count += 1;
            *count <= MAX_SIGNATURES
        });
        if list.len() < before {
            self.note_failure(Part::Rest, too_many());
        }
    }

    /// The referrers; when there are too many, those of `formats` alone.
    async fn list(
        &self,
        formats: &[&'static dyn WireFormat],
    ) -> Result<Vec<Descriptor>, LookFailure> {
        let (image, subject) = (&self.place.image, self.subject.digest);
        match self.source.referrers(image, subject, None).await {
            Err(failure) if failure.is_limit() => {
                let mut narrowed = Vec::new();
                for kind in formats.iter().flat_map(|format| format.artifact_types()) {
                    match self.source.referrers(image, subject, Some(kind)).await {
                        Ok(descriptors) => narrowed.extend(descriptors),
                        Err(failure) => self.note_failure(Part::Rest, failure),
                    }
                }
                Ok(narrowed)
            }
            answer => answer,
        }
    }

    /// The signatures in the referrer `digest`; `None` when it turns out to be something else.
    async fn open(
        &self,
        nth: usize,
        format: Option<&'static dyn WireFormat>,
        digest: Digest,
        formats: &[&'static dyn WireFormat],
    ) -> Option<Vec<Layer>> {
        let name = format!("{}@{digest}", self.place.image);
        let named = format.map_or_else(|| self.place.format(), WireFormat::format);
        let item = match self.fetch_referrer(&digest).await {
            Ok(bytes) => {
                let inside = bytes.as_deref().and_then(|bytes| Referrer::inside(bytes, formats));
                match (format, inside) {
                    (None, None | Some(Referrer::Else | Referrer::Unknown)) => return None,
                    (None, Some(Referrer::Beside(format, what))) => {
                        seen_beside(&name, format, digest, what)
                    }
                    (Some(format), _) | (None, Some(Referrer::Signature(format))) => {
                        match self.read_referrer(bytes.as_deref(), digest, format, &name) {
                            Ok(layers) => return Some(layers),
                            Err(detail) => ignored(&name, format.format(), digest, &detail),
                        }
                    }
                }
            }
            Err(failure) => Item::Failed { place: name, format: named, failure },
        };
        self.note(Part::Referrer(nth), item);
        Some(Vec::new())
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
        if manifest.subject.as_ref().is_none_or(|subject| subject.digest != *self.subject.digest) {
            return Err("does not refer to this manifest".to_owned());
        }
        Ok(Layer::all(&manifest, digest, format, name)?)
    }

    async fn fetch_payloads(&self, mut layers: Vec<Layer>) {
        self.cap(&mut layers, |layer| Some(layer.format.format()));
        let layers = layers.into_iter().enumerate();
        let fetches: Vec<_> = layers.map(|(nth, layer)| self.fetch_payload(nth, layer)).collect();
        stream::iter(fetches).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn fetch_payload(&self, nth: usize, layer: Layer) {
        let Layer { format, place, manifest, descriptor } = layer;
        let (digest, size) = (descriptor.digest, descriptor.size);
        let Some(limits) = format.limits(&descriptor.media_type) else { return };
        let item = if size > limits.signature as u64 && size <= limits.other as u64 {
            let what = "a Sigstore bundle that is larger than any signature, as attestations are";
            seen_beside(&place, format.format(), manifest, what)
        } else {
            match self.fetch_signature(format, &descriptor, limits.signature).await {
                Ok(Some((payload, subject))) => Item::Found(RawSignature {
                    format: format.format(),
                    place: place.to_string(),
                    manifest,
                    digest,
                    media_type: descriptor.media_type,
                    annotations: descriptor.annotations,
                    payload,
                    subject,
                }),
                Ok(None) => {
                    let detail = format!("lists the payload {digest}, which is not there");
                    ignored(&place, format.format(), manifest, &detail)
                }
                Err(failure) => {
                    Item::Failed { place: place.to_string(), format: format.format(), failure }
                }
            }
        };
        self.note(Part::Payload(nth), item);
    }

    /// The payload of a signature, and the subject if the signature is over that.
    async fn fetch_signature(
        &self,
        format: &'static dyn WireFormat,
        layer: &Descriptor,
        limit: usize,
    ) -> Result<Option<(Bytes, Option<Bytes>)>, LookFailure> {
        let (digest, size) = (&layer.digest, layer.size);
        if size > limit as u64 {
            let reason = format!("a payload is larger than {limit} bytes");
            return Err(LookFailure::new(reason, true));
        }
        self.notes.spend(size)?;
        let payload = self.source.blob(&self.place.image, digest, limit).await?;
        let Some(payload) = payload else { return Ok(None) };
        if payload.len() as u64 != size || !digest.matches(&payload) {
            return Err(other_bytes());
        }
        let subject = if format.is_over_subject(&payload) {
            Some(self.content.get_or_try_init(|| self.fetch_subject()).await?.clone())
        } else {
            None
        };
        Ok(Some((payload, subject)))
    }

    /// The bytes of the manifest that is judged.
    async fn fetch_subject(&self) -> Result<Bytes, LookFailure> {
        let Subject { image, digest } = self.subject;
        let bytes = self.source.manifest(image, &Reference::Digest(*digest)).await?;
        let bytes = bytes.ok_or_else(|| LookFailure::new("the manifest is not there", false))?;
        self.notes.spend(bytes.len() as u64)?;
        if digest.matches(&bytes) { Ok(bytes) } else { Err(other_bytes()) }
    }

    fn name(&self) -> String {
        self.place.name(self.subject.digest)
    }

    fn note(&self, part: Part, item: Item) {
        self.notes.add(self.at, part, item);
    }

    fn note_absence(&self) {
        let (place, format) = (self.name(), self.place.format());
        self.note(Part::Whole, Item::Absent { place, format });
    }

    fn note_failure(&self, part: Part, failure: LookFailure) {
        let (place, format) = (self.name(), self.place.format());
        self.note(part, Item::Failed { place, format, failure });
    }
}

fn seen_beside(place: &str, format: Format, manifest: Digest, what: &str) -> Item {
    Item::Ignored {
        place: place.to_owned(),
        format,
        manifest,
        reason: Reason::NoSignature,
        detail: what.to_owned(),
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
