//! Reading typed values out of a document, with all faults at once and each at its place.

use std::hash::Hash;

use indexmap::IndexMap;

use crate::{
    merged,
    yaml::{Fault, Map, Node, Value},
};

/// A value, and the text of the file around it.
#[derive(Clone, Copy)]
pub(crate) struct Input<'n> {
    pub(crate) node: &'n Node,
    pub(crate) text: &'n str,
}

impl<'n> Input<'n> {
    pub(crate) fn with(self, node: &'n Node) -> Self {
        Self { node, ..self }
    }

    /// "expected X, found Y", at the place of this value.
    pub(crate) fn expected(self, what: &str) -> Fault {
        let found = match &self.node.value {
            Value::Text(text) => format!("{:?}", crate::values::shortened(text)),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) if !self.text.is_empty() => {
                self.written().to_owned()
            }
            value => value.kind().to_owned(),
        };
        Fault::new(self.node.span, format!("expected {what}, found {found}"))
    }

    /// The value as it is written.
    pub(crate) fn written(self) -> &'n str {
        self.text.get(self.node.span.range()).unwrap_or_default()
    }

    pub(crate) fn map(self) -> Result<&'n Map, Fault> {
        self.node.as_map().ok_or_else(|| self.expected("a map"))
    }

    pub(crate) fn list(self) -> Result<&'n [Node], Fault> {
        self.node.as_list().ok_or_else(|| self.expected("a list"))
    }

    /// A text; numbers and booleans count as they are written.
    pub(crate) fn text(self) -> Result<String, Fault> {
        match &self.node.value {
            Value::Text(text) => Ok(text.as_ref().to_owned()),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_) | Value::Time(_) => {
                let written = self.written();
                // Of a merged value there is no text at hand.
                Ok(if written.is_empty() { merged::shown(self.node) } else { written.to_owned() })
            }
            _ => Err(self.expected("a text")),
        }
    }

    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.expected("true or false")),
        }
    }
}

/// Reads every item of a list.
pub(crate) fn list<T>(
    input: Input<'_>,
    read: impl Fn(Input<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    input.list()?.iter().map(|node| read(input.with(node))).collect()
}

/// Reads every key and value of a map, in file order.
pub(crate) fn map<K: Hash + Eq, V>(
    input: Input<'_>,
    key: impl Fn(Input<'_>) -> Result<K, Fault>,
    value: impl Fn(Input<'_>) -> Result<V, Fault>,
) -> Result<IndexMap<K, V>, Fault> {
    let entries = input.map()?.iter();
    entries.map(|e| Ok((key(input.with(&e.key))?, value(input.with(&e.value))?))).collect()
}

/// The keys of one map, read one by one. Faults are collected.
pub(crate) struct Fields<'n> {
    input: Input<'n>,
    map: &'n Map,
    faults: Vec<(String, Fault)>,
}

impl<'n> Fields<'n> {
    pub(crate) fn new(input: Input<'n>) -> Result<Self, Fault> {
        Ok(Self { input, map: input.map()?, faults: Vec::new() })
    }

    /// Of a map that was put together from several texts, of which none is at hand.
    pub(crate) fn of_map(node: &'n Node, map: &'n Map) -> Self {
        Self { input: Input { node, text: "" }, map, faults: Vec::new() }
    }

    /// A key, be its value null.
    pub(crate) fn get(&self, key: &str) -> Option<Input<'n>> {
        self.map.get(key).map(|node| self.input.with(node))
    }

    /// A key that may be absent, for which null means the same.
    pub(crate) fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Input<'n>) -> Result<T, Fault>,
    ) -> Option<T> {
        let input = self.get(key).filter(|input| !input.node.is_null())?;
        self.keep(key, read(input))
    }

    /// Notes the fault of a result.
    pub(crate) fn keep<T>(&mut self, key: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.faults.push((key.to_owned(), fault))).ok()
    }

    /// # Errors
    /// The first fault in the order of the file.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        self.finish_with_key().map_err(|(_, fault)| fault)
    }

    /// # Errors
    /// The first fault, and the key it belongs to.
    pub(crate) fn finish_with_key(self) -> Result<(), (String, Fault)> {
        match self.faults.into_iter().min_by_key(|(_, fault)| fault.span.start) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn the_first_fault_of_the_file_is_told_whatever_is_read_first() {
        let text = "b: [1]\na: {}\n";
        let node = yaml::parse(text).unwrap();
        let mut fields = Fields::new(Input { node: &node, text }).unwrap();
        assert_eq!(fields.read("a", Input::text), None);
        assert_eq!(fields.read("b", Input::boolean), None);
        assert_eq!(fields.read("c", Input::boolean), None);
        let fault = fields.finish().unwrap_err();
        assert_eq!(
            (fault.span.line, fault.message.as_str()),
            (1, "expected true or false, found a list")
        );
    }
}
