//! Chronos' REST interface, as far as it is asked (chronos-sync.md §13).

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use jiff::SignedDuration;
use serde::{Deserialize, de::DeserializeOwned};
use soa_configs::{
    json,
    paasta::MarathonServer,
    yaml::{Map, Node},
};

use super::Listed;
use crate::http::{self, Failure, Question};

/// For one server: the name, the connection and the whole answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Some ten thousand jobs.
const MOST_BYTES: usize = 256 << 20;

/// The fields of a job.
pub type Definition = serde_json::Map<String, serde_json::Value>;

/// Why a question has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of the servers does, and this is how the last one failed.
    #[error("No remaining Chronos servers to try")]
    Gone(#[source] Failure),
    /// The last server that answered does not do it.
    #[error("{url} answers {status}: {message}")]
    Refused { url: String, status: StatusCode, message: String },
    #[error("what {url} answers is not what Chronos says")]
    Unreadable {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the job cannot be written as JSON: {0}")]
    Unwritable(String),
}

impl Error {
    /// Chronos as a whole is out of order, not only for this question.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let is_elsewhere = |status: &StatusCode| {
            matches!(
                *status,
                StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            )
        };
        match self {
            Self::Gone(_) => true,
            Self::Refused { status, .. } => is_elsewhere(status),
            Self::Unreadable { .. } | Self::Unwritable(_) => false,
        }
    }

    /// The fault may be the server's and not that of what was asked: one that does not lead answers so while
    /// nobody leads, and so does one that stumbles over a single job.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.is_server_error() || status.is_success())
    }
}

/// The servers of one Chronos. Any of them answers for all.
#[derive(Debug)]
pub struct Chronos {
    /// `http://host:port` or `https://host:port`, in the order in which they are tried.
    servers: Vec<String>,
    login: String,
    patience: Duration,
    /// The one that answered last is asked first: one that hangs costs its patience once.
    first: AtomicUsize,
}

impl Chronos {
    #[must_use]
    pub fn new(MarathonServer { urls, user, password }: &MarathonServer) -> Self {
        Self {
            servers: urls.iter().map(|url| server(url)).collect(),
            login: http::basic(user, password),
            patience: PATIENCE,
            first: AtomicUsize::new(0),
        }
    }

    /// Each server is given so long for an answer. Default 30 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// All jobs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn jobs(&self) -> Result<Vec<Listed>, Error> {
        let (url, body) = self.ask(Method::GET, "/scheduler/jobs", "").await?;
        Listed::parse(&body).map_err(|source| Error::Unreadable { url, source })
    }

    async fn listing<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        let (url, body) = self.ask(Method::GET, "/scheduler/jobs", "").await?;
        serde_json::from_slice(&body).map_err(|source| Error::Unreadable { url, source })
    }

    /// All jobs, each with everything that Chronos says of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn whole_jobs(&self) -> Result<Vec<(Listed, serde_json::Value)>, Error> {
        let all: Vec<serde_json::Value> = self.listing().await?;
        Ok(all.into_iter().filter_map(|said| Some((Listed::read(&said)?, said))).collect())
    }

    /// Creates a job or puts it in the place of the one with its name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, job: Map, is_dependent: bool) -> Result<(), Error> {
        self.write(Method::PUT, job, is_dependent).await
    }

    /// Creates a job.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post(&self, job: Map, is_dependent: bool) -> Result<(), Error> {
        self.write(Method::POST, job, is_dependent).await
    }

    async fn write(&self, method: Method, job: Map, is_dependent: bool) -> Result<(), Error> {
        let path = path_of(is_dependent);
        let body = json::canonical(&Node::made(job));
        let body = body.map_err(|error| Error::Unwritable(error.to_string()))?;
        self.ask(method, path, &body).await.map(drop)
    }

    /// What each job does at the moment: `idle`, `queued`, `running`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn states(&self) -> Result<BTreeMap<String, String>, Error> {
        let (_, body) = self.ask(Method::GET, "/scheduler/graph/csv", "").await?;
        Ok(states(&String::from_utf8_lossy(&body)))
    }

    /// All jobs as Chronos has them, field by field, so that one can be put back with a change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn definitions(&self) -> Result<Vec<Definition>, Error> {
        self.listing().await
    }

    /// Puts a job back so that nothing starts it any more. What runs of it goes on.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn disable(&self, mut job: Definition) -> Result<(), Error> {
        job.insert("disabled".to_owned(), true.into());
        let path = path_of(job.get("schedule").is_none_or(serde_json::Value::is_null));
        self.ask(Method::PUT, path, &serde_json::Value::Object(job).to_string()).await.map(drop)
    }

    /// Starts a job at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(&self, name: &str) -> Result<(), Error> {
        let path = format!("/scheduler/job/{}", encoded(name));
        self.ask(Method::PUT, &path, "").await.map(drop)
    }

    /// Stops what runs of a job.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn kill_tasks(&self, name: &str) -> Result<(), Error> {
        let path = format!("/scheduler/task/kill/{}", encoded(name));
        self.ask(Method::DELETE, &path, "").await.map(drop)
    }

    /// # Errors
    /// See [`Error`].
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let path = format!("/scheduler/job/{}", encoded(name));
        self.ask(Method::DELETE, &path, "").await.map(drop)
    }

    /// How long 99 of 100 runs of a job take at most. `None`: Chronos does not know yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run_time(&self, name: &str) -> Result<Option<SignedDuration>, Error> {
        let path = format!("/scheduler/job/stat/{}", encoded(name));
        let (url, body) = self.ask(Method::GET, &path, "").await?;
        run_time(&body).map_err(|source| Error::Unreadable { url, source })
    }

    /// Asks the servers in order until one does it. What one refuses for what it is, is refused by all.
    /// Returns its URL, too.
    async fn ask(&self, method: Method, path: &str, body: &str) -> Result<(String, Bytes), Error> {
        let mut last = Error::Gone(Failure::Url(String::new()));
        let is_question = method == Method::GET;
        let first = self.first.load(Ordering::Relaxed);
        for place in (0..self.servers.len()).map(|step| (first + step) % self.servers.len()) {
            let Some(server) = self.servers.get(place) else { continue };
            let url = format!("{server}{path}");
            let (method, login) = (method.clone(), Some(self.login.as_str()));
            let (patience, most) = (self.patience, MOST_BYTES);
            let question = Question { method, url: &url, login, body, patience, most };
            // A change that was made is answered with 204: a server that fails to hand it on may say 200 and
            // nothing.
            let is_told = |status, body: &Bytes| {
                is_question || status == StatusCode::NO_CONTENT || !body.is_empty()
            };
            match http::ask(question).await {
                Ok((status, body)) if status.is_success() && is_told(status, &body) => {
                    self.first.store(place, Ordering::Relaxed);
                    return Ok((server.clone(), body));
                }
                Ok((status, body)) => {
                    let (url, message) = (server.clone(), complaint(&body));
                    last = Error::Refused { url, status, message };
                    let is_final = matches!(
                        status,
                        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
                    );
                    if is_final {
                        return Err(last);
                    }
                }
                // What somebody did answer tells more.
                Err(failure) if matches!(last, Error::Gone(_)) => last = Error::Gone(failure),
                Err(_) => {}
            }
        }
        Err(last)
    }
}

/// Where a job is written.
fn path_of(is_dependent: bool) -> &'static str {
    if is_dependent { "/scheduler/dependency" } else { "/scheduler/iso8601" }
}

/// Of lines `node,<name>,<last run>,<state>`.
fn states(graph: &str) -> BTreeMap<String, String> {
    let state = |line: &str| {
        let (rest, state) = line.strip_prefix("node,")?.rsplit_once(',')?;
        Some((rest.rsplit_once(',')?.0.to_owned(), state.trim().to_owned()))
    };
    graph.lines().filter_map(state).collect()
}

/// Only host and port count, and whether it is https.
fn server(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let scheme = if scheme == "https" { scheme } else { "http" };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    name.bytes().map(encode).collect()
}

/// In milliseconds there.
fn run_time(body: &[u8]) -> Result<Option<SignedDuration>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Histogram {
        #[serde(rename = "99thPercentile")]
        most: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Answer {
        histogram: Option<Histogram>,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    // Without any run it is 0.
    let millis = answer.histogram.and_then(|histogram| histogram.most).filter(|most| *most > 0.0);
    Ok(millis.and_then(|millis| SignedDuration::try_from_secs_f64(millis / 1000.0).ok()))
}

/// What is said of an error, on one line.
fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Message { message: String },
        Errors { errors: Vec<String> },
    }
    let text = match serde_json::from_slice(body) {
        Ok(Said::Message { message }) => message,
        Ok(Said::Errors { errors }) => errors.join("; "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    http::reason(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_of_a_server_count_and_names_stay_in_their_part_of_a_path() {
        for url in ["http://h:4400", "http://u:p@h:4400/v1?x", "h:4400", "zk://h:4400"] {
            assert_eq!(server(url), "http://h:4400");
        }
        assert_eq!(server("https://u:p@h:4400/v1?x"), "https://h:4400");
        assert_eq!(encoded("web job/../x"), "web%20job%2F..%2Fx");
    }

    #[test]
    fn run_times_are_milliseconds() {
        let read = |text: &str| run_time(text.as_bytes()).unwrap();
        let known = read(r#"{"histogram": {"99thPercentile": 90500.0}, "taskStatHistory": []}"#);
        assert_eq!(known, Some(SignedDuration::from_millis(90_500)));
        for unknown in ["{}", r#"{"histogram": {}}"#, r#"{"histogram": {"99thPercentile": 0.0}}"#] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_jobs_do_stands_in_their_graph() {
        let graph =
            "node,web a,fresh,idle\nnode,odd, b,success,running\nlink,web a,odd, b\n\nnode\n";
        let expected = [("odd, b", "running"), ("web a", "idle")];
        let found = states(graph);
        assert!(found.iter().map(|(name, state)| (name.as_str(), state.as_str())).eq(expected));
    }

    #[test]
    fn what_chronos_complains_of_is_one_line() {
        for (body, text) in [
            (r#"{"errors": ["a", "b"]}"#, "a; b"),
            (r#"{"message": "a\nb"}"#, "a b"),
            ("nope\n", "nope "),
            ("", "no reason given"),
        ] {
            assert_eq!(complaint(body.as_bytes()), text);
        }
    }
}
