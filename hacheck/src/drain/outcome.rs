//! How things stand, for people and for programs.

use serde_json::{Value, json};

use super::{Target, decide::business, haproxy::SourceError, marking::Marked, statistics::Server};

/// One look at everything.
pub(super) struct Outcome {
    pub(super) marked: Marked,
    /// `None` if no hacheck answers.
    pub(super) in_force: Option<bool>,
    pub(super) looks: Vec<Look>,
}

/// One look at one HAProxy.
pub(super) struct Look {
    pub(super) source: String,
    /// The servers that stand for the target.
    pub(super) found: Result<Vec<Server>, SourceError>,
}

impl Outcome {
    pub(super) fn is_safe(&self) -> bool {
        self.missing().is_empty()
    }

    /// What is still to happen before nobody sends to the target. A HAProxy that does not answer may
    /// be sending.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.in_force == Some(false) {
            missing.push("hacheck does not say yet that it is down".to_owned());
        }
        for Look { source, found } in &self.looks {
            match found {
                Ok(servers) => {
                    let busy = servers.iter().filter_map(business);
                    missing.extend(busy.map(|business| format!("{source}: {business}")));
                }
                Err(error) => missing.push(format!("{source}: {error}")),
            }
        }
        missing
    }

    pub(super) fn text(&self, target: &Target, waited: u32) -> String {
        match self.missing() {
            missing if missing.is_empty() => format!("{target} is safe to stop"),
            missing => format!("not safe after {waited} s: {}", missing.join("; ")),
        }
    }

    pub(super) fn json(&self, target: &Target) -> Value {
        let looks: Vec<Value> = self.looks.iter().map(Look::json).collect();
        json!({
            "target": target.to_string(),
            "marked": true,
            "by": self.marked.word(),
            "safe_to_stop": self.is_safe(),
            "missing": self.missing(),
            "haproxy": looks,
        })
    }
}

impl Look {
    fn json(&self) -> Value {
        let (servers, error) = match &self.found {
            Ok(servers) => (servers.as_slice(), None),
            Err(error) => (&[][..], Some(error.to_string())),
        };
        let servers: Vec<Value> = servers
            .iter()
            .map(|server| {
                json!({
                    "backend": server.backend,
                    "name": server.name,
                    "status": server.status,
                    "sessions": server.sessions,
                    "queued": server.queued,
                })
            })
            .collect();
        json!({"source": self.source, "error": error, "servers": servers})
    }
}
