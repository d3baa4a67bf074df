//! What goes wrong on purpose.

use serde_json::json;

use crate::marathon::{Harm, is_like};

/// A harm for some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `*` stands for any.
    method: String,
    /// Of the path as it is sent; `*` stands for anything.
    path: String,
    /// Of the job that the call is about, or of nothing; `*` stands for anything.
    job: String,
    /// How many calls it still meets.
    times: usize,
    harm: Harm,
}

impl Fault {
    /// Meets the next call of this method and a path like this, whatever its job.
    #[must_use]
    pub fn new(method: &str, path: &str, harm: Harm) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, job: "*".to_owned(), times: 1, harm }
    }

    /// Meets the next call of this method about a job whose name is like this.
    #[must_use]
    pub fn of_job(method: &str, job: &str, harm: Harm) -> Self {
        Self { job: job.to_owned(), ..Self::new(method, "*", harm) }
    }

    /// Meets the next call of this method about such a job with an error.
    #[must_use]
    pub fn status_of_job(method: &str, job: &str, status: u16, message: &str) -> Self {
        Self::of_job(method, job, Harm::Answer(status, json!(message)))
    }

    /// Meets all calls, until faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: usize::MAX, ..self }
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
    pub(super) fn meet(&mut self, method: &str, path: &str, job: &str) -> Option<Harm> {
        let fits = |fault: &&mut Fault| {
            fault.times > 0
                && is_like(&fault.method, method)
                && is_like(&fault.path, path)
                && is_like(&fault.job, job)
        };
        let fault = self.0.iter_mut().find(fits)?;
        fault.times -= 1;
        Some(fault.harm.clone())
    }
}
