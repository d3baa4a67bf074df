//! Values of merged keys, or why PaaSTA could not work with them.

use indexmap::IndexMap;

use crate::{
    json,
    paasta::Volume,
    yaml::{Int, Map, Node, Value},
};

/// Why an instance makes no app or job. The variants are the classes that PaaSTA tells apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    InvalidInstanceConfig(String),
    #[error("Unknown mode: {0}")]
    InvalidHealthcheckMode(String),
    #[error("Unknown mode: {0}")]
    InvalidSmartstackMode(String),
    #[error("invalid job id {0}")]
    InvalidJobName(String),
    /// A value of another kind than the tools can work with.
    #[error("{key}: expected {expected}")]
    WrongType { key: String, expected: &'static str },
    /// A list with too few or too many items.
    #[error("{key}: expected {expected}")]
    BadValue { key: String, expected: &'static str },
    #[error("`{0}` is missing")]
    MissingKey(&'static str),
}

/// A map whose keys are read one by one.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'m>(pub(crate) &'m Map);

fn wrong<T>(key: &str, expected: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::WrongType { key: key.to_owned(), expected })
}

fn bad<T>(key: &str, expected: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::BadValue { key: key.to_owned(), expected })
}

/// A value as Python's `str` has it.
pub(crate) fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
        // Of lists and maps it is their JSON, which nobody relies on.
        _ => json::canonical(node).unwrap_or_default(),
    }
}

pub(crate) fn expect_map<'n>(key: &str, node: &'n Node) -> Result<&'n Map, ConfigError> {
    match node.as_map() {
        Some(map) => Ok(map),
        None => wrong(key, "a map"),
    }
}

fn expect_list<'n>(key: &str, node: &'n Node) -> Result<&'n [Node], ConfigError> {
    match node.as_list() {
        Some(list) => Ok(list),
        None => wrong(key, "a list"),
    }
}

pub(crate) fn expect_text(key: &str, node: &Node) -> Result<String, ConfigError> {
    match node.as_text() {
        Some(text) => Ok(text.to_owned()),
        None => wrong(key, "a text"),
    }
}

impl<'m> Keys<'m> {
    /// A key whose value is not null.
    pub(crate) fn get(self, key: &str) -> Option<&'m Node> {
        self.0.get(key).filter(|node| !node.is_null())
    }

    /// As it is written, be it null.
    pub(crate) fn written(self, key: &str, default: impl Into<Value>) -> Node {
        self.0.get(key).cloned().unwrap_or_else(|| Node::made(default))
    }

    /// A number, as it is written.
    pub(crate) fn number(self, key: &str, default: impl Into<Value>) -> Result<Node, ConfigError> {
        let node = self.written(key, default);
        number(key, &node).map(|()| node)
    }

    /// A number, also as a text: some of them go through Python's `float`.
    pub(crate) fn float(self, key: &str, default: impl Into<Value>) -> Result<Node, ConfigError> {
        let node = self.written(key, default);
        let Some(text) = node.as_text() else { return number(key, &node).map(|()| node) };
        match text.trim().parse::<f64>() {
            Ok(float) => Ok(Node::made(float)),
            Err(_) => bad(key, "a number"),
        }
    }

    pub(crate) fn whole(self, key: &str, default: i64) -> Result<i64, ConfigError> {
        match &self.written(key, default).value {
            Value::Int(Int::Small(number)) => Ok(*number),
            Value::Bool(value) => Ok(i64::from(*value)),
            _ => wrong(key, "a whole number"),
        }
    }

    pub(crate) fn optional_whole(self, key: &str) -> Result<Option<i64>, ConfigError> {
        if self.get(key).is_none() {
            return Ok(None);
        }
        self.whole(key, 0).map(Some)
    }

    pub(crate) fn wholes(self, key: &str) -> Result<Option<Vec<i64>>, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let items = expect_list(key, node)?.iter();
        items
            .map(|item| match &item.value {
                Value::Int(Int::Small(number)) => Ok(*number),
                _ => wrong(key, "a list of whole numbers"),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(crate) fn optional_text(self, key: &str) -> Result<Option<String>, ConfigError> {
        self.get(key).map(|node| expect_text(key, node)).transpose()
    }

    pub(crate) fn text(self, key: &str, default: &str) -> Result<String, ConfigError> {
        Ok(self.optional_text(key)?.unwrap_or_else(|| default.to_owned()))
    }

    /// The items of a list, which may be absent but not null.
    pub(crate) fn items(self, key: &str) -> Result<&'m [Node], ConfigError> {
        self.0.get(key).map_or(Ok(&[]), |node| expect_list(key, node))
    }

    /// A map, which may be absent but not null.
    pub(crate) fn map(self, key: &str, default: impl FnOnce() -> Map) -> Result<Map, ConfigError> {
        match self.0.get(key) {
            Some(node) => expect_map(key, node).cloned(),
            None => Ok(default()),
        }
    }

    /// A map by name, its values as they are written.
    pub(crate) fn by_name(self, key: &str) -> Result<IndexMap<String, Node>, ConfigError> {
        let map = self.map(key, Map::default)?;
        let entries = map.iter();
        entries.map(|entry| Ok((expect_text(key, &entry.key)?, entry.value.clone()))).collect()
    }

    pub(crate) fn volumes(self, key: &str) -> Result<Vec<Volume>, ConfigError> {
        self.items(key)?.iter().map(|item| volume(key, item)).collect()
    }

    /// Lists of lists, everything turned into texts.
    pub(crate) fn constraints(self, key: &str) -> Result<Option<Vec<Vec<String>>>, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let lists = expect_list(key, node)?.iter();
        lists
            .map(|list| Ok(expect_list(key, list)?.iter().map(shown).collect()))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A list of `[attribute, value]`, which may be absent but not null.
    pub(crate) fn blacklist(self, key: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let pairs = self.items(key)?.iter();
        pairs.map(|pair| self::pair(key, "pairs [attribute, value]", pair)).collect()
    }

    /// `[attribute, [value, ..]]`.
    pub(crate) fn whitelist(self, key: &str) -> Result<Option<(String, Vec<String>)>, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.as_list() {
            Some([kind, values]) => {
                let values = expect_list(key, values)?.iter().map(shown).collect();
                Ok(Some((shown(kind), values)))
            }
            Some(_) => bad(key, "[attribute, [value, ..]]"),
            // Of a text, the tools take the letters for items: those are hardly ever two.
            None if node.as_text().is_some() => bad(key, "[attribute, [value, ..]]"),
            None => wrong(key, "[attribute, [value, ..]]"),
        }
    }
}

/// Numbers, and booleans, which are numbers to Python.
pub(crate) fn number(key: &str, node: &Node) -> Result<(), ConfigError> {
    match node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => Ok(()),
        _ => wrong(key, "a number"),
    }
}

/// Two items. To the tools a text is a list of its letters, so it has the wrong length and not the
/// wrong type.
fn pair(key: &str, what: &'static str, node: &Node) -> Result<(String, String), ConfigError> {
    if let Some(text) = node.as_text() {
        let mut letters = text.chars().map(String::from);
        return match (letters.next(), letters.next(), letters.next()) {
            (Some(first), Some(second), None) => Ok((first, second)),
            _ => bad(key, what),
        };
    }
    match expect_list(key, node)? {
        [first, second] => Ok((shown(first), shown(second))),
        _ => bad(key, what),
    }
}

fn volume(key: &str, node: &Node) -> Result<Volume, ConfigError> {
    let map = expect_map(key, node)?;
    let part = |name: &'static str| match map.get(name) {
        Some(node) => expect_text(name, node),
        None => Err(ConfigError::MissingKey(name)),
    };
    Ok(Volume {
        container_path: part("containerPath")?,
        host_path: part("hostPath")?,
        mode: map.get("mode").map(shown),
    })
}
