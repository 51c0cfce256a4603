//! The program from outside, in one binary: a module for each behaviour.
//!
//! Each test starts the real program against a scripted upstream (`support`), both on ephemeral
//! loopback ports, so all of them run at once. Tests of an attack carry its id (`G-1` .. `G-51`).

mod admin;
mod airgap;
mod arrows;
mod attacks;
mod attestations;
mod audit;
mod cli;
mod conditional;
mod demo;
mod deny;
mod doors;
mod errors;
mod evict;
mod evidence;
mod fill;
mod limits;
mod notation;
mod pipelines;
mod policies;
mod protocols;
mod pull;
mod ranges;
mod restart;
mod rotate;
mod shutdown;
mod signatures;
mod spellings;
mod stale;
mod support;
mod upstream_lies;
mod upstream_ways;
mod vectors;
