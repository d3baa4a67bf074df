//! What the replaced programs really did, case by case.
//!
//! The cases are in the directory named by `GOLDEN_DIR`, default `tests/golden` of the repository. Each
//! test runs every case of its kind that it finds, and fails if it finds none.

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/schedules.rs"]
mod schedules;
#[path = "golden/schema.rs"]
mod schema;
