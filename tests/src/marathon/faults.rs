//! What goes wrong on purpose.

use serde_json::{Value, json};

use super::pattern::is_like;

/// What happens instead of a good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// This status with this body; nothing is changed.
    Answer(u16, Value),
    /// No answer, as long as the client waits; nothing is changed.
    Hang,
    /// The change is made, and the connection ends in the middle of the answer.
    Cut,
    /// The change is made, and the connection ends before the answer.
    Drop,
}

/// A harm for some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `*` stands for any.
    method: String,
    /// `*` stands for anything.
    path: String,
    /// How many calls it still meets.
    times: usize,
    harm: Harm,
}

impl Fault {
    /// Meets the next call of this method and a path like this, slashes as they are sent.
    #[must_use]
    pub fn new(method: &str, path: &str, harm: Harm) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), times: 1, harm }
    }

    /// A status with a message, as Marathon words its errors.
    #[must_use]
    pub fn status(method: &str, path: &str, status: u16, message: &str) -> Self {
        Self::new(method, path, Harm::Answer(status, json!({"message": message})))
    }

    /// Meets so many calls.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Meets all calls, until faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

/// Faults still to come; the first that fits is used up first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is to happen to this call.
    pub(super) fn meet(&mut self, method: &str, path: &str) -> Option<Harm> {
        let fits = |fault: &&mut Fault| {
            fault.times > 0 && is_like(&fault.method, method) && is_like(&fault.path, path)
        };
        let fault = self.0.iter_mut().find(fits)?;
        fault.times -= 1;
        Some(fault.harm.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_as_many_calls_as_it_says() {
        let mut faults = Faults::default();
        faults.push(Fault::new("PUT", "/v2/apps/*", Harm::Hang).times(2));
        faults.push(Fault::new("*", "*", Harm::Drop));
        assert_eq!(faults.meet("PUT", "/v2/apps//x"), Some(Harm::Hang));
        assert_eq!(faults.meet("GET", "/v2/apps//x"), Some(Harm::Drop));
        assert_eq!(faults.meet("GET", "/v2/apps//x"), None);
        assert_eq!(faults.meet("PUT", "/v2/apps//x"), Some(Harm::Hang));
        assert_eq!(faults.meet("PUT", "/v2/apps//x"), None);
    }
}
