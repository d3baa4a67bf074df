use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::yaml::{self, Map, Node, Value};

/// YAML texts and what Python writes for them, made by `tests/tables/make_json.py`.
const TABLE: &str = include_str!("../../tests/tables/json.json");

fn written(text: &str) -> String {
    canonical(&parse(text).unwrap()).unwrap()
}

#[test]
fn each_value_of_the_table_is_written_as_python_writes_it() {
    let table: Vec<Json> = serde_json::from_str(TABLE).unwrap();
    assert!(table.len() > 400);
    for row in table {
        let text = row["yaml"].as_str().unwrap();
        let ours = canonical(&yaml::parse(text).unwrap()).ok();
        assert_eq!(ours.as_deref(), row["json"].as_str(), "{text}");
    }
}

#[test]
fn what_python_reads_is_read() {
    assert_eq!(
        written(" {\"b\": [1, -2.50, 1e3, NaN, -Infinity], \"a\": null}\n"),
        r#"{"a": null, "b": [1, -2.5, 1000.0, NaN, -Infinity]}"#
    );
    assert_eq!(written(r#"{"a": 1, "b": 2, "a": 3}"#), r#"{"a": 3, "b": 2}"#);
    assert_eq!(written(r#""\ud83d\ude00\/\u00e9""#), r#""\ud83d\ude00/\u00e9""#);
    assert_eq!(written("123456789012345678901234567890"), "123456789012345678901234567890");
}

#[test]
fn faults_say_where() {
    for (text, line, column, message) in [
        ("", 1, 1, "expected a value"),
        ("{\n  \"é\": tru }", 2, 8, "expected a value"),
        ("[1 2]", 1, 4, "expected `,` or `]`"),
        ("[1,]", 1, 4, "expected a value"),
        ("{a: 1}", 1, 2, "expected a key in double quotes"),
        ("{\"a\" 1}", 1, 6, "expected `:`"),
        ("\"a\nb\"", 1, 3, "a control character stands in a text, or a quote is missing"),
        ("\"\\ud83d\"", 1, 2, "this escape is no character"),
        ("\"\\u+123\"", 1, 2, "this escape is no character"),
        ("\"\\x41\"", 1, 2, "this escape is not known"),
        ("01", 1, 2, "expected the end of the file"),
        ("\u{feff}1", 1, 1, "expected a value"),
    ] {
        let fault = parse(text).unwrap_err();
        let at = (fault.span.line, fault.span.column, fault.message.as_str());
        assert_eq!(at, (line, column, message), "{text:?}");
    }
    assert!(parse(&"[".repeat(100_000)).unwrap_err().message.contains("nested"));
}

/// Any value that JSON can hold.
fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::made(Value::Null)),
        any::<bool>().prop_map(Node::made),
        any::<i64>().prop_map(Node::made),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |f| !f.is_nan())
            .prop_map(Node::made),
        ".*".prop_map(Node::made),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Node::made),
            prop::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| Node::made(map.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(node in node()) {
        let text = canonical(&node).unwrap();
        prop_assert!(text.is_ascii());
        prop_assert_eq!(&parse(&text).unwrap(), &node);
        prop_assert_eq!(canonical(&parse(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![".*", "[\\[\\]{}\",:0-9eE.+\\\\u-]{0,40}"]) {
        // What no parser but Python's takes, and numbers that are too large for one of the two.
        let only_one = text.contains(['N', 'I']) || text.to_lowercase().contains('e');
        let (ours, strict) = (parse(&text).is_ok(), serde_json::from_str::<Json>(&text).is_ok());
        prop_assert!(ours == strict || only_one, "{:?}: {} {}", text, ours, strict);
    }
}

#[test]
fn a_tie_between_two_shortest_texts_goes_to_the_even_one() {
    for (text, wanted) in [
        ("964842877917122.25", "964842877917122.2"),
        ("746384411258628.25", "746384411258628.2"),
        ("1522022758263567.25", "1522022758263567.2"),
        ("211819260062792.625", "211819260062792.62"),
        ("964842877917122.75", "964842877917122.8"),
        ("1e-4", "0.0001"),
        ("-1.5", "-1.5"),
        ("9007199254740993e0", "9007199254740992.0"),
        ("5e-324", "5e-324"),
        ("2e22", "2e+22"),
    ] {
        assert_eq!(written(text), wanted, "{text}");
    }
}

#[test]
fn keys_are_sorted_by_their_exact_size() {
    let huge = "1".repeat(400);
    for (text, wanted) in [
        (
            "{9007199254740993: a, 9007199254740992.0: b, 9007199254740994.5: c}".to_owned(),
            r#"{"9007199254740992.0": "b", "9007199254740993": "a", "9007199254740994.0": "c"}"#
                .to_owned(),
        ),
        (
            format!("{{.inf: a, {huge}: b, 1.0e+308: c, 2: d, -{huge}: e, -.inf: f}}"),
            format!(
                r#"{{"-Infinity": "f", "-{huge}": "e", "2": "d", "1e+308": "c", "{huge}": "b", "Infinity": "a"}}"#
            ),
        ),
        (
            "{1.5: a, 1: b, -1.5: c, -1: d, true: e, 2: f}".to_owned(),
            r#"{"-1.5": "c", "-1": "d", "1": "e", "1.5": "a", "2": "f"}"#.to_owned(),
        ),
    ] {
        assert_eq!(canonical(&yaml::parse(&text).unwrap()).unwrap(), wanted);
    }
}

#[test]
fn keys_that_have_no_order_do_no_harm() {
    let keys = |kinds: &[&str]| {
        let keys = (0..2000).map(|n| kinds[n * 7 % kinds.len()].replace('N', &n.to_string()));
        format!("{{{}}}", keys.map(|key| format!("{key}: 1")).collect::<Vec<_>>().join(", "))
    };
    let mixed = yaml::parse(&keys(&["N", "aN", "bN", "N.5", "null"])).unwrap();
    assert!(canonical(&mixed).is_err());
    let nan = yaml::parse(&keys(&["N", "-N", ".nan", "N.5"])).unwrap();
    assert!(canonical(&nan).unwrap().ends_with("\"NaN\": 1}"));
}

#[test]
fn a_place_in_a_long_line_is_found() {
    let text = format!("{{\"é\": [\n{}\"x\", tru]}}", "\"é\", ".repeat(1000));
    let fault = parse(&text).unwrap_err();
    assert_eq!((fault.span.line, fault.span.column), (2, 5006));
}
