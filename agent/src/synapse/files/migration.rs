//! `envoy_migration.yaml`: whether somebody else writes the files of services (synapse.md §8.5).
//!
//! Its other keys say which namespaces nginx listens for; there is no nginx here.

use serde::Deserialize;

use crate::nerve::written_file::{Parsed, Said};

/// Who writes them when nobody is named.
const OURSELVES: &str = "synapse";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Toggles {
    registration_writer: Option<String>,
}

/// Reads the file; what it says is the name of another writer, if there is one.
pub fn parse(text: &str) -> Result<Parsed<String>, String> {
    let toggles: Option<Toggles> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let writer = toggles.unwrap_or_default().registration_writer;
    let items = writer.into_iter().filter(|writer| writer != OURSELVES).collect();
    Ok(Parsed { items, problems: Vec::new() })
}

/// Whether the files are left to another writer. `None`: the file could not be understood so far, so
/// it is not known.
pub(super) fn left_to_another(said: &Said<String>, before: Option<bool>) -> Option<bool> {
    if !said.looked {
        return None;
    }
    match (said.items.is_empty(), said.problems.is_empty()) {
        (false, _) => Some(true),
        (true, true) => Some(false),
        (true, false) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_writer_counts() {
        let writers = |text| parse(text).map(|parsed| parsed.items);
        let neutral = "migration_enabled: false\nreuseport_enabled: false\nnamespaces: {}\n";
        let moved = "migration_enabled: true\nnamespaces: {web.main: {state: envoy}}\n";
        for text in ["", neutral, moved, "registration_writer:", "registration_writer: synapse"] {
            assert_eq!(writers(text), Ok(vec![]), "{text}");
        }
        assert_eq!(writers("registration_writer: xds"), Ok(vec!["xds".to_owned()]));
        for text in ["registration_writer: [", "registration_writer: {a: b}", "[]", "word"] {
            assert!(writers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_broken_file_means_what_it_meant_before() {
        let problem = crate::nerve::Refusal {
            task: String::new(),
            title: String::new(),
            reason: String::new(),
        };
        let broken = Said { problems: vec![problem], ..Said::nothing() };
        assert_eq!(left_to_another(&Said::default(), None), None);
        assert_eq!(left_to_another(&Said::nothing(), None), Some(false));
        assert_eq!(left_to_another(&broken, None), None);
        assert_eq!(left_to_another(&broken, Some(false)), Some(false));
        let away = Said { items: vec!["xds".to_owned()], ..broken };
        assert_eq!(left_to_another(&away, Some(false)), Some(true));
    }
}
