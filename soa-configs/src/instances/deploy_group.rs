//! `deploy_group`, in which `{cluster}`, `{instance}` and `{service}` stand for names
//! (marathon-sync.md §2).

use crate::{Cluster, values::shortened_to};

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

/// Why a text is no deploy group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unformattable {
    #[error("{0:?} is no placeholder of a deploy group; expected cluster, instance or service")]
    Unknown(String),
    #[error("{0:?} is no deploy group: a brace has no partner")]
    Malformed(String),
}

impl DeployGroup {
    /// `{{` and `}}` are braces, as in Python's `str.format`.
    pub(crate) fn parse(text: &str) -> Result<Self, Unformattable> {
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
                let (part, after) = placeholder(found, text)?;
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

fn placeholder<'t>(found: &'t str, whole: &str) -> Result<(Part, &'t str), Unformattable> {
    let shown = |text: &str| shortened_to(60, text).into_owned();
    let inner = found.strip_prefix('{').and_then(|inner| inner.split_once('}'));
    let Some((name, after)) = inner.filter(|(name, _)| !name.contains('{')) else {
        return Err(Unformattable::Malformed(shown(whole)));
    };
    let part = match name {
        "cluster" => Part::Cluster,
        "instance" => Part::Instance,
        "service" => Part::Service,
        _ => return Err(Unformattable::Unknown(shown(name))),
    };
    Ok((part, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Unformattable> {
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
            assert_eq!(expanded(text).unwrap(), wanted);
        }
    }

    #[test]
    fn other_placeholders_and_lone_braces_are_told_apart() {
        for text in ["{region}", "{}", "{cluster!r}"] {
            assert!(matches!(expanded(text), Err(Unformattable::Unknown(_))), "{text:?}");
        }
        for text in ["{", "}", "a{cluster", "{{{", "{a{b}}"] {
            assert!(matches!(expanded(text), Err(Unformattable::Malformed(_))), "{text:?}");
        }
    }
}
