//! Referrers: OCI distribution 1.1, "Listing Referrers".
//!
//! Whether there are signatures hangs on this answer, so it is read strictly: only what the contract
//! calls "not there" (404 also after redirects, 400, 405) is [`ReferrersAnswer::Absent`]; everything
//! else that is no complete list is an error, never an empty list (G-41). Pages, descriptors and
//! bytes are bounded, and more than that is an error too: the good one could lie beyond (G-39).

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Upstream,
    body::Whole,
    error::UpstreamError,
    exchange::{Answer, Call, Outcome},
    link,
    url::{self, Origin},
};
use crate::oci::{
    Descriptor, Digest, Manifest, MediaType, Repository, Shape, manifest::MAX_MANIFEST_SIZE,
};

/// What an upstream knows about the referrers of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferrersAnswer {
    /// It has no such API: the tag schema is used there.
    Absent,
    /// The complete list.
    Listed {
        /// In the upstream's order.
        descriptors: Vec<Descriptor>,
        /// Whether the upstream has left out those of other artifact types.
        filtered: bool,
    },
}

impl Upstream {
    /// Lists the referrers of `subject`, of `artifact_type` alone where the upstream can filter.
    ///
    /// # Errors
    /// See [`UpstreamError`]: whatever is neither a complete list nor a missing API.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let bare = self.base().at(repository, format_args!("referrers/{subject}"));
        let mut page = match artifact_type {
            Some(wanted) => {
                let wanted = utf8_percent_encode(wanted, NON_ALPHANUMERIC);
                self.base()
                    .at(repository, format_args!("referrers/{subject}?artifactType={wanted}"))
            }
            None => bare.clone(),
        };
        let mut list = List::default();
        let mut seen = HashSet::new();
        loop {
            if seen.len() >= MAX_PAGES {
                return Err(limit(format!("{MAX_PAGES} pages")));
            }
            if !seen.insert(page.clone()) {
                return Err(UpstreamError::invalid("its pages of referrers lead in a circle"));
            }
            let call = Call::get(repository, page).accept(HeaderValue::from_static(INDEX));
            let answer = match self.exchange().call(&call, &list.room()).await? {
                Outcome::Refusal(
                    StatusCode::NOT_FOUND
                    | StatusCode::BAD_REQUEST
                    | StatusCode::METHOD_NOT_ALLOWED,
                ) if seen.len() == 1 => return Ok(ReferrersAnswer::Absent),
                // A page that was promised and is not there is no list, and no missing API either.
                Outcome::Refusal(StatusCode::NOT_FOUND) => {
                    return Err(UpstreamError::invalid("a page of its referrers is missing"));
                }
                outcome => outcome.success()?,
            };
            let next = next_page(&answer.headers, &answer.url, &bare)?;
            list.add(&answer)?;
            match next {
                Some(next) => page = next,
                None => return Ok(list.into_answer(artifact_type.is_some())),
            }
        }
    }
}

/// The pages so far.
#[derive(Debug, Default)]
struct List {
    descriptors: Vec<Descriptor>,
    bytes: usize,
    /// Pages on which no filter was applied.
    unfiltered: usize,
}

impl List {
    /// How much the next page may have.
    fn room(&self) -> Whole {
        Whole { limit: MAX_MANIFEST_SIZE.min(MAX_BYTES - self.bytes) }
    }

    fn add(&mut self, answer: &Answer<bytes::Bytes>) -> Result<(), UpstreamError> {
        let unusable = |why: &str| UpstreamError::invalid(format!("its referrers: {why}"));
        let content_type = answer.content_type().unwrap_or_default();
        let is_json = content_type
            .split(';')
            .next()
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
        if !is_json && MediaType::parse(content_type) != Some(MediaType::OciIndex) {
            return Err(unusable("they are not an image index by their `Content-Type`"));
        }
        let manifest = Manifest::parse(&answer.content, Some(content_type))
            .map_err(|error| unusable(&error.to_string()))?;
        let Shape::Index { manifests } = manifest.shape else {
            return Err(unusable("they are not an image index"));
        };
        if self.descriptors.len() + manifests.len() > MAX_DESCRIPTORS {
            return Err(limit(format!("{MAX_DESCRIPTORS} descriptors")));
        }
        self.bytes += answer.content.len();
        self.descriptors.extend(manifests);
        self.unfiltered += usize::from(!is_filtered(&answer.headers));
        Ok(())
    }

    fn into_answer(self, asked: bool) -> ReferrersAnswer {
        let filtered = asked && self.unfiltered == 0;
        ReferrersAnswer::Listed { descriptors: self.descriptors, filtered }
    }
}

/// The next page, which must be another page of `list`, at its origin.
fn next_page(headers: &HeaderMap, page: &Uri, list: &Uri) -> Result<Option<Uri>, UpstreamError> {
    let target =
        link::next_page(headers).map_err(|error| UpstreamError::invalid(error.to_string()))?;
    let Some(target) = target else { return Ok(None) };
    let refused = |why: &str| UpstreamError::invalid(format!("its next page is refused: {why}"));
    let next = url::resolve(page, target).map_err(|problem| refused(&problem.to_string()))?;
    if Origin::of(&next) != Origin::of(list) {
        return Err(refused("it is at another host"));
    }
    if next.path() != list.path() {
        return Err(refused("it is a page of something else"));
    }
    Ok(Some(next))
}

/// `OCI-Filters-Applied: artifactType`.
fn is_filtered(headers: &HeaderMap) -> bool {
    let values = headers.get_all("oci-filters-applied").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|filter| filter.trim().eq_ignore_ascii_case("artifactType"))
}

fn limit(of: String) -> UpstreamError {
    UpstreamError::limit(format!("more than {of} of referrers"))
}

const INDEX: &str = MediaType::OciIndex.as_str();
/// Pages that are read.
const MAX_PAGES: usize = 16;
/// Descriptors on all pages.
const MAX_DESCRIPTORS: usize = 512;
/// Bytes of all pages.
const MAX_BYTES: usize = 8 << 20;
