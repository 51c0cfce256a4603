//! The upstream side against a scripted registry, on loopback.

mod auth;
mod blobs;
mod connections;
mod failures;
mod manifests;
mod push;
mod redirects;
mod referrers;
mod site;
mod support;
mod tags;
