//! When two keys are the same one: as Python's dictionaries see it.

use std::{
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use indexmap::Equivalent;

use super::{
    int::Int,
    node::{Map, Node, Value},
    time::{Date, Instant},
};

/// The identity of a key. `1`, `1.0` and `true` are one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Null,
    Int(Int),
    /// A float that is no small whole number, by its bits; a large whole number that is one, too. To
    /// print the digits of large floats would take long.
    Float(u64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Date(Date),
    Time(Instant),
}

/// What fits in [`Int::Small`].
const SMALL: Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;

impl Key {
    /// `None`: it cannot be a key, Python could not hash it.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Int(Int::Small(i64::from(*value))),
            Value::Int(int) => match int.exactly() {
                Some(float) => Self::Float(float.to_bits()),
                None => Self::Int(int.clone()),
            },
            Value::Float(float) if float.fract() == 0.0 && SMALL.contains(float) => {
                Self::Int(Int::of_whole(*float))
            }
            Value::Float(float) => Self::Float(float.to_bits()),
            Value::Text(text) => Self::Text(Arc::clone(text)),
            Value::Bytes(bytes) => Self::Bytes(Arc::clone(bytes)),
            Value::Date(date) => Self::Date(*date),
            Value::Time(time) => Self::Time(time.instant()),
            Value::List(_) | Value::Map(_) | Value::Set(_) => return None,
        })
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => state.write_u8(0),
            Self::Int(int) => int.hash(state),
            Self::Float(bits) => bits.hash(state),
            Self::Text(text) => text.hash(state),
            Self::Bytes(bytes) => bytes.hash(state),
            Self::Date(date) => date.hash(state),
            Self::Time(instant) => instant.hash(state),
        }
    }
}

/// Looks for a [`Key::Text`] without making one.
pub(super) struct TextKey<'a>(pub(super) &'a str);

impl Hash for TextKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Key> for TextKey<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Text(text) if **text == *self.0)
    }
}

/// A text that two values share if they are equal to Python: `1` and `1.0` are, and maps whose keys
/// stand in another order.
pub(crate) fn identity(node: &Node) -> String {
    let entries = |map: &Map| {
        let entry =
            |entry: &super::Entry| format!("{}: {}", identity(&entry.key), identity(&entry.value));
        let mut entries: Vec<String> = map.iter().map(entry).collect();
        entries.sort_unstable();
        entries.join(", ")
    };
    match &node.value {
        Value::List(list) => {
            format!("[{}]", list.iter().map(identity).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => format!("{{{}}}", entries(map)),
        Value::Set(map) => format!("<{}>", entries(map)),
        leaf => format!("{:?}", Key::of(leaf)),
    }
}
