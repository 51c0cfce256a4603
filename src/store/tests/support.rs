//! A data directory with a clock that stands still, and sources that do what a test says.

use std::{
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    environment::{Clock, Environment, ManualClock, SystemClock, SystemEntropy},
    oci::{Digest, ImageName},
    store::{
        Blob, Files, FillError, FillSource, FillStream, Follower, Options, SourceError,
        SourceErrorKind, Store, StoreError,
    },
    telemetry::Metrics,
};

/// One data directory, over any number of openings.
pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) max_size: u64,
    pub(super) scrub_every: Duration,
}

impl Scene {
    pub(super) fn new() -> Self {
        // Files have the machine's times, whatever the clock says.
        let now = SystemClock.now();
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Arc::new(ManualClock::new(now)),
            metrics: Arc::new(Metrics::new()),
            max_size: 0,
            scrub_every: Duration::ZERO,
        }
    }

    /// A data directory in memory where there is such a place: what a killed process leaves does not
    /// depend on the disk, and forcing things to the disk takes time.
    pub(super) fn without_disk() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { folder: folder.expect("a folder"), ..Self::new() }
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn options(&self) -> Options {
        Options {
            root: self.root().to_owned(),
            max_size: self.max_size,
            scrub_every: self.scrub_every,
            fills_per_origin: NonZeroUsize::MIN.saturating_add(63),
        }
    }

    pub(super) fn environment(&self) -> Environment {
        Environment { clock: self.clock.clone(), entropy: Arc::new(SystemEntropy) }
    }

    pub(super) fn open(&self) -> Store {
        self.try_open(Files::default()).expect("opens")
    }

    pub(super) fn try_open(&self, files: Files) -> Result<Store, StoreError> {
        Store::open_on(files, self.options(), &self.environment(), Arc::clone(&self.metrics))
    }

    /// The value of a metric, 0 where it was never counted.
    pub(super) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| {
            line.strip_prefix("portcullis_").is_some_and(|line| line.starts_with(name))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    /// The lengths of all files below a folder of the data directory.
    pub(super) fn bytes_below(&self, folder: &str) -> u64 {
        fn below(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|entry| match entry.metadata().expect("metadata") {
                    metadata if metadata.is_dir() => below(&entry.path()),
                    metadata => metadata.len(),
                })
                .sum()
        }
        below(&self.root().join(folder))
    }

    pub(super) fn files_in(&self, folder: &str) -> usize {
        std::fs::read_dir(self.root().join(folder)).expect("a folder").count()
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        self.root().join("blobs-v1").join(digest.algorithm().as_str()).join(&hex[..2]).join(&hex)
    }
}

/// Waits until the accelerator is whole.
pub(super) async fn accelerated(store: &Store) {
    eventually(|| store.inner.blobs.index.blobs(|_, _| {})).await;
}

/// Waits until something in the background has come about.
pub(super) async fn eventually(mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("did not come about in ten seconds");
}

pub(super) fn image(text: &str) -> ImageName {
    let (upstream, repository) = text.split_once('/').expect("upstream/repository");
    ImageName {
        upstream: upstream.parse().expect("an upstream"),
        repository: repository.parse().expect("a repository"),
    }
}

/// Bytes that do not repeat, so that a piece in the wrong place is noticed. The shorter one is the
/// beginning of the longer one.
pub(super) fn content(length: usize) -> Bytes {
    static CONTENT: LazyLock<Bytes> = LazyLock::new(|| {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.flatten().take(16 << 20).collect()
    });
    CONTENT.slice(..length)
}

/// A source of `content`, in pieces.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) content: Bytes,
    pub(super) piece: usize,
    /// What it says the length is.
    pub(super) says: Option<u64>,
    /// Where it breaks off, if it does.
    pub(super) breaks_at: Option<u64>,
    pub(super) ignores_from: bool,
    pub(super) asked: Mutex<Vec<u64>>,
}

impl Scripted {
    pub(super) fn good(content: &Bytes) -> Self {
        Self {
            content: content.clone(),
            piece: 64 << 10,
            says: Some(content.len() as u64),
            breaks_at: None,
            ignores_from: false,
            asked: Mutex::default(),
        }
    }

    pub(super) fn asked(&self) -> Vec<u64> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl FillSource for Scripted {
    fn origin(&self) -> &str {
        "registry.test"
    }

    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        self.asked.lock().expect("not poisoned").push(from);
        let from = if self.ignores_from { 0 } else { from };
        let start = usize::try_from(from).expect("small");
        let end =
            self.breaks_at.map_or(self.content.len(), |at| usize::try_from(at).expect("small"));
        let mut pieces: Vec<_> = (start..end)
            .step_by(self.piece)
            .map(|at| Ok(self.content.slice(at..end.min(at + self.piece))))
            .collect();
        if self.breaks_at.is_some() {
            pieces.push(Err(broken()));
        }
        let body = stream::iter(pieces).boxed();
        let stream = FillStream { from, size: self.says, body };
        async move { Ok(stream) }.boxed()
    }
}

pub(super) fn broken() -> SourceError {
    SourceError::new(SourceErrorKind::Unavailable, "the cable was pulled")
}

/// A source whose bytes come when the test sends them.
#[derive(Debug)]
pub(super) struct Fed {
    size: Option<u64>,
    pieces: Mutex<Option<mpsc::UnboundedReceiver<Result<Bytes, SourceError>>>>,
    pub(super) opened: AtomicUsize,
}

pub(super) type Feed = mpsc::UnboundedSender<Result<Bytes, SourceError>>;

impl Fed {
    pub(super) fn new(size: Option<u64>) -> (Feed, Arc<Self>) {
        let (feed, pieces) = mpsc::unbounded_channel();
        let source = Self { size, pieces: Mutex::new(Some(pieces)), opened: AtomicUsize::new(0) };
        (feed, Arc::new(source))
    }
}

impl FillSource for Fed {
    fn origin(&self) -> &str {
        "registry.test"
    }

    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let pieces = self.pieces.lock().expect("not poisoned").take().expect("opened once");
        let body = stream::unfold(pieces, async |mut pieces| {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        let stream = FillStream { from, size: self.size, body: body.boxed() };
        async move { Ok(stream) }.boxed()
    }
}

/// Everything from `from` on, or what came until the fill failed.
pub(super) async fn follow(
    mut follower: Follower,
    from: u64,
) -> Result<Vec<u8>, (Vec<u8>, FillError)> {
    let mut received = Vec::new();
    loop {
        let position = from + received.len() as u64;
        match follower.readable(position).await {
            Ok(end) if end <= position => return Ok(received),
            Ok(end) => received.extend(read_at(follower.file(), position, end)),
            Err(error) => return Err((received, error)),
        }
    }
}

pub(super) fn read_at(file: &std::fs::File, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(to - from).expect("small")];
    file.read_exact_at(&mut bytes, from).expect("as long as promised");
    bytes
}

pub(super) fn all_of(blob: &Blob) -> Vec<u8> {
    read_at(&blob.file, 0, blob.size)
}

/// Fills `content` and waits until it is published.
pub(super) async fn fill(store: &Store, content: &Bytes) -> Digest {
    let digest = Digest::of(content);
    let source = Arc::new(Scripted::good(content));
    let follower = store.fill(&digest, Some(content.len() as u64), source).await.expect("starts");
    assert!(follow(follower, 0).await.expect("fills") == *content);
    published(store, &digest).await;
    digest
}

/// Waits until the fill of `digest` has left nothing to do.
pub(super) async fn published(store: &Store, digest: &Digest) {
    eventually(|| !store.inner.fills.is_running(digest)).await;
}
