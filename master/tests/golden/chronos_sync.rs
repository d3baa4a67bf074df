//! What the commands around Chronos write and tell, from one listing.

use std::{fs, path::Path};

use jiff::{SignedDuration, Zoned, civil::DateTime, tz::TimeZone};
use paasta_master::{
    chronos::{
        Given, Interval, Job, JobError, JobName, Listed,
        check::{self, Asked},
        cleanup::{self, Rules, Standing},
        parents,
        rerun::Rerun,
        sync::{self, Done},
    },
    events::{self, Check, Event, Status},
};
use serde_json::{Value, json};
use soa_configs::{
    Cluster,
    chronos::JobConfig,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    json,
    load::{self, Kind},
    paasta::{self, Settings},
    yaml::{Map, Node},
};

use crate::cases;

/// What a command did, as the expected file has it.
#[derive(Default)]
struct Did {
    exit: u8,
    writes: Vec<Value>,
    events: Vec<Value>,
    stdout: Option<String>,
}

struct Case {
    case: Value,
    documents: Documents,
    nothing: ServiceDocuments,
    settings: Settings,
    listed: Vec<Listed>,
    now: Zoned,
}

impl Case {
    fn load(dir: &Path) -> Self {
        let case = cases::json(&dir.join("case.json"));
        let etc = dir.join("etc/paasta");
        let settings = Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
        let mut documents = Documents::new(dir.join("soa"));
        documents.refresh().unwrap();
        let listed = Listed::parse(&fs::read(dir.join("chronos_jobs.json")).unwrap()).unwrap();
        let now: DateTime = case["now"].as_str().unwrap().parse().unwrap();
        let now = now.to_zoned(TimeZone::UTC).unwrap();
        let nothing = ServiceDocuments::default();
        Self { case, documents, nothing, settings, listed, now }
    }

    fn words(&self) -> Vec<&str> {
        self.case["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    fn has(&self, flags: [&str; 2]) -> bool {
        self.words().iter().any(|word| flags.contains(word))
    }

    fn cluster(&self) -> &Cluster {
        self.settings.cluster().unwrap()
    }

    fn files(&self, name: &JobName) -> &ServiceDocuments {
        self.documents.service(&name.service).unwrap_or(&self.nothing)
    }

    fn make(&self, name: &JobName, now: &Zoned) -> Result<Job, JobError> {
        let JobName { service, instance, .. } = name;
        let files = self.files(name);
        let loaded = load::instance(files, Kind::Chronos, service, instance, self.cluster())?;
        Job::make(Given { files, instance: &loaded, settings: &self.settings, now })
    }

    /// All jobs of the cluster.
    fn names(&self) -> Vec<JobName> {
        let services = self.documents.services();
        services
            .flat_map(|(service, files)| {
                let names = load::names(files, Kind::Chronos, self.cluster());
                names.map(move |name| JobName::new(service, name))
            })
            .collect()
    }

    fn event(&self, check: &str, name: &JobName, told: (Status, &str), overrides: &Map) -> Value {
        let check_name = format!("{check}.{}", name.dotted());
        let check = Check {
            name: &check_name,
            status: told.0,
            output: told.1,
            cluster: self.cluster().as_str(),
            overrides,
        };
        serde_json::to_value(Event::of(self.files(name), check).unwrap().unwrap()).unwrap()
    }

    /// Whether Chronos does not tell of its jobs.
    fn is_mute(&self) -> bool {
        self.fails("GET", "/scheduler/jobs")
    }

    /// Whether Chronos answers this with an error.
    fn fails(&self, method: &str, path: &str) -> bool {
        let all = self.case["fail"].as_array();
        all.is_some_and(|all| all.iter().any(|fail| fail[0] == method && fail[1] == path))
    }

    fn config(&self, name: &JobName) -> JobConfig {
        let JobName { service, instance, .. } = name;
        let files = self.files(name);
        let loaded = load::instance(files, Kind::Chronos, service, instance, self.cluster());
        JobConfig::read(&loaded.unwrap()).unwrap()
    }
}

fn write(method: &str, is_dependent: bool, body: Map) -> Value {
    let path = if is_dependent { "/scheduler/dependency" } else { "/scheduler/iso8601" };
    let body: Value = serde_json::from_str(&json::canonical(&Node::made(body)).unwrap()).unwrap();
    json!({"method": method, "path": path, "body": body, "content_type": "application/json"})
}

fn setup(case: &Case) -> Did {
    let Ok(id) = JobId::parse(case.words()[0]) else { return Did { exit: 1, ..Did::default() } };
    let name = JobName::new(&id.service, &id.instance);
    let mut did = Did::default();
    let made = case.make(&name, &case.now);
    let done = match &made {
        Err(error) => Done::NotMade(error.clone()),
        Ok(_) if case.is_mute() => Done::Gone("nope".to_owned()),
        Ok(job) => {
            let plan = sync::plan(std::slice::from_ref(job), &case.listed);
            let past = plan
                .writes
                .first()
                .map(|write| write.past.map(|past| past.fields()).unwrap_or_default());
            did.writes
                .extend(past.map(|past| write("PUT", job.is_dependent(), job.request(&past))));
            let path = did.writes.first().and_then(|write| write["path"].as_str());
            match path {
                Some(path) if case.fails("PUT", path) => Done::Refused("nope".to_owned()),
                _ => Done::Written,
            }
        }
    };
    did.exit = u8::from(!done.is_fine());
    // Where the original died, nobody was told.
    if done.is_fine() {
        let (status, output) = done.event(&name, case.cluster().as_str()).unwrap();
        let JobName { service, instance, .. } = &name;
        let loaded =
            load::instance(case.files(&name), Kind::Chronos, service, instance, case.cluster());
        let overrides = sync::overrides(loaded.as_ref().ok());
        did.events.push(case.event("setup_chronos_job", &name, (status, &output), &overrides));
    }
    did
}

fn clean_up(case: &Case) -> Did {
    if case.is_mute() {
        return Did { exit: 1, ..Did::default() };
    }
    let now = case.now.timestamp();
    let names = case.names();
    let standing = |name: &JobName| match names.iter().find(|known| known.is_of(name)) {
        None => Standing::Gone,
        Some(name) => {
            let config = case.config(name);
            let zone = config.schedule_time_zone.as_deref();
            let interval = Interval::of(config.schedule.as_deref(), zone, now);
            let interval =
                interval.map(|known| SignedDuration::try_from_secs_f64(known.seconds).unwrap());
            Standing::Stands { interval }
        }
    };
    let stale = cleanup::stale(&case.listed, standing, Rules::AsBefore, now);
    let mut jobs: Vec<&str> = stale.jobs.iter().map(|job| job.name.as_str()).collect();
    jobs.sort_unstable();
    let mut did = Did::default();
    let mut outcomes = |kind: &str| -> Vec<(String, bool)> {
        let all = jobs.iter().map(|name| {
            let path = format!("/scheduler/{kind}/{}", name.replace(' ', "%20"));
            let is_done = !case.fails("DELETE", &path);
            did.writes.push(json!({"method": "DELETE", "path": path}));
            ((*name).to_owned(), is_done)
        });
        all.collect()
    };
    let (tasks, removed) = (outcomes("task/kill"), outcomes("job"));
    did.stdout = Some(cleanup::as_before(&tasks, &removed));
    did.exit = u8::from(tasks.iter().chain(&removed).any(|(_, is_done)| !is_done));
    let done = removed.iter().filter(|(_, is_done)| *is_done).map(|(name, _)| name.as_str());
    let done: Vec<&str> = done.collect();
    let over = cleanup::over(&case.listed, &done, standing);
    // The original tells of every job, also of a rerun of a job that stays.
    for name in done.iter().filter_map(|name| JobName::parse(name)) {
        // Nor does it look at what could not be removed.
        let stays = names.iter().any(|known| known.is_of(&name)) || !case.case["fail"].is_null();
        assert!(stays || over.iter().any(|over| over.is_of(&name)), "{name} is told of");
        let told = (Status::Ok, cleanup::REMOVED);
        did.events.push(case.event("check_chronos_jobs", &name, told, &Map::default()));
    }
    did
}

fn check(case: &Case) -> Did {
    if case.is_mute() {
        return Did { exit: 2, ..Did::default() };
    }
    let mut did = Did::default();
    let now = case.now.timestamp();
    for name in case.names() {
        let files = case.files(&name);
        if files.get("deployments.json").is_none() {
            continue;
        }
        let config = case.config(&name);
        let (schedule, zone) = (config.schedule.as_deref(), config.schedule_time_zone.as_deref());
        let asked = Asked {
            name: &name,
            cluster: case.cluster().as_str(),
            is_disabled: !config.disabled.is_falsy(),
            schedule,
            zone,
            interval: Interval::of(schedule, zone, now),
        };
        let job = check::newest(&case.listed).get(&name).copied();
        // The original took the milliseconds for seconds.
        let run_time = case.case["job_stat"]["histogram"]["99thPercentile"].as_f64();
        let run_time = run_time.map(|number| SignedDuration::from_secs_f64(number.trunc()));
        let Some(finding) = check::judge(&asked, job, run_time, now) else { continue };
        let mut overrides = events::of_instance(files, &config.container.monitoring, "15m");
        let finding = check::remind(finding, &mut overrides, asked.interval);
        let told = (finding.status, finding.output.as_str());
        did.events.push(case.event("check_chronos_jobs", &name, told, &overrides));
    }
    did
}

fn rerun(case: &Case) -> Did {
    let words = case.words();
    let at = words.iter().position(|word| word.contains(' ')).unwrap();
    let name = JobName::parse(words[at]).unwrap();
    let date: DateTime = words[at + 1].parse().unwrap();
    let date = date.to_zoned(TimeZone::UTC).unwrap();
    let is_whole = case.has(["-a", "--run-all-related-jobs"]);
    let rerun = Rerun::new(case.now.timestamp(), is_whole, case.has(["-f", "--force-disabled"]));
    let names = case.names();
    let of_all: Vec<Vec<JobName>> = names.iter().map(|name| parents(&case.config(name))).collect();
    let graph = names.iter().zip(of_all.iter().map(Vec::as_slice)).collect();
    let copies = rerun.order(&graph, &name).unwrap().into_iter().map(|name| {
        rerun.copy(&case.make(name, &case.now).unwrap(), &case.make(name, &date).unwrap())
    });
    let mut did = Did::default();
    for copy in copies {
        let write = write("POST", copy.is_dependent, copy.body);
        did.exit = u8::from(case.fails("POST", write["path"].as_str().unwrap()));
        did.writes.push(write);
        if did.exit != 0 {
            break;
        }
    }
    did
}

fn differences(dir: &Path) -> Vec<String> {
    let case = Case::load(dir);
    let mut did = match case.case["tool"].as_str().unwrap() {
        "setup_chronos_job" => setup(&case),
        "cleanup_chronos_jobs" => clean_up(&case),
        "check_chronos_jobs" => check(&case),
        "chronos_rerun" => rerun(&case),
        tool => panic!("{tool}"),
    };
    let expected = cases::json(&dir.join("expected.json"));
    // Which job comes first is not defined there.
    did.events.sort_by_key(|event| event["name"].to_string());
    let mut compared = vec![
        ("exit", json!(did.exit)),
        ("http_writes_in_order", json!(did.writes)),
        ("sensu_events", json!(did.events)),
    ];
    if expected.get("stdout_sorted_lines").is_some() {
        let text = did.stdout.unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        compared.push(("stdout_sorted_lines", json!(lines)));
    }
    let differs = |(key, ours): &(&str, Value)| *ours != expected[*key];
    let wrong = compared.iter().filter(|entry| differs(entry));
    wrong.map(|(key, ours)| format!("{key} is {ours}\nexpected {}", expected[*key])).collect()
}

#[test]
fn golden_passes_write_and_tell_the_same() {
    let mut wrong = Vec::new();
    for dir in cases::dirs("chronos-sync") {
        wrong.extend(differences(&dir).iter().map(|found| format!("{}: {found}", dir.display())));
    }
    cases::assert_none(&wrong);
}
