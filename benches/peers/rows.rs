//! What the table shows: one row for each bar.

use crate::workbench::{MIRROR, NGINX};

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// Also the name of the measurement.
    pub identifier: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub compared: Compared,
    pub bar: Bar,
}

/// What a server's measurement is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compared {
    /// Nothing: the number itself has a bar.
    Alone,
    /// The same measurement of another server; the difference has a bar.
    Minus(&'static str),
    /// A measurement of a server; the ratio has a bar.
    Over { identifier: &'static str, server: &'static str },
}

/// What a good result is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    /// Whether `value` reaches it.
    pub(crate) fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    /// The number in it.
    pub(crate) const fn value(self) -> f64 {
        match self {
            Self::AtLeast(bar) | Self::AtMost(bar) => bar,
        }
    }
}

/// Where the upstream's own numbers are kept: a client without any mirror.
pub(crate) const DIRECT: &str = "direct";

pub(crate) const MANIFEST_BY_DIGEST: &str = "manifest-by-digest";
pub(crate) const MANIFEST_BY_TAG: &str = "manifest-by-tag";
pub(crate) const MANY_RULES: &str = "many-rules";
pub(crate) const SMALL_BLOB: &str = "small-blob";
pub(crate) const BLOB_1: &str = "blob-1";
pub(crate) const BLOB_8: &str = "blob-8";
pub(crate) const BLOB_1_TLS: &str = "blob-1-tls";
pub(crate) const BLOB_8_TLS: &str = "blob-8-tls";
pub(crate) const PROCESSOR: &str = "processor";
pub(crate) const COLD: &str = "cold";
pub(crate) const COLD_GIGABIT: &str = "cold-gigabit";
pub(crate) const COLD_FIRST_BYTE: &str = "cold-first-byte";
pub(crate) const CROWD_UPSTREAM: &str = "crowd-upstream";
pub(crate) const CROWD_LAST: &str = "crowd-last";
pub(crate) const PODMAN: &str = "podman";
pub(crate) const VERIFY_NEAR: &str = "verify-near";
pub(crate) const VERIFY_FAR: &str = "verify-far";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const IDLE: &str = "idle";
pub(crate) const QUIET_P99: &str = "quiet-p99";
pub(crate) const BUSY_P99: &str = "busy-p99";
pub(crate) const LARGE_REBUILT: &str = "large-rebuilt";
pub(crate) const LARGE_READY: &str = "large-ready";
pub(crate) const LARGE_REQUEST: &str = "large-request";
pub(crate) const SMALL_REQUEST: &str = "small-request";

/// The table, in order.
pub(crate) const ROWS: &[Row] = &[
    row(
        MANIFEST_BY_DIGEST,
        "warm manifest by digest, 16 connections",
        "/s",
        over(MANIFEST_BY_DIGEST, NGINX),
        Bar::AtLeast(0.9),
    ),
    row(
        MANIFEST_BY_TAG,
        "warm manifest by tag, against own by digest",
        "/s",
        over(MANIFEST_BY_DIGEST, MIRROR),
        Bar::AtLeast(0.8),
    ),
    row(
        MANY_RULES,
        "the same by digest, policy of 1,000 rules, against 1",
        "/s",
        over(MANIFEST_BY_DIGEST, MIRROR),
        Bar::AtLeast(0.83),
    ),
    row(
        SMALL_BLOB,
        "warm 4 KiB blob, 16 connections",
        "/s",
        over(SMALL_BLOB, NGINX),
        Bar::AtLeast(0.8),
    ),
    row(BLOB_1, "warm big blob, 1 stream", "GB/s", over(BLOB_1, NGINX), Bar::AtLeast(0.9)),
    row(BLOB_8, "warm big blob, 8 streams", "GB/s", over(BLOB_8, NGINX), Bar::AtLeast(0.9)),
    row(
        BLOB_1_TLS,
        "warm big blob, 1 stream, TLS 1.3",
        "GB/s",
        over(BLOB_1_TLS, NGINX),
        Bar::AtLeast(0.9),
    ),
    row(
        BLOB_8_TLS,
        "warm big blob, 8 streams, TLS 1.3",
        "GB/s",
        over(BLOB_8_TLS, NGINX),
        Bar::AtLeast(0.9),
    ),
    row(
        PROCESSOR,
        "processor time, warm, 8 streams",
        "s/GB",
        over(PROCESSOR, NGINX),
        Bar::AtMost(1.3),
    ),
    row(COLD, "cold pull of the big blob", "GB/s", over(COLD, DIRECT), Bar::AtLeast(0.95)),
    row(
        COLD_GIGABIT,
        "the same over a link of 1 Gbit/s",
        "GB/s",
        over(COLD_GIGABIT, DIRECT),
        Bar::AtLeast(0.95),
    ),
    row(
        COLD_FIRST_BYTE,
        "its first byte, beyond the upstream's",
        "ms",
        Compared::Minus(DIRECT),
        Bar::AtMost(2.0),
    ),
    row(
        CROWD_UPSTREAM,
        "a crowd for one cold blob: upstream bytes / blob",
        "x",
        Compared::Alone,
        Bar::AtMost(1.005),
    ),
    row(
        CROWD_LAST,
        "its last client, against a crowd at warm nginx",
        "s",
        over(CROWD_LAST, NGINX),
        Bar::AtMost(1.2),
    ),
    row(
        PODMAN,
        "cold `podman pull`, 20 layers, upstream 20 ms away",
        "s",
        over(PODMAN, DIRECT),
        Bar::AtMost(1.1),
    ),
    row(
        VERIFY_NEAR,
        "added by verification, first pull, upstream near",
        "ms",
        Compared::Alone,
        Bar::AtMost(3.0),
    ),
    row(VERIFY_FAR, "the same, upstream 20 ms away", "ms", Compared::Alone, Bar::AtMost(23.0)),
    row(
        MEMORY,
        "memory over idle, every reader its own range",
        "MB",
        Compared::Alone,
        Bar::AtMost(100.0),
    ),
    row(IDLE, "memory when idle", "MB", Compared::Alone, Bar::AtMost(40.0)),
    row(
        BUSY_P99,
        "p99 while it evicts, fills and reloads, against quiet",
        "ms",
        over(QUIET_P99, MIRROR),
        Bar::AtMost(2.0),
    ),
    row(
        LARGE_REBUILT,
        "ready with 1,000,000 blobs, accelerator lost",
        "s",
        Compared::Alone,
        Bar::AtMost(1.0),
    ),
    row(LARGE_READY, "ready with 1,000,000 blobs", "s", Compared::Alone, Bar::AtMost(1.0)),
    row(
        LARGE_REQUEST,
        "a manifest there, against a store of 1,000 blobs",
        "ms",
        over(SMALL_REQUEST, MIRROR),
        Bar::AtMost(1.1),
    ),
];

const fn row(
    identifier: &'static str,
    title: &'static str,
    unit: &'static str,
    compared: Compared,
    bar: Bar,
) -> Row {
    Row { identifier, title, unit, compared, bar }
}

const fn over(identifier: &'static str, server: &'static str) -> Compared {
    Compared::Over { identifier, server }
}
