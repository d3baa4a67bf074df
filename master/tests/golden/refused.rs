//! Instances that make no app, or one that the client would not send.

use std::path::Path;

use paasta_master::{
    app::{App, AppError, Given, InvalidRequest},
    deploy::{
        verdict::Verdict,
        wanted::{Wanted, Written},
    },
    marathon::Shards,
};
use serde_json::Value;
use soa_configs::{
    documents::{Documents, ServiceDocuments},
    load::{self, Deployment, Kind},
    marathon::ConfigError,
    paasta::{self, Settings},
};

use crate::cases;

/// Stage and class of the first fault, and its message; `None`: there is none.
fn outcome(case: &Value, dir: &Path) -> Option<(&'static str, &'static str, String)> {
    let text = |key: &str| case[key].as_str().unwrap();
    let mut documents = Documents::new(dir.join("soa"));
    documents.refresh().unwrap();
    let system = paasta::load(&dir.join("etc")).unwrap().unwrap();
    let settings = Settings::read(&system, Path::new("/etc")).unwrap();
    let nothing = ServiceDocuments::default();
    let (service, name) = (text("service"), text("instance"));
    let files = documents.service(service).unwrap_or(&nothing);
    let cluster = settings.cluster().unwrap();
    let Ok(instance) = load::instance(files, Kind::Marathon, service, name, cluster) else {
        return Some(("load", "", String::new()));
    };
    let Ok(deployment) = Deployment::v1(files, &instance) else {
        return Some(("load", "", String::new()));
    };
    let given = Given {
        files,
        instance: &instance,
        deployment: &deployment,
        settings: &settings,
        scaled: None,
    };
    let app = match App::make(given) {
        Ok(app) => app,
        Err(error) => return Some(("format", kind(&error), error.to_string())),
    };
    let error = app.request().err()?;
    let kind = match error {
        InvalidRequest::Choice { .. } => "invalid_choice",
        InvalidRequest::Constraint(_) | InvalidRequest::Volume(_) => "wrong_type",
        InvalidRequest::Id(_) => "bad_value",
    };
    Some(("request", kind, error.to_string()))
}

fn kind(error: &AppError) -> &'static str {
    match error {
        AppError::Config(error) => match error {
            ConfigError::InvalidInstanceConfig(_) => "invalid_instance_config",
            ConfigError::InvalidHealthcheckMode(_) => "invalid_healthcheck_mode",
            ConfigError::InvalidSmartstackMode(_) => "invalid_smartstack_mode",
            ConfigError::InvalidJobName(_) => "invalid_job_name",
            ConfigError::WrongType { .. } => "wrong_type",
            ConfigError::BadValue { .. } => "bad_value",
            ConfigError::MissingKey(_) => "missing_key",
        },
        AppError::NoDockerImage => "no_docker_image",
        AppError::NoSlavesAvailable(_) => "no_slaves_available",
        AppError::NotConfigured(_) => "system_config_missing",
        AppError::WrongValue { .. } | AppError::UnknownPlace(_) => "wrong_type",
        AppError::Unwritable(_) => "unwritable",
    }
}

/// Messages that are PaaSTA's own, or its client's.
const WORTH: &[&str] = &[
    "invalid_instance_config",
    "invalid_healthcheck_mode",
    "invalid_smartstack_mode",
    "invalid_job_name",
    "no_docker_image",
    "no_slaves_available",
    "system_config_missing",
    "invalid_choice",
];

#[test]
fn golden_bad_configurations_fail_at_the_same_stage_for_the_same_reason() {
    let file = cases::json(&cases::kind("marathon").join("errors/cases.json"));
    let mut wrong = Vec::new();
    for case in cases::list(&file["cases"]) {
        let expected = &case["expected"];
        let stage = expected["stage"].as_str().unwrap();
        // What the autoscaler wrote is read by whoever asks ZooKeeper; loading has tests of its own.
        if stage == "load" || case["zookeeper"].as_object().is_some_and(|nodes| !nodes.is_empty()) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        cases::lay_out(&file, case, dir.path());
        let ours = outcome(case, dir.path());
        let wanted = expected["kind"].as_str().map(|kind| (stage, kind));
        if ours.as_ref().map(|(stage, kind, _)| (*stage, *kind)) != wanted {
            wrong.push(format!("{}: {ours:?}, expected {wanted:?}", case["name"]));
        }
        if let (Some((_, kind, message)), Some(theirs)) =
            (&ours, expected["upstream_message"].as_str())
            && WORTH.contains(kind)
            && message != theirs
        {
            wrong.push(format!("{}: {message:?}, expected {theirs:?}", case["name"]));
        }
    }
    cases::assert_none(&wrong);
}

/// What a pass over an instance comes to that asks nobody for anything: its error, or the id of its app.
fn pass(case: &Value, dir: &Path) -> Result<String, Verdict> {
    let text = |key: &str| case[key].as_str().unwrap();
    let mut documents = Documents::new(dir.join("soa"));
    documents.refresh().unwrap();
    let system = paasta::load(&dir.join("etc")).unwrap().unwrap();
    let mut settings = Settings::read(&system, Path::new("/etc")).unwrap();
    if settings.marathon_servers.is_empty() {
        let (user, password) = ("u".to_owned(), paasta::Secret("p".to_owned()));
        let urls = vec!["http://marathon".to_owned()];
        settings.marathon_servers.push(paasta::MarathonServer { urls, user, password });
    }
    let nothing = ServiceDocuments::default();
    let (service, name) = (text("service"), text("instance"));
    let files = documents.service(service).unwrap_or(&nothing);
    let cluster = settings.cluster().unwrap();
    let wanted = Written::load(files, service, name, cluster)
        .and_then(|written| Wanted::of(written, files, &settings, &Shards::of(&settings), None));
    wanted.map(|wanted| wanted.app.id).map_err(|error| error.verdict(&format!("{service}.{name}")))
}

#[test]
fn golden_bad_configurations_end_a_pass_as_they_did() {
    let file = cases::json(&cases::kind("marathon").join("errors/cases.json"));
    let mut wrong = Vec::new();
    for case in cases::list(&file["cases"]) {
        if case["zookeeper"].as_object().is_some_and(|nodes| !nodes.is_empty()) {
            continue;
        }
        let (name, expected) = (&case["name"], &case["expected"]["deploy"]);
        let dir = tempfile::tempdir().unwrap();
        cases::lay_out(&file, case, dir.path());
        let created = expected["apps_created"].as_array().unwrap();
        let verdict = match pass(case, dir.path()) {
            Ok(id)
                if created.contains(&id.as_str().into())
                    || created.contains(&format!("/{id}").into()) =>
            {
                continue;
            }
            Ok(id) => {
                wrong.push(format!("{name}: would create {id}, expected {expected}"));
                continue;
            }
            Err(verdict) => verdict,
        };
        let events = expected["events"].as_array().unwrap();
        let is_same = if expected["uncaught_exception"].is_null() {
            let code = u64::from(verdict.has_failed);
            let event = verdict.event.as_ref().map(|(status, _)| u64::from(*status as u8));
            let again = verdict.again.map(|again| again.as_secs());
            code == expected["return_code"].as_u64().unwrap()
                && event == events.first().and_then(|event| event["status"].as_u64())
                && again == expected["bounce_again_in_seconds"].as_u64()
        } else {
            // A trace and the end of the process there; here, of this instance.
            verdict.has_failed
        };
        if !is_same || !created.is_empty() {
            wrong.push(format!("{name}: {verdict:?}, expected {expected}"));
        }
        let theirs = events.first().and_then(|event| event["output_last_line"].as_str());
        let kind = case["expected"]["kind"].as_str().unwrap_or_default();
        if let (Some((_, output)), Some(theirs)) = (&verdict.event, theirs)
            && WORTH.contains(&kind)
            && !theirs.ends_with(output.trim_end())
        {
            wrong.push(format!("{name}: {output:?}, expected {theirs:?}"));
        }
    }
    cases::assert_none(&wrong);
}
