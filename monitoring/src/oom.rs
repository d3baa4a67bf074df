//! What people are told when the kernel kills processes of an instance for want of memory
//! (cli-and-monitoring.md A5).

use std::collections::BTreeSet;

use soa_configs::{
    Cluster,
    documents::ServiceDocuments,
    load::{self, Kind},
    yaml::{Map, Node},
};

use crate::events::{Check, Event, Fault, Status};

/// MB, of an instance that says nothing of its memory.
const USUAL_MEM: i64 = 1024;
/// In the place of a cluster that is not known.
const NO_CLUSTER: &str = "localhost";

/// What was killed of one instance within a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kills {
    pub count: u64,
    /// The names of the processes; `None`: they are not known.
    pub processes: Option<BTreeSet<String>>,
}

/// An instance, as far as its files say something of it.
#[derive(Clone, Debug)]
pub struct Instance<'i> {
    files: &'i ServiceDocuments,
    service: &'i str,
    instance: &'i str,
    cluster: Option<&'i Cluster>,
    monitoring: Map,
    /// Its limit in MB.
    mem: Option<Node>,
}

impl<'i> Instance<'i> {
    /// Of an instance that stands in no file, or in one that cannot be understood, its service speaks.
    #[must_use]
    pub fn of(
        files: &'i ServiceDocuments,
        service: &'i str,
        instance: &'i str,
        cluster: Option<&'i Cluster>,
    ) -> Self {
        let load = |kind| load::instance(files, kind, service, instance, cluster?).ok();
        let found = Kind::ALL.into_iter().find_map(load).map(|found| found.merged);
        let mem = found.as_ref().map(|found| match found.get("mem") {
            Some(mem) => mem.clone(),
            None => Node::made(USUAL_MEM),
        });
        let said = found.or_else(|| load::general(files).ok()).unwrap_or_default();
        let monitoring = said.get("monitoring").and_then(Node::as_map).cloned().unwrap_or_default();
        Self { files, service, instance, cluster, monitoring, mem }
    }

    /// Whether its people want to hear of it (`check_oom_events`, default true).
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.monitoring.get("check_oom_events").is_none_or(|wanted| !wanted.is_falsy())
    }

    /// What they are told. Without kills it is over. `realert_every` counts events.
    ///
    /// # Errors
    /// When the files say something that Sensu cannot take.
    pub fn event(&self, kills: &Kills, realert_every: i64) -> Result<Option<Event>, Fault> {
        let (status, output) = self.finding(kills);
        let name = format!("oom-killer.{}.{}", self.service, self.instance);
        let overrides = self.overrides(realert_every);
        let cluster = self.cluster.map_or(NO_CLUSTER, Cluster::as_str);
        let (name, output, overrides) = (&name, &output, &overrides);
        Event::of(self.files, Check { name, status, output, cluster, overrides })
    }

    fn finding(&self, kills: &Kills) -> (Status, String) {
        let Self { service, instance, .. } = self;
        let name = format!("{service}.{instance}");
        if !self.is_wanted() {
            return (Status::Ok, format!("This check is disabled for {name}."));
        }
        if kills.count == 0 {
            return (Status::Ok, format!("No oom events for {name} in the last minute."));
        }
        let processes = kills.processes.as_ref().map_or_else(String::new, |processes| {
            let names: Vec<&str> = processes.iter().map(String::as_str).collect();
            format!(" ({})", names.join(","))
        });
        let output = format!(
            "The Out Of Memory killer killed {} processes{processes} in the last minute in {name} containers.",
            kills.count
        );
        (Status::Critical, output)
    }

    /// What this check insists on.
    fn overrides(&self, realert_every: i64) -> Map {
        let mut overrides = self.monitoring.clone();
        let mem = self.mem.as_ref().and_then(Node::as_f64);
        let past = mem.map(|mem| format!(" past {:.0}MB", mem.trunc())).unwrap_or_default();
        for (key, value) in [
            ("page", Node::made(false)),
            ("ticket", Node::made(false)),
            ("alert_after", Node::made("0m")),
            ("realert_every", Node::made(realert_every)),
            ("runbook", Node::made("y/check-oom-events")),
            ("tip", Node::made(format!("Try bumping the memory limit{past}"))),
        ] {
            overrides.set(key, value);
        }
        overrides
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use soa_configs::documents::Documents;

    use super::*;

    const MONITORING: &str = "team: web\npage: true\nticket: true\nirc_channels: ['#w']\n";

    fn event(
        files: &[(&str, &str)],
        instance: &str,
        kills: &Kills,
    ) -> (bool, Option<serde_json::Value>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("web")).unwrap();
        for (name, text) in files {
            let mut file = fs::File::create(dir.path().join("web").join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        let mut documents = Documents::new(dir.path());
        documents.refresh_service("web");
        let files = documents.into_service("web");
        let cluster = "c1".parse().unwrap();
        let instance = Instance::of(&files, "web", instance, Some(&cluster));
        let event = instance.event(kills, 1).unwrap();
        (instance.is_wanted(), event.map(|event| serde_json::from_str(&event.line()).unwrap()))
    }

    fn kills(count: u64) -> Kills {
        Kills { count, processes: None }
    }

    #[test]
    fn the_team_of_the_instance_hears_how_many_were_killed_and_that_it_is_over() {
        let files = [
            ("monitoring.yaml", MONITORING),
            ("marathon-c1.yaml", "main: {mem: 700.9, monitoring: {team: search}}\nother: {}\n"),
            ("chronos-c1.yaml", "job: {monitoring: {team: data}}\n"),
        ];
        let (_, told) = event(&files, "main", &kills(2));
        let told = told.unwrap();
        assert_eq!((&told["team"], &told["status"]), (&"search".into(), &2.into()));
        let output = "The Out Of Memory killer killed 2 processes in the last minute in web.main containers.";
        assert_eq!(told["output"], output);
        assert_eq!(told["tip"], "Try bumping the memory limit past 700MB");
        assert_eq!((&told["page"], &told["ticket"]), (&false.into(), &false.into()));
        assert_eq!(told["irc_channels"], serde_json::json!(["#w"]));
        let (_, over) = event(&files, "other", &kills(0));
        let over = over.unwrap();
        assert_eq!((&over["team"], &over["status"]), (&"web".into(), &0.into()));
        assert_eq!(over["output"], "No oom events for web.other in the last minute.");
        assert_eq!(over["tip"], "Try bumping the memory limit past 1024MB");
        assert_eq!(event(&files, "job", &kills(1)).1.unwrap()["team"], "data");
    }

    #[test]
    fn an_instance_that_cannot_be_read_is_spoken_for_by_its_service() {
        for broken in ["main: [", "other: {}"] {
            let files = [("monitoring.yaml", MONITORING), ("marathon-c1.yaml", broken)];
            let told = event(&files, "main", &kills(1)).1.unwrap();
            assert_eq!(told["team"], "web", "{broken}");
            assert_eq!(told["tip"], "Try bumping the memory limit", "{broken}");
        }
        assert_eq!(event(&[], "main", &kills(1)), (true, None), "nobody is named");
    }

    #[test]
    fn who_does_not_want_to_hear_of_it_does_not() {
        let off = "main: {monitoring: {check_oom_events: false}}\n";
        let files = [("monitoring.yaml", MONITORING), ("marathon-c1.yaml", off)];
        let (is_wanted, told) = event(&files, "main", &kills(1));
        let told = told.unwrap();
        assert!(!is_wanted);
        assert_eq!(
            (&told["status"], &told["output"]),
            (&0.into(), &"This check is disabled for web.main.".into())
        );
    }
}
