//! Marathon's REST interface, as far as it is asked (marathon-sync.md §14 and §22).

pub mod removal;
pub mod running;
mod shards;

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use soa_configs::paasta::MarathonServer;

use self::running::{Odd, RunningApp, Task};
use crate::http::{self, Failure, Question};

pub use shards::{NoShard, Shards};

/// For one URL: the name, the connection and the whole answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Some ten thousand apps.
const MOST_BYTES: usize = 256 << 20;

/// An app that Marathon has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// With its leading slash.
    pub id: String,
    /// How many tasks it is to have. `None`: Marathon says no number.
    pub instances: Option<i64>,
}

/// Why a group of servers did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Unreached(#[from] Failure),
    #[error("{url} answers {status}: {message}")]
    Refused { url: String, status: StatusCode, message: String },
    #[error("what {url} answers is not what Marathon says")]
    Unreadable {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

/// A list of apps, which are read one by one: one that is odd hides no other.
#[derive(Deserialize)]
struct Apps {
    apps: Vec<Value>,
}

/// One group of servers that hold the same apps.
#[derive(Clone, Copy, Debug)]
pub struct Marathon<'s>(pub &'s MarathonServer);

impl Marathon<'_> {
    /// All apps.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn apps(self) -> Result<Vec<Listed>, Error> {
        let listed = |app: &Value| {
            let id = app.get("id")?.as_str()?.to_owned();
            Some(Listed { id, instances: app.get("instances").and_then(Value::as_i64) })
        };
        let said = self.read::<Apps>("/v2/apps").await?;
        Ok(said.apps.iter().filter_map(listed).collect())
    }

    /// All apps with their tasks.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn running(self) -> Result<Vec<RunningApp>, Error> {
        self.read_running("/v2/apps?embed=app.tasks").await
    }

    /// The apps whose ids contain a text of letters, digits, `-` and `.`, with their tasks.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn running_like(self, part: &str) -> Result<Vec<RunningApp>, Error> {
        self.read_running(&format!("/v2/apps?embed=app.tasks&id={part}")).await
    }

    async fn read_running(self, path: &str) -> Result<Vec<RunningApp>, Error> {
        let said = self.read::<Apps>(path).await?;
        Ok(said.apps.iter().filter_map(RunningApp::read).collect())
    }

    /// All tasks, each by itself: one that is odd hides no other.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tasks(self) -> Result<Vec<Result<Task, Odd>>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            tasks: Vec<Value>,
        }
        let said = self.read::<Answer>("/v2/tasks").await?;
        Ok(said.tasks.iter().map(Task::read).collect())
    }

    async fn read<T: DeserializeOwned>(self, path: &str) -> Result<T, Error> {
        let (url, body) = self.ask(Method::GET, path, "").await?;
        serde_json::from_slice(&body).map_err(|source| Error::Unreadable { url, source })
    }

    /// Gives an app another number of tasks, also while it is being changed. `id` has its leading slash.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn scale(self, id: &str, instances: u32) -> Result<(), Error> {
        let body = serde_json::json!({"instances": instances}).to_string();
        self.ask(Method::PUT, &format!("/v2/apps/{id}?force=True"), &body).await.map(drop)
    }

    /// Makes an app of the body of a request. `false`: there is one with this id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(self, body: &str) -> Result<bool, Error> {
        match self.ask(Method::POST, "/v2/apps", body).await {
            Err(Error::Refused { status: StatusCode::CONFLICT, .. }) => Ok(false),
            asked => asked.map(|_| true),
        }
    }

    /// Whether there is an app with this id, with its leading slash.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn has(self, id: &str) -> Result<bool, Error> {
        self.definition(id).await.map(|definition| definition.is_some())
    }

    /// The app with this id, with its leading slash, as Marathon has it. `None`: there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn definition(self, id: &str) -> Result<Option<Value>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            app: Value,
        }
        match self.read::<Answer>(&format!("/v2/apps/{id}")).await {
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            read => read.map(|answer| Some(answer.app)),
        }
    }

    /// Kills tasks, so that Marathon starts no others for them. Those that are gone are killed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn kill(self, ids: &[&str]) -> Result<(), Error> {
        let body = serde_json::json!({"ids": ids}).to_string();
        match self.ask(Method::POST, "/v2/tasks/delete?scale=True&force=True", &body).await {
            // Old servers count below zero when somebody else was faster, and refuse that.
            Err(Error::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, message, .. })
                if message.contains("is not valid") =>
            {
                Ok(())
            }
            asked => asked.map(drop),
        }
    }

    /// Removes an app and its tasks, also while it is being changed. One that is not there is removed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, id: &str) -> Result<(), Error> {
        let asked = self.ask(Method::DELETE, &format!("/v2/apps/{id}?force=True"), "").await;
        match asked {
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            asked => asked.map(drop),
        }
    }

    /// Asks the servers in order: the first that can be reached answers for all. Returns its URL, too.
    async fn ask(self, method: Method, path: &str, body: &str) -> Result<(String, Bytes), Error> {
        let MarathonServer { urls, user, password } = self.0;
        let login = http::basic(user, password);
        let mut last = Failure::Url(String::new());
        for url in urls {
            let (method, login) = (method.clone(), Some(login.as_str()));
            let whole = format!("{}{path}", url.trim_end_matches('/'));
            let (patience, most) = (PATIENCE, MOST_BYTES);
            let asked = Question { method, url: &whole, login, body, patience, most };
            match http::ask(asked).await {
                Ok((status, body)) if status.is_success() => return Ok((http::shown(url), body)),
                Ok((status, body)) => {
                    let (url, message) = (http::shown(url), complaint(&body));
                    return Err(Error::Refused { url, status, message });
                }
                Err(failure) => last = failure,
            }
        }
        Err(last.into())
    }
}

/// The `message` of an error, or whatever else was said, on one line.
fn complaint(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.message);
    let text = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    http::reason(&text)
}
