//! `paasta-master chronos` and PaaSTA's commands around Chronos, with a simulated Chronos and a Sensu that only
//! listens.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "jobs/check.rs"]
mod check;
#[path = "jobs/clean.rs"]
mod clean;
#[path = "jobs/deploy.rs"]
mod deploy;
#[path = "jobs/faults.rs"]
mod faults;
#[path = "jobs/pass.rs"]
mod pass;
#[path = "jobs/plan.rs"]
mod plan;
#[path = "jobs/rerun.rs"]
mod rerun;
#[path = "jobs/scene.rs"]
mod scene;
#[path = "jobs/status.rs"]
mod status;
