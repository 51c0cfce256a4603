//! The side of the clients: the OCI distribution API over HTTP/1.1 and HTTP/2.
//!
//! A request becomes a [`route::Route`] in pure code, the mirror is asked, and its answer becomes a
//! response. Nothing here decides: a manifest response can be made from the mirror's
//! [`Admitted`](crate::mirror::answer::Admitted) only, and every refusal goes through one file.

pub mod conditional;
mod namespace;
mod query;
pub mod range;
pub mod route;
