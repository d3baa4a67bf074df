//! How much the tasks of an instance have to do: asked, and nothing changed (marathon-sync.md §19).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use hyper::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{self, Failure, Question},
    marathon::running::Task,
};

/// As PaaSTA waits for a task; one that takes longer has all it can do.
const OF_TASKS: Duration = Duration::from_secs(2);
/// For the agent of a host.
const OF_AGENTS: Duration = Duration::from_secs(5);
const MOST_OF_TASKS: usize = 4 << 20;
const MOST_OF_AGENTS: usize = 64 << 20;
/// Tasks, or agents, that are asked at once.
const AT_ONCE: usize = 20;
/// Where every agent listens.
const AGENT_PORT: u16 = 5051;
/// What Mesos adds to the limit of a task for its executor.
const OF_EXECUTOR: f64 = 0.1;

/// Why there is no measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    #[error("Couldn't find any healthy marathon tasks")]
    NoTasks,
    #[error("Couldn't get any data from {0}")]
    NoData(String),
    /// Normal when a service is measured for the first time.
    #[error(
        "no mesos stats found from the last time; there is something to compare with the next time"
    )]
    NoPast,
}

/// What a task says of itself.
fn utilization(said: &Value) -> Option<f64> {
    said.get("utilization")?.as_f64().filter(|number| number.is_finite())
}

/// The share of uwsgi's workers that are busy.
#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 workers")]
fn busy(said: &Value) -> Option<f64> {
    let workers = said.get("workers")?.as_array().filter(|workers| !workers.is_empty())?;
    let busy = workers.iter().filter(|worker| worker["status"] != "idle").count();
    Some(busy as f64 / workers.len() as f64)
}

/// The mean of what the tasks say at `/<endpoint>`.
///
/// # Errors
/// When none says anything.
pub async fn http(tasks: &[&Task], endpoint: &str) -> Result<f64, Unmeasured> {
    of_tasks(tasks, endpoint, utilization).await
}

/// The mean of the shares of busy workers, as uwsgi shows them at `/<endpoint>`.
///
/// # Errors
/// When none says anything.
pub async fn uwsgi(tasks: &[&Task], endpoint: &str) -> Result<f64, Unmeasured> {
    of_tasks(tasks, endpoint, busy).await
}

async fn of_tasks(
    tasks: &[&Task],
    endpoint: &str,
    read: fn(&Value) -> Option<f64>,
) -> Result<f64, Unmeasured> {
    let endpoint = endpoint.trim_start_matches('/');
    let asked = stream::iter(tasks).map(async |task| {
        let port = task.ports.first()?;
        let url = format!("http://{}:{port}/{endpoint}", task.host);
        match ask(&url, OF_TASKS, MOST_OF_TASKS).await {
            Ok(said) => read(&said?),
            Err(Failure::Late { .. }) => Some(1.0),
            Err(_) => None,
        }
    });
    let said: Vec<Option<f64>> = asked.buffer_unordered(AT_ONCE).collect().await;
    let said: Vec<f64> = said.into_iter().flatten().collect();
    mean(&said).ok_or_else(|| Unmeasured::NoData(format!("http endpoint {endpoint}")))
}

/// `None`: it is no JSON, or says that it cannot say.
async fn ask(url: &str, patience: Duration, most: usize) -> Result<Option<Value>, Failure> {
    let (method, login, body) = (Method::GET, None, "");
    let (status, said) = http::ask(Question { method, url, login, body, patience, most }).await?;
    Ok(serde_json::from_slice(&said).ok().filter(|_| status.is_success()))
}

#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 tasks")]
fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Processor seconds of tasks by id, in shares of what each may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuTimes(BTreeMap<String, f64>);

impl CpuTimes {
    /// Asks the agents of all these tasks by `http` or `https`. Whom nobody knows is left out.
    pub async fn ask(tasks: &[&Task], scheme: &str) -> Self {
        let hosts: BTreeSet<&str> = tasks.iter().map(|task| task.host.as_str()).collect();
        let asked = stream::iter(hosts).map(async |host| {
            let url = format!("{scheme}://{host}:{AGENT_PORT}/monitor/statistics.json");
            let said = ask(&url, OF_AGENTS, MOST_OF_AGENTS).await.ok().flatten();
            shown(&said.unwrap_or_default())
        });
        let ids: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let all: Vec<Vec<Shown>> = asked.buffer_unordered(AT_ONCE).collect().await;
        let ours = all.into_iter().flatten().filter(|one| ids.contains(one.executor_id.as_str()));
        Self(ours.filter_map(|one| Some((one.executor_id, one.statistics.share()?))).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is kept in ZooKeeper: `seconds:task` with commas between. What is broken is left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let entry = |entry: &str| {
            let (seconds, task) = entry.split_once(':')?;
            Some((task.to_owned(), seconds.parse().ok().filter(|s: &f64| s.is_finite())?))
        };
        Self(text.split(',').filter_map(entry).collect())
    }

    #[must_use]
    pub fn text(&self) -> String {
        let entries: Vec<String> =
            self.0.iter().map(|(task, seconds)| format!("{seconds}:{task}")).collect();
        entries.join(",")
    }

    /// The mean utilisation of tasks that are in both, over so many seconds. With `most`, a task that did more
    /// in one second than that is not believed.
    ///
    /// # Errors
    /// When there is none, or no time has passed.
    pub fn since(&self, before: &Self, seconds: f64, most: Option<f64>) -> Result<f64, Unmeasured> {
        if self.is_empty() {
            return Err(Unmeasured::NoData("the Mesos agents".to_owned()));
        }
        if before.is_empty() || seconds <= 0.0 {
            return Err(Unmeasured::NoPast);
        }
        let used = |(task, now): (&String, &f64)| Some((now - before.0.get(task)?) / seconds);
        let used =
            self.0.iter().filter_map(used).filter(|used| most.is_none_or(|most| *used <= most));
        let used: Vec<f64> = used.collect();
        mean(&used).ok_or_else(|| Unmeasured::NoData("the Mesos agents".to_owned()))
    }
}

#[derive(Deserialize)]
struct Shown {
    executor_id: String,
    statistics: Statistics,
}

#[derive(Deserialize)]
struct Statistics {
    cpus_limit: f64,
    cpus_system_time_secs: f64,
    cpus_user_time_secs: f64,
}

/// What an agent says of each of its executors. One that has just started has no numbers yet; that hides no
/// other.
fn shown(said: &Value) -> Vec<Shown> {
    let all = said.as_array().into_iter().flatten();
    all.filter_map(|one| Shown::deserialize(one).ok()).collect()
}

impl Statistics {
    fn share(&self) -> Option<f64> {
        let limit = self.cpus_limit - OF_EXECUTOR;
        (limit > 0.0).then(|| (self.cpus_user_time_secs + self.cpus_system_time_secs) / limit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_kept_and_compared_task_by_task() {
        let before = CpuTimes::read("10.0:a,5:b,x:c,7");
        assert_eq!(before.text(), "10:a,5:b");
        let now = CpuTimes::read("40:a,5:d,305:b");
        // 30 and 300 seconds in 60.
        assert_eq!(now.since(&before, 60.0, None), Ok(2.75));
        assert_eq!(now.since(&before, 60.0, Some(1.0)), Ok(0.5));
        assert_eq!(now.since(&CpuTimes::default(), 60.0, None), Err(Unmeasured::NoPast));
        assert_eq!(now.since(&before, 0.0, None), Err(Unmeasured::NoPast));
        assert!(CpuTimes::read("1:z").since(&before, 60.0, None).is_err());
    }

    #[test]
    fn an_executor_without_numbers_hides_no_other() {
        let numbers =
            json!({"cpus_limit": 1.1, "cpus_system_time_secs": 1, "cpus_user_time_secs": 2.0});
        let said = json!([
            {"executor_id": "new", "statistics": {"cpus_limit": 1.1}}, {"executor_id": "new"}, null,
            {"executor_id": "a", "statistics": numbers},
        ]);
        let ids: Vec<String> = shown(&said).into_iter().map(|one| one.executor_id).collect();
        assert_eq!(ids, ["a"]);
        assert!(shown(&json!({"executors": []})).is_empty());
    }

    #[test]
    fn tasks_say_what_they_have_to_do() {
        assert_eq!(utilization(&json!({"utilization": 0.25})), Some(0.25));
        assert_eq!(utilization(&json!({"utilization": "x"})), None);
        let workers = json!({"workers": [{"status": "idle"}, {"status": "busy"}, {"status": "cheap"}, {"status": "idle"}]});
        assert_eq!(busy(&workers), Some(0.5));
        assert_eq!(busy(&json!({"workers": []})), None);
    }
}
