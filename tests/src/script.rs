//! How what a simulator runs is to fare, by name.

use crate::marathon::is_like;

/// Behaviours by patterns of names; the last that fits counts.
#[derive(Clone, Debug)]
pub struct Script<B> {
    rules: Vec<(String, B)>,
}

impl<B> Default for Script<B> {
    fn default() -> Self {
        Self { rules: Vec::new() }
    }
}

impl<B: Copy + Default> Script<B> {
    /// One behaviour for all.
    #[must_use]
    pub fn all(behaviour: B) -> Self {
        Self::default().with("*", behaviour)
    }

    /// Whatever has a name like `pattern` (`*` stands for anything) behaves so.
    #[must_use]
    pub fn with(mut self, pattern: &str, behaviour: B) -> Self {
        self.rules.push((pattern.to_owned(), behaviour));
        self
    }

    #[must_use]
    pub fn of(&self, name: &str) -> B {
        let mut latest_first = self.rules.iter().rev();
        let rule = latest_first.find(|(pattern, _)| is_like(pattern, name));
        rule.map(|(_, behaviour)| *behaviour).unwrap_or_default()
    }
}
