//! Ids of Marathon apps, and the choice of a shard (marathon-sync.md §7 and §9).

use crate::{hash::config_hash, yaml::Node};

/// A text that is no id of an app, or parts that make none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid job id {0}")]
pub struct InvalidJobId(pub String);

/// The parts of an id: service, instance, and of an app the hash of its code and of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobId {
    pub service: String,
    pub instance: String,
    /// `git01234567` and `config89abcdef`; both or none.
    pub hashes: Option<(String, String)>,
}

/// Marathon takes no `_` in ids.
fn escaped(name: &str) -> String {
    name.replace('_', "--")
}

impl JobId {
    /// The id, with `--` in the place of every `_`.
    #[must_use]
    pub fn format(&self) -> String {
        let mut parts = vec![escaped(&self.service), escaped(&self.instance)];
        if let Some((code, config)) = &self.hashes {
            parts.extend([escaped(code), escaped(config)]);
        }
        parts.join(".")
    }

    /// The parts of an id, `_` in the place of every `--`. A name that really holds `--` is not
    /// recognised.
    ///
    /// # Errors
    /// When there are not two or four parts.
    pub fn parse(id: &str) -> Result<Self, InvalidJobId> {
        let plain = id.replace("--", "_");
        let (service, instance, hashes) = match plain.split('.').collect::<Vec<_>>()[..] {
            [service, instance] => (service, instance, None),
            [service, instance, code, config] => {
                (service, instance, Some((code.to_owned(), config.to_owned())))
            }
            _ => return Err(InvalidJobId(id.to_owned())),
        };
        Ok(Self { service: service.to_owned(), instance: instance.to_owned(), hashes })
    }

    /// Whether an app's id, with its leading `/`, is one of this service and instance.
    #[must_use]
    pub fn matches(service: &str, instance: &str, app: &str) -> bool {
        app.starts_with(&format!("/{}.{}.", escaped(service), escaped(instance)))
    }
}

/// `git` and the first eight characters of what follows the last `-` of an image's name.
#[must_use]
pub fn code_hash(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or_default();
    let sha = name.rsplit('-').next().unwrap_or_default();
    format!("git{}", sha.chars().take(8).collect::<String>())
}

/// The hashes of the choices 0 to `choices` for a key, by which one of several shards is chosen.
#[must_use]
pub fn rendezvous_hashes(choices: usize, key: &str) -> Vec<String> {
    let hash = |choice| config_hash(&Node::made(format!("{choice}.{key}.")), None);
    // A text can always be written as JSON.
    (0..choices).filter_map(|choice| hash(choice).ok()).collect()
}

/// The choice with the greatest hash, the first one on a tie. `None`: there is no choice.
#[must_use]
pub fn rendezvous(choices: usize, key: &str) -> Option<usize> {
    let hashes = rendezvous_hashes(choices, key);
    let greatest = hashes.iter().max()?;
    hashes.iter().position(|hash| hash == greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_parsed_is_written_again() {
        for id in ["a--b.c", "web.main.git01234567.config89abcdef", "a.b"] {
            assert_eq!(JobId::parse(id).unwrap().format(), id);
        }
        for id in ["", "a", "a.b.c", "a.b.c.d.e"] {
            assert_eq!(JobId::parse(id), Err(InvalidJobId(id.to_owned())));
        }
    }

    #[test]
    fn one_of_no_choices_is_none() {
        assert_eq!(rendezvous(0, "x.main"), None);
        assert_eq!(rendezvous(1, "x.main"), Some(0));
    }
}
