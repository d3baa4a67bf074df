use super::*;
use crate::{load::Kind, yaml};

fn job(text: &str) -> Instance {
    let merged = yaml::parse(text).unwrap().as_map().unwrap().clone();
    let (service, instance) = ("web".to_owned(), "job".to_owned());
    let (cluster, deploy_group) = ("c1".parse().unwrap(), String::new());
    Instance { kind: Kind::Chronos, service, instance, cluster, merged, deploy_group }
}

fn complaints(text: &str) -> Vec<String> {
    let now = "2018-03-14T09:05:07[UTC]".parse().unwrap();
    validate(&job(text), &now).into_iter().map(|complaint| complaint.message).collect()
}

#[test]
fn null_is_as_good_as_nothing() {
    let text = "{cpus: , mem: , disk: , retries: , schedule: , cmd: , security: , parents: ,
        dependencies_reference: }";
    assert_eq!(complaints(text), [""; 0]);
}

#[test]
fn without_a_firewall_the_rest_of_security_is_not_looked_at() {
    assert_eq!(complaints("security: {inbound_firewall: x}"), [""; 0]);
    assert_eq!(complaints("security: {outbound_firewall: , x: 1}"), [""; 0]);
    let unknown = "Unrecognized items in security dict of service config: \"x\"";
    assert_eq!(complaints("security: {outbound_firewall: block, x: 1}"), [unknown, unknown]);
}

#[test]
fn a_command_that_is_no_text_is_unparseable() {
    let wanted = "Unparseable command '5'. Hint: do you need to escape % chars?";
    assert_eq!(complaints("cmd: 5"), [wanted]);
    assert_eq!(complaints("cmd: 0"), [""; 0]);
}

#[test]
fn what_goes_into_a_job_unchanged_stays_as_it_is_written() {
    let config = JobConfig::read(&job("{env: {A: 5}, args: , retries: }")).unwrap();
    assert_eq!(config.container.env["A"], Node::made(5));
    assert_eq!(config.container.args, None);
    assert!(config.retries.is_null());
    for text in ["epsilon: ", "parents: "] {
        let error = JobConfig::read(&job(text)).unwrap_err();
        assert!(matches!(error, ConfigError::WrongType { .. }), "{text}");
    }
    assert!(JobConfig::read(&job("{schedule: '0 3 * * *', parents: }")).is_ok());
}
