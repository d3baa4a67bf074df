//! What the replaced programs really did, case by case.
//!
//! The cases are in the directory named by `GOLDEN_DIR`, default `tests/golden` of the repository. Each
//! test runs every case of its kind that it finds, and fails if it finds none.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/chronos.rs"]
mod chronos;
#[path = "golden/marathon.rs"]
mod marathon;
#[path = "golden/schedules.rs"]
mod schedules;
#[path = "golden/schema.rs"]
mod schema;
#[path = "golden/validate.rs"]
mod validate;
