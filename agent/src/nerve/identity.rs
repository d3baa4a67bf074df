//! Who a container is: a PaaSTA task, a plain labelled task, or not ours.
//!
//! Pure. Order of trust for PaaSTA's containers (nerve.md §9.3): the container name, the
//! `MESOS_TASK_ID` label, the paasta labels, the Mesos agent (where it is asked), the variables. A service's own configuration can forge
//! every variable, so a later source never overrides an earlier one.

use std::net::IpAddr;

use soa_configs::Namespace;

use super::{
    checks::Healthcheck,
    containers::{Container, Published},
};

/// What a container turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Started by Marathon through Mesos; soa-configs say where it registers.
    Paasta { service: String, instance: String },
    /// Labelled `smartstack.namespace` and `smartstack.port`, and perhaps `smartstack.healthcheck`.
    Plain { namespaces: Vec<Namespace>, port: u16, healthcheck: Option<Healthcheck> },
    /// Nothing to do with us: the reason, for `smartstack why`.
    NotOurs(&'static str),
    /// Meant for us, but wrong; the text says what was expected.
    Refused(String),
}

/// How task ids of Chronos begin (nerve.md §9.3).
const CHRONOS_TASK: &str = "ct:";
/// What `paasta local-run` calls the app that it runs.
const LOCAL_RUN: &str = "/simulated_marathon_app_id";
const NAMESPACE_LABEL: &str = "smartstack.namespace";
const PORT_LABEL: &str = "smartstack.port";
const HEALTHCHECK_LABEL: &str = "smartstack.healthcheck";

/// Decides who `container` is.
#[must_use]
pub fn identify(container: &Container) -> Identity {
    if container.name.starts_with("mesos-") {
        return mesos_task(container);
    }
    if container.labels.contains_key(NAMESPACE_LABEL) || container.labels.contains_key(PORT_LABEL) {
        return plain_task(container);
    }
    if container.env.contains_key("PAASTA_SERVICE") {
        return Identity::NotOurs("started by hand (`paasta local-run`), not by Mesos");
    }
    Identity::NotOurs("no PaaSTA or smartstack.* labels")
}

fn mesos_task(container: &Container) -> Identity {
    let env = |name: &str| container.env.get(name).map(String::as_str);
    let label = |name: &str| container.labels.get(name).map(String::as_str);
    if container.name.ends_with(".executor") {
        return Identity::NotOurs("an executor, not the task itself");
    }
    let task_id = label("MESOS_TASK_ID").or_else(|| env("MESOS_TASK_ID"));
    let is_job = |id: &str| id.starts_with(CHRONOS_TASK);
    // Chronos itself writes its variable in lower case.
    if env("CHRONOS_JOB_NAME").is_some()
        || task_id.is_some_and(is_job)
        || env("mesos_task_id").is_some_and(is_job)
    {
        return Identity::NotOurs("a Chronos job: it has no port");
    }
    if label("MESOS_TASK_ID").is_none() && env("MARATHON_APP_ID") == Some(LOCAL_RUN) {
        return Identity::NotOurs("started by hand (`paasta local-run`), not by Mesos");
    }
    let told = container.mesos.as_ref().map(|task| task.task_id.as_str());
    let task_id = task_id.or(told);
    if task_id.is_none() && env("MARATHON_APP_ID").is_none() {
        return Identity::NotOurs("not started by Marathon");
    }
    let from_label = label("MESOS_TASK_ID").and_then(from_task_id);
    let from_paasta_labels = || pair(label("paasta_service"), label("paasta_instance"));
    let from_variables = || {
        env("MESOS_TASK_ID")
            .and_then(from_task_id)
            .or_else(|| env("MARATHON_APP_ID").and_then(from_app_id))
            .or_else(|| pair(env("PAASTA_SERVICE"), env("PAASTA_INSTANCE")))
    };
    let from_mesos = || told.and_then(from_task_id);
    let found = from_label.or_else(from_paasta_labels).or_else(from_mesos);
    match found.or_else(from_variables) {
        Some((service, instance)) => Identity::Paasta { service, instance },
        None => Identity::Refused(format!(
            "cannot tell service and instance: task id `{}` is not SERVICE.INSTANCE[.GIT.CONFIG].UUID \
             and the labels paasta_service and paasta_instance are missing",
            task_id.unwrap_or_default().escape_debug()
        )),
    }
}

/// Where the Mesos agent says something else of a container than Docker does; it is registered as Docker
/// says.
#[must_use]
pub fn disputed(container: &Container, registered_port: u16) -> Option<String> {
    let told = container.mesos.as_ref()?;
    let label = container.labels.get("MESOS_TASK_ID");
    if let Some(label) = label.filter(|label| **label != told.task_id) {
        return Some(format!(
            "registered by its label MESOS_TASK_ID `{}`, but the mesos agent calls it `{}`",
            shortened(label),
            shortened(&told.task_id)
        ));
    }
    let port = told.port.filter(|port| *port != registered_port)?;
    Some(format!("registered on port {registered_port}, but the mesos agent gave it {port}"))
}

fn pair(service: Option<&str>, instance: Option<&str>) -> Option<(String, String)> {
    let filled = |text: &str| !text.is_empty();
    Some((service.filter(|s| filled(s))?.to_owned(), instance.filter(|i| filled(i))?.to_owned()))
}

/// `my--svc.main.git1234abcd.config5678abcd.<uuid>` → (`my_svc`, `main`) (nerve.md §7.2). Since Marathon
/// 1.8 ids end with `.instance-<uuid>._app.<attempt>`.
fn from_task_id(task_id: &str) -> Option<(String, String)> {
    let app = task_id.rsplit_once(".instance-").or_else(|| task_id.rsplit_once('.'));
    from_app_id(app?.0)
}

fn from_app_id(app_id: &str) -> Option<(String, String)> {
    let decoded = app_id.trim_start_matches('/').replace("--", "_");
    let parts: Vec<&str> = decoded.split('.').collect();
    match parts.as_slice() {
        [service, instance] | [service, instance, _, _] => pair(Some(service), Some(instance)),
        _ => None,
    }
}

fn plain_task(container: &Container) -> Identity {
    let Some(names) = container.labels.get(NAMESPACE_LABEL) else {
        return Identity::Refused(format!(
            "label {PORT_LABEL} is set but {NAMESPACE_LABEL} is missing; set it to SERVICE.NAMESPACE"
        ));
    };
    let Some(port) = container.labels.get(PORT_LABEL) else {
        return Identity::Refused(format!(
            "label {NAMESPACE_LABEL} is set but {PORT_LABEL} is missing; set it to the port inside \
             the container"
        ));
    };
    let Some(port) = port.trim().parse().ok().filter(|port| *port != 0) else {
        return Identity::Refused(format!(
            "label {PORT_LABEL} is `{}`; expected a port from 1 to 65535",
            shortened(port)
        ));
    };
    let mut namespaces = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name.parse::<Namespace>() {
            Ok(namespace) if namespaces.contains(&namespace) => {}
            Ok(namespace) => namespaces.push(namespace),
            Err(error) => return Identity::Refused(format!("label {NAMESPACE_LABEL}: {error}")),
        }
    }
    if namespaces.is_empty() {
        return Identity::Refused(format!("label {NAMESPACE_LABEL} names no namespace"));
    }
    let healthcheck = container.labels.get(HEALTHCHECK_LABEL);
    match healthcheck.map(|word| Healthcheck::parse(word.trim())).transpose() {
        Ok(healthcheck) => Identity::Plain { namespaces, port, healthcheck },
        Err(expected) => Identity::Refused(format!(
            "label {HEALTHCHECK_LABEL} is `{}`; {expected}",
            healthcheck.map(|word| shortened(word)).unwrap_or_default()
        )),
    }
}

/// The port of this host on which the container port `inside` can be reached.
///
/// Host networking: a PaaSTA task is told its port by Marathon (`MARATHON_PORT`, nerve.md §9.4), any
/// other listens on `inside` itself. Otherwise the published port.
///
/// # Errors
/// A sentence for the operator.
pub fn host_port(container: &Container, inside: u16, paasta: bool) -> Result<u16, String> {
    if container.host_network {
        return if paasta { marathon_port(container) } else { Ok(inside) };
    }
    let Some(bindings) = container.published.get(&inside) else {
        return Err(format!("port {inside}/tcp is not published on the host (docker run -p)"));
    };
    let reachable = bindings.iter().find(|b| b.address.is_none_or(|a| listens_on_loopback(&a)));
    match (reachable, bindings.first()) {
        (Some(binding), _) => Ok(binding.port),
        (None, Some(Published { address: Some(address), .. })) => Err(format!(
            "port {inside}/tcp is published on {address} only, where health checks do not reach it; \
             publish it on 0.0.0.0"
        )),
        (None, _) => Err(format!("port {inside}/tcp is not published on the host")),
    }
}

fn listens_on_loopback(address: &IpAddr) -> bool {
    address.is_unspecified() || *address == IpAddr::from([127, 0, 0, 1])
}

fn marathon_port(container: &Container) -> Result<u16, String> {
    let names = ["MARATHON_PORT", "MARATHON_PORT0", "PORT", "PORT0"];
    let Some((name, text)) = names.iter().find_map(|n| Some((n, container.env.get(*n)?))) else {
        return Err("host networking without MARATHON_PORT: not a network service".to_owned());
    };
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{name} is `{}`; expected a port from 1 to 65535", shortened(text)))
}

/// Foreign text made fit for one log line.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{containers::tests::container, mesos::MesosTask},
        *,
    };

    const TASK: &str =
        "my--svc.main.gitabcdef12.configdeadbeef.3f1c9a8e-6d0b-11e8-b0e7-0242ac110003";

    fn paasta(service: &str, instance: &str) -> Identity {
        Identity::Paasta { service: service.to_owned(), instance: instance.to_owned() }
    }

    #[test]
    fn a_marathon_task_is_known_by_its_most_trusted_source() {
        let labels = [("MESOS_TASK_ID", TASK)];
        let forged =
            [("PAASTA_SERVICE", "other"), ("PAASTA_INSTANCE", "evil"), ("MARATHON_APP_ID", "/x.y")];
        assert_eq!(identify(&container("mesos-1", &labels, &forged)), paasta("my_svc", "main"));
        let labels = [("paasta_service", "my_svc"), ("paasta_instance", "ro")];
        assert_eq!(identify(&container("mesos-1", &labels, &forged)), paasta("my_svc", "ro"));
        let env = [("MESOS_TASK_ID", TASK)];
        assert_eq!(identify(&container("mesos-1", &[], &env)), paasta("my_svc", "main"));
        let env = [("MARATHON_APP_ID", "/books.main.gitabcdef12.configdeadbeef")];
        assert_eq!(identify(&container("mesos-1", &[], &env)), paasta("books", "main"));
    }

    #[test]
    fn task_ids_of_every_age_are_read() {
        let uuid = "3f1c9a8e-6d0b-11e8-b0e7-0242ac110003";
        for (id, found) in [
            (format!("my--svc.main.gitabcdef12.configdeadbeef.{uuid}"), Some(("my_svc", "main"))),
            (format!("my--svc.main.{uuid}"), Some(("my_svc", "main"))),
            (format!("a--b.c--d.gitx.configy.marathon-{uuid}"), Some(("a_b", "c_d"))),
            (format!("svc.main.gitx.configy.instance-{uuid}._app.3"), Some(("svc", "main"))),
            (format!("svc.main.instance-{uuid}.web.1"), Some(("svc", "main"))),
            (format!("svc.{uuid}"), None),
            (format!("svc.main.gitx.{uuid}"), None),
            (format!("a.b.c.d.e.{uuid}"), None),
            (format!("..gitx.configy.{uuid}"), None),
            (uuid.to_owned(), None),
            (String::new(), None),
        ] {
            let decoded = from_task_id(&id);
            let decoded = decoded.as_ref().map(|(s, i)| (s.as_str(), i.as_str()));
            assert_eq!(decoded, found, "{id}");
        }
    }

    #[test]
    fn mesos_names_a_task_whose_labels_are_missing_and_disputes_the_others() {
        let told = |mut web: Container, task_id: &str| {
            web.mesos = Some(MesosTask { task_id: task_id.to_owned(), port: Some(31000) });
            web
        };
        let nameless = told(container("mesos-1", &[], &[]), TASK);
        assert_eq!(identify(&nameless), paasta("my_svc", "main"));
        let forged = [("MESOS_TASK_ID", "evil.x.uuid"), ("PAASTA_SERVICE", "evil")];
        assert_eq!(
            identify(&told(container("mesos-1", &[], &forged), TASK)),
            paasta("my_svc", "main")
        );
        assert_eq!(disputed(&nameless, 31000), None);
        assert!(
            disputed(&nameless, 31001)
                .unwrap()
                .contains("port 31001, but the mesos agent gave it 31000")
        );
        let labelled =
            told(container("mesos-1", &[("MESOS_TASK_ID", TASK)], &[]), "other.main.uuid");
        assert_eq!(identify(&labelled), paasta("my_svc", "main"));
        assert!(disputed(&labelled, 31000).unwrap().contains("calls it `other.main.uuid`"));
        assert_eq!(disputed(&container("mesos-1", &[], &[]), 1), None);
    }

    #[test]
    fn names_of_every_age_are_those_of_tasks() {
        let uuid = "3f1c9a8e-6d0b-11e8-b0e7-0242ac110003";
        let agent = "b3c57e6f-4a31-4d7a-9d3a-1f2e3d4c5b6a-S12";
        for name in [format!("mesos-{uuid}"), format!("mesos-{agent}.{uuid}")] {
            let web = container(&name, &[("MESOS_TASK_ID", TASK)], &[]);
            assert_eq!(identify(&web), paasta("my_svc", "main"), "{name}");
            let executor = container(&format!("{name}.executor"), &[("MESOS_TASK_ID", TASK)], &[]);
            assert!(matches!(identify(&executor), Identity::NotOurs(_)), "{name}");
        }
    }

    #[test]
    fn look_alikes_are_left_alone() {
        let env = [("MESOS_TASK_ID", TASK), ("PAASTA_SERVICE", "s"), ("PAASTA_INSTANCE", "i")];
        let chronos = [("CHRONOS_JOB_NAME", "a b"), ("MESOS_TASK_ID", TASK)];
        let local_run = [
            ("MARATHON_APP_ID", "/simulated_marathon_app_id"),
            ("MESOS_TASK_ID", TASK),
            ("PAASTA_SERVICE", "s"),
            ("PAASTA_INSTANCE", "i"),
        ];
        for (name, env) in [
            ("paasta_local_run_1", env.as_slice()),
            ("mesos-1.executor", env.as_slice()),
            ("mesos-1", chronos.as_slice()),
            ("mesos-1", &[("MESOS_TASK_ID", "ct:1528000000000:0:svc job:")]),
            (
                "mesos-1",
                &[("mesos_task_id", "ct:1528000000000:0:svc job:"), ("MESOS_TASK_ID", TASK)],
            ),
            ("mesos-1", local_run.as_slice()),
            ("mesos-1", &[]),
            ("postgres", &[]),
        ] {
            let identity = identify(&container(name, &[], env));
            assert!(matches!(identity, Identity::NotOurs(_)), "{name} {env:?}: {identity:?}");
        }
    }

    #[test]
    fn a_task_id_of_another_shape_is_refused_with_its_text() {
        let identity = identify(&container("mesos-1", &[("MESOS_TASK_ID", "a.b.c.uuid\n")], &[]));
        let Identity::Refused(reason) = identity else { panic!("{identity:?}") };
        assert!(reason.contains("a.b.c.uuid\\n"), "{reason}");
    }

    #[test]
    fn plain_labels_make_a_task() {
        let labels =
            [("smartstack.namespace", "web.main, web.canary,web.main"), ("smartstack.port", "80")];
        let namespaces = vec!["web.main".parse().unwrap(), "web.canary".parse().unwrap()];
        assert_eq!(
            identify(&container("web", &labels, &[])),
            Identity::Plain { namespaces, port: 80, healthcheck: None }
        );
    }

    #[test]
    fn a_label_asks_for_another_check_and_a_wrong_one_is_refused() {
        let with = |word| {
            let labels =
                [(NAMESPACE_LABEL, "web.main"), (PORT_LABEL, "80"), (HEALTHCHECK_LABEL, word)];
            identify(&container("web", &labels, &[]))
        };
        let Identity::Plain { healthcheck, .. } = with("docker") else { panic!() };
        assert_eq!(healthcheck, Some(Healthcheck::Docker));
        let Identity::Refused(reason) = with("cmd") else { panic!() };
        assert!(reason.contains("`cmd`; expected docker, none, http"), "{reason}");
    }

    #[test]
    fn wrong_plain_labels_are_refused_with_the_value_and_what_was_expected() {
        for (namespace, port, expected) in [
            (Some("web.main"), Some("nonsense"), "`nonsense`; expected a port from 1 to 65535"),
            (Some("web.main"), Some("0"), "expected a port"),
            (Some("web.main"), Some("70000"), "expected a port"),
            (Some("web.main"), None, "smartstack.port is missing"),
            (None, Some("80"), "smartstack.namespace is missing"),
            (Some("web"), Some("80"), "needs a service, a dot and a namespace"),
            (Some("web.main\nserver x"), Some("80"), "web.main\\nserver x"),
            (Some(" , "), Some("80"), "names no namespace"),
        ] {
            let mut labels = Vec::new();
            labels.extend(namespace.map(|n| (NAMESPACE_LABEL, n)));
            labels.extend(port.map(|p| (PORT_LABEL, p)));
            match identify(&container("web", &labels, &[])) {
                Identity::Refused(reason) => assert!(reason.contains(expected), "{reason}"),
                other => panic!("{labels:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn the_port_is_the_published_one_or_what_marathon_said() {
        let mut web = container("web", &[], &[("MARATHON_PORT", "31337"), ("PORT0", "1")]);
        assert_eq!(host_port(&web, 8888, true), Ok(31000));
        assert!(host_port(&web, 80, true).unwrap_err().contains("80/tcp is not published"));
        web.host_network = true;
        assert_eq!(host_port(&web, 8888, true), Ok(31337));
        assert_eq!(host_port(&web, 8888, false), Ok(8888));
        web.env.insert("MARATHON_PORT".to_owned(), "99999".to_owned());
        assert!(host_port(&web, 8888, true).unwrap_err().contains("`99999`"));
        web.env.clear();
        assert!(host_port(&web, 8888, true).unwrap_err().contains("not a network service"));
    }

    #[test]
    fn a_port_published_on_one_outer_address_only_is_refused() {
        let mut web = container("web", &[], &[]);
        let on = |ip: [u8; 4]| Published { address: Some(ip.into()), port: 31000 };
        web.published.insert(8888, vec![on([10, 0, 0, 5])]);
        assert!(host_port(&web, 8888, false).unwrap_err().contains("10.0.0.5 only"));
        web.published.insert(8888, vec![on([10, 0, 0, 5]), on([127, 0, 0, 1])]);
        assert_eq!(host_port(&web, 8888, false), Ok(31000));
    }
}
