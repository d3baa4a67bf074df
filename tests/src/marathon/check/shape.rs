//! A description of JSON, and how a value is held against it.

use serde_json::{Map, Value};

use super::Faults;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    /// Not empty.
    SomeText,
    Flag,
    /// A number of at least so much.
    Number(f64),
    /// A whole number within limits.
    Whole(i64, i64),
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// Any names, with values of one shape.
    Map(&'static Shape),
    Object(&'static [Field]),
    /// Text, or the name of a secret.
    Variable,
    /// A field, an operator, perhaps a value.
    Constraint,
    /// Whatever JSON can be.
    Any,
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) is_needed: bool,
}

pub(super) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_needed: false }
}

pub(super) const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_needed: true }
}

pub(super) const OPERATORS: &[&str] =
    &["UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER"];

pub(super) fn object(
    path: &str,
    object: &Map<String, Value>,
    fields: &[Field],
    faults: &mut Faults,
) {
    for field in fields {
        let path = format!("{path}/{}", field.name);
        match object.get(field.name) {
            Some(value) if !value.is_null() => check(&path, value, field.shape, faults),
            _ if field.is_needed => faults.form(&path, "error.path.missing"),
            _ => {}
        }
    }
    for name in object.keys() {
        if !fields.iter().any(|field| field.name == name) {
            faults.rule(&format!("{path}/{name}"), "is not a field that Marathon knows");
        }
    }
}

fn check(path: &str, value: &Value, shape: Shape, faults: &mut Faults) {
    match shape {
        Shape::Any => {}
        Shape::Text | Shape::SomeText => match value.as_str() {
            None => faults.form(path, "error.expected.jsstring"),
            Some("") if matches!(shape, Shape::SomeText) => faults.form(path, "error.minLength"),
            Some(_) => {}
        },
        Shape::Flag if value.is_boolean() => {}
        Shape::Flag => faults.form(path, "error.expected.jsboolean"),
        Shape::Number(least) => match value.as_f64() {
            None => faults.form(path, "error.expected.jsnumber"),
            Some(number) if number < least => {
                faults.rule(path, format!("got {value}, expected {least} or more"));
            }
            Some(_) => {}
        },
        Shape::Whole(least, most) => whole(path, value, (least, most), faults),
        Shape::OneOf(words) => match value.as_str() {
            Some(word) if words.contains(&word) => {}
            _ => faults.form(path, format!("{value} is not one of {}", words.join(", "))),
        },
        Shape::List(each) => match value.as_array() {
            None => faults.form(path, "error.expected.jsarray"),
            Some(list) => {
                for (at, value) in list.iter().enumerate() {
                    check(&format!("{path}({at})"), value, *each, faults);
                }
            }
        },
        Shape::Map(each) => match value.as_object() {
            None => faults.form(path, "error.expected.jsobject"),
            Some(map) => {
                for (name, value) in map {
                    check(&format!("{path}/{name}"), value, *each, faults);
                }
            }
        },
        Shape::Object(fields) => match value.as_object() {
            None => faults.form(path, "error.expected.jsobject"),
            Some(map) => object(path, map, fields, faults),
        },
        Shape::Variable => {
            let is_secret = value.get("secret").is_some_and(Value::is_string);
            if !value.is_string() && !is_secret {
                faults.form(path, "error.expected.jsstring");
            }
        }
        Shape::Constraint => constraint(path, value, faults),
    }
}

/// `4.0` is whole, `4.5` is not.
fn whole(path: &str, value: &Value, (least, most): (i64, i64), faults: &mut Faults) {
    let float = value.as_f64().filter(|number| number.fract() == 0.0);
    let number =
        value.as_i64().or_else(|| float.and_then(|float| format!("{float:.0}").parse().ok()));
    match number {
        None if value.is_number() => faults.form(path, format!("{value} is not a whole number")),
        None => faults.form(path, "error.expected.jsnumber"),
        Some(number) if number < least || number > most => {
            let most = if most == i64::MAX { "more".to_owned() } else { most.to_string() };
            faults.rule(path, format!("got {number}, expected {least} to {most}"));
        }
        Some(_) => {}
    }
}

fn constraint(path: &str, value: &Value, faults: &mut Faults) {
    let words: Option<Vec<&str>> =
        value.as_array().and_then(|words| words.iter().map(Value::as_str).collect());
    match words.as_deref() {
        Some([_, operator] | [_, operator, _]) if OPERATORS.contains(operator) => {}
        Some([_, operator] | [_, operator, _]) => {
            faults.form(path, format!("{operator} is not one of {}", OPERATORS.join(", ")));
        }
        _ => faults.form(path, "a constraint is an array of two or three strings"),
    }
}
