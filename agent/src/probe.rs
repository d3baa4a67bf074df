//! Asks hacheck about a registration, in process.

use std::{sync::Arc, time::Duration};

use hacheck::{
    cache::Freshness,
    checks::{CheckRequest, Checker, Outcome},
    marks::{MarkTable, Marks, UnixTime},
    names::{Host, ServiceName},
};
use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};
use tokio::sync::watch;

use crate::nerve::{
    checks::{Ask, Check, DockerHealth, Question},
    registrations::Registration,
};

/// The way from the nerve wing to hacheck. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Probe {
    checker: Checker,
    marks: Marks,
}

/// What came of a question. The texts are one line, the same for the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    Bad(String),
    /// It took all the time that it has, and we were there to see it.
    Hung(String),
}

/// A check that ends later than this after its limit was not hung: this process was stopped or starved,
/// and may say so of every service of the host at once.
const LATE: Duration = Duration::from_millis(250);
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

    /// Why a registration is held down; it is not to be asked then.
    #[must_use]
    pub fn marked(&self, wish: &Registration) -> Option<String> {
        let (service, port) = (wish.key.namespace.as_str(), wish.port);
        let marks = self.marks.table();
        marks.lookup(service, port, Host::Local, UnixTime::now()).map(|mark| mark.text())
    }

    /// One check. `freshness`: which answers of before will do.
    pub async fn ask(&self, wish: &Registration, check: &Check, freshness: Freshness) -> Finding {
        match &check.question {
            Question::Docker(health) => of_docker(*health),
            Question::Run(command) => {
                judged("cmd", None, &self.checker.run(command, check.timeout).await, check.timeout)
            }
            Question::Ask(ask) => {
                let request = match request(wish, ask) {
                    Ok(request) => request,
                    Err(reason) => return Finding::Bad(reason),
                };
                let asked = self.checker.check_promptly(&request, freshness, check.timeout).await;
                judged(ask.kind.as_str(), ask.body_expect.as_deref(), &asked, check.timeout)
            }
        }
    }
}

fn of_docker(health: DockerHealth) -> Finding {
    match health {
        DockerHealth::Healthy => Finding::Good("docker healthy".to_owned()),
        DockerHealth::Starting => Finding::Bad("docker: starting".to_owned()),
        DockerHealth::Unhealthy => Finding::Bad("docker: unhealthy".to_owned()),
        DockerHealth::None => {
            Finding::Bad("the container has no HEALTHCHECK that Docker could tell of".to_owned())
        }
    }
}

fn judged(kind: &str, expect: Option<&str>, outcome: &Outcome, limit: Duration) -> Finding {
    let body = String::from_utf8_lossy(&outcome.body);
    let status = outcome.status().as_u16();
    if !outcome.is_healthy() {
        let detail = one_line(&format!("{status} {body}"));
        return if outcome.timed_out && outcome.took <= limit + LATE {
            Finding::Hung(detail)
        } else {
            Finding::Bad(detail)
        };
    }
    match expect {
        Some(expected) if !body.contains(expected) => {
            Finding::Bad(one_line(&format!("{status}, but the body lacks `{expected}`")))
        }
        _ => Finding::Good(format!("{kind} {status}")),
    }
}

/// # Errors
/// A sentence, when the registration cannot be checked as it is written.
fn request(wish: &Registration, ask: &Ask) -> Result<CheckRequest, String> {
    let path_and_query: PathAndQuery = ask
        .uri
        .parse()
        .map_err(|_| format!("healthcheck_uri `{}` is no path", ask.uri.escape_debug()))?;
    let header = |(name, value): (&String, &String)| {
        let pair = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        Some(pair)
    };
    let service: ServiceName =
        wish.key.namespace.as_str().parse().map_err(|error| format!("{error}"))?;
    Ok(CheckRequest {
        kind: ask.kind,
        service,
        host: ask.host,
        port: ask.port,
        path_and_query,
        headers: ask.headers.iter().filter_map(header).collect(),
        login: ask.login.clone(),
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
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use hacheck::settings::CheckSettings;
    use tokio::{net::TcpListener, time};

    use super::*;
    use crate::{
        nerve::{checks::tests::http, registrations::RegistrationKey},
        registry::TaskId,
    };

    fn wish(port: u16, limit: Duration) -> Registration {
        let namespace = "web.main".parse().unwrap();
        Registration {
            key: RegistrationKey { task: TaskId("t".into()), namespace },
            title: "t".to_owned(),
            life: String::new(),
            created: None,
            port: 1,
            plan: http(port, limit),
            leaving: None,
            records: BTreeMap::new(),
        }
    }

    async fn probe(settings: &CheckSettings) -> (Probe, Checker) {
        let spool = tempfile::tempdir().unwrap();
        let (marks, _keeper) = Marks::open(spool.path()).await.unwrap();
        let checker = Checker::new(settings, tokio::runtime::Handle::current());
        (Probe::new(checker.clone(), marks), checker)
    }

    async fn finds(probe: &Probe, wish: &Registration) -> Finding {
        let asked = probe.ask(wish, &wish.plan.checks[0], Freshness::Now);
        time::timeout(Duration::from_secs(60), asked).await.unwrap()
    }

    #[tokio::test]
    async fn a_hung_service_is_down_by_its_own_limit_whoever_else_waits_for_it() {
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (probe, checker) = probe(&CheckSettings::default()).await;
        let wish = wish(hung.local_addr().unwrap().port(), Duration::from_millis(200));
        let Question::Ask(ask) = &wish.plan.checks[0].question else { panic!() };
        let request = request(&wish, ask).unwrap();
        let patient = tokio::spawn(async move {
            checker.check(&request, Freshness::Now, Some(Duration::from_secs(600))).await
        });
        // The stranger's check is under way when it has connected.
        let _connection = hung.accept().await.unwrap();
        let finding = finds(&probe, &wish).await;
        assert!(!matches!(finding, Finding::Good(_)), "{finding:?}");
        patient.abort();
    }

    #[tokio::test]
    async fn strangers_who_leave_no_room_to_wait_do_not_hide_that_a_service_hangs() {
        let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = CheckSettings { per_target: 1, waiting: 1, ..CheckSettings::default() };
        let (probe, checker) = probe(&settings).await;
        let wish = wish(hung.local_addr().unwrap().port(), Duration::from_millis(200));
        let Question::Ask(ask) = &wish.plan.checks[0].question else { panic!() };
        let asked = request(&wish, ask).unwrap();
        let strangers = ["/1", "/2"].map(|path| {
            let request = CheckRequest { path_and_query: path.parse().unwrap(), ..asked.clone() };
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
        let finding = finds(&probe, &wish).await;
        assert!(!matches!(finding, Finding::Good(_)), "{finding:?}");
        strangers.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[test]
    fn a_process_that_was_stopped_itself_calls_nobody_hung() {
        let limit = Duration::from_secs(1);
        let outcome = |took, timed_out| {
            let mut outcome = Outcome::answered(599, Bytes::from_static(b"late"), took);
            outcome.timed_out = timed_out;
            outcome
        };
        let found = |took, timed_out| judged("http", None, &outcome(took, timed_out), limit);
        let detail = || "503 late".to_owned();
        assert_eq!(found(limit + LATE / 2, true), Finding::Hung(detail()));
        assert_eq!(found(limit + 2 * LATE, true), Finding::Bad(detail()));
        assert_eq!(found(limit / 2, false), Finding::Bad(detail()));
    }

    #[test]
    fn docker_is_believed_and_starting_is_not_up() {
        assert!(matches!(of_docker(DockerHealth::Healthy), Finding::Good(_)));
        for health in [DockerHealth::Starting, DockerHealth::Unhealthy, DockerHealth::None] {
            assert!(matches!(of_docker(health), Finding::Bad(_)), "{health:?}");
        }
    }

    #[tokio::test]
    async fn a_program_decides_by_its_exit_code_and_runs_only_if_somebody_may_run_it() {
        let own = CheckSettings {
            command_user: hacheck::settings::CommandUser::Own,
            ..CheckSettings::default()
        };
        for (settings, line, good) in [
            (&own, "exit 0", true),
            (&own, "exit 1", false),
            (&CheckSettings::default(), "exit 0", false),
        ] {
            let (probe, _) = probe(settings).await;
            let mut wish = wish(1, Duration::from_secs(30));
            wish.plan.checks[0].question = Question::Run(hacheck::checks::Command::shell(line));
            let finding = finds(&probe, &wish).await;
            assert_eq!(matches!(finding, Finding::Good(_)), good, "{line}: {finding:?}");
        }
    }
}
