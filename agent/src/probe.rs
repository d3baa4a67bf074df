//! Asks hacheck about a registration, in process.

use std::{sync::Arc, time::Duration};

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
use tokio::{sync::watch, time};

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
}

/// So that a check of our own ends by its own timeout first.
const SLACK: Duration = Duration::from_millis(100);
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
        let limit = wish.check.timeout;
        let freshness = if now { Freshness::Now } else { Freshness::Cached };
        let marks = self.marks.table();
        let shared = self.checker.answer(&marks, wish.port, &request, freshness, Some(limit));
        // A check that somebody else began may wait for longer than this namespace allows, or for
        // its turn behind strangers, or find no room to wait. Then the service is asked for us
        // alone.
        let answer = match time::timeout(limit + SLACK, shared).await {
            Ok(Answer::Checked(outcome)) if outcome.overloaded => None,
            Ok(answer) => Some(answer),
            Err(_) => None,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let outcome = self.checker.check_alone(&request, limit).await;
                Answer::Checked(Arc::new(outcome))
            }
        };
        match answer {
            Answer::Marked(mark) => Finding::Marked(mark.text()),
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
        Mode::Https => Kind::Https,
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, num::NonZeroU16};

    use hacheck::settings::CheckSettings;
    use indexmap::IndexMap;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        nerve::registrations::{CheckSpec, RegistrationKey},
        registry::TaskId,
    };

    fn wish(port: u16, limit: Duration) -> Registration {
        let namespace = "web.main".parse().unwrap();
        Registration {
            key: RegistrationKey { task: TaskId("t".into()), namespace },
            title: "t".to_owned(),
            life: String::new(),
            created: None,
            port: NonZeroU16::MIN.get(),
            check: CheckSpec {
                mode: Mode::Http,
                port,
                uri: "/status".to_owned(),
                timeout: limit,
                headers: IndexMap::new(),
                body_expect: None,
            },
            leaving: None,
            records: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_hung_service_is_down_by_its_own_limit_whoever_else_waits_for_it() {
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spool = tempfile::tempdir().unwrap();
        let (marks, _keeper) = Marks::open(spool.path()).await.unwrap();
        let checker = Checker::new(&CheckSettings::default(), tokio::runtime::Handle::current());
        let wish = wish(hung.local_addr().unwrap().port(), Duration::from_millis(200));
        let stranger = (checker.clone(), request(&wish).unwrap());
        let patient = tokio::spawn(async move {
            let (checker, request) = stranger;
            checker.check(&request, Freshness::Now, Some(Duration::from_secs(600))).await
        });
        // The stranger's check is under way when it has connected.
        let _connection = hung.accept().await.unwrap();
        let probe = Probe::new(checker, marks);
        let finding = time::timeout(Duration::from_secs(60), probe.ask(&wish, true)).await.unwrap();
        assert!(matches!(finding, Finding::Bad(_)), "{finding:?}");
        patient.abort();
    }

    #[tokio::test]
    async fn strangers_who_leave_no_room_to_wait_do_not_hide_that_a_service_hangs() {
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spool = tempfile::tempdir().unwrap();
        let (marks, _keeper) = Marks::open(spool.path()).await.unwrap();
        let settings = CheckSettings { per_target: 1, waiting: 1, ..CheckSettings::default() };
        let checker = Checker::new(&settings, tokio::runtime::Handle::current());
        let wish = wish(hung.local_addr().unwrap().port(), Duration::from_millis(200));
        let strangers = ["/1", "/2"].map(|path| {
            let mut request = request(&wish).unwrap();
            request.path_and_query = path.parse().unwrap();
            let checker = checker.clone();
            tokio::spawn(async move { checker.check(&request, Freshness::Now, None).await })
        });
        let _connection = hung.accept().await.unwrap();
        let crowded = async {
            while checker.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(60), crowded).await.unwrap();
        let probe = Probe::new(checker, marks);
        let finding = time::timeout(Duration::from_secs(60), probe.ask(&wish, true)).await.unwrap();
        assert!(matches!(finding, Finding::Bad(_)), "{finding:?}");
        strangers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
