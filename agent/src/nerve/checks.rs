//! How the health of a registration is found: which questions, how often, and how many answers count.
//!
//! Pure. Which answers there are is hacheck's business ([`hacheck::checks`]), asking is that of
//! [`crate::probe`].

pub(super) mod written;

use std::{fmt, num::NonZeroUsize, time::Duration};

use hacheck::{
    checks::{Command, Kind},
    names::Host,
    settings::Login,
};
use indexmap::IndexMap;
use soa_configs::{Mode, NamespaceConfig};

/// configure_nerve: the pause between two rounds is the timeout plus this (nerve.md §5.5). Here it is
/// the time from one start to the next.
const BEYOND_TIMEOUT: Duration = Duration::from_secs(1);
/// configure_nerve: up after one good answer, down after two bad ones (nerve.md §5.5).
const RISE: NonZeroUsize = NonZeroUsize::MIN;
const FALL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// All that is asked of one registration.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPlan {
    /// From the start of one round to the start of the next.
    pub interval: Duration,
    /// A bad answer is followed by the next question at once instead of after the interval. Not where
    /// somebody chose interval and `fall` to sit out a pause.
    pub confirms: bool,
    /// All must pass; asked in order, up to the first that is down. None: always up.
    pub checks: Vec<Check>,
}

/// One of several things that must be well.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub question: Question,
    pub timeout: Duration,
    /// Good answers in a row that bring it up again. The very first answer decides alone.
    pub rise: NonZeroUsize,
    /// Bad answers in a row that bring it down.
    pub fall: NonZeroUsize,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The service itself, by a protocol that hacheck speaks.
    Ask(Ask),
    /// A program, by its exit code.
    Run(Command),
    /// Docker, by the container's own HEALTHCHECK.
    Docker(DockerHealth),
}

/// A question to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub kind: Kind,
    pub host: Host,
    pub port: u16,
    /// Path and query; for gRPC the query may name a service. Others ignore it.
    pub uri: String,
    pub headers: IndexMap<String, String>,
    /// A text that the body must contain.
    pub body_expect: Option<String>,
    /// Over what the settings say.
    pub login: Option<Login>,
}

/// What Docker says of a container's HEALTHCHECK. It has retries of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockerHealth {
    /// The container has none.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// What a container's label `smartstack.healthcheck` asks for, in the place of the namespace's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// By a protocol, with the path, timeout and expectations of the namespace.
    Protocol(Kind),
    /// Docker's HEALTHCHECK.
    Docker,
    /// None: up as long as the container runs.
    Unchecked,
}

/// Who says how a task is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    /// Each of its namespaces.
    AsNamespace,
    /// A label of its container; and what Docker says of that.
    ByLabel(Healthcheck, DockerHealth),
    /// Whoever wrote the task down; what they did not say, each of its namespaces.
    AsWritten { interval: Option<Duration>, checks: Option<Vec<Check>> },
}

impl Checked {
    /// The plan for a task in a namespace, if it listens on `port`.
    #[must_use]
    pub fn plan(&self, config: &NamespaceConfig, port: u16) -> CheckPlan {
        match self {
            Self::AsNamespace => {
                CheckPlan::of_namespace(config, port, kind(config.healthcheck_mode))
            }
            Self::ByLabel(Healthcheck::Protocol(kind), _) => {
                CheckPlan::of_namespace(config, port, *kind)
            }
            Self::ByLabel(Healthcheck::Docker, health) => CheckPlan::of_docker(*health),
            Self::ByLabel(Healthcheck::Unchecked, _) => CheckPlan::unchecked(),
            Self::AsWritten { interval, checks: None } => {
                let plan = Self::AsNamespace.plan(config, port);
                CheckPlan { interval: interval.unwrap_or(plan.interval), ..plan }
            }
            Self::AsWritten { interval, checks: Some(checks) } => {
                let longest = checks.iter().map(|check| check.timeout).max().unwrap_or_default();
                let interval = interval.unwrap_or(longest + BEYOND_TIMEOUT);
                CheckPlan { interval, confirms: true, checks: checks.clone() }
            }
        }
    }
}

impl Healthcheck {
    /// # Errors
    /// The words that are expected.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "docker" => Ok(Self::Docker),
            "none" => Ok(Self::Unchecked),
            _ => Kind::parse(word).map(Self::Protocol).ok_or_else(|| {
                let kinds = Kind::ALL.map(Kind::as_str).join(", ");
                format!("expected docker, none, {kinds}")
            }),
        }
    }
}

impl CheckPlan {
    /// Always up: nothing is asked.
    #[must_use]
    pub fn unchecked() -> Self {
        Self { interval: BEYOND_TIMEOUT, confirms: false, checks: Vec::new() }
    }

    /// What `smartstack.yaml` asks of a task that listens on `port`, perhaps by another protocol.
    fn of_namespace(config: &NamespaceConfig, port: u16, kind: Kind) -> Self {
        let ask = Ask {
            kind,
            host: Host::Local,
            port: config.healthcheck_port.map_or(port, std::num::NonZeroU16::get),
            uri: config.healthcheck_uri.clone(),
            headers: config.extra_healthcheck_headers.clone(),
            body_expect: config.healthcheck_body_expect.clone(),
            login: None,
        };
        let timeout = config.healthcheck_timeout;
        let check = Check { question: Question::Ask(ask), timeout, rise: RISE, fall: FALL };
        Self { interval: timeout + BEYOND_TIMEOUT, confirms: true, checks: vec![check] }
    }

    /// Docker has asked already, as often as it thinks right.
    fn of_docker(health: DockerHealth) -> Self {
        let (question, once) = (Question::Docker(health), NonZeroUsize::MIN);
        let check = Check { question, timeout: BEYOND_TIMEOUT, rise: once, fall: once };
        Self { checks: vec![check], ..Self::unchecked() }
    }

    /// The first plain HTTP question: port and path.
    #[must_use]
    pub fn http(&self) -> Option<(u16, &str)> {
        self.checks.iter().find_map(|check| match &check.question {
            Question::Ask(ask) if ask.kind == Kind::Http => Some((ask.port, ask.uri.as_str())),
            _ => None,
        })
    }
}

fn kind(mode: Mode) -> Kind {
    match mode {
        Mode::Http => Kind::Http,
        Mode::Https => Kind::Https,
        Mode::Tcp => Kind::Tcp,
    }
}

/// As nerve names checks in its metrics: `http-127.0.0.1:31000`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            Question::Ask(ask) => {
                write!(f, "{}-{}:{}", ask.kind.as_str(), ask.host.address(), ask.port)
            }
            Question::Run(_) => f.write_str("cmd"),
            Question::Docker(_) => f.write_str("docker"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One HTTP check of `/status` on `port`.
    pub(crate) fn http(port: u16, timeout: Duration) -> CheckPlan {
        let config = NamespaceConfig { healthcheck_timeout: timeout, ..NamespaceConfig::default() };
        Checked::AsNamespace.plan(&config, port)
    }

    #[test]
    fn a_namespace_is_asked_as_nerve_would() {
        let plan = http(31000, Duration::from_secs(3));
        assert_eq!(plan.interval, Duration::from_secs(4));
        assert_eq!((plan.checks[0].rise.get(), plan.checks[0].fall.get()), (1, 2));
        assert_eq!(plan.checks[0].to_string(), "http-127.0.0.1:31000");
        assert_eq!(plan.http(), Some((31000, "/status")));
    }

    #[test]
    fn a_task_that_is_written_down_may_say_how_often_and_what() {
        let config = NamespaceConfig::default();
        let interval = Some(Duration::from_millis(500));
        let often = Checked::AsWritten { interval, checks: None }.plan(&config, 1);
        assert_eq!(often, CheckPlan { interval: Duration::from_millis(500), ..often.clone() });
        assert_eq!(often.http(), Some((1, "/status")));
        let checks = http(7, Duration::from_secs(3)).checks;
        let own = Checked::AsWritten { interval: None, checks: Some(checks.clone()) };
        let plan = own.plan(&config, 1);
        assert_eq!((plan.interval, plan.checks), (Duration::from_secs(4), checks));
    }

    #[test]
    fn a_container_may_ask_for_another_check() {
        let plan = |word| {
            let label = Healthcheck::parse(word).unwrap();
            let config = NamespaceConfig::default();
            let plan = Checked::ByLabel(label, DockerHealth::Starting).plan(&config, 1);
            plan.checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(plan("docker"), "docker");
        assert_eq!(plan("none"), "");
        assert_eq!(plan("redis"), "redis-127.0.0.1:1");
        let error = Healthcheck::parse("cmd").unwrap_err();
        assert!(error.starts_with("expected docker, none, http"), "{error}");
    }
}
