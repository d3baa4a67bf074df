//! Deploying an instance: what soa-configs ask, what there is, one step nearer, and what people are told
//! (marathon-sync.md §10).
//!
//! [`pass`] puts the rooms together; the decisions are in [`crate::step`].

pub mod act;
pub mod guard;
pub mod journal;
pub mod lines;
pub mod pass;
pub mod proxies;
pub mod sight;
pub mod verdict;
pub mod wanted;
