//! Asks hacheck about a registration, in process.

use std::sync::Arc;

use hacheck::{
    cache::Freshness,
    checks::{Answer, CheckRequest, Checker, Kind},
    marks::{MarkTable, Marks},
    names::{Host, ServiceName},
};
use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};
use soa_configs::Mode;
use tokio::sync::watch;

use crate::nerve::registrations::Registration;

/// The way from the nerve wing to hacheck. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Probe {
    checker: Checker,
    marks: Marks,
}

/// What hacheck said of a registration. The texts are one line, the same for the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    Bad(String),
    /// A mark holds it down; it was not asked.
    Marked(String),
    /// It was not asked: this host is too busy. That says nothing about it.
    NotAsked,
}

/// Longest text kept of a failure.
const MAX_DETAIL: usize = 200;

impl Probe {
    #[must_use]
    pub fn new(checker: Checker, marks: Marks) -> Self {
        Self { checker, marks }
    }

    /// Changes whenever a mark comes, goes or expires.
    #[must_use]
    pub fn marks(&self) -> watch::Receiver<Arc<MarkTable>> {
        self.marks.subscribe()
    }

    /// Marks first, then the check. `now`: do not take an answer of before.
    pub async fn ask(&self, wish: &Registration, now: bool) -> Finding {
        let request = match request(wish) {
            Ok(request) => request,
            Err(reason) => return Finding::Bad(reason),
        };
        let freshness = if now { Freshness::Now } else { Freshness::Cached };
        let marks = self.marks.table();
        let timeout = Some(wish.check.timeout);
        match self.checker.answer(&marks, wish.port, &request, freshness, timeout).await {
            Answer::Marked(mark) => Finding::Marked(mark.text()),
            Answer::Checked(outcome) if outcome.overloaded => Finding::NotAsked,
            Answer::Checked(outcome) => {
                let body = String::from_utf8_lossy(&outcome.body);
                let status = outcome.status().as_u16();
                if !outcome.is_healthy() {
                    return Finding::Bad(one_line(&format!("{status} {body}")));
                }
                match &wish.check.body_expect {
                    Some(expected) if !body.contains(expected) => Finding::Bad(one_line(&format!(
                        "{status}, but the body lacks `{expected}`"
                    ))),
                    _ => Finding::Good(format!("{} {status}", wish.check.mode.as_str())),
                }
            }
        }
    }
}

/// # Errors
/// A sentence, when the registration cannot be checked as it is written.
fn request(wish: &Registration) -> Result<CheckRequest, String> {
    let check = &wish.check;
    let kind = match check.mode {
        Mode::Http => Kind::Http,
        Mode::Tcp => Kind::Tcp,
        Mode::Https => return Err("healthcheck_mode https is not supported yet".to_owned()),
    };
    let path_and_query: PathAndQuery = check
        .uri
        .parse()
        .map_err(|_| format!("healthcheck_uri `{}` is no path", check.uri.escape_debug()))?;
    let header = |(name, value): (&String, &String)| {
        let pair = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        Some(pair)
    };
    let service: ServiceName =
        wish.key.namespace.as_str().parse().map_err(|error| format!("{error}"))?;
    Ok(CheckRequest {
        kind,
        service,
        host: Host::Local,
        port: check.port,
        path_and_query,
        headers: check.headers.iter().filter_map(header).collect(),
    })
}

/// Foreign text made fit for one line of a log or a table. Times differ from check to check and
/// would make every answer a new one, so only the first line counts.
fn one_line(text: &str) -> String {
    let first = text.trim().lines().next().unwrap_or_default();
    first.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL).collect()
}
