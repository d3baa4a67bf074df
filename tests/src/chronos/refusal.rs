//! What is answered instead of a change.

use serde_json::{Value, json};

/// A refused request: status and body (chronos-sync.md §13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub body: Value,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, body: json!({"message": message.into()}) }
    }

    /// Fields that must be there are missing, or nobody can read the schedule.
    pub(super) fn unprocessable(errors: &[String]) -> Self {
        Self { status: 422, body: json!({"errors": errors}) }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn no_parents(job: &str) -> Self {
        Self::bad_request(format!(
            "requirement failed: Job {job} does not have all parents defined!"
        ))
    }

    pub(super) fn unknown(job: &str) -> Self {
        Self::bad_request(format!("Job '{job}' not found"))
    }

    pub(super) fn broken(message: impl Into<String>) -> Self {
        Self::new(500, message)
    }

    pub(super) fn no_path() -> Self {
        Self::new(404, "HTTP 404 Not Found")
    }

    pub(super) fn unknown_user() -> Self {
        Self::new(401, "Unauthorized")
    }

    pub(super) fn no_leader() -> Self {
        Self::new(500, "Error proxying request to leader (maybe the leadership just changed?)")
    }
}
