//! The upstream side against a scripted registry, on loopback.

mod auth;
mod blobs;
mod connections;
mod failures;
mod manifests;
mod redirects;
mod referrers;
mod support;
mod tags;
