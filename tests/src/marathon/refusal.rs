//! What is answered instead of a change.

use serde_json::{Value, json};

use super::ids::AppId;

/// A place in a body and what is wrong there.
pub(super) type Detail = (String, String);

/// A refused request: status and body (marathon-sync.md §22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub body: Value,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, body: json!({"message": message.into()}) }
    }

    /// JSON that cannot be read as what it should be.
    pub(super) fn form(details: &[Detail]) -> Self {
        Self::detailed(400, "Invalid JSON", details)
    }

    /// A readable app that breaks a rule.
    pub(super) fn rules(details: &[Detail]) -> Self {
        Self::detailed(422, "Object is not valid", details)
    }

    fn detailed(status: u16, message: &str, details: &[Detail]) -> Self {
        let detail = |(path, error): &Detail| json!({"path": path, "errors": [error]});
        let details: Vec<Value> = details.iter().map(detail).collect();
        Self { status, body: json!({"message": message, "details": details}) }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn no_app(id: &AppId) -> Self {
        Self::new(404, format!("App '{id}' does not exist"))
    }

    pub(super) fn no_deployment(id: &str) -> Self {
        Self::new(404, format!("DeploymentPlan {id} does not exist"))
    }

    pub(super) fn no_path(path: &str) -> Self {
        Self::new(404, format!("URI not found: {path}"))
    }

    pub(super) fn no_method() -> Self {
        Self::new(405, "Method Not Allowed")
    }

    pub(super) fn exists(id: &AppId) -> Self {
        Self::new(409, format!("An app with id [{id}] already exists."))
    }

    /// By deployments that run, the first of which the message names.
    pub(super) fn locked(deployments: &[String]) -> Self {
        let first = deployments.first().map_or("", String::as_str);
        let message = format!(
            "App is locked by one or more deployments. Override with the option '?force=true'. \
             View details at '/v2/deployments/{first}'."
        );
        let ids: Vec<Value> = deployments.iter().map(|id| json!({"id": id})).collect();
        Self { status: 409, body: json!({"message": message, "deployments": ids}) }
    }

    pub(super) fn unknown_user() -> Self {
        Self::new(401, "Invalid username or password.")
    }

    pub(super) fn no_leader() -> Self {
        Self::new(503, "Could not determine the current leader")
    }
}
