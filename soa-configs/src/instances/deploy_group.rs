//! `deploy_group`, in which `{cluster}`, `{instance}` and `{service}` stand for names
//! (marathon-sync.md §2).

use crate::{Cluster, values::shortened};

/// A deploy group as written, its placeholders known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeployGroup(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Cluster,
    Instance,
    Service,
}

impl DeployGroup {
    /// `{{` and `}}` are braces, as in Python's `str.format`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, found) = rest.split_at(at);
            plain.push_str(before);
            rest = if let Some(after) = found.strip_prefix("{{") {
                plain.push('{');
                after
            } else if let Some(after) = found.strip_prefix("}}") {
                plain.push('}');
                after
            } else {
                let (part, after) = placeholder(found).ok_or_else(|| fault(text))?;
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(part);
                after
            };
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    pub(crate) fn expand(&self, cluster: &Cluster, service: &str, instance: &str) -> String {
        let value = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Cluster => cluster.to_string(),
            Part::Instance => instance.to_owned(),
            Part::Service => service.to_owned(),
        };
        self.0.iter().map(value).collect()
    }
}

fn placeholder(text: &str) -> Option<(Part, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let part = match name {
        "cluster" => Part::Cluster,
        "instance" => Part::Instance,
        "service" => Part::Service,
        _ => return None,
    };
    Some((part, after))
}

fn fault(text: &str) -> String {
    format!(
        "{:?} is no deploy group; in braces, expected cluster, instance or service",
        shortened(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let cluster = "norcal-devc".parse().unwrap();
        Ok(DeployGroup::parse(text)?.expand(&cluster, "web", "main"))
    }

    #[test]
    fn names_are_filled_in() {
        for (text, wanted) in [
            ("prod.everything", "prod.everything"),
            ("{cluster}.{instance}", "norcal-devc.main"),
            ("{service}", "web"),
            ("a{{b}}{service}é", "a{b}webé"),
            ("", ""),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn other_placeholders_are_refused() {
        for text in ["{region}", "{", "}", "a{cluster", "{}", "{cluster!r}", "{{{"] {
            assert!(expanded(text).is_err(), "{text:?} was taken");
        }
    }
}
