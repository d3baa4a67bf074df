//! Why a document cannot be read.

use super::node::Span;

/// What is wrong, where, which rule it breaks and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// The rule that is broken, a sentence.
    pub rule: Option<&'static str>,
    /// How to mend it.
    pub remedy: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), rule: None, remedy: None }
    }

    pub(crate) fn rule(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
