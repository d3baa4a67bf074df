//! Which agents Mesos has (marathon-sync.md §23).

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use hyper::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use soa_configs::paasta::Secret;
use tokio::time;

use crate::{
    http::{self, Failure, Question},
    replication::Agent,
    zookeeper::{self, Unconnected},
};

/// As PaaSTA waits, twice.
const PATIENCE: Duration = Duration::from_secs(10);
/// Some ten thousand agents.
const MOST_BYTES: usize = 256 << 20;
/// Where Mesos' client looks when nothing is said.
const DEFAULT_MASTER: &str = "localhost:5050";
/// Where hosts keep what they log in to Mesos with.
const DEFAULT_SECRET: &str = "/nail/etc/mesos-slave-secret";

/// Why the agents are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {file}")]
    Config {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file} is no configuration of Mesos' client")]
    Unreadable {
        file: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{file} has no `principal` and `secret`")]
    NoLogin {
        file: String,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Unconnected(#[from] Unconnected),
    #[error("ZooKeeper at {hosts}")]
    ZooKeeper {
        hosts: String,
        #[source]
        source: zookeeper_client::Error,
    },
    #[error("ZooKeeper at {hosts} names no leading Mesos master")]
    NoLeader { hosts: String },
    #[error(transparent)]
    Unreached(#[from] Failure),
    #[error("{url} answers {status}")]
    Refused { url: String, status: StatusCode },
    #[error("what {url} answers is not what Mesos says")]
    NotUnderstood {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

/// Where Mesos is, by the configuration of its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesos {
    /// `http` or `https`, for the masters and the agents.
    pub scheme: String,
    /// `host:port`, `zk://hosts/path`, or `file://` with a file that says one of these.
    master: String,
    /// With whom the master talks about maintenance.
    secret: String,
}

impl Mesos {
    /// A file that is not there means this host.
    ///
    /// # Errors
    /// When the file cannot be understood.
    pub fn read(file: &str) -> Result<Self, Error> {
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => "{}".to_owned(),
            read => read.map_err(|source| Error::Config { file: file.to_owned(), source })?,
        };
        let config: Value = serde_json::from_str(&text)
            .map_err(|source| Error::Unreadable { file: file.to_owned(), source })?;
        let profile = &config[config["profile"].as_str().unwrap_or("default")];
        let text = |key: &str, default: &str| profile[key].as_str().unwrap_or(default).to_owned();
        Ok(Self {
            scheme: text("scheme", "http"),
            master: text("master", DEFAULT_MASTER),
            secret: text("secret_file", DEFAULT_SECRET),
        })
    }

    /// What is said of oneself when a master is asked about maintenance. `None`: there is no secret on this host.
    ///
    /// # Errors
    /// When there is one and it cannot be understood.
    pub fn login(&self) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Login {
            principal: String,
            secret: String,
        }
        let file = || self.secret.clone();
        let text = match std::fs::read_to_string(&self.secret) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| Error::Config { file: file(), source })?,
        };
        let Login { principal, secret } = serde_json::from_str(&text)
            .map_err(|source| Error::NoLogin { file: file(), source })?;
        Ok(Some(http::basic(&principal, &Secret(secret))))
    }

    /// The URL of the leading master.
    ///
    /// # Errors
    /// When ZooKeeper, or the file with it, names nobody.
    pub async fn leader(&self) -> Result<String, Error> {
        let leader = match self.master.strip_prefix("file://") {
            Some(named) => {
                let read = std::fs::read_to_string(Path::new(named));
                let text =
                    read.map_err(|source| Error::Config { file: named.to_owned(), source })?;
                elected(text.trim()).await?
            }
            None => elected(&self.master).await?,
        };
        Ok(format!("{}://{leader}", self.scheme))
    }
}

async fn elected(master: &str) -> Result<String, Error> {
    let Some(hosts) = master.strip_prefix("zk://") else { return Ok(master.to_owned()) };
    let failed = |source| Error::ZooKeeper { hosts: hosts.to_owned(), source };
    let late = || failed(zookeeper_client::Error::Timeout);
    let client = zookeeper::connect(hosts).await?;
    let asked = async {
        let names = client.list_children("/").await?;
        let number = |name: &String| name.rsplit('_').next()?.parse::<u64>().ok();
        let Some(first) =
            names.iter().filter(|name| number(name).is_some()).min_by_key(|n| number(n))
        else {
            return Ok(None);
        };
        client.get_data(&format!("/{first}")).await.map(|(data, _)| Some(data))
    };
    let data = time::timeout(PATIENCE, asked).await.map_err(|_| late())?.map_err(failed)?;
    let said: Value = serde_json::from_slice(&data.unwrap_or_default()).unwrap_or_default();
    let (ip, port) = (said["address"]["ip"].as_str(), said["address"]["port"].as_u64());
    match (ip, port) {
        (Some(ip), Some(port)) => Ok(format!("{ip}:{port}")),
        _ => Err(Error::NoLeader { hosts: hosts.to_owned() }),
    }
}

/// All agents, in the order of the master with this URL.
///
/// # Errors
/// When the master does not say.
pub async fn agents(leader: &str) -> Result<Vec<Agent>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        slaves: Vec<Value>,
    }
    #[derive(Deserialize)]
    struct Slave {
        hostname: String,
        attributes: Option<BTreeMap<String, Value>>,
    }
    let answer: Answer = get(leader, "/master/slaves", None).await?;
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let agent = |slave: Slave| Agent {
        hostname: slave.hostname,
        attributes: slave
            .attributes
            .into_iter()
            .flatten()
            .map(|(name, v)| (name, text(v)))
            .collect(),
    };
    // One that says no name cannot be asked; that hides no other.
    let slaves = answer.slaves.iter().filter_map(|said| Slave::deserialize(said).ok());
    Ok(slaves.map(agent).collect())
}

/// The hosts that are to be emptied, by name. `login` is that of [`Mesos::login`].
///
/// # Errors
/// When the master does not say.
pub async fn draining_hosts(leader: &str, login: Option<&str>) -> Result<Vec<String>, Error> {
    let answer: Value = get(leader, "/master/maintenance/status", login).await?;
    let machines = answer["draining_machines"].as_array().into_iter().flatten();
    let name = |machine: &Value| {
        // Old masters write the fields without an id around them.
        let id = machine.get("id").unwrap_or(machine);
        id["hostname"].as_str().map(str::to_owned)
    };
    Ok(machines.filter_map(name).collect())
}

async fn get<T: DeserializeOwned>(
    leader: &str,
    path: &str,
    login: Option<&str>,
) -> Result<T, Error> {
    let url = format!("{leader}{path}");
    let asked = Question {
        method: Method::GET,
        url: &url,
        login,
        body: "",
        patience: PATIENCE,
        most: MOST_BYTES,
    };
    let (status, body) = http::ask(asked).await?;
    if !status.is_success() {
        return Err(Error::Refused { url, status });
    }
    serde_json::from_slice(&body).map_err(|source| Error::NotUnderstood { url, source })
}
