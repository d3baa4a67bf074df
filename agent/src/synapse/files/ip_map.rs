//! Which task has which address: what scripts in HAProxy ask for, as `generate_container_ip_map` of
//! synapse-tools writes it (synapse.md §10).

use std::{collections::BTreeMap, net::IpAddr};

use crate::nerve::containers::{Container, Containers};

/// One line for each container on Docker's own network whose task is known, without a final newline.
pub(super) fn text(containers: &Containers) -> String {
    let known = containers.running.values();
    let known: BTreeMap<IpAddr, String> = known
        .filter_map(|container| Some((container.bridge_address?, task_id(container)?)))
        .collect();
    let lines: Vec<String> =
        known.iter().map(|(address, task)| format!("{address} {task}")).collect();
    lines.join("\n")
}

/// The task of a container, unless it could be taken for more than one word of a line.
fn task_id(container: &Container) -> Option<String> {
    let label = |key| container.labels.get(key).filter(|value| !value.is_empty());
    let part = |key| Some(label(key)?.replace('_', "--"));
    let of_paasta = || Some(format!("{}.{}", part("paasta_service")?, part("paasta_instance")?));
    let id = label("MESOS_TASK_ID").cloned().or_else(of_paasta)?;
    Some(id).filter(|id| !id.contains(|c: char| c.is_whitespace() || c.is_control()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nerve::containers::tests::container;

    fn of(number: u8, labels: &[(&str, &str)]) -> Container {
        let address = IpAddr::from([172, 17, 0, number]);
        Container { bridge_address: Some(address), ..container(&format!("c{number}"), labels, &[]) }
    }

    #[test]
    fn each_container_on_the_bridge_is_named_by_its_task() {
        let paasta = [("paasta_service", "my_web"), ("paasta_instance", "ma_in")];
        let containers = [
            of(10, &[("MESOS_TASK_ID", "web.main.1-2_3"), paasta[0], paasta[1]]),
            of(9, &paasta),
            of(11, &paasta[..1]),
            of(12, &[("MESOS_TASK_ID", "evil\n172.17.0.9 other.service")]),
            of(13, &[("MESOS_TASK_ID", "two words"), paasta[0], paasta[1]]),
            Container { bridge_address: None, ..of(14, &paasta) },
        ];
        let running = containers.map(|container| (container.id.clone(), Arc::new(container)));
        let containers = Containers { running: running.into(), ..Containers::off() };
        assert_eq!(text(&containers), "172.17.0.9 my--web.ma--in\n172.17.0.10 web.main.1-2_3");
        assert_eq!(text(&Containers::off()), "");
    }
}
