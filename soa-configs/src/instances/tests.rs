use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<BTreeMap<String, Arc<InstanceConfig>>, String> {
    let cluster = "norcal-devc".parse().unwrap();
    parse("web", &cluster, Path::new("marathon-norcal-devc.yaml"), text)
        .map_err(|error| error.one_line())
}

/// The one instance in `text`, as registrations and deploy group.
fn shown(text: &str) -> String {
    let instances = parsed(text).unwrap();
    assert_eq!(instances.len(), 1);
    let config = &instances["main"];
    format!("{:?} {} {}", config.registrations, config.deploy_group, config.container_port)
}

#[test]
fn keys_fall_back_as_paasta_says() {
    let rest = "norcal-devc.main 8888";
    for (text, wanted) in [
        ("main: {}", format!("[web.main] {rest}")),
        ("main: {nerve_ns: old}", format!("[web.old] {rest}")),
        ("main: {nerve_ns: old, registrations: [api.new]}", format!("[api.new] {rest}")),
        ("main: {nerve_ns: '', registrations: []}", format!("[web.main] {rest}")),
        ("main: {nerve_ns: ~, registrations: ~, deploy_group: ~}", format!("[web.main] {rest}")),
        ("main: {registrations: [b.x, a.x, b.x]}", format!("[b.x, a.x] {rest}")),
        (
            "main: {deploy_group: 'g.{instance}@{cluster}', container_port: '80'}",
            "[web.main] g.main@norcal-devc 80".to_owned(),
        ),
    ] {
        assert_eq!(shown(text), wanted, "{text}");
    }
}

#[test]
fn templates_are_merged_but_are_no_instances() {
    let text = "
_base: &base {deploy_group: everything, container_port: 80, cpus: .5}
_odd: 7
main:
  <<: *base
  container_port: 81
";
    assert_eq!(shown(text), "[web.main] everything 81");
}

#[test]
fn faults_are_named_with_their_place() {
    for (text, fault) in [
        ("main: 5", "expected a map, found 5 at line 1, column 7"),
        ("main:", "expected a map"),
        ("a.b: {}", "\"a.b\" is not the name of an instance"),
        ("main: {registrations: [web]}", "it needs a service, a dot and a namespace at line 1"),
        (
            "main: {registrations: web.main}",
            "expected a list, found \"web.main\" at line 1, column 23",
        ),
        ("main: {nerve_ns: a/b}", "`web.a/b` is not a SERVICE.NAMESPACE name"),
        (
            "main: {deploy_group: '{zone}'}",
            "expected cluster, instance or service at line 1, column 22",
        ),
        (
            "main: {container_port: 0}",
            "expected a port from 1 to 65535, found 0 at line 1, column 24",
        ),
    ] {
        let error = parsed(text).unwrap_err();
        assert!(error.contains(fault), "{text}: {error}");
    }
    assert_eq!(parsed("").unwrap().len(), 0);
}

proptest! {
    #[test]
    fn parsing_any_text_never_panics(
        text in prop_oneof!["(?s).{0,200}", "[a-z_]{1,3}: \\{(registrations|nerve_ns|deploy_group): .{0,20}\\}"]
    ) {
        for config in parsed(&text).unwrap_or_default().values() {
            prop_assert!(!config.registrations.is_empty());
        }
    }
}
