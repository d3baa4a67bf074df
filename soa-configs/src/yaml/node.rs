//! What a document says: values, each with the place where it is written.

use std::{borrow::Cow, ops::Range, sync::Arc};

use indexmap::IndexMap;

use super::{
    int::Int,
    key::{Key, TextKey},
    time::{Date, Time},
};

/// Where something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// The first byte.
    pub start: u32,
    /// One behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it is written. Of a value behind an alias that is the place of its anchor.
///
/// Cheap to clone: lists and maps are shared. Two nodes are equal when their values are.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub span: Span,
}

/// A value as PyYAML's safe loader makes it (marathon-sync.md §2.1).
///
/// Two are equal when they are the same: `1` and `1.0` are not, and NaN is equal to itself.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(Int),
    Float(f64),
    Text(Arc<str>),
    /// `!!binary`.
    Bytes(Arc<[u8]>),
    /// An unquoted date; where a text is expected, this is a fault.
    Date(Date),
    /// An unquoted date and time.
    Time(Time),
    List(Arc<Vec<Node>>),
    Map(Arc<Map>),
    /// `!!set`.
    Set(Arc<Map>),
}

/// A map in the order of the file: of a key that is written twice, the place in that order is the first
/// one and the value the last one. Merged keys (`<<`) come before the map's own ones.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: IndexMap<Key, Entry>,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Node,
    pub value: Node,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) | (Self::Set(a), Self::Set(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Eq for Node {}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A value that is written nowhere.
    #[must_use]
    pub fn made(value: impl Into<Value>) -> Self {
        Self { value: value.into(), span: Span::default() }
    }

    /// A map without entries.
    #[must_use]
    pub fn empty_map() -> Self {
        Self::made(Map::default())
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// A number, or a boolean, which is one to Python. What is too large for a double is infinite.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match &self.value {
            Value::Int(int) => Some(int.to_f64().unwrap_or(if *int < Int::Small(0) {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            })),
            Value::Float(float) => Some(*float),
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What Python takes for false: null, zero, and everything empty.
    #[must_use]
    pub fn is_falsy(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Int(int) => *int == Int::Small(0),
            Value::Float(float) => *float == 0.0,
            Value::Text(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::Date(_) | Value::Time(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Map(map) | Value::Set(map) => map.is_empty(),
        }
    }
}

impl Value {
    /// What this is, for a message: "a whole number".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number with a point",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "binary data",
            Self::Date(_) => "a date",
            Self::Time(_) => "a date and time",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Set(_) => "a set",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Int::Small(number))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<Node>> for Value {
    fn from(list: Vec<Node>) -> Self {
        Self::List(Arc::new(list))
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl Eq for Map {}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len() && self.iter().eq(other.iter())
    }
}

impl Map {
    /// Sets a key; one that is there keeps its place and how it is written.
    ///
    /// Returns whether `key` can be one: lists, maps and sets cannot.
    pub fn insert(&mut self, key: Node, value: Node) -> bool {
        let Some(ident) = Key::of(&key.value) else { return false };
        match self.entries.get_mut(&ident) {
            Some(entry) => {
                entry.value = value;
                // Python keeps the first of two equal keys, as `1` and `true` are.
                entry.key.span = key.span;
            }
            None => {
                self.entries.insert(ident, Entry { key, value });
            }
        }
        true
    }

    /// Sets a text key.
    pub fn set(&mut self, key: &str, value: Node) {
        self.insert(Node::made(key), value);
    }

    /// The value of a text key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A text key and its value.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(&TextKey(key))
    }

    /// Merges `overrides` into this map as the tools do: map into map key by key, anything else
    /// replaces. Keys that are there keep their place, new ones are appended (marathon-sync.md §1.1).
    pub fn merge(&mut self, overrides: &Self) {
        for entry in overrides.iter() {
            let old = Key::of(&entry.key.value).and_then(|key| self.entries.get_mut(&key));
            match (old, &entry.value.value) {
                (
                    Some(Entry { value: Node { value: Value::Map(old), .. }, .. }),
                    Value::Map(new),
                ) => {
                    Arc::make_mut(old).merge(new);
                }
                _ => {
                    self.insert(entry.key.clone(), entry.value.clone());
                }
            }
        }
    }

    /// Takes a text key out; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.entries.shift_remove(&TextKey(key)).map(|entry| entry.value)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entries whose keys are texts.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.iter().filter_map(|entry| Some((entry.key.as_text()?, entry)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: AsRef<str>> FromIterator<(K, Node)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Node)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.set(key.as_ref(), value);
        }
        map
    }
}
