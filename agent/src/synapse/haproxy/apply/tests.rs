use std::collections::BTreeSet;

use super::*;
use crate::synapse::haproxy::{
    fingerprint::Fingerprint,
    observed::{Admin, Info, Server},
};

const B: &str = "web.main";

/// A configuration with these `server` lines in one backend.
fn wanted(lines: &[&str]) -> Rendered {
    let text = format!("global\nbackend {B}\n{}\n", lines.join("\n"));
    Rendered::parse(&text, &BTreeSet::from([B]))
}

fn line(n: u8, options: &str) -> String {
    format!("server s{n} 10.0.0.{n}:80 id {n} check port 6666 {options}")
}

/// The process that [`line`]s without options would make, with these admin states.
fn running(of: &Rendered, servers: &[(u8, u8)]) -> Observed {
    let servers = servers.iter().map(|(n, admin)| {
        let address = format!("10.0.0.{n}:80").parse().unwrap();
        let server = Server {
            id: u32::from(*n),
            address: Some(address),
            weight: 1,
            check_port: 6666,
            admin: Admin(*admin),
        };
        (format!("s{n}"), server)
    });
    let backend = observed::Backend { id: Some(4), servers: servers.collect() };
    let info = Info {
        version: "2.6.12".to_owned(),
        pid: 1,
        fingerprint: Some(of.fingerprint),
        stopping: false,
    };
    Observed { info, backends: BTreeMap::from([(B.to_owned(), backend)]) }
}

fn known(of: &Rendered) -> Known {
    of.backends.iter().map(|(name, backend)| (name.clone(), backend.dynamic.clone())).collect()
}

/// The steps as text, without the lines of additions.
fn shown(plan: &Plan) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::Ready(server) => format!("ready {server}"),
        Step::Drain(server) => format!("drain {server}"),
        Step::Weigh(server, weight) => format!("weigh {server} {weight}"),
        Step::Add(server, _) => format!("add {server}"),
        Step::Retire { server, in_maintenance: false } => format!("retire {server}"),
        Step::Retire { server, in_maintenance: true } => format!("delete {server}"),
        Step::Replace { server, .. } => format!("replace {server}"),
    };
    plan.steps.iter().map(step).map(|text| text.replace("web.main/", "")).collect()
}

#[test]
fn each_difference_has_its_step() {
    for (what, lines, servers, expected) in [
        ("nothing", vec![line(1, "")], vec![(1, 0)], vec![]),
        ("a server more", vec![line(1, ""), line(2, "")], vec![(1, 0)], vec!["add s2"]),
        ("a server less", vec![line(1, "")], vec![(1, 0), (2, 0)], vec!["retire s2"]),
        ("a retired one", vec![line(1, "")], vec![(1, 0), (2, 1)], vec!["delete s2"]),
        (
            "a leaving one",
            vec![line(1, ""), line(2, "disabled")],
            vec![(1, 0), (2, 4)],
            vec!["drain s2"],
        ),
        ("drained is enough", vec![line(1, "disabled")], vec![(1, 8)], vec![]),
        ("maintenance too", vec![line(1, "disabled")], vec![(1, 5)], vec![]),
        ("back from drain", vec![line(1, "")], vec![(1, 8)], vec!["ready s1"]),
        ("back from deletion", vec![line(1, "")], vec![(1, 1)], vec!["ready s1"]),
        ("enabled long ago", vec![line(1, "")], vec![(1, 4)], vec![]),
        ("inherited maintenance is not ours", vec![line(1, "")], vec![(1, 2)], vec![]),
        ("a weight", vec![line(1, "weight 9")], vec![(1, 0)], vec!["weigh s1 9"]),
        ("all gone on purpose", vec![], vec![(1, 0), (2, 0)], vec!["retire s1", "retire s2"]),
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let wanted = wanted(&lines);
        let plan = plan(&wanted, &running(&wanted, &servers), &known(&wanted));
        assert_eq!(shown(&plan), expected, "{what}");
        assert_eq!(plan.reload, None, "{what}");
    }
}

#[test]
fn removals_come_first_unless_the_backend_would_be_empty() {
    let next = wanted(&[&line(1, ""), &line(3, "")]);
    let replaced = plan(&next, &running(&next, &[(1, 0), (2, 0)]), &Known::new());
    assert_eq!(shown(&replaced), ["retire s2", "add s3"]);
    let moved = wanted(&[&line(3, "")]);
    let last = plan(&moved, &running(&moved, &[(2, 0)]), &Known::new());
    assert_eq!(shown(&last), ["add s3", "retire s2"]);
    let leaving = wanted(&[&line(1, "disabled"), &line(3, "")]);
    let last = plan(&leaving, &running(&leaving, &[(1, 8), (2, 0)]), &Known::new());
    assert_eq!(shown(&last), ["add s3", "retire s2"], "a leaving server serves nobody");
}

#[test]
fn other_options_replace_a_server_while_others_serve() {
    let before = wanted(&[&line(1, ""), &line(2, ""), &line(3, "")]);
    let after = wanted(&[&line(1, ""), &line(2, "backup"), &line(3, "")]);
    let running = running(&after, &[(1, 0), (2, 0), (3, 0)]);
    assert_eq!(shown(&plan(&after, &running, &known(&before))), ["replace s2"]);
    let same = plan(&after, &running, &known(&after));
    assert_eq!(same, Plan::default(), "done once");
}

#[test]
fn when_too_few_would_be_left_a_reload_replaces_them() {
    let before = wanted(&[&line(1, ""), &line(2, ""), &line(3, "")]);
    let after = wanted(&[&line(1, "rise 1"), &line(2, "rise 1"), &line(3, ""), &line(4, "")]);
    let plan = plan(&after, &running(&after, &[(1, 0), (2, 0), (3, 0)]), &known(&before));
    assert_eq!(plan.reload, Some(Reason::Options(B.to_owned())));
    assert_eq!(shown(&plan), ["add s4"], "the rest does not wait");
}

#[test]
fn without_a_known_line_a_server_is_judged_by_what_haproxy_shows() {
    let lines = [&line(1, ""), &line(2, ""), &line(3, "backup")];
    let wanted = wanted(&lines.map(String::as_str));
    let mut running = running(&wanted, &[(1, 0), (2, 0), (3, 0)]);
    assert_eq!(plan(&wanted, &running, &Known::new()), Plan::default());
    let servers = &mut running.backends.get_mut(B).unwrap().servers;
    servers.get_mut("s2").unwrap().check_port = 1;
    assert_eq!(shown(&plan(&wanted, &running, &Known::new())), ["replace s2"]);
    let servers = &mut running.backends.get_mut(B).unwrap().servers;
    servers.get_mut("s2").unwrap().check_port = 6666;
    servers.get_mut("s2").unwrap().address = Some("10.9.9.9:80".parse().unwrap());
    assert_eq!(shown(&plan(&wanted, &running, &Known::new())), ["replace s2"]);
}

#[test]
fn another_skeleton_needs_a_reload_and_no_command() {
    let wanted = wanted(&[&line(1, "")]);
    let mut running = running(&wanted, &[(2, 0)]);
    running.info.fingerprint = None;
    assert_eq!(plan(&wanted, &running, &Known::new()).reload, Some(Reason::Foreign));
    running.info.fingerprint = Fingerprint::from_description("smartstack-1");
    let plan = plan(&wanted, &running, &Known::new());
    assert_eq!((plan.reload, plan.steps.len()), (Some(Reason::Skeleton), 0));
}

#[test]
fn what_was_not_looked_at_or_is_not_managed_is_not_touched() {
    let wanted = wanted(&[&line(1, "")]);
    let mut running = running(&wanted, &[(1, 0)]);
    let foreign = running.backends[B].clone();
    running.backends.insert("by-hand".to_owned(), foreign);
    assert_eq!(plan(&wanted, &running, &Known::new()), Plan::default());
    running.backends.remove(B);
    assert_eq!(plan(&wanted, &running, &Known::new()), Plan::default(), "not read is not empty");
}

#[test]
fn a_fixed_server_is_drained_but_never_deleted_or_replaced() {
    let text = |options: &str| format!("server s1 10.0.0.1:80 cookie x {options}");
    let before = wanted(&[&text("")]);
    let leaving = wanted(&[&text("disabled")]);
    assert_eq!(before.fingerprint, leaving.fingerprint);
    let running = running(&leaving, &[(1, 0)]);
    assert_eq!(shown(&plan(&leaving, &running, &Known::new())), ["drain s1"]);
    assert_eq!(plan(&before, &running, &Known::new()), Plan::default());
}
