//! What shows only across files: ports, and namespaces that others name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Severity};
use crate::{
    Namespace,
    documents::{Document, Documents},
    yaml::{Entry, Fault, Map, Node, Value},
};

/// With more findings than this nobody reads what each of them may have meant.
const MAX_SEARCHES: usize = 500;

/// A namespace as it is written.
struct Written<'d> {
    name: Namespace,
    entry: &'d Entry,
    document: &'d Document,
}

impl<'d> Written<'d> {
    fn map(&self) -> Option<&'d Map> {
        self.entry.value.as_map()
    }

    fn get(&self, key: &str) -> Option<&'d Node> {
        self.map()?.get(key).filter(|node| !node.is_null())
    }
}

pub(super) fn check(report: &mut Report, documents: &Documents, is_asked: &dyn Fn(&str) -> bool) {
    let all: Vec<Written<'_>> = written(documents).collect();
    let known: BTreeSet<&Namespace> = all.iter().map(|written| &written.name).collect();
    let registered = registrations(report, documents, is_asked, &known);
    ports(report, &all, is_asked);
    for written in all.iter().filter(|written| is_asked(written.name.service())) {
        proxied_through(report, written, &known);
        discover(report, written);
        if !registered.contains(&written.name) {
            nobody_registers(report, written);
        }
    }
}

fn written(documents: &Documents) -> impl Iterator<Item = Written<'_>> {
    documents.services().flat_map(|(service, files)| {
        let document = files.get("smartstack.yaml");
        document.into_iter().flat_map(move |document| {
            let entries = document.node.as_map().into_iter().flat_map(Map::iter);
            entries.filter_map(move |entry| {
                let name = Namespace::new(service, entry.key.as_text()?).ok()?;
                Some(Written { name, entry, document })
            })
        })
    })
}

/// Only one namespace of a fleet can listen on a port.
fn ports(report: &mut Report, all: &[Written<'_>], is_asked: &dyn Fn(&str) -> bool) {
    let mut users: BTreeMap<i64, Vec<&Written<'_>>> = BTreeMap::new();
    for written in all {
        let port = match written.get("proxy_port").map(|node| &node.value) {
            Some(Value::Int(port)) => port.as_i64(),
            Some(Value::Text(digits)) => digits.parse().ok(),
            _ => None,
        };
        if let Some(port) = port.filter(|port| *port > 0) {
            users.entry(port).or_default().push(written);
        }
    }
    for (port, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        for user in users.iter().filter(|user| is_asked(user.name.service())) {
            let others = users.iter().filter(|other| other.name != user.name);
            let others: Vec<&str> = others.map(|other| other.name.as_str()).take(3).collect();
            let Some(node) = user.get("proxy_port") else { continue };
            let message = format!("proxy_port {port} is used by {} as well", others.join(", "));
            let fault = Fault::new(node.span, message)
                .rule("each namespace of a fleet has a port of its own")
                .remedy("choose another port");
            report.add(Severity::Error, "proxy-port", user.document, &fault);
        }
    }
}

fn proxied_through(report: &mut Report, written: &Written<'_>, known: &BTreeSet<&Namespace>) {
    let Some(node) = written.get("proxied_through") else { return };
    // What is no name was told where the file was read.
    let Some(Ok(target)) = node.as_text().map(str::parse::<Namespace>) else { return };
    if !known.contains(&target) {
        let fault = Fault::new(node.span, format!("there is no namespace {target}"))
            .rule("proxied_through names a namespace of some smartstack.yaml");
        report.add(
            Severity::Error,
            "proxied-through",
            written.document,
            &nearest(fault, &target, known),
        );
    }
}

/// Servers are sought where no record is written, unless another place's hosts write some.
fn discover(report: &mut Report, written: &Written<'_>) {
    if written.map().is_none_or(|map| map.get("proxy_port").is_none()) {
        return;
    }
    let discover = written.get("discover").and_then(Node::as_text).unwrap_or("region");
    let advertise: Vec<&str> = match written.get("advertise").and_then(Node::as_list) {
        Some(list) => list.iter().filter_map(Node::as_text).collect(),
        None => vec!["region"],
    };
    if advertise.contains(&discover) {
        return;
    }
    let node = written.get("discover").or_else(|| written.get("advertise"));
    let span = node.map_or(written.entry.key.span, |node| node.span);
    let fault =
        Fault::new(span, format!("discover is {discover:?}, which advertise does not list"))
            .rule("servers are found only in types of places in which they are registered")
            .remedy(format!("add {discover} to advertise"));
    report.add(Severity::Warning, "discover", written.document, &fault);
}

fn nobody_registers(report: &mut Report, written: &Written<'_>) {
    // One without a port is a template or switched off.
    if written.map().is_none_or(|map| map.get("proxy_port").is_none()) {
        return;
    }
    let message = format!("no instance registers in {}", written.name);
    let fault = Fault::new(written.entry.key.span, message)
        .rule("an instance registers in the namespace of its own name, or in its registrations");
    report.add(Severity::Warning, "nobody-registers", written.document, &fault);
}

/// All namespaces that instances register in; tells of those that do not exist.
fn registrations(
    report: &mut Report,
    documents: &Documents,
    is_asked: &dyn Fn(&str) -> bool,
    known: &BTreeSet<&Namespace>,
) -> BTreeSet<Namespace> {
    let mut all = BTreeSet::new();
    for (service, files) in documents.services() {
        let defaults = files.get("service.yaml").and_then(|document| document.node.as_map());
        for (_, document) in files.clusters("marathon") {
            let instances = document.node.as_map().into_iter().flat_map(Map::texts);
            for (name, entry) in instances.filter(|(name, _)| !name.starts_with('_')) {
                let own = entry.value.as_map();
                let get = |key: &str| {
                    let node = own.and_then(|map| map.get(key)).or_else(|| defaults?.get(key));
                    node.filter(|node| !node.is_falsy())
                };
                let Some(listed) = get("registrations").and_then(Node::as_list) else {
                    let namespace = get("nerve_ns").and_then(Node::as_text).unwrap_or(name);
                    all.extend(Namespace::new(service, namespace));
                    continue;
                };
                for node in listed {
                    let Some(Ok(target)) = node.as_text().map(str::parse::<Namespace>) else {
                        continue;
                    };
                    if is_asked(service) && !known.contains(&target) {
                        missing_target(report, documents, document, node, &target, known);
                    }
                    all.insert(target);
                }
            }
        }
    }
    all
}

/// A service without `smartstack.yaml` may be one that is not in SmartStack at all.
fn missing_target(
    report: &mut Report,
    documents: &Documents,
    document: &Document,
    node: &Node,
    target: &Namespace,
    known: &BTreeSet<&Namespace>,
) {
    let service = target.service();
    let files = documents.service(service);
    let (severity, message) = match files {
        None => (Severity::Error, format!("there is no service {service}")),
        Some(files) if files.get("smartstack.yaml").is_none() => {
            (Severity::Warning, format!("{service} has no smartstack.yaml"))
        }
        Some(_) => (Severity::Error, format!("there is no namespace {target}")),
    };
    let fault = Fault::new(node.span, message)
        .rule("registrations name namespaces of some smartstack.yaml");
    // Each search goes through the names of the whole fleet.
    let fault =
        if report.findings.len() < MAX_SEARCHES { nearest(fault, target, known) } else { fault };
    report.add(severity, "registrations", document, &fault);
}

fn nearest(fault: Fault, target: &Namespace, known: &BTreeSet<&Namespace>) -> Fault {
    match crate::spelling::nearest(target.as_str(), known.iter().map(|name| name.as_str())) {
        Some(meant) => fault.remedy(format!("did you mean `{meant}`?")),
        None => fault.remedy(format!(
            "add `{}:` to {}/smartstack.yaml",
            target.namespace(),
            target.service()
        )),
    }
}
