//! Portcullis: a registry mirror that opens only for signed images.
//!
//! It speaks the OCI distribution API, pulls through from upstream registries, keeps blobs by
//! digest, and hands out a manifest only after the policy that covers its repository has admitted
//! it. Five tenets, of which an earlier one wins over a later one:
//!
//! 1. Never serve what policy refuses, by any door, even when something is broken.
//! 2. Never serve bytes that differ from their digest, nor rewrite a byte that somebody signed.
//! 3. Keep admitted pulls working when the upstream does not.
//! 4. Tell the person at the other end why, and what to do next.
//! 5. Be faster than the mirrors that check nothing.
//!
//! Modules know each other in one direction only:
//! `http -> mirror -> {trust, store, upstream} -> oci`; [`app`] puts them together.

pub mod app;
pub mod archive;
pub mod audit;
pub mod cli;
pub mod config;
pub mod environment;
pub mod http;
pub mod images;
pub mod mirror;
pub mod oci;
pub mod reload;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod timestamp;
pub mod tls;
pub mod trust;
pub mod units;
pub mod upstream;
