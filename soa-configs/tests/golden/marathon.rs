//! Marathon: hashes, ids, merging, what derives from an instance, and instances that make no app.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use soa_configs::{
    documents::{Documents, ServiceDocuments},
    hash::config_hash,
    ids::{self, JobId},
    json,
    load::{self, Deployment, Instance, Kind, LoadError},
    marathon::{ConfigError, MarathonConfig},
    paasta::{self, Settings},
    secrets,
    yaml::{Map, Node},
};

use crate::cases;

fn node(value: &Value) -> Node {
    json::parse(&value.to_string()).unwrap()
}

/// The order of keys is the one of the file, as serde_json would lose it.
fn file(name: &str) -> Node {
    json::parse(&fs::read_to_string(cases::kind("marathon").join(name)).unwrap()).unwrap()
}

fn get<'n>(node: &'n Node, key: &str) -> &'n Node {
    node.as_map().and_then(|map| map.get(key)).unwrap_or_else(|| panic!("no {key}"))
}

fn items(node: &Node) -> &[Node] {
    match node.as_list() {
        Some(items) if !items.is_empty() => items,
        _ => panic!("there are no cases"),
    }
}

#[test]
fn golden_values_are_hashed_as_python_does() {
    let mut wrong = Vec::new();
    for case in items(&file("functions/config_hash.json")) {
        let value = get(case, "value");
        let (written, hash) = (get(case, "canonical").as_text(), get(case, "hash").as_text());
        let ours = json::canonical(value).unwrap();
        if Some(ours.as_str()) != written {
            wrong.push(format!("{ours}\n{written:?}"));
        }
        let ours = config_hash(value, get(case, "force_bounce").as_text()).unwrap();
        if Some(ours.as_str()) != hash {
            wrong.push(format!("{ours}, expected {hash:?}"));
        }
    }
    cases::assert_none(&wrong);
}

#[test]
fn golden_choices_of_shards_are_the_same() {
    let path = cases::kind("marathon").join("functions/rendezvous.json");
    for case in cases::list(&cases::json(&path)) {
        let choices = usize::try_from(case["choices"].as_u64().unwrap()).unwrap();
        let key = case["key"].as_str().unwrap();
        assert_eq!(Value::from(ids::rendezvous_hashes(choices, key)), case["hashes"], "{key}");
        let winner = ids::rendezvous(choices, key).map(|winner| winner as u64);
        assert_eq!(winner, case["winner"].as_u64(), "{key}");
    }
}

#[test]
fn golden_ids_are_made_and_taken_apart_as_paasta_does() {
    let path = cases::kind("marathon").join("functions/job_ids.json");
    for case in cases::list(&cases::json(&path)) {
        let text = |index: usize| case["args"][index].as_str().unwrap_or_default().to_owned();
        let is_given = |index: usize| case["args"].get(index).is_some_and(Value::is_string);
        let ours = match case["op"].as_str().unwrap() {
            "format" if is_given(2) != is_given(3) => {
                serde_json::json!({"error": "invalid_job_name"})
            }
            "format" => {
                let hashes = is_given(2).then(|| (text(2), text(3)));
                JobId { service: text(0), instance: text(1), hashes }.format().into()
            }
            "deformat" => match JobId::parse(&text(0)) {
                Err(_) => serde_json::json!({"error": "invalid_job_name"}),
                Ok(JobId { service, instance, hashes }) => {
                    let (code, config) = hashes.unzip();
                    serde_json::json!([service, instance, code, config])
                }
            },
            "does_app_id_match" => JobId::matches(&text(0), &text(1), &text(2)).into(),
            "code_sha_from_docker_url" => ids::code_hash(&text(0)).into(),
            other => panic!("{other} is not known"),
        };
        assert_eq!(ours, case["expected"], "{case}");
    }
}

#[test]
fn golden_maps_are_merged_in_the_same_order() {
    for case in items(&file("functions/deep_merge.json")) {
        let mut merged = get(case, "defaults").as_map().unwrap().clone();
        merged.merge(get(case, "overrides").as_map().unwrap());
        assert_eq!(&Node::made(merged), get(case, "expected"));
    }
}

#[test]
fn golden_system_configurations_are_merged_as_paasta_does() {
    for case in items(&file("functions/system_config_merge.json")) {
        let dir = tempfile::tempdir().unwrap();
        for (name, entry) in get(case, "files").as_map().unwrap().texts() {
            let plain = entry.value.as_text().map(str::to_owned);
            let text = plain.unwrap_or_else(|| json::canonical(&entry.value).unwrap());
            cases::write(&dir.path().join(name), &text);
        }
        let merged = paasta::load(dir.path()).unwrap().unwrap().merged;
        // The order of keys within a file was lost when the case was written.
        let (ours, theirs) =
            (json::canonical(&Node::made(merged)), json::canonical(get(case, "expected")));
        assert_eq!(ours, theirs);
    }
}

/// One app as it was recorded, and what we load for it.
struct App {
    name: String,
    expected: Value,
    settings: Settings,
    instance: Instance,
    deployment: Deployment,
    config: MarathonConfig,
    scaled: Option<i64>,
}

fn apps(documents: &Documents) -> Vec<App> {
    let root = cases::kind("marathon");
    let list = cases::json(&root.join("cases.json"));
    let app = |case: &Value| {
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        let (service, name) = (text("service"), text("instance"));
        let dir = root.join("etc-paasta").join(text("etc"));
        let system = paasta::load(&dir).unwrap().unwrap();
        let settings = Settings::read(&system, &dir).unwrap();
        let files = documents.service(&service).unwrap();
        let cluster = settings.cluster().unwrap();
        let instance = load::instance(files, Kind::Marathon, &service, &name, cluster).unwrap();
        let scaled = &case["zookeeper"][format!("/autoscaling/{service}/{name}/instances")];
        App {
            expected: cases::json(&root.join(format!("expected/{}.json", text("name")))),
            name: text("name"),
            deployment: Deployment::v1(files, &instance).unwrap(),
            config: MarathonConfig::read(&instance).unwrap(),
            scaled: scaled.as_str().map(|count| count.parse().unwrap()),
            settings,
            instance,
        }
    };
    cases::list(&list).iter().map(app).collect()
}

fn documents(soa: &Path) -> Documents {
    let mut documents = Documents::new(soa);
    documents.refresh().unwrap();
    documents
}

/// The recorded app without what is not hashed, and with the signatures of its secrets.
fn hashed(app: &App, files: &ServiceDocuments) -> Node {
    let mut map = node(&app.expected["app_dict"]).as_map().unwrap().clone();
    for key in ["id", "instances", "backoff_seconds", "min_instances", "max_instances"] {
        map.remove(key);
    }
    let is_label = |parameter: &Value| parameter["key"] == "label";
    let mut container = app.expected["app_dict"]["container"].clone();
    let parameters = container["docker"]["parameters"].as_array_mut().unwrap();
    parameters.retain(|parameter| !is_label(parameter));
    map.set("container", node(&container));
    let env = app.expected["app_dict"]["env"].as_object().unwrap();
    let references = env.values().filter_map(Value::as_str);
    let signatures: Map = references
        .filter_map(|value| {
            let environment = app.settings.vault_environment.as_deref().unwrap_or_default();
            let signature = secrets::signature(files, secrets::reference(value)?, environment);
            let signature = signature.map_or(soa_configs::yaml::Value::Null, Into::into);
            Some((value.to_owned(), Node::made(signature)))
        })
        .collect();
    if !signatures.is_empty() {
        map.set("paasta_secrets", Node::made(signatures));
    }
    Node::made(map)
}

#[test]
fn golden_apps_have_the_same_hash_and_id() {
    let documents = documents(&cases::kind("marathon").join("soa-configs"));
    let mut wrong = Vec::new();
    for app in apps(&documents) {
        let files = documents.service(&app.instance.service).unwrap();
        let hashed = hashed(&app, files);
        let input = json::canonical(&hashed).unwrap();
        if Some(input.as_str()) != app.expected["config_hash_input"].as_str() {
            wrong.push(format!("{}: {input}", app.name));
        }
        let token = app.deployment.control.force_bounce.as_deref();
        let config = config_hash(&hashed, token).unwrap();
        let id = JobId {
            service: app.instance.service.clone(),
            instance: app.instance.instance.clone(),
            hashes: Some((ids::code_hash(&app.deployment.docker_image), config)),
        };
        if Some(id.format().as_str()) != app.expected["id"].as_str() {
            wrong.push(format!("{}: {}, expected {}", app.name, id.format(), app.expected["id"]));
        }
    }
    cases::assert_none(&wrong);
}

#[test]
fn golden_instances_say_the_same_of_their_deployment() {
    let documents = documents(&cases::kind("marathon").join("soa-configs"));
    let mut wrong = Vec::new();
    for app in apps(&documents) {
        let derived = &app.expected["derived"];
        let config = &app.config;
        let plain = |node: &Node| serde_json::from_str(&json::canonical(node).unwrap()).unwrap();
        let map = |map: Map| plain(&Node::made(map));
        let state = match &app.deployment.control.desired_state {
            load::DesiredState::Start => "start",
            load::DesiredState::Stop => "stop",
            load::DesiredState::Other(other) => other,
        };
        let ours: BTreeMap<&str, Value> = [
            ("autoscaling_params", map(config.autoscaling().unwrap())),
            ("bounce_health_params", map(config.bounce_health_params().unwrap())),
            ("bounce_margin_factor", plain(&config.bounce_margin_factor)),
            ("bounce_method", config.bounce_method().unwrap().into()),
            ("bounce_priority", (-config.bounce_priority().unwrap()).into()),
            ("deploy_group", app.instance.deploy_group.as_str().into()),
            ("desired_state", state.into()),
            ("drain_method", config.drain_method().unwrap().into()),
            ("drain_method_params", map(config.drain_method_params().unwrap())),
            ("force_bounce", app.deployment.control.force_bounce.clone().into()),
            ("instances", plain(&config.count(app.scaled))),
            ("monitoring", map(config.container.monitoring.clone())),
            ("nerve_namespace", config.nerve_namespace.as_str().into()),
            ("pool", plain(&config.container.pool)),
            ("registrations", config.registrations.clone().into()),
            ("replication_crit_percentage", plain(&config.replication_threshold)),
        ]
        .into();
        for (key, value) in ours {
            if value != derived[key] {
                wrong.push(format!("{}: {key} is {value}, expected {}", app.name, derived[key]));
            }
        }
        let mode = config.namespace.mode.clone();
        if Value::from(mode) != derived["service_namespace_config"]["mode"] {
            wrong.push(format!("{}: mode is {:?}", app.name, config.namespace.mode));
        }
    }
    cases::assert_none(&wrong);
}

/// The name of the class of a fault in the recorded cases.
fn kind_of_load(error: &LoadError) -> &'static str {
    match error {
        LoadError::NoConfiguration(_) => "no_configuration",
        LoadError::InvalidJobName(_) => "invalid_job_name",
        LoadError::NoDeployments(_) => "no_deployments",
        LoadError::Broken(message) if message.contains(".json") => "bad_json",
        LoadError::Broken(_) => "bad_yaml",
        LoadError::WrongType(_) => "wrong_type",
        LoadError::MissingKey(_) => "missing_key",
        LoadError::BadValue(_) => "bad_value",
    }
}

fn kind_of_config(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::InvalidInstanceConfig(_) => "invalid_instance_config",
        ConfigError::InvalidHealthcheckMode(_) => "invalid_healthcheck_mode",
        ConfigError::InvalidSmartstackMode(_) => "invalid_smartstack_mode",
        ConfigError::InvalidJobName(_) => "invalid_job_name",
        ConfigError::WrongType { .. } => "wrong_type",
        ConfigError::BadValue { .. } => "bad_value",
        ConfigError::MissingKey(_) => "missing_key",
    }
}

/// Loads and reads the instance of a case: stage and class of the first fault, and its message.
fn outcome(case: &Value, dir: &Path) -> Option<(&'static str, &'static str, String)> {
    let text = |key: &str| case[key].as_str().unwrap();
    let documents = documents(&dir.join("soa"));
    let system = paasta::load(&dir.join("etc")).unwrap().unwrap();
    let settings = Settings::read(&system, Path::new("/etc")).unwrap();
    let loaded = || {
        let nothing = ServiceDocuments::default();
        let files = documents.service(text("service")).unwrap_or(&nothing);
        let (service, name) = (text("service"), text("instance"));
        let cluster = settings.cluster().unwrap();
        let instance = load::instance(files, Kind::Marathon, service, name, cluster)?;
        Ok((Deployment::v1(files, &instance)?, instance))
    };
    let (deployment, instance) = match loaded() {
        Ok(loaded) => loaded,
        Err(error) => return Some(("load", kind_of_load(&error), error.to_string())),
    };
    let failed = |kind, message| Some(("format", kind, message));
    if let Err(error) = MarathonConfig::read(&instance) {
        return failed(kind_of_config(&error), error.to_string());
    }
    if deployment.docker_image.is_empty() {
        return failed(
            "no_docker_image",
            "Docker url not available because there is no docker_image".to_owned(),
        );
    }
    let needed = settings.docker_registry().map(|_| ()).and(settings.volumes().map(|_| ()));
    needed.err().and_then(|error| failed("system_config_missing", error.to_string()))
}

#[test]
fn golden_bad_configurations_are_refused_for_the_same_reason() {
    let file = cases::json(&cases::kind("marathon").join("errors/cases.json"));
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases::list(&file["cases"]) {
        let expected = &case["expected"];
        // Requests, ZooKeeper and the choice of hosts are none of this library's business.
        let is_ours = case["etc"]["expected_slave_attributes"].is_null()
            && case["zookeeper"].as_object().is_none_or(serde_json::Map::is_empty)
            && expected["stage"] != "request";
        if !is_ours {
            continue;
        }
        compared += 1;
        let dir = tempfile::tempdir().unwrap();
        cases::lay_out(&file, case, dir.path());
        let ours = outcome(case, dir.path());
        let (stage, kind) = (expected["stage"].as_str().unwrap(), expected["kind"].as_str());
        let wanted = kind.map(|kind| (stage, kind));
        if ours.as_ref().map(|(stage, kind, _)| (*stage, *kind)) != wanted {
            wrong.push(format!("{}: {ours:?}, expected {wanted:?}", case["name"]));
        }
        let worth = [
            "invalid_instance_config",
            "invalid_healthcheck_mode",
            "invalid_smartstack_mode",
            "invalid_job_name",
            "no_docker_image",
            "system_config_missing",
            "no_configuration",
        ];
        if let (Some((_, kind, message)), Some(theirs)) =
            (&ours, expected["upstream_message"].as_str())
            && worth.contains(kind)
            && message.replace(&dir.path().display().to_string(), "") != theirs
        {
            wrong.push(format!("{}: {message:?}, expected {theirs:?}", case["name"]));
        }
    }
    assert!(compared > 0, "there are no cases");
    cases::assert_none(&wrong);
}
