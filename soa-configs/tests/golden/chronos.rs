//! Chronos: the hash of a job, and jobs that are refused.

use std::fs;

use serde_json::Value;
use soa_configs::{
    chronos::{self, JobConfig},
    documents::{Documents, ServiceDocuments},
    hash::config_hash,
    json,
    load::{self, Deployment, DesiredState, Instance, Kind, LoadError},
    marathon::ConfigError,
    yaml::{self, Node},
};

use crate::cases;

#[test]
fn golden_jobs_have_the_same_hash_and_are_refused_in_the_same_words() {
    let mut wrong = Vec::new();
    for dir in cases::dirs("chronos") {
        let case = cases::json(&dir.join("case.json"));
        let text = |key: &str| case[key].as_str().unwrap();
        let mut documents = Documents::new(dir.join("soa"));
        documents.refresh().unwrap();
        let (service, cluster) = (text("service"), text("cluster").parse().unwrap());
        let nothing = ServiceDocuments::default();
        let files = documents.service(service).unwrap_or(&nothing);
        let job = load::instance(files, Kind::Chronos, service, text("instance"), &cluster);
        let now: jiff::civil::DateTime = text("now").parse().unwrap();
        let complaints: Option<Vec<String>> = job.as_ref().ok().map(|job| {
            let found = chronos::validate(job, &now.in_tz("UTC").unwrap());
            found.into_iter().map(|complaint| complaint.message).collect()
        });
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        if let Ok(expected) = fs::read_to_string(dir.join("expected_error.json")) {
            let expected: Value = serde_json::from_str(&expected).unwrap();
            let ours = refusal(files, &job, &complaints.unwrap_or_default());
            let class = ours.as_ref().map(|(class, _)| *class);
            // Python's own classes are those of its language.
            let is_paastas = CLASSES.iter().any(|class| expected["exception"] == *class);
            if class.is_none() || is_paastas && class != expected["exception"].as_str() {
                wrong.push(format!("{name}: {ours:?}, expected {expected}"));
            }
            if let (Some(("InvalidChronosConfigError", said)), Some(theirs)) =
                (&ours, expected["message"].as_str())
                && said != theirs
            {
                wrong.push(format!("{name}: {said}"));
            }
            continue;
        }
        if complaints.as_ref().is_none_or(|complaints| !complaints.is_empty()) {
            wrong.push(format!("{name}: {job:?} {complaints:?}"));
            continue;
        }
        let expected =
            json::parse(&fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
        let mut map = expected.as_map().unwrap().clone();
        let description = map.remove("description").unwrap();
        let job = job.unwrap();
        let deployment = Deployment::v1(files, &job).unwrap();
        let config = JobConfig::read(&job).unwrap();
        // What goes into the job unchanged.
        for (key, ours) in [
            ("epsilon", Node::made(config.epsilon)),
            ("retries", config.retries),
            ("cpus", config.container.cpus),
            ("mem", config.container.mem),
            ("disk", config.container.disk),
            ("arguments", config.container.args.unwrap_or(Node::made(yaml::Value::Null))),
        ] {
            if map.get(key) != Some(&ours) {
                wrong.push(format!("{name}: {key} is {ours:?}, expected {:?}", map.get(key)));
            }
        }
        if config.schedule.as_deref() != map.get("schedule").and_then(Node::as_text) {
            wrong.push(format!("{name}: {:?}", config.schedule));
        }
        let token = deployment.control.force_bounce.as_deref();
        let written =
            json::canonical(&Node::made(map.clone())).unwrap() + token.unwrap_or_default();
        let preimage = fs::read_to_string(dir.join("expected_hash_preimage.txt")).unwrap();
        if written != preimage {
            wrong.push(format!("{name}: {written}"));
        }
        let hash = config_hash(&Node::made(map), token).unwrap();
        if Some(hash.as_str()) != description.as_text() {
            wrong.push(format!("{name}: {hash}"));
        }
    }
    cases::assert_none(&wrong);
}

/// PaaSTA's own classes of errors.
const CLASSES: [&str; 6] = [
    "InvalidChronosConfigError",
    "InvalidInstanceConfig",
    "InvalidJobNameError",
    "NoConfigurationForServiceError",
    "NoDeploymentsAvailable",
    "NoDockerImageError",
];

/// The class of the first error that keeps a job from being made, and its message.
fn refusal(
    files: &ServiceDocuments,
    job: &Result<Instance, LoadError>,
    complaints: &[String],
) -> Option<(&'static str, String)> {
    let of_load = |error: &LoadError| match error {
        LoadError::NoConfiguration(_) => "NoConfigurationForServiceError",
        LoadError::InvalidJobName(_) => "InvalidJobNameError",
        LoadError::NoDeployments(_) => "NoDeploymentsAvailable",
        _ => "another",
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => return Some((of_load(error), error.to_string())),
    };
    match Deployment::v1(files, job) {
        Err(error) => return Some((of_load(&error), error.to_string())),
        Ok(deployment) if deployment.docker_image.is_empty() => {
            return Some(("NoDockerImageError", String::new()));
        }
        Ok(deployment) => {
            if let DesiredState::Other(state) = deployment.control.desired_state {
                return Some(("another", state));
            }
        }
    }
    if !complaints.is_empty() {
        return Some(("InvalidChronosConfigError", complaints.join("\n")));
    }
    match JobConfig::read(job) {
        Err(error @ ConfigError::InvalidInstanceConfig(_)) => {
            Some(("InvalidInstanceConfig", error.to_string()))
        }
        Err(error) => Some(("another", error.to_string())),
        Ok(_) => None,
    }
}
