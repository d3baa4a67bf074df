//! From the events of the parser to nodes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, StructureStyle, Tag};

use super::{
    Fault, MAX_DEPTH, MAX_NODES, Node, Span, block, escapes,
    frame::{Frame, Part},
    padded::Padded,
    scalar::{Kind, STANDARD},
    tabs,
};

/// What stands behind an anchor.
enum Anchored {
    /// The node is still being read: an alias here would contain itself.
    Open,
    Done(Part),
}

/// Why a text is not read to its end.
enum Stop {
    Scan(ScanError),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Reads the only document. `None`: there is none.
pub(super) fn compose(text: &str) -> Result<Option<Node>, Fault> {
    let mut padded = Padded::new(text);
    loop {
        let error = match Composer::new(text).run(&padded) {
            Ok(document) => return Ok(document),
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Scan(error)) => error,
        };
        if !padded.mends(&error) {
            let mark = *error.marker();
            return Err(Fault::new(padded.span(mark, mark), error.info()));
        }
    }
}

/// Puts one document together.
struct Composer<'t> {
    /// As it was written.
    text: &'t str,
    /// Collections that are open, the outermost first.
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    anchor_names: HashSet<String>,
    /// Where tabs are free.
    free: Vec<Range<usize>>,
    document: Option<Node>,
    documents: usize,
}

impl<'t> Composer<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            open: Vec::new(),
            anchors: HashMap::new(),
            anchor_names: HashSet::new(),
            free: Vec::new(),
            document: None,
            documents: 0,
        }
    }

    fn run(mut self, padded: &Padded<'_>) -> Result<Option<Node>, Stop> {
        let mut options = granit_parser::options! {
            emit_anchor_events: true,
            flow_nesting_limit: MAX_DEPTH + 1,
            block_nesting_limit: MAX_DEPTH + 1,
        };
        options.set_emit_comments(false);
        for next in Parser::<StrInput<'_>>::new_from_str_with_options(padded.text(), options) {
            let (event, at) = next.map_err(Stop::Scan)?;
            self.event(event, padded.span(at.start, at.end))?;
        }
        tabs::check(self.text, &self.free)?;
        Ok(self.document)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_, version) => self.start_document(span, version.map(|v| v.major)),
            Event::Scalar(text, style, anchor, tag) => {
                let text = self.as_libyaml_reads(&text, style, span)?;
                let part = scalar(&text, style, tag.as_deref(), span)?;
                self.define(anchor, || Anchored::Done(part.clone()));
                self.place(part)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.define(anchor, || Anchored::Open);
                let frame = Frame::list(anchor, tag_name(tag.as_deref()), span);
                self.push(frame.in_brackets(style == StructureStyle::Flow))
            }
            Event::MappingStart(style, anchor, tag) => {
                self.define(anchor, || Anchored::Open);
                let frame = Frame::map(anchor, tag_name(tag.as_deref()), span);
                self.push(frame.in_brackets(style == StructureStyle::Flow))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Anchor(_, name) => self.name_anchor(&name, span),
            _ => Ok(()),
        }
    }

    /// A text as libyaml reads it, which in a few cases is not as the parser does.
    fn as_libyaml_reads<'s>(
        &mut self,
        text: &'s str,
        style: ScalarStyle,
        span: Span,
    ) -> Result<Cow<'s, str>, Fault> {
        let source = self.text.get(span.range()).unwrap_or_default();
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded if span.range().end == self.text.len() => {
                return Ok(block::at_the_end(text, self.text, span.range().start));
            }
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                if style == ScalarStyle::DoubleQuoted {
                    escapes::check(source, span)?;
                }
                self.free.push(span.range());
            }
            ScalarStyle::Plain if source.is_empty() && self.is_key_without_mark(span) => {
                return Err(Fault::new(span, "the key before `:` is missing"));
            }
            ScalarStyle::Plain
                if source.starts_with(['?', ':'])
                    && self.open.last().is_some_and(Frame::is_in_brackets) =>
            {
                return Err(Fault::new(span, "in brackets, a text cannot begin with `?` or `:`")
                    .remedy("put it in quotes"));
            }
            _ => {}
        }
        Ok(text.into())
    }

    /// Only behind a `?` may a key be nothing.
    fn is_key_without_mark(&self, span: Span) -> bool {
        let before = self.text.get(..span.range().start).unwrap_or_default();
        self.open.last().is_some_and(Frame::expects_key) && !before.trim_end().ends_with('?')
    }

    fn start_document(&mut self, span: Span, version: Option<u32>) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(Fault::new(span, "a second document begins here")
                .rule("a file holds one document")
                .remedy("remove the line `---`"));
        }
        if version.is_some_and(|major| major != 1) {
            return Err(Fault::new(span, "this version of YAML is not known")
                .remedy("remove the line `%YAML`"));
        }
        Ok(())
    }

    fn define(&mut self, anchor: usize, anchored: impl FnOnce() -> Anchored) {
        if anchor > 0 {
            self.anchors.insert(anchor, anchored());
        }
    }

    /// PyYAML takes fewer names than the parser does, and none of them twice.
    fn name_anchor(&mut self, name: &str, span: Span) -> Result<(), Fault> {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            return Err(Fault::new(span, format!("`&{name}` is not the name of an anchor"))
                .remedy("use letters, digits, `-` and `_`"));
        }
        if !self.anchor_names.insert(name.to_owned()) {
            return Err(Fault::new(span, format!("the anchor `&{name}` is defined a second time"))
                .rule("each anchor of a file has its own name"));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        match self.anchors.get(&anchor) {
            Some(Anchored::Done(part)) => {
                let part = part.clone();
                self.place(part)
            }
            _ => Err(Fault::new(span, "this alias stands inside of what it stands for")
                .rule("a value cannot contain itself")),
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(frame.span()));
        }
        self.open.push(frame);
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fault> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let anchor = frame.anchor();
        if frame.is_in_brackets() {
            self.free.push(frame.span().range().start..end.range().end);
        }
        let part = frame.finish(end)?;
        self.define(anchor, || Anchored::Done(part.clone()));
        self.place(part)
    }

    /// Puts a complete part where it belongs.
    fn place(&mut self, part: Part) -> Result<(), Fault> {
        let span = part.node.span;
        if part.height > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let Some(frame) = self.open.last_mut() else {
            self.document = Some(part.into_value()?);
            return Ok(());
        };
        frame.add(part)?;
        // Aliases make a small text stand for a large value.
        if frame.nodes() > MAX_NODES {
            return Err(Fault::new(span, format!("there are more than {MAX_NODES} values here"))
                .rule("a file stands for at most 100,000 values, each alias counted in full")
                .remedy("use fewer aliases, or divide the file"));
        }
        Ok(())
    }
}

fn too_deep(span: Span) -> Fault {
    Fault::new(span, format!("this is nested deeper than {MAX_DEPTH} levels"))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Part, Fault> {
    let kind = match tag_name(tag) {
        // A lone `!` means the same as no tag and no quotes.
        Some(name) if name == "!" && style == ScalarStyle::Plain && text.is_empty() => Kind::Text,
        Some(name) if name == "!" => Kind::of_plain(text),
        Some(name) => match name.strip_prefix(STANDARD).and_then(Kind::of_tag) {
            Some(kind) => kind,
            None => return Err(wrong_tag(&name, span, "a text")),
        },
        None if style == ScalarStyle::Plain => Kind::of_plain(text),
        None => Kind::Text,
    };
    if matches!(kind, Kind::Merge | Kind::Default) {
        return Ok(Part::key(kind, text, span));
    }
    match kind.value(text) {
        Ok(value) => Ok(Part::leaf(Node { value, span })),
        Err(what) => {
            Err(Fault::new(span, format!("{:?} is not {what}", crate::values::shortened(text)))
                .remedy("put it in quotes if a text is meant"))
        }
    }
}

/// A tag in full, if there is one.
fn tag_name(tag: Option<&Tag>) -> Option<String> {
    tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()))
}

/// `what` is what carries the tag.
pub(super) fn wrong_tag(name: &str, span: Span, what: &str) -> Fault {
    let name = match name.strip_prefix(STANDARD) {
        Some(short) => format!("!!{short}"),
        None => name.to_owned(),
    };
    Fault::new(span, format!("the tag `{name}` is not known for {what}"))
        .rule("tags are those of YAML 1.1's basic types, as `!!str`")
        .remedy("remove the tag")
}
