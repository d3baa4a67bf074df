//! Chronos jobs beside those that PaaSTA made of the same files.

use std::fs;

use jiff::{Zoned, civil::DateTime};
use paasta_master::{
    app::AppError,
    chronos::{Given, Job, JobError},
};
use serde_json::Value;
use soa_configs::{
    documents::{Documents, ServiceDocuments},
    json,
    load::{self, Deployment, Kind, LoadError},
    marathon::ConfigError,
    paasta::{self, Settings},
    yaml::{Map, Node},
};

use crate::cases;

fn plain(map: Map) -> Value {
    serde_json::from_str(&json::canonical(&Node::made(map)).unwrap()).unwrap()
}

/// PaaSTA's own class of the error; `None`: one of Python's.
fn class(error: &JobError) -> Option<&'static str> {
    Some(match error {
        JobError::Load(LoadError::NoConfiguration(_)) => "NoConfigurationForServiceError",
        JobError::Load(LoadError::InvalidJobName(_)) => "InvalidJobNameError",
        JobError::Load(LoadError::NoDeployments(_)) => "NoDeploymentsAvailable",
        JobError::Config(ConfigError::InvalidInstanceConfig(_)) => "InvalidInstanceConfig",
        JobError::Part(AppError::NoDockerImage) => "NoDockerImageError",
        JobError::Invalid(_) => "InvalidChronosConfigError",
        _ => return None,
    })
}

fn differences(dir: &std::path::Path) -> Vec<String> {
    let case = cases::json(&dir.join("case.json"));
    let text = |key: &str| case[key].as_str().unwrap();
    let etc = dir.join("etc/paasta");
    let settings = Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
    let mut documents = Documents::new(dir.join("soa"));
    documents.refresh().unwrap();
    let nothing = ServiceDocuments::default();
    let (service, cluster) = (text("service"), text("cluster").parse().unwrap());
    let files = documents.service(service).unwrap_or(&nothing);
    let now: Zoned = text("now").parse::<DateTime>().unwrap().in_tz("UTC").unwrap();
    let loaded = load::instance(files, Kind::Chronos, service, text("instance"), &cluster);
    let settings = &settings;
    let make = |instance| Job::make(Given { files, instance, settings, now: &now });
    let made = loaded.as_ref().map_err(|error| JobError::from(error.clone())).and_then(make);
    if let Ok(expected) = fs::read_to_string(dir.join("expected_error.json")) {
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let refused = made.err().map(|error| (class(&error), error.to_string()));
        let is_right = match &refused {
            None => false,
            Some((Some("InvalidChronosConfigError"), said)) => expected["message"] == **said,
            Some((class, _)) => class.is_none_or(|class| expected["exception"] == class),
        };
        return if is_right { vec![] } else { vec![format!("{refused:?}, expected {expected}")] };
    }
    let job = match made {
        Ok(job) => job,
        Err(error) => return vec![format!("{error:?}")],
    };
    let deployment = Deployment::v1(files, loaded.as_ref().unwrap()).unwrap();
    let token = deployment.control.force_bounce.unwrap_or_default();
    let preimage = fs::read_to_string(dir.join("expected_hash_preimage.txt")).unwrap();
    let (job_sent, hashed) =
        (plain(job.request(&Map::default())), job.hash_input().unwrap() + &token);
    let expected = cases::json(&dir.join("expected.json"));
    let mut wrong = Vec::new();
    if job_sent != expected {
        wrong.push(format!("{job_sent}\nexpected {expected}"));
    }
    if hashed != preimage {
        wrong.push(format!("{hashed}\nexpected {preimage}"));
    }
    wrong
}

#[test]
fn golden_jobs_are_the_same_in_every_field_and_are_refused_in_the_same_cases() {
    let mut wrong = Vec::new();
    for dir in cases::dirs("chronos") {
        wrong.extend(differences(&dir).iter().map(|found| format!("{}: {found}", dir.display())));
    }
    cases::assert_none(&wrong);
}
