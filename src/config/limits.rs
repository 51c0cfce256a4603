//! How much one client, and all of them, may use.

use std::time::Duration;

use super::{check::Check, problem::Problem, raw};
use crate::{
    http::{Limits, MIN_HEADER_BYTES},
    units::ByteSize,
};

/// Checks `raw`; what it does not say is as [`Limits::default`] has it.
pub(super) fn check(check: &mut Check<'_>, raw: &raw::Limits) -> Limits {
    let standard = Limits::default();
    let mut count = |name: &str, value: Option<u32>, default: usize| {
        if value == Some(0) {
            check.refuse(&key(name), Problem::new("must be at least 1"));
        }
        value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    };
    let connections = count("connections", raw.connections, standard.connections);
    let connections_per_address = count(
        "connections_per_address",
        raw.connections_per_address,
        standard.connections_per_address,
    );
    let requests = count("requests", raw.requests, standard.requests);
    let requests_per_address =
        count("requests_per_address", raw.requests_per_address, standard.requests_per_address);
    count("streams", raw.streams, 0);
    let mut time = |name: &str, text: Option<&str>, default: Duration| {
        check.some_time(&key(name), text, default)
    };
    Limits {
        connections,
        connections_per_address,
        requests,
        requests_per_address,
        streams: raw.streams.unwrap_or(standard.streams),
        header_time: time("header_time", raw.header_time.as_deref(), standard.header_time),
        handshake: time("handshake", raw.handshake.as_deref(), standard.handshake),
        idle: time("idle", raw.idle.as_deref(), standard.idle),
        stall: time("stall", raw.stall.as_deref(), standard.stall),
        header_bytes: header_bytes(check, raw, standard.header_bytes),
        drain: check.duration(&key("drain"), raw.drain.as_deref(), standard.drain),
    }
}

fn header_bytes(check: &mut Check<'_>, raw: &raw::Limits, default: usize) -> usize {
    let key = key("header_bytes");
    let Some(ByteSize(size)) = check.parsed(&key, raw.header_bytes.as_deref()) else {
        return default;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size < MIN_HEADER_BYTES {
        let least = ByteSize(MIN_HEADER_BYTES as u64);
        check.refuse(&key, Problem::new(format!("must be at least {least}")));
    }
    size
}

fn key(name: &str) -> String {
    format!("limits.{name}")
}
