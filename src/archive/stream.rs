//! An archive that comes as a stream, from a pipe or over the network, and passes once.
//!
//! Evidence may come after what it vouches for, so nothing can be judged before the end. The
//! content goes into the store as it comes, hashed like every fill, and nothing refers to it: blobs
//! are only ever served through an admitted manifest. What no image needed is taken out again.

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use tokio::sync::mpsc;

use super::{
    ArchiveError, EntryName,
    extent::Extent,
    layout::{Archive, Reading},
    open::{Found, Small},
    shelf::Shelf,
    tar::{Member, Members, Source},
};
use crate::{
    oci::Digest,
    store::{FillSource, FillStream, SourceError, SourceErrorKind, Store},
};

/// Takes in the tar file that `reader` yields. Says beside the archive which content was not in the
/// store before, so that what nobody needed can be removed.
///
/// # Errors
/// See [`ArchiveError`]. What came before the fault is taken out again.
///
/// # Cancel safety
/// The content that is under way is given up; what came before stays in the store.
pub async fn receive(
    reader: impl Read + Send + 'static,
    store: &Store,
    reading: Reading<'_>,
) -> Result<(Archive, Vec<Digest>), ArchiveError> {
    let mut fresh = Vec::new();
    match take_in(reader, store, reading, &mut fresh).await {
        Ok(archive) => Ok((archive, fresh)),
        Err(error) => {
            for digest in &fresh {
                store.discard(digest).await?;
            }
            Err(error)
        }
    }
}

/// Takes in the tar file, and notes in `fresh` which content is new.
async fn take_in(
    reader: impl Read + Send + 'static,
    store: &Store,
    reading: Reading<'_>,
    fresh: &mut Vec<Digest>,
) -> Result<Archive, ArchiveError> {
    let (tell, mut told) = mpsc::channel(1);
    let reading_members = tokio::task::spawn_blocking(move || pump(Passing(reader), &tell));
    let mut sizes = HashMap::new();
    while let Some(Coming { digest, size, pieces }) = told.recv().await {
        sizes.insert(digest, size);
        if store.open_blob(&digest).await?.is_some() {
            continue;
        }
        let source = Arc::new(Passage(Mutex::new(Some(pieces))));
        let mut follower = store.fill(&digest, Some(size), source).await?;
        if let Err(error) = follower.stored().await {
            drop(told);
            // What the reader stumbled over says more than that the content came short.
            joined(reading_members.await)?;
            return Err(ArchiveError::fill(error, "the stream"));
        }
        fresh.push(digest);
    }
    let small = joined(reading_members.await)?;
    let shelf = Arc::new(InStore { store: store.clone(), sizes });
    Archive::read("a stream".to_owned(), Found { small, shelf }, reading).await
}

fn joined(
    result: Result<Result<Small, ArchiveError>, tokio::task::JoinError>,
) -> Result<Small, ArchiveError> {
    result.unwrap_or_else(|error| {
        Err(ArchiveError::io("read", "the stream", io::Error::other(error)))
    })
}

/// The names of the files in the tar file that `reader` yields, read as strictly as an import reads
/// them. Their content is passed over.
///
/// # Errors
/// See [`ArchiveError`].
pub fn list_members(reader: impl Read) -> Result<Vec<EntryName>, ArchiveError> {
    let mut members = Members::new(Passing(reader));
    let mut names = Vec::new();
    while let Some(member) = members.next()? {
        names.push(member.name);
    }
    Ok(names)
}

/// A content that comes next.
struct Coming {
    digest: Digest,
    size: u64,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

/// Reads the members one after the other, on a thread that may block.
fn pump<R: Read>(reader: Passing<R>, tell: &mpsc::Sender<Coming>) -> Result<Small, ArchiveError> {
    let mut members = Members::new(reader);
    let mut small = Small::default();
    let mut seen = std::collections::HashSet::new();
    while let Some(member) = members.next()? {
        match &member.name {
            EntryName::Blob(digest) => {
                if !seen.insert(*digest) {
                    return Err(ArchiveError::Duplicate { name: member.path });
                }
                let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
                let coming = Coming { digest: *digest, size: member.size, pieces };
                if tell.blocking_send(coming).is_err() {
                    break;
                }
                pass(&mut members, &member, &sender)?;
            }
            name => {
                let limit = name.limit().unwrap_or(0) as u64;
                let mut content = vec![0; usize::try_from(member.size.min(limit)).unwrap_or(0)];
                if member.size <= limit {
                    members.read(&member, &mut content)?;
                }
                small.accept(name, &member.path, member.size, || Ok(content))?;
            }
        }
    }
    Ok(small)
}

/// Hands on the bytes of one member, until nobody wants more of them.
fn pass<R: Read>(
    members: &mut Members<Passing<R>>,
    member: &Member,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), ArchiveError> {
    let mut left = member.size;
    while left > 0 && !pieces.is_closed() {
        let mut piece = vec![0; usize::try_from(left.min(PIECE)).unwrap_or(0)];
        members.read(member, &mut piece)?;
        left -= piece.len() as u64;
        // The store has it already: the rest is skipped with the next header.
        if pieces.blocking_send(Ok(piece.into())).is_err() {
            break;
        }
    }
    Ok(())
}

/// A reader that can only go on.
struct Passing<R>(R);

impl<R: Read> Read for Passing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Passing<R> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        io::copy(&mut (&mut self.0).take(count), &mut io::sink())
    }
}

/// A content that passes once.
#[derive(Debug)]
struct Passage(Mutex<Option<mpsc::Receiver<io::Result<Bytes>>>>);

impl FillSource for Passage {
    fn origin(&self) -> &str {
        "archive"
    }

    fn open(&self, _from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        let pieces = self.0.lock().expect("nothing panics while it holds this lock").take();
        let gone = || SourceError::new(SourceErrorKind::Unavailable, "the stream has passed");
        let opened = pieces.ok_or_else(gone).map(|pieces| {
            let body =
                stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
            let body = body.map(|piece| {
                piece.map_err(|error| SourceError::new(SourceErrorKind::Unavailable, error))
            });
            FillStream { from: 0, size: None, body: body.boxed() }
        });
        std::future::ready(opened).boxed()
    }
}

/// Content that has come into the store.
#[derive(Debug)]
struct InStore {
    store: Store,
    sizes: HashMap<Digest, u64>,
}

impl Shelf for InStore {
    fn size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    fn open(&self, digest: &Digest) -> BoxFuture<'static, Result<Extent, ArchiveError>> {
        let (store, digest) = (self.store.clone(), *digest);
        async move {
            let blob = store.open_blob(&digest).await?;
            let blob = blob.ok_or(ArchiveError::Lacks { digest })?;
            Ok(Extent::whole(blob.file.clone(), blob.size))
        }
        .boxed()
    }

    fn place(&self, _digest: &Digest) -> String {
        "the stream".to_owned()
    }
}

/// Bytes that are handed on at once.
const PIECE: u64 = 1 << 20;
/// Pieces that wait for whoever hashes and writes them.
const PIECES_AHEAD: usize = 2;
