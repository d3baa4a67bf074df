//! Hosts and ports.

use super::*;

#[test]
fn constraints_decide_the_hosts_and_the_queue_says_who_waits() {
    let hosts = |constraints: Value, instances: usize| {
        let mut machine = machine(4, Script::default());
        let mut body = app("web", instances);
        body["constraints"] = constraints;
        create(&mut machine, &body);
        let mut hosts: Vec<String> = machine.tasks().map(|task| task.host.clone()).collect();
        hosts.sort();
        let queue = get(&mut machine, "/v2/queue?embed=lastUnusedOffers");
        let waiting = queue["queue"][0]["count"].as_u64().unwrap_or(0);
        if waiting > 0 {
            let reason = &queue["queue"][0]["lastUnusedOffers"][0]["reason"];
            assert_eq!(*reason, json!(["UnfulfilledConstraint"]));
        }
        (hosts.join(" "), waiting)
    };
    for (constraints, instances, placed, waiting) in [
        (json!([["hostname", "UNIQUE"]]), 5, "h1 h2 h3 h4", 1),
        (json!([["hostname", "UNIQUE", ""]]), 2, "h1 h2", 0),
        (json!([["pool", "LIKE", "default|other"]]), 2, "h1 h2", 0),
        (json!([["pool", "LIKE", "other"]]), 2, "", 2),
        (json!([["habitat", "UNLIKE", "a"]]), 2, "h2 h4", 0),
        (json!([["habitat", "CLUSTER", "b"]]), 3, "h2 h2 h4", 0),
        (json!([["habitat", "GROUP_BY", "2"]]), 4, "h1 h2 h3 h4", 0),
        (json!([["habitat", "MAX_PER", "1"]]), 3, "h1 h2", 1),
        (json!([["rack", "GROUP_BY"]]), 1, "", 1),
    ] {
        let expected = (placed.to_owned(), waiting);
        assert_eq!(hosts(constraints.clone(), instances), expected, "{constraints}");
    }
}

#[test]
fn fixed_ports_are_given_once_a_host() {
    let mut machine = machine(2, Script::default());
    let mut body = app("web", 3);
    body["portDefinitions"] = json!([{"port": 8080, "protocol": "tcp"}]);
    body["requirePorts"] = json!(true);
    create(&mut machine, &body);
    let ports: Vec<_> = machine.tasks().map(|task| (task.host.as_str(), &task.ports[..])).collect();
    assert_eq!(ports, [("h1", &[8080][..]), ("h2", &[8080])]);
    let queue = get(&mut machine, "/v2/queue?embed=lastUnusedOffers");
    assert_eq!(queue["queue"][0]["lastUnusedOffers"][0]["reason"], json!(["InsufficientPorts"]));
}
