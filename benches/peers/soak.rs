//! `--soak 30m`: everything at once for a long time, and whether anything grows.
//!
//! Whole pulls, pulls that must fill because the cache is too small, readers of ranges, clients that
//! leave in the middle, a policy that is written anew twice a second. A sample every so often shows
//! memory and open files; a mirror that leaks shows it in the last quarter.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::content::{Image, MANIFEST_TYPE};
use crate::crowds::reload;
use crate::process::Usage;
use crate::wire::{Connection, Target};
use crate::workbench::Workbench;

/// Loads the mirror for `length`; whether nothing grew and nobody saw an error.
pub(crate) fn run(workbench: &Workbench, length: Duration) -> Result<bool> {
    let upstream = workbench.upstream.target.address;
    let mut mirror = workbench.another_mirror("soak", upstream, Some(CACHE))?;
    mirror.restart_empty()?;
    let images = &workbench.images;
    let work = Work {
        target: mirror.target.clone(),
        done: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        errors: Mutex::default(),
    };
    let clients: [(&Image, Client); 7] = [
        (&images.layers, pull),
        (&images.layers, pull),
        (&images.churn, pull),
        (&images.churn, pull),
        (&images.image, read_a_range),
        (&images.image, read_a_range),
        (&images.image, leave_early),
    ];
    let samples = thread::scope(|scope| -> Result<Vec<Usage>> {
        for (number, (image, client)) in clients.into_iter().enumerate() {
            let work = &work;
            scope.spawn(move || work.repeat(number, image, client));
        }
        let (mirror, policy, done) = (&mirror, workbench.policy(), &work.done);
        let reloading = scope.spawn(move || reload(mirror, policy, done));
        let samples = sample(length, &work, || mirror.usage()?.context("not running"));
        work.done.store(true, Ordering::Relaxed);
        reloading.join().map_err(|_| anyhow!("the reloader panicked"))??;
        samples
    })?;
    let errors = work.errors.into_inner().map_err(|_| anyhow!("a client panicked"))?;
    for error in errors.iter().take(5) {
        println!("error: {error}");
    }
    let memory = is_flat(&samples, |usage| usage.resident, MEMORY_NOISE);
    let files = is_flat(&samples, |usage| usage.files, FILES_NOISE);
    let word = |flat| if flat { "flat" } else { "GROWS" };
    println!("memory: {}; open files: {}; errors: {}", word(memory), word(files), errors.len());
    Ok(memory && files && errors.is_empty())
}

/// What all clients share.
struct Work {
    target: Target,
    done: AtomicBool,
    requests: AtomicUsize,
    errors: Mutex<Vec<String>>,
}

/// One visit of a client: its number, and how often it was here.
type Client = fn(&Target, &Image, usize) -> Result<usize>;

impl Work {
    fn repeat(&self, number: usize, image: &Image, client: Client) {
        for visit in number.. {
            if self.done.load(Ordering::Relaxed) {
                return;
            }
            match client(&self.target, image, visit) {
                Ok(requests) => {
                    self.requests.fetch_add(requests, Ordering::Relaxed);
                }
                Err(error) => {
                    let error = format!("{}: {error:#}", image.repository);
                    self.errors.lock().expect("clients do not panic").push(error);
                }
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The manifest and every blob, over one connection.
fn pull(target: &Target, image: &Image, _visit: usize) -> Result<usize> {
    let mut connection = Connection::open(target)?;
    connection.fetch(&image.tag_path(), &[("Accept", MANIFEST_TYPE)])?;
    let (mut buffer, mut requests) = (vec![0; 64 * 1024], 1);
    for blob in image.blobs() {
        let head = connection.get(&image.blob_path(blob), &[])?;
        ensure!(head.status == 200, "a blob was answered {}", head.status);
        connection.read_body(&head, &mut buffer, |_| ())?;
        requests += 1;
    }
    Ok(requests)
}

/// A million bytes from somewhere in the middle of a big blob.
fn read_a_range(target: &Target, image: &Image, visit: usize) -> Result<usize> {
    let mut connection = Connection::open(target)?;
    connection.fetch(&image.digest_path(), &[("Accept", MANIFEST_TYPE)])?;
    let layer = &image.layers[0];
    let start = (visit as u64 * 7_654_321) % (layer.size - RANGE);
    let range = format!("bytes={start}-{}", start + RANGE - 1);
    let head = connection.get(&image.blob_path(layer), &[("Range", &range)])?;
    ensure!(head.status == 206, "a range was answered {}", head.status);
    connection.read_body(&head, &mut vec![0; 64 * 1024], |_| ())?;
    Ok(2)
}

/// Asks for a big blob and goes away when it comes.
fn leave_early(target: &Target, image: &Image, _visit: usize) -> Result<usize> {
    let mut connection = Connection::open(target)?;
    connection.fetch(&image.tag_path(), &[("Accept", MANIFEST_TYPE)])?;
    let head = connection.get(&image.blob_path(&image.layers[0]), &[])?;
    ensure!(head.status == 200, "a blob was answered {}", head.status);
    Ok(2)
}

/// Prints a line for each part of `length`.
fn sample(length: Duration, work: &Work, usage: impl Fn() -> Result<Usage>) -> Result<Vec<Usage>> {
    println!(
        "{:>8}{:>12}{:>12}{:>12}{:>10}",
        "seconds", "memory MB", "open files", "requests", "errors"
    );
    let (start, mut samples) = (Instant::now(), Vec::new());
    for part in 1..=SAMPLES {
        let until = length * part / SAMPLES;
        thread::sleep(until.saturating_sub(start.elapsed()));
        let used = usage()?;
        println!(
            "{:>8}{:>12.1}{:>12}{:>12}{:>10}",
            start.elapsed().as_secs(),
            used.resident as f64 / 1e6,
            used.files,
            work.requests.load(Ordering::Relaxed),
            work.errors.lock().map_or(0, |errors| errors.len())
        );
        samples.push(used);
    }
    Ok(samples)
}

/// Whether the last quarter needed no more than the second, give or take `noise`.
fn is_flat(samples: &[Usage], of: impl Fn(&Usage) -> u64, noise: u64) -> bool {
    let quarter = samples.len() / 4;
    let most = |part: &[Usage]| part.iter().map(&of).max().unwrap_or(0);
    let before = most(&samples[quarter..2 * quarter]);
    most(&samples[samples.len() - quarter..]) <= before + before / 10 + noise
}

/// Holds less than what is pulled through it.
const CACHE: &str = "250MiB";
const RANGE: u64 = 1_000_000;
const PAUSE: Duration = Duration::from_millis(20);
const SAMPLES: u32 = 24;
/// What the allocator keeps or gives back from one moment to the next, in bytes.
const MEMORY_NOISE: u64 = 8_000_000;
/// Connections that happen to be open.
const FILES_NOISE: u64 = 16;
