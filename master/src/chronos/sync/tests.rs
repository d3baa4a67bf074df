use super::*;
use crate::chronos::Details;

fn job(instance: &str, hash: &str, parents: &[&str]) -> Job {
    let mut definition = Map::default();
    if parents.is_empty() {
        definition.set("schedule", Node::made("0 3 * * *"));
    }
    let parents = parents.iter().map(|parent| JobName::new("s", parent)).collect();
    let name = JobName::new("s", instance);
    Job { name, definition, parents, hash: hash.to_owned() }
}

fn listed(instance: &str, hash: &str, parents: &[&str]) -> Listed {
    let starts = if parents.is_empty() {
        Starts::Schedule
    } else {
        Starts::Parents(parents.iter().map(|parent| format!("s {parent}")).collect())
    };
    Listed {
        name: format!("s {instance}"),
        description: hash.to_owned(),
        is_disabled: false,
        past: Past { success_count: 7, ..Past::default() },
        starts,
        details: Details::default(),
    }
}

fn written<'p>(plan: &'p Plan<'_>) -> Vec<(&'p str, bool)> {
    let writes = plan.writes.iter();
    writes.map(|write| (write.job.name.instance.as_str(), write.past.is_some())).collect()
}

#[test]
fn what_is_new_or_has_another_hash_is_written_after_its_parents() {
    let jobs = [
        job("a", "1", &["z"]),
        job("b", "1", &[]),
        job("c", "2", &[]),
        job("d", "1", &["b"]),
        job("z", "1", &["d"]),
    ];
    let here = [listed("b", "1", &[]), listed("c", "1", &[]), listed("d", "1", &["b"])];
    let plan = plan(&jobs, &here);
    assert_eq!(written(&plan), [("c", true), ("z", false), ("a", false)]);
    assert_eq!(plan.writes[0].past, Some(&here[1].past));
    let unchanged: Vec<&str> = plan.unchanged.iter().map(|job| &*job.name.instance).collect();
    assert_eq!(unchanged, ["b", "d"]);
}

#[test]
fn a_rerun_of_a_job_is_not_the_job_and_the_first_of_two_counts() {
    let jobs = [job("a", "1", &[])];
    let mut rerun = listed("a", "1", &[]);
    rerun.name = "tmp-1 s a".to_owned();
    assert_eq!(written(&plan(&jobs, &[rerun])), [("a", false)]);
    let twice = [listed("a", "1", &[]), listed("a", "2", &[])];
    assert_eq!(written(&plan(&jobs, &twice)), []);
}

#[test]
fn a_child_that_chronos_gave_another_parent_is_written_again() {
    let jobs = [job("a", "1", &[]), job("b", "1", &["a"])];
    let here = |child| [listed("a", "1", &[]), child];
    assert_eq!(written(&plan(&jobs, &here(listed("b", "1", &["a"])))), []);
    for child in [listed("b", "1", &[]), listed("b", "1", &["a", "c"]), listed("b", "1", &["c"])] {
        assert_eq!(written(&plan(&jobs, &here(child))), [("b", true)]);
    }
}

#[test]
fn a_cycle_is_told_and_everything_else_goes_on() {
    let jobs =
        [job("a", "1", &["b"]), job("b", "1", &["a"]), job("c", "1", &["b"]), job("d", "1", &[])];
    let plan = plan(&jobs, &[]);
    assert_eq!(written(&plan), [("d", false), ("c", false)]);
    let cycle: Vec<JobName> = plan.cycles[0].iter().map(|name| (*name).clone()).collect();
    let reason = Done::Cycle(cycle).reason();
    assert_eq!(reason, "its parents form a circle: s.b -> s.a -> s.b");
    let present = HashSet::from(["s d".to_owned()]);
    assert_eq!(absent(&jobs[2], &present), [&JobName::new("s", "b")]);
    assert!(absent(&jobs[3], &present).is_empty());
}

#[test]
fn nobody_is_told_of_each_job_that_chronos_is_gone() {
    let name = JobName::new("s", "a");
    assert_eq!(Done::Left.event(&name, "c1"), None);
    let refused = Done::Refused("500".to_owned());
    let text = "s.a is not set up in Chronos: 500".to_owned();
    assert_eq!(refused.event(&name, "c1"), Some((Status::Critical, text)));
    assert!(!refused.is_fine() && Done::Written.is_fine());
}
