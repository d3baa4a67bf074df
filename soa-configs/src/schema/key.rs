//! One key and the rule for its value.

use std::collections::HashSet;

use crate::{
    fields::Input,
    merged::shown,
    yaml::{self, Fault, Int, Node, Value},
};

/// A key of an instance.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
}

/// What a value must be. A boolean is no number, and a number with a point is no whole one.
#[derive(Debug)]
pub(crate) enum Rule {
    Any,
    Text,
    Boolean,
    /// A number, perhaps above a limit that is itself too low.
    Number {
        above: Option<f64>,
        most: Option<f64>,
    },
    /// A whole number between two limits.
    Whole {
        least: i64,
        most: i64,
    },
    OneOf(&'static [&'static str]),
    Map,
    /// A map whose values are texts.
    Texts,
    /// A list whose items are of a kind, perhaps all different.
    List {
        of: &'static Rule,
        unique: bool,
    },
    /// A rule of its own: path below the value, and fault.
    Own(fn(Input<'_>) -> Vec<(Option<String>, Fault)>),
}

pub(crate) const NUMBER: Rule = Rule::Number { above: None, most: None };
pub(crate) const POSITIVE: Rule = Rule::Number { above: Some(0.0), most: None };
pub(crate) const WHOLE: Rule = Rule::Whole { least: i64::MIN, most: i64::MAX };
pub(crate) const COUNT: Rule = Rule::Whole { least: 0, most: i64::MAX };
/// In MB; Docker takes no container with 32 MB or less.
pub(crate) const MEMORY: Rule = Rule::Number { above: Some(32.0), most: None };
/// In microseconds, as the kernel takes it.
pub(crate) const CFS_PERIOD: Rule = Rule::Whole { least: 1000, most: 1_000_000 };
pub(crate) const LIST: Rule = Rule::List { of: &Rule::Any, unique: false };
pub(crate) const TEXT_LIST: Rule = Rule::List { of: &Rule::Text, unique: false };
pub(crate) const UNIQUE_TEXTS: Rule = Rule::List { of: &Rule::Text, unique: true };
pub(crate) const UNIQUE_LISTS: Rule = Rule::List { of: &LIST, unique: true };
pub(crate) const UNIQUE_MAPS: Rule = Rule::List { of: &Rule::Map, unique: true };

impl Rule {
    /// All faults, each with the path below the value, the rule and a remedy.
    pub(crate) fn check(&self, input: Input<'_>) -> Vec<(Option<String>, Fault)> {
        let (rule, remedy) = self.advice();
        let mut found = self.faults(input);
        for (_, fault) in &mut found {
            fault.rule.get_or_insert(rule);
            fault.remedy.get_or_insert_with(|| remedy.to_owned());
        }
        found
    }

    fn advice(&self) -> (&'static str, &'static str) {
        match self {
            Self::Any | Self::Own(_) => ("PaaSTA's check wants this", "write what is expected"),
            Self::Text => ("this key takes a text", "put it in quotes"),
            Self::Boolean => {
                ("this key is true or false", "write `true` or `false`, without quotes")
            }
            Self::Number { .. } => {
                ("this key takes a number within limits", "write such a number, without quotes")
            }
            Self::Whole { .. } => (
                "this key takes a whole number within limits",
                "write such a number, without quotes",
            ),
            Self::OneOf(_) => ("no other words are known", "choose one of them"),
            Self::Map => ("this key takes a map", "write lines `name: value` below it"),
            Self::Texts => ("this key takes a map of texts", "put the value in quotes"),
            Self::List { unique: true, .. } => {
                ("this key takes a list of different items", "write each item once")
            }
            Self::List { .. } => ("this key takes a list", "write it as `[a, b]`"),
        }
    }

    fn faults(&self, input: Input<'_>) -> Vec<(Option<String>, Fault)> {
        let one = |what: &str| vec![(None, input.expected(what))];
        let unless = |fits: bool, what: &str| if fits { Vec::new() } else { one(what) };
        match self {
            Self::Any => Vec::new(),
            Self::Text => unless(input.node.as_text().is_some(), "a text"),
            Self::Boolean => unless(matches!(input.node.value, Value::Bool(_)), "true or false"),
            Self::Number { above, most } => number(input, *above, *most),
            Self::Whole { least, most } => whole(input, *least, *most),
            Self::OneOf(words) => {
                let known = input.node.as_text().is_some_and(|text| words.contains(&text));
                unless(known, &format!("one of {}", words.join(", ")))
            }
            Self::Map => unless(input.node.as_map().is_some(), "a map"),
            Self::Texts => texts(input),
            Self::List { of, unique } => list(input, of, *unique),
            Self::Own(check) => check(input),
        }
    }
}

fn number(input: Input<'_>, above: Option<f64>, most: Option<f64>) -> Vec<(Option<String>, Fault)> {
    let value = match &input.node.value {
        Value::Int(int) => int.to_f64(),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    let fits = value.is_some_and(|value| {
        above.is_none_or(|above| value > above) && most.is_none_or(|most| value <= most)
    });
    if fits {
        return Vec::new();
    }
    let mut what = "a number".to_owned();
    if let Some(above) = above {
        what.push_str(&format!(" above {above}"));
    }
    if let Some(most) = most {
        what.push_str(&format!(" and up to {most}"));
    }
    vec![(None, input.expected(&what))]
}

fn whole(input: Input<'_>, least: i64, most: i64) -> Vec<(Option<String>, Fault)> {
    let fits = match &input.node.value {
        Value::Int(Int::Small(number)) => (least..=most).contains(number),
        // Larger than any limit, so it fits if there is none on its side.
        Value::Int(Int::Big(digits)) if digits.starts_with('-') => least == i64::MIN,
        Value::Int(Int::Big(_)) => most == i64::MAX,
        _ => false,
    };
    let what = match (least, most) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (least, i64::MAX) => format!("a whole number, at least {least}"),
        (least, most) => format!("a whole number from {least} to {most}"),
    };
    if fits { Vec::new() } else { vec![(None, input.expected(&what))] }
}

fn texts(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    let Ok(map) = input.map() else { return vec![(None, input.expected("a map of texts"))] };
    let wrong = map.iter().filter(|entry| entry.value.as_text().is_none());
    wrong
        .map(|entry| {
            let key = input.with(&entry.key).text().unwrap_or_default();
            let fault = input.with(&entry.value).expected("a text");
            (Some(key), fault.remedy("put it in quotes"))
        })
        .collect()
}

fn list(input: Input<'_>, of: &Rule, unique: bool) -> Vec<(Option<String>, Fault)> {
    let Ok(items) = input.list() else { return vec![(None, input.expected("a list"))] };
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let faults = of.check(input.with(item)).into_iter();
        found.extend(faults.map(|(path, fault)| {
            let path = path.map_or_else(|| index.to_string(), |path| format!("{index}/{path}"));
            (Some(path), fault)
        }));
    }
    if let Some(second) = repeated(items).filter(|_| unique) {
        found.push((None, Fault::new(second.span, "this item is already in the list")));
    }
    found
}

/// The first item that is equal to one before it. Only below an item `true` is equal to 1.
fn repeated(items: &[Node]) -> Option<&Node> {
    let mut seen = HashSet::new();
    items.iter().find(|item| {
        let is_boolean = matches!(item.value, Value::Bool(_));
        !seen.insert((is_boolean, yaml::identity(item)))
    })
}

/// `bounce_health_params`: when a bounce takes a task for healthy.
pub(crate) fn health_params(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    params(input, &[("check_haproxy", Rule::Boolean)])
}

/// `bounce_method_params`: the same under its documented name, and more of it.
pub(crate) fn method_params(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    params(input, &[("check_haproxy", Rule::Boolean), ("min_task_uptime", NUMBER)])
}

/// A map in which some keys have a rule.
fn params(input: Input<'_>, rules: &[(&str, Rule)]) -> Vec<(Option<String>, Fault)> {
    let Ok(map) = input.map() else { return vec![(None, input.expected("a map"))] };
    let mut found = Vec::new();
    for (key, rule) in rules {
        let Some(node) = map.get(key) else { continue };
        let faults = rule.check(input.with(node)).into_iter();
        found.extend(faults.map(|(_, fault)| (Some((*key).to_owned()), fault)));
    }
    found
}

/// `security`: what containers may reach.
pub(crate) fn security(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    params(input, &[("outbound_firewall", Rule::OneOf(&["block", "monitor"]))])
}

/// `ulimit`: by name, `soft` and perhaps `hard`.
pub(crate) fn ulimit(input: Input<'_>) -> Vec<(Option<String>, Fault)> {
    let Ok(map) = input.map() else { return vec![(None, input.expected("a map"))] };
    let mut found = Vec::new();
    for entry in map.iter() {
        let (name, limit) = (shown(&entry.key), input.with(&entry.value));
        let Ok(limits) = limit.map() else {
            found.push((Some(name), limit.expected("a map with `soft`")));
            continue;
        };
        for entry in limits.iter() {
            let key = shown(&entry.key);
            if !matches!(key.as_str(), "soft" | "hard") {
                let fault = Fault::new(entry.key.span, format!("unknown key {key:?}"));
                found.push((Some(name.clone()), fault.rule("a limit has `soft` and `hard`")));
                continue;
            }
            let path = format!("{name}/{key}");
            let faults = NUMBER.check(input.with(&entry.value)).into_iter();
            found.extend(faults.map(|(_, fault)| (Some(path.clone()), fault)));
        }
        if limits.get("soft").is_none() {
            let fault = Fault::new(entry.key.span, format!("the limit {name:?} has no `soft`"));
            found.push((Some(name), fault));
        }
    }
    found
}
