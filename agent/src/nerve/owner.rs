//! Whose a container is, for those who are told of it: also jobs, and what was started by hand.
//!
//! Pure. A name becomes part of a path and of an event, so what is no name is nobody's.

use soa_configs::Namespace;

use super::{
    containers::Container,
    identity::{Identity, identify},
};

/// `SERVICE.INSTANCE`, which is written as a namespace is. Of a plain container, its first namespace.
#[must_use]
pub fn owner(container: &Container) -> Option<Namespace> {
    let label = |name: &str| container.labels.get(name).map(String::as_str);
    let env = |name: &str| container.env.get(name).map(String::as_str);
    let named =
        |service: Option<&str>, instance: Option<&str>| Namespace::new(service?, instance?).ok();
    match identify(container) {
        Identity::Paasta { service, instance } => Namespace::new(&service, &instance).ok(),
        Identity::Plain { namespaces, .. } => namespaces.first().cloned(),
        // A job's own configuration can forge every variable, so they come last (nerve.md §9.3).
        Identity::NotOurs(_) | Identity::Refused(_) => label("MESOS_TASK_ID")
            .and_then(of_job)
            .or_else(|| named(label("paasta_service"), label("paasta_instance")))
            .or_else(|| env("mesos_task_id").and_then(of_job))
            .or_else(|| named(env("PAASTA_SERVICE"), env("PAASTA_INSTANCE"))),
    }
}

/// `ct:<time>:<attempt>:<service> <instance>:<arguments>`, as Chronos names its tasks. What runs again by
/// hand has a word before the service.
fn of_job(task_id: &str) -> Option<Namespace> {
    let name = task_id.strip_prefix("ct:")?.split(':').nth(2)?;
    let mut words = name.split(' ').rev();
    let (instance, service) = (words.next()?, words.next()?);
    Namespace::new(service, instance).ok()
}

#[cfg(test)]
mod tests {
    use super::{super::containers::tests::container, *};

    #[test]
    fn tasks_jobs_plain_containers_and_what_runs_by_hand_have_an_owner() {
        let task = "my--svc.main.gitabcdef12.configdeadbeef.3f1c9a8e-6d0b-11e8-b0e7-0242ac110003";
        let job = "ct:1522487107000:0:batch nightly:";
        let again = "ct:1522487107000:0:tmp-2018-03-31T090507 batch nightly:a b";
        let forged = [("PAASTA_SERVICE", "evil"), ("PAASTA_INSTANCE", "x")];
        let plain = [("smartstack.namespace", "web.main,web.ro"), ("smartstack.port", "80")];
        let by_label = [("paasta_service", "batch"), ("paasta_instance", "nightly")];
        for (name, labels, env, expected) in [
            ("mesos-1", &[("MESOS_TASK_ID", task)][..], &forged[..], Some("my_svc.main")),
            ("mesos-1", &[("MESOS_TASK_ID", job)], &forged, Some("batch.nightly")),
            ("mesos-1", &[("MESOS_TASK_ID", again)], &forged, Some("batch.nightly")),
            ("mesos-1", &by_label, &[("mesos_task_id", job)], Some("batch.nightly")),
            ("mesos-1", &[], &[("mesos_task_id", job)], Some("batch.nightly")),
            ("paasta_local_run_me_1", &[], &forged, Some("evil.x")),
            ("web", &plain, &[], Some("web.main")),
            ("web", &[], &[], None),
            ("x", &[], &[("PAASTA_SERVICE", "../etc"), ("PAASTA_INSTANCE", "x")], None),
            ("mesos-1", &[("MESOS_TASK_ID", "ct:1:0:../x y:")], &[], None),
            ("mesos-1", &[("MESOS_TASK_ID", "ct:1:0:")], &[], None),
        ] {
            let owner = owner(&container(name, labels, env));
            assert_eq!(owner.as_ref().map(Namespace::as_str), expected, "{labels:?} {env:?}");
        }
    }
}
