//! Envelopes and chains that were made for each rule, and the vectors of others.

mod judged;
mod made;
mod recorded;
mod rules;
mod vectors;
