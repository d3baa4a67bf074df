//! Names of Chronos jobs as PaaSTA makes them (chronos-sync.md §4, §9 and §12).

use std::fmt;

/// What the first word of a temporary job begins with.
const TEMPORARY: &str = "tmp";

/// `service instance`, and of a rerun `tmp-<time> service instance`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName {
    /// Of a rerun, the first of three words.
    pub prefix: Option<String>,
    pub service: String,
    pub instance: String,
}

impl JobName {
    #[must_use]
    pub fn new(service: &str, instance: &str) -> Self {
        Self { prefix: None, service: service.to_owned(), instance: instance.to_owned() }
    }

    /// `None`: PaaSTA gives no job such a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let words: Vec<&str> = name.split(' ').collect();
        let (prefix, service, instance) = match words[..] {
            [service, instance] => (None, service, instance),
            [prefix, service, instance] if prefix.starts_with(TEMPORARY) => {
                (Some(prefix.to_owned()), service, instance)
            }
            _ => return None,
        };
        let is_whole = !service.is_empty() && !instance.is_empty();
        is_whole.then(|| Self { prefix, ..Self::new(service, instance) })
    }

    /// The name of a parent, as soa-configs have it: `service.instance`.
    #[must_use]
    pub fn of_parent(parent: &str) -> Option<Self> {
        let (service, instance) = parent.split_once('.')?;
        (!instance.contains('.')).then(|| Self::new(service, instance))
    }

    /// Whether it is a rerun. A service whose name begins with `tmp` is taken for one, as PaaSTA does.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.prefix.is_some() || self.service.starts_with(TEMPORARY)
    }

    /// The same job, be it a rerun or not.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.service == other.service && self.instance == other.instance
    }

    /// `service.instance`, as people and checks call it.
    #[must_use]
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.service, self.instance)
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = &self.prefix {
            write!(f, "{prefix} ")?;
        }
        write!(f, "{} {}", self.service, self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_two_words_or_three_that_begin_with_tmp() {
        for (text, is_temporary) in
            [("web job", false), ("tmp-2018-03-14T090507 web job", true), ("tmpsvc job", true)]
        {
            let name = JobName::parse(text).unwrap();
            assert_eq!((name.to_string().as_str(), name.is_temporary()), (text, is_temporary));
        }
        for text in ["", "weird", "too many words here", "a b c", "web ", " job", "web  job"] {
            assert_eq!(JobName::parse(text), None, "{text:?}");
        }
        assert_eq!(JobName::of_parent("a.b"), Some(JobName::new("a", "b")));
        assert_eq!(JobName::of_parent("a.b.c"), None);
    }
}
