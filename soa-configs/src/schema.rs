//! The keys of instance files, and what `paasta validate` takes for their values.
//!
//! The tables say for each key its rule; [`check`] applies them to a whole file, as PaaSTA applies its
//! JSON schemas (marathon-sync.md §24, chronos-sync.md §2, cli-and-monitoring.md D1).

mod adhoc;
mod chronos;
mod key;
mod marathon;

use std::collections::BTreeSet;

pub(crate) use self::key::Key;
use crate::{
    fields::Input,
    load::Kind,
    spelling,
    yaml::{Fault, Map, Node},
};

/// A rule that a file breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Keys from the top of the file to the value at fault, divided by `/`; empty for the file itself.
    pub path: String,
    pub fault: Fault,
}

/// The keys that an instance of a kind may have.
pub(crate) fn keys(kind: Kind) -> &'static [Key] {
    match kind {
        Kind::Marathon => &marathon::KEYS,
        Kind::Chronos => &chronos::KEYS,
        Kind::Adhoc => &adhoc::KEYS,
    }
}

/// Checks a whole file. All violations, in the order of the file.
#[must_use]
pub fn check(kind: Kind, document: &Node, text: &str) -> Vec<Violation> {
    let input = Input { node: document, text };
    let whole = |fault| vec![Violation { path: String::new(), fault }];
    let map = match input.map() {
        Ok(map) => map,
        Err(fault) => return whole(fault.rule("the file is a map of instances")),
    };
    if map.is_empty() {
        return whole(Fault::new(document.span, "there is no instance in this file"));
    }
    let mut found = Vec::new();
    for entry in map.iter() {
        let name = entry.key.as_text().unwrap_or_else(|| input.with(&entry.key).written());
        if kind == Kind::Marathon && !is_marathon_name(name) {
            found.push(Violation {
                path: String::new(),
                fault: Fault::new(entry.key.span, format!("{name:?} is not the name of an instance"))
                    .rule("names are lower case letters, digits, - and _, a letter or digit at both ends")
                    .remedy("rename it; a template can stand inside of an instance, as a value with an anchor"),
            });
            continue;
        }
        found.extend(instance(kind, name, input.with(&entry.value), &entry.key));
    }
    found.sort_by_key(|violation| violation.fault.span.start);
    found
}

/// As PaaSTA's pattern has it; the empty name passes.
fn is_marathon_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<u8>| b.is_none_or(word);
    name.bytes().all(|b| word(b) || b"-_".contains(&b))
        && ends(name.bytes().next())
        && ends(name.bytes().last())
}

fn instance(kind: Kind, name: &str, input: Input<'_>, at: &Node) -> Vec<Violation> {
    let here = |fault| Violation { path: name.to_owned(), fault };
    let map = match input.map() {
        Ok(map) => map,
        Err(fault) => return vec![here(fault.rule("an instance is a map"))],
    };
    if map.is_empty() {
        return vec![here(
            Fault::new(at.span, format!("the instance {name:?} has no keys"))
                .rule("an instance has at least one key"),
        )];
    }
    let mut found: Vec<Violation> = unknown(kind, map).into_iter().map(here).collect();
    for key in keys(kind) {
        if let Some(node) = map.get(key.name) {
            for (path, fault) in key.rule.check(input.with(node)) {
                let path = [name, key.name].into_iter().chain(path.as_deref());
                found.push(Violation { path: path.collect::<Vec<_>>().join("/"), fault });
            }
        }
    }
    let choices = match kind {
        Kind::Marathon => marathon::choices(map, at.span),
        Kind::Chronos => chronos::choices(map, at.span),
        Kind::Adhoc => Vec::new(),
    };
    found.extend(choices.into_iter().map(here));
    found
}

/// Keys that are not in the table.
fn unknown(kind: Kind, map: &Map) -> Vec<Fault> {
    let known: BTreeSet<&str> = keys(kind).iter().map(|key| key.name).collect();
    let is_known = |node: &Node| node.as_text().is_some_and(|name| known.contains(name));
    let unknown = map.iter().map(|entry| &entry.key).filter(|key| !is_known(key));
    let fault = |key: &Node| {
        let name = key.as_text().unwrap_or("this");
        if kind == Kind::Marathon && marathon::UNCHECKED.contains(&name) {
            return Fault::new(key.span, format!("the key {name:?} is not allowed"))
                .rule("PaaSTA's tools know this key, and its check refuses it")
                .remedy("move it to service.yaml, where it is a default of all instances");
        }
        let fault = Fault::new(key.span, format!("unknown key {name:?}"))
            .rule("only keys that PaaSTA knows are allowed here");
        match spelling::nearest(name, known.iter().copied()) {
            Some(meant) => fault.remedy(format!("did you mean `{meant}`?")),
            None => fault.remedy("remove it"),
        }
    };
    unknown.map(fault).collect()
}

#[cfg(test)]
mod tests;
