//! What Sensu's client hears, beside what PaaSTA sent of the same files.

use std::path::Path;

use jiff::Timestamp;
use monitoring::{
    events::{Check, Event, Fault, Status, of_instance},
    oom::{self, Kills},
    sensu::Sensu,
};
use paasta_master::{
    chronos::{
        Interval,
        check::{self, Finding},
        sync,
    },
    replication,
};
use serde_json::Value;
use soa_configs::{
    Cluster,
    chronos::JobConfig,
    documents::{Documents, ServiceDocuments},
    json,
    load::{self, Instance, Kind},
    marathon::MarathonConfig,
    paasta::{self, Settings},
    yaml::Map,
};
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::cases;

const NOW: &str = "2018-03-31T09:05:07Z";

struct Case<'c> {
    case: Value,
    files: &'c ServiceDocuments,
    cluster: Cluster,
}

impl Case<'_> {
    fn text(&self, key: &str) -> &str {
        self.case[key].as_str().unwrap_or_default()
    }

    fn instance(&self, kind: Kind) -> Option<Instance> {
        let (service, instance) = (self.text("service"), self.text("instance"));
        load::instance(self.files, kind, service, instance, &self.cluster).ok()
    }

    /// Of an instance that is not there nothing is known.
    fn config<T>(&self, kind: Kind, read: impl Fn(&Instance) -> T) -> Option<T> {
        self.instance(kind).map(|instance| read(&instance))
    }

    /// What the checker that is named would say, and what it insists on.
    fn finding(&self) -> (Finding, Map) {
        let status = match self.case["status"].as_u64() {
            Some(1) => Status::Warning,
            Some(2) => Status::Critical,
            Some(3) => Status::Unknown,
            _ => Status::Ok,
        };
        let given = Finding { status, output: self.text("output").to_owned() };
        match self.text("check") {
            "check_chronos_jobs" => self.of_run(given),
            "setup_chronos_job" => (given, sync::overrides(self.instance(Kind::Chronos).as_ref())),
            "setup_marathon_job" => {
                (given, sync::overrides(self.instance(Kind::Marathon).as_ref()))
            }
            "check_marathon_services_replication" => {
                let config =
                    self.config(Kind::Marathon, |found| MarathonConfig::read(found).unwrap());
                let overrides = config.map(|config| replication::overrides(self.files, &config));
                (given, overrides.unwrap_or_default())
            }
            _ => (given, written(&self.case["overrides"])),
        }
    }

    fn of_run(&self, given: Finding) -> (Finding, Map) {
        let Some(config) = self.config(Kind::Chronos, |found| JobConfig::read(found).unwrap())
        else {
            return (given, Map::default());
        };
        let (schedule, zone) = (config.schedule.as_deref(), config.schedule_time_zone.as_deref());
        let interval = Interval::of(schedule, zone, NOW.parse::<Timestamp>().unwrap());
        let mut overrides = of_instance(self.files, &config.container.monitoring, "15m");
        let finding = check::remind(given, &mut overrides, interval);
        (finding, overrides)
    }

    fn of_kills(&self) -> Result<Option<Event>, Fault> {
        let events = self.case["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = events.iter().filter_map(|event| event["process_name"].as_str());
        let processes = names.map(str::to_owned).collect();
        let kills = Kills { count: events.len().try_into().unwrap(), processes: Some(processes) };
        let (service, instance) = (self.text("service"), self.text("instance"));
        let instance = oom::Instance::of(self.files, service, instance, Some(&self.cluster));
        instance.event(&kills, self.case["realert_every"].as_i64().unwrap_or(1))
    }

    /// A direct call says it, or only its event does.
    fn name(&self, expected: &Value) -> String {
        let (check, service, instance) =
            (self.text("check"), self.text("service"), self.text("instance"));
        if check.starts_with("check_") || check.starts_with("setup_") {
            return format!("{check}.{service}.{instance}");
        }
        let said = ["name", "check_name"].into_iter().find_map(|key| self.case[key].as_str());
        said.or_else(|| expected["event"]["name"].as_str()).unwrap_or_default().to_owned()
    }

    fn event(&self, expected: &Value) -> Result<Option<Event>, Fault> {
        if self.text("check") == "check_oom_events" {
            return self.of_kills();
        }
        let (finding, overrides) = self.finding();
        let name = self.name(expected);
        let cluster = self.case["cluster"].as_str().unwrap_or(self.cluster.as_str());
        let (status, output, overrides) = (finding.status, finding.output.as_str(), &overrides);
        let event =
            Event::of(self.files, Check { name: &name, status, output, cluster, overrides });
        match (event?, self.case["ttl"].as_str()) {
            (Some(event), Some(ttl)) => event.lasting(ttl).map(Some),
            (event, _) => Ok(event),
        }
    }
}

fn written(value: &Value) -> Map {
    json::parse(&value.to_string()).unwrap().as_map().cloned().unwrap_or_default()
}

/// What somebody who listens hears of it, connection by connection.
async fn heard(event: &Event) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listen = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let sensu = Sensu::new("127.0.0.1", port);
    let (told, text) = tokio::join!(sensu.tell(event), listen);
    assert!(told.unwrap());
    vec![text]
}

async fn differences(dir: &Path) -> Vec<String> {
    let etc = dir.join("etc/paasta");
    let settings = Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
    let mut documents = Documents::new(dir.join("soa"));
    // A case may be about a service that is not there.
    let _ = documents.refresh();
    let nothing = ServiceDocuments::default();
    let case = cases::json(&dir.join("case.json"));
    let files = documents.service(case["service"].as_str().unwrap_or_default()).unwrap_or(&nothing);
    let cluster = settings.cluster().cloned().unwrap_or_else(|_| "localhost".parse().unwrap());
    let expected = cases::json(&dir.join("expected.json"));
    let case = Case { case, files, cluster };
    let event = match (case.event(&expected), &expected["error"]) {
        (Ok(event), Value::Null) => event,
        (Err(_), error) if !error.is_null() => return Vec::new(),
        (ours, error) => return vec![format!("{ours:?}, expected {error}")],
    };
    let event = event.filter(|_| Sensu::of(&settings).is_some());
    let heard = match &event {
        Some(event) => heard(event).await,
        None => Vec::new(),
    };
    let mut wrong = Vec::new();
    if expected["connections"] != heard.len() {
        wrong.push(format!("{} connections", heard.len()));
    }
    // Key order is told to be informative: it is the same.
    let bytes = std::fs::read_to_string(dir.join("expected_bytes.txt")).unwrap();
    if heard.concat() != bytes {
        wrong.push(format!("{}\nexpected {bytes}", heard.concat()));
    }
    wrong
}

#[tokio::test]
async fn golden_events_are_the_same_byte_for_byte() {
    let mut wrong = Vec::new();
    for dir in cases::dirs("sensu") {
        let found = differences(&dir).await;
        wrong.extend(found.iter().map(|found| format!("{}: {found}", dir.display())));
    }
    cases::assert_none(&wrong);
}
