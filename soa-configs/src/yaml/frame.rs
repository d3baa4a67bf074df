//! A list or map that is being read.

use std::sync::Arc;

use super::{
    Fault, Map, Node, Span, Value,
    compose::wrong_tag,
    scalar::{Kind, STANDARD},
};

/// A node, and what the limits need to know of it.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) node: Node,
    /// Levels of collections in it, each alias counted in full.
    pub(super) height: usize,
    /// Values in it, each alias counted in full.
    nodes: usize,
    /// `<<` or `=`, which mean something only as keys.
    key: Option<Kind>,
}

impl Part {
    pub(super) fn leaf(node: Node) -> Self {
        Self { node, height: 0, nodes: 1, key: None }
    }

    pub(super) fn key(kind: Kind, text: &str, span: Span) -> Self {
        let node = Node { value: text.into(), span };
        Self { node, height: 0, nodes: 1, key: Some(kind) }
    }

    /// The node, where a value is meant.
    pub(super) fn into_value(self) -> Result<Node, Fault> {
        match (self.key, self.node.as_text()) {
            (Some(_), text) => {
                let text = text.unwrap_or_default();
                Err(Fault::new(self.node.span, format!("unquoted `{text}` can only be a key"))
                    .remedy("put it in quotes"))
            }
            (None, _) => Ok(self.node),
        }
    }
}

/// A collection that is being read.
pub(super) struct Frame {
    anchor: usize,
    tag: Option<String>,
    span: Span,
    in_brackets: bool,
    height: usize,
    nodes: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Box<MapFrame>),
}

#[derive(Default)]
struct MapFrame {
    /// Merged entries come before all own ones, wherever `<<` stands.
    merged: Map,
    own: Map,
    key: Option<Part>,
    /// The value of an unquoted `=`, which stands for the map where a scalar is asked for.
    default: Option<Node>,
}

impl Frame {
    pub(super) fn list(anchor: usize, tag: Option<String>, span: Span) -> Self {
        Self::new(anchor, tag, span, Content::List(Vec::new()))
    }

    pub(super) fn map(anchor: usize, tag: Option<String>, span: Span) -> Self {
        Self::new(anchor, tag, span, Content::Map(Box::default()))
    }

    fn new(anchor: usize, tag: Option<String>, span: Span, content: Content) -> Self {
        Self { anchor, tag, span, in_brackets: false, height: 1, nodes: 1, content }
    }

    /// Whether it is written with brackets or by indentation.
    pub(super) fn in_brackets(self, in_brackets: bool) -> Self {
        Self { in_brackets, ..self }
    }

    pub(super) fn is_in_brackets(&self) -> bool {
        self.in_brackets
    }

    /// Whether a key of a map comes next.
    pub(super) fn expects_key(&self) -> bool {
        matches!(&self.content, Content::Map(map) if map.key.is_none())
    }

    pub(super) fn anchor(&self) -> usize {
        self.anchor
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Adds the next item, key or value.
    pub(super) fn add(&mut self, part: Part) -> Result<(), Fault> {
        self.height = self.height.max(part.height + 1);
        self.nodes = self.nodes.saturating_add(part.nodes);
        match &mut self.content {
            Content::List(items) => {
                items.push(part.into_value()?);
                Ok(())
            }
            Content::Map(map) => map.add(part),
        }
    }

    pub(super) fn finish(self, end: Span) -> Result<Part, Fault> {
        let span = Span { end: end.end.max(self.span.end), ..self.span };
        let name = self.tag.as_deref().filter(|name| *name != "!");
        let value = match self.content {
            Content::List(items) => list(items, name, span)?,
            Content::Map(map) => map.finish(name, span)?,
        };
        Ok(Part { node: Node { value, span }, height: self.height, nodes: self.nodes, key: None })
    }
}

fn list(items: Vec<Node>, tag: Option<&str>, span: Span) -> Result<Value, Fault> {
    match tag.map(|name| (name, name.strip_prefix(STANDARD))) {
        None | Some((_, Some("seq"))) => Ok(items.into()),
        Some((_, Some("omap" | "pairs"))) => {
            items.iter().map(pair).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
        Some((name, _)) => Err(wrong_tag(name, span, "a list")),
    }
}

/// An entry of `!!omap` or `!!pairs`: a map with one key becomes a list of two.
fn pair(item: &Node) -> Result<Node, Fault> {
    let entry = match &item.value {
        Value::Map(map) if map.len() == 1 => map.iter().next(),
        _ => None,
    };
    match entry {
        Some(entry) => {
            let pair = vec![entry.key.clone(), entry.value.clone()];
            Ok(Node { value: pair.into(), span: item.span })
        }
        None => Err(Fault::new(item.span, "expected a map with one key")),
    }
}

impl MapFrame {
    fn add(&mut self, part: Part) -> Result<(), Fault> {
        let Some(key) = self.key.take() else {
            self.key = Some(part);
            return Ok(());
        };
        if key.key == Some(Kind::Merge) {
            return self.merge(&part.into_value()?);
        }
        let is_default = key.key == Some(Kind::Default);
        let (key, value) = (key.node, part.into_value()?);
        if is_default {
            self.default.get_or_insert_with(|| value.clone());
        }
        let (span, kind) = (key.span, key.value.kind());
        if self.own.insert(key, value) {
            return Ok(());
        }
        Err(Fault::new(span, format!("{kind} cannot be a key"))
            .rule("keys are texts, numbers, booleans, dates or null")
            .remedy("put a text that begins with `[` or `{` in quotes"))
    }

    /// `<<`: a map, or a list of maps of which the earlier win.
    fn merge(&mut self, value: &Node) -> Result<(), Fault> {
        let maps: Vec<&Node> = match &value.value {
            Value::Map(_) => vec![value],
            Value::List(items) => items.iter().rev().collect(),
            _ => Vec::new(),
        };
        if maps.is_empty() && value.as_list().is_none() {
            return Err(cannot_merge(value, "a map or a list of maps"));
        }
        for node in maps {
            let Some(map) = node.as_map() else { return Err(cannot_merge(node, "a map")) };
            for entry in map.iter() {
                self.merged.insert(entry.key.clone(), entry.value.clone());
            }
        }
        Ok(())
    }

    fn finish(self, tag: Option<&str>, span: Span) -> Result<Value, Fault> {
        let mut all = self.merged;
        if all.is_empty() {
            all = self.own;
        } else {
            for entry in self.own.iter() {
                all.insert(entry.key.clone(), entry.value.clone());
            }
        }
        match tag.map(|name| (name, name.strip_prefix(STANDARD))) {
            None | Some((_, Some("map"))) => Ok(all.into()),
            Some((_, Some("set"))) => Ok(Value::Set(Arc::new(all))),
            Some((_, Some("str")))
                if self.default.as_ref().is_some_and(|d| d.as_text().is_some()) =>
            {
                Ok(self.default.map_or(Value::Null, |node| node.value))
            }
            Some((name, _)) => Err(wrong_tag(name, span, "a map")),
        }
    }
}

fn cannot_merge(found: &Node, wanted: &str) -> Fault {
    Fault::new(found.span, format!("`<<` merges {wanted}, found {}", found.value.kind()))
}
