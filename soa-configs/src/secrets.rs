//! Secrets in the environment of an instance: `SECRET(name)` stands for one (marathon-sync.md §5.3).
//!
//! Only the signature of a secret is read here: it goes into the configuration hash, so that a new
//! secret starts a new app.

use crate::{documents::ServiceDocuments, yaml::Node};

/// The name of the secret that a value stands for. `None`: it is a plain value.
#[must_use]
pub fn reference(value: &str) -> Option<&str> {
    // Python's `$` overlooks one line end.
    let value = value.strip_suffix('\n').unwrap_or(value);
    let name = value.strip_prefix("SECRET(")?.strip_suffix(')')?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    name.bytes().all(allowed).then_some(name)
}

/// The signature of a secret in an environment. `None`: there is no such secret, or it is broken.
#[must_use]
pub fn signature<'d>(
    files: &'d ServiceDocuments,
    name: &str,
    environment: &str,
) -> Option<&'d str> {
    let document = files.get(&format!("secrets/{name}.json"))?.node.as_map()?;
    let environments = document.get("environments").and_then(Node::as_map)?;
    environments.get(environment)?.as_map()?.get("signature")?.as_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_value_is_a_reference() {
        assert_eq!(reference("SECRET(a_B-1)"), Some("a_B-1"));
        assert_eq!(reference("SECRET()\n"), Some(""));
        for value in
            ["", "SECRET(a", "xSECRET(a)", "SECRET(a) ", "SECRET(a.b)", "SECRET(../x)", "secret(a)"]
        {
            assert_eq!(reference(value), None, "{value:?}");
        }
    }
}
