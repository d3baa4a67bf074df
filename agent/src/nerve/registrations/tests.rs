use std::path::Path;

use soa_configs::{instances, names::Cluster, smartstack};

use super::*;
use crate::nerve::{
    checks::Checked,
    containers::{Leaving, tests::container},
    local_tasks::LocalTask,
    records::Payload,
};

const TASK: &str = "web.main.gitabcdef12.configdeadbeef.3f1c9a8e-6d0b-11e8-b0e7-0242ac110003";

fn soa(smartstack: &str, marathon: &str) -> Soa {
    let file = Path::new("test.yaml");
    let cluster: Cluster = "norcal-devc".parse().unwrap();
    let instances = instances::parse("web", &cluster, file, marathon).unwrap();
    let configs = soa_configs::Snapshot {
        namespaces: smartstack::parse("web", file, smartstack).unwrap().namespaces,
        instances: instances
            .into_iter()
            .map(|(i, config)| (("web".to_owned(), i), config))
            .collect(),
        cluster: Some(cluster),
        ..Default::default()
    };
    Soa {
        tried: true,
        read: true,
        configs: Arc::new(configs),
        places: vec![
            "superregion:norcal-devc".parse().unwrap(),
            "region:uswest1-devc".parse().unwrap(),
        ],
        register_marathon_services: true,
        ..Soa::default()
    }
}

fn host() -> HostIdentity {
    HostIdentity {
        name: "host1-devc".to_owned(),
        address: [10, 0, 0, 1].into(),
        ensemble: Ensemble::memory(),
        location_type: "superregion".to_owned(),
        layouts: [Layout::V1, Layout::V2].into(),
    }
}

fn running(containers: impl IntoIterator<Item = Container>) -> Containers {
    let running = containers.into_iter().map(|c| (c.id.clone(), Arc::new(c))).collect();
    Containers { listed: true, running, ..Containers::default() }
}

fn decide(containers: &Containers, soa: &Soa) -> Registrations {
    registrations(containers, &LocalTasks::nothing(), soa, &host())
}

fn plain(name: &str, namespaces: &str) -> Container {
    container(name, &[("smartstack.namespace", namespaces), ("smartstack.port", "8888")], &[])
}

fn payloads(registrations: &Registrations) -> Vec<(String, String)> {
    let records = registrations.wanted.values().flat_map(|r| &r.records);
    let text = |r: &Record| String::from_utf8(r.encode()).unwrap();
    records.map(|(key, record)| (key.parent.to_string(), text(record))).collect()
}

#[test]
fn a_marathon_task_is_registered_in_both_layouts_as_nerve_writes_them() {
    let soa = soa(
        "main: {proxy_port: 20973, advertise: [region, superregion]}\n",
        "main: {deploy_group: dev.main}\n",
    );
    let web = container("mesos-1", &[("MESOS_TASK_ID", TASK)], &[]);
    let decided = decide(&running([web]), &soa);
    assert_eq!(decided.refused, []);
    let v1 = r#"{"host":"10.0.0.1","port":31000,"name":"host1-devc","weight":10}"#;
    let v2 = r#"{"host":"10.0.0.1","port":31000,"name":"host1-devc","weight":10,"labels":{"deploy_group":"dev.main","paasta_instance":"main","region:uswest1-devc":"","superregion:norcal-devc":""}}"#;
    let expected = [
        ("/nerve/region:uswest1-devc/web.main", v1),
        ("/nerve/superregion:norcal-devc/web.main", v1),
        ("/smartstack/global/web.main", v2),
    ];
    assert_eq!(payloads(&decided), expected.map(|(p, r)| (p.to_owned(), r.to_owned())));
}

#[test]
fn an_instance_registers_where_soa_configs_say() {
    let soa = soa(
        "main: {proxy_port: 1}\nro: {proxy_port: 2}\n",
        "main: {registrations: [web.main, web.ro], container_port: 9000}\n",
    );
    let mut web = container("mesos-1", &[("MESOS_TASK_ID", TASK)], &[]);
    let refused = decide(&running([web.clone()]), &soa).refused;
    assert!(refused[0].reason.contains("9000/tcp is not published"), "{refused:?}");
    let bindings = web.published.remove(&8888).unwrap();
    web.published.insert(9000, bindings);
    let decided = decide(&running([web]), &soa);
    let namespaces: Vec<_> = decided.wanted.keys().map(|key| key.namespace.as_str()).collect();
    assert_eq!(namespaces, ["web.main", "web.ro"]);
}

#[test]
fn one_wrong_namespace_does_not_keep_a_task_out_of_the_others() {
    let soa = soa("main: {proxy_port: 1}\nhidden: {mode: http}\n", "{}");
    let decided = decide(&running([plain("web", "web.main,web.nope,other.main")]), &soa);
    assert_eq!(decided.wanted.len(), 1);
    let reasons: Vec<_> = decided.refused.iter().map(|r| r.reason.as_str()).collect();
    assert!(
        reasons.iter().any(|r| r.contains("add `nope:` to web/smartstack.yaml")),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|r| r.contains("add `main:` to other/smartstack.yaml")),
        "{reasons:?}"
    );
}

#[test]
fn a_port_belongs_to_one_task_and_the_one_that_stays_wins() {
    let soa = soa("main: {proxy_port: 1}\n", "{}");
    let mut old = plain("a-old", "web.main");
    old.leaving = Some(Leaving { signal: "15".to_owned() });
    let new = plain("b-new", "web.main");
    let decided = decide(&running([old, new]), &soa);
    let titles: Vec<_> = decided.wanted.values().map(|r| r.title.as_str()).collect();
    assert_eq!(titles, ["b-new"]);
    assert!(decided.refused[0].reason.contains("already taken by b-new"), "{:?}", decided.refused);
}

#[test]
fn local_processes_register_like_containers_and_health_goes_to_the_checked_port() {
    let soa = soa("main: {proxy_port: 1, healthcheck_port: 7000, healthcheck_uri: h}\n", "{}");
    let task = LocalTask {
        checked: Checked::AsNamespace,
        payload: Payload::default(),
        name: "web-1".to_owned(),
        namespaces: vec!["web.main".parse().unwrap()],
        port: 31001,
    };
    let local = LocalTasks { items: vec![task], ..LocalTasks::nothing() };
    let decided = registrations(&Containers::default(), &local, &soa, &host());
    let registration = decided.wanted.values().next().unwrap();
    assert_eq!((registration.port, registration.plan.http()), (31001, Some((7000, "/h"))));
    assert!(!decided.complete, "docker has not been listed");
}

#[test]
fn without_a_place_to_advertise_to_there_is_no_record() {
    let soa = soa("main: {proxy_port: 1, advertise: [habitat]}\n", "{}");
    let decided = decide(&running([plain("web", "web.main")]), &soa);
    assert_eq!(payloads(&decided), []);
}

#[test]
fn a_place_that_cannot_be_followed_is_told_once_and_the_others_count() {
    let soa = soa(
        "main: {proxy_port: 1, extra_advertise: {'region:uswest1-devc': ['region:mars']}}\n",
        "{}",
    );
    let mut second = plain("b", "web.main");
    second.published.clear();
    let decided = decide(&running([plain("a", "web.main"), second]), &soa);
    let told: Vec<_> = decided.refused.iter().filter(|r| r.title == "web.main").collect();
    assert_eq!(told.len(), 1, "{:?}", decided.refused);
    assert!(told[0].reason.contains("region:mars is not in the location mapping"), "{told:?}");
    assert_eq!(payloads(&decided).len(), 2);
}

#[test]
fn nothing_is_complete_while_places_are_in_doubt() {
    let mut soa = soa("main: {proxy_port: 1}\n", "{}");
    assert!(decide(&running([]), &soa).complete);
    Arc::make_mut(&mut soa.atlas).in_doubt = true;
    assert!(!decide(&running([]), &soa).complete);
}
