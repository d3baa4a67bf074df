//! What the body of an app may be: the fields and limits of Marathon's published types, and the rules
//! between fields that the server adds.

mod fields;
mod rules;
mod shape;

use serde_json::{Map, Value};

use super::refusal::{Detail, Refusal};

pub(super) use fields::changes_tasks;

/// What is wrong with a body.
#[derive(Debug, Default)]
struct Faults {
    /// Not what the field can be read as: 400.
    form: Vec<Detail>,
    /// Readable, and against a rule: 422.
    rules: Vec<Detail>,
}

impl Faults {
    fn form(&mut self, path: &str, error: impl Into<String>) {
        self.form.push((path.to_owned(), error.into()));
    }

    fn rule(&mut self, path: &str, error: impl Into<String>) {
        self.rules.push((path.to_owned(), error.into()));
    }

    fn into_result(self) -> Result<(), Refusal> {
        match (self.form.is_empty(), self.rules.is_empty()) {
            (false, _) => Err(Refusal::form(&self.form)),
            (true, false) => Err(Refusal::rules(&self.rules)),
            (true, true) => Ok(()),
        }
    }
}

/// Reads a body as an object, without the fields that are null.
pub(super) fn object(body: &str) -> Result<Map<String, Value>, Refusal> {
    let parsed: Value = serde_json::from_str(body)
        .map_err(|error| Refusal::form(&[("/".to_owned(), error.to_string())]))?;
    let Value::Object(fields) = parsed else {
        return Err(Refusal::form(&[("/".to_owned(), "error.expected.jsobject".to_owned())]));
    };
    Ok(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

/// Checks the form of the fields that are there.
pub(super) fn form(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    shape::object("", fields, fields::APP, &mut faults);
    faults.into_result()
}

/// Checks a whole app, whose form is right.
pub(super) fn app(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    rules::app(fields, &mut faults);
    faults.into_result()
}
