//! The side of the clients: the OCI distribution API over HTTP/1.1 and HTTP/2.
//!
//! A [`Server`] accepts connections within [`Limits`] and knows no route. [`Doors`] answers clients: a
//! request becomes a [`route::Route`] in pure code, the mirror is asked, and its answer becomes a
//! response, one file for each endpoint. [`Admin`] answers the operator on a listener of its own.
//!
//! Nothing here decides: a manifest response can be made from the mirror's
//! [`Admitted`](crate::mirror::Admitted) only, and everything that is not what was asked for
//! goes through one file, `failure.rs`.

mod activity;
mod admin;
mod base;
mod blobs;
mod body;
mod buffers;
mod census;
pub mod conditional;
mod connection;
mod doors;
mod failure;
mod headers;
mod limits;
mod listener;
mod manifests;
mod namespace;
mod operations;
mod phrase;
mod query;
pub mod range;
mod record;
mod referrers;
mod request_id;
pub mod route;
mod sendfile;
mod service;
mod tags;
#[cfg(test)]
mod testing;
mod verdicts;
mod verify;

pub use admin::{Admin, Readiness};
pub use body::{Body, BodyError};
pub use buffers::Buffers;
pub use doors::Doors;
pub use limits::{Limits, MIN_HEADER_BYTES};
pub use listener::{BindError, Drained, Server};
pub use operations::{Answer, ImportWanted, Operations};
pub use request_id::RequestId;
pub use service::{Arrival, Door, Service};
