//! Jobs as Chronos lists them (chronos-sync.md §10 and §13).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use soa_configs::yaml::{Map, Node};

use super::JobName;

/// A job that Chronos has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Of a job that PaaSTA made, its hash.
    pub description: String,
    pub is_disabled: bool,
    pub past: Past,
    pub starts: Starts,
    pub details: Details,
}

/// What people want to see of a job, as Chronos writes it; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub schedule: String,
    pub zone: String,
    pub epsilon: String,
    pub command: String,
}

/// What makes a job run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starts {
    Schedule,
    /// The names of the jobs whose success starts it.
    Parents(BTreeSet<String>),
    Unknown,
}

/// What Chronos remembers of the runs of a job: as written, so that it can be handed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    pub last_success: String,
    pub last_error: String,
    pub success_count: i64,
    pub error_count: i64,
}

/// When a job ran last, and whether well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub at: Timestamp,
    pub is_success: bool,
}

impl Listed {
    /// Reads the answer of `GET /scheduler/jobs`.
    ///
    /// # Errors
    /// When it is no list.
    pub fn parse(answer: &[u8]) -> Result<Vec<Self>, serde_json::Error> {
        let said: Vec<Value> = serde_json::from_slice(answer)?;
        Ok(said.iter().filter_map(Self::read).collect())
    }

    /// Reads one job, of which a field of another kind says as much as one that is not there: an odd job hides
    /// no other. `None`: it has no name.
    #[must_use]
    pub fn read(said: &Value) -> Option<Self> {
        let text = |field: &str| said.get(field).and_then(Value::as_str).map(str::to_owned);
        let or_empty = |field: &str| text(field).unwrap_or_default();
        let count = |field: &str| said.get(field).and_then(Value::as_i64).unwrap_or(0);
        let parents = said.get("parents").and_then(Value::as_array);
        let starts = match (text("schedule"), parents) {
            (Some(_), _) => Starts::Schedule,
            (None, Some(parents)) => {
                let names = parents.iter().filter_map(Value::as_str);
                Starts::Parents(names.map(str::to_owned).collect())
            }
            (None, None) => Starts::Unknown,
        };
        Some(Self {
            name: text("name")?,
            description: or_empty("description"),
            is_disabled: said.get("disabled").and_then(Value::as_bool).unwrap_or(false),
            past: Past {
                last_success: or_empty("lastSuccess"),
                last_error: or_empty("lastError"),
                success_count: count("successCount"),
                error_count: count("errorCount"),
            },
            starts,
            details: Details {
                schedule: or_empty("schedule"),
                zone: or_empty("scheduleTimeZone"),
                epsilon: or_empty("epsilon"),
                command: or_empty("command"),
            },
        })
    }

    /// `None`: PaaSTA gives no job such a name.
    #[must_use]
    pub fn paasta_name(&self) -> Option<JobName> {
        JobName::parse(&self.name)
    }

    /// Whether PaaSTA made it: it has such a name, and its description is a hash.
    #[must_use]
    pub fn is_made_by_paasta(&self) -> bool {
        let digits = self.description.strip_prefix("config");
        let is_hash = digits.is_some_and(|digits| {
            digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        is_hash && self.paasta_name().is_some()
    }
}

impl Past {
    /// The fields of a job that say the same.
    #[must_use]
    pub fn fields(&self) -> Map {
        [
            ("lastSuccess", Node::made(self.last_success.as_str())),
            ("lastError", Node::made(self.last_error.as_str())),
            ("successCount", Node::made(self.success_count)),
            ("errorCount", Node::made(self.error_count)),
        ]
        .into_iter()
        .collect()
    }

    /// `None`: it never ran. Of a success and a failure at the same time the success counts.
    #[must_use]
    pub fn last_run(&self) -> Option<LastRun> {
        let success = moment(&self.last_success).map(|at| LastRun { at, is_success: true });
        let failure = moment(&self.last_error).map(|at| LastRun { at, is_success: false });
        match (success, failure) {
            (Some(success), Some(failure)) if failure.at > success.at => Some(failure),
            (success, failure) => success.or(failure),
        }
    }
}

/// A time that nobody can read was long ago.
fn moment(text: &str) -> Option<Timestamp> {
    (!text.is_empty()).then(|| text.parse().unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_run_counts_and_a_success_wins_a_tie() {
        let (early, late) = ("2018-03-14T08:00:00.000Z", "2018-03-14T09:00:00.000Z");
        for (success, failure, expected) in [
            ("", "", None),
            (early, "", Some((early, true))),
            ("", early, Some((early, false))),
            (early, late, Some((late, false))),
            (late, early, Some((late, true))),
            (late, late, Some((late, true))),
            ("soon", early, Some((early, false))),
        ] {
            let (last_success, last_error) = (success.to_owned(), failure.to_owned());
            let past = Past { last_success, last_error, ..Past::default() };
            let run = past.last_run().map(|run| (run.at, run.is_success));
            let expected = expected.map(|(at, well): (&str, _)| (at.parse().unwrap(), well));
            assert_eq!(run, expected, "{success} {failure}");
        }
    }

    #[test]
    fn a_job_of_paasta_has_its_name_and_its_hash() {
        let jobs = br#"[{"name": "web job", "description": "config0123abcd"},
            {"name": "web job", "description": "mine"}, {"name": "weird", "description": "config0123abcd"},
            {"name": "my job", "parents": ["a", "b"], "schedule": null}]"#;
        let jobs = Listed::parse(jobs).unwrap();
        let ours: Vec<bool> = jobs.iter().map(Listed::is_made_by_paasta).collect();
        assert_eq!(ours, [true, false, false, false]);
        assert_eq!(jobs[3].starts, Starts::Parents(["a".to_owned(), "b".to_owned()].into()));
        assert!(Listed::parse(b"{}").is_err());
    }

    #[test]
    fn an_odd_job_hides_no_other() {
        let jobs = br#"[null, {"description": "config0123abcd"}, {"name": null}, {"name": "web a",
            "description": 5, "disabled": "no", "successCount": "x", "parents": "web b", "epsilon": {}},
            {"name": "web b", "successCount": 7, "schedule": "R/2018-01-01T00:00:00Z/PT1H", "parents": [null]}]"#;
        let jobs = Listed::parse(jobs).unwrap();
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["web a", "web b"]);
        assert_eq!((&jobs[0].starts, jobs[0].is_made_by_paasta()), (&Starts::Unknown, false));
        assert_eq!((&jobs[1].starts, jobs[1].past.success_count), (&Starts::Schedule, 7));
    }
}
