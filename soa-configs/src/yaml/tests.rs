use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// What PyYAML makes of these texts, written by `tests/tables/make_yaml.py`.
const TABLE: &str = include_str!("../../tests/tables/yaml.json");

/// A value as the table writes it.
fn typed(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(int) => json!({"int": int.to_string()}),
        Value::Float(float) if float.is_nan() => json!({"float": "nan"}),
        Value::Float(float) => json!({"float": format!("{:016x}", float.to_bits())}),
        Value::Text(text) => json!({"text": &**text}),
        Value::Bytes(bytes) => {
            json!({"bytes": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()})
        }
        Value::Date(date) => json!({"date": date.to_string()}),
        Value::Time(time) => json!({"time": time.to_string()}),
        Value::List(list) => json!({"list": list.iter().map(typed).collect::<Vec<_>>()}),
        Value::Map(map) => {
            let pair = |entry: &Entry| json!([typed(&entry.key), typed(&entry.value)]);
            json!({"map": map.iter().map(pair).collect::<Vec<_>>()})
        }
        Value::Set(map) => {
            let mut items: Vec<Json> = map.iter().map(|entry| typed(&entry.key)).collect();
            items.sort_by_key(ToString::to_string);
            json!({"set": items})
        }
    }
}

fn without_order_of_sets(mut value: Json) -> Json {
    if let Some(items) = value.get_mut("set").and_then(Json::as_array_mut) {
        items.sort_by_key(ToString::to_string);
    }
    for inner in value.as_object_mut().into_iter().flat_map(|object| object.values_mut()) {
        for item in inner.as_array_mut().into_iter().flatten() {
            match item {
                Json::Array(pair) => {
                    pair.iter_mut().for_each(|i| *i = without_order_of_sets(i.take()));
                }
                _ => *item = without_order_of_sets(item.take()),
            }
        }
    }
    value
}

fn value_of(text: &str, key: &str) -> Node {
    let document = parse(text).unwrap();
    document.as_map().unwrap().get(key).unwrap().clone()
}

fn fault(text: &str) -> (u32, u32, String) {
    let fault = parse(text).unwrap_err();
    (fault.span.line, fault.span.column, fault.message)
}

#[test]
fn each_text_of_the_table_is_read_as_pyyaml_reads_it() {
    let table: Vec<Json> = serde_json::from_str(TABLE).unwrap();
    assert!(table.len() > 2000);
    let mut wrong = Vec::new();
    for row in table {
        let text = row["text"].as_str().unwrap();
        let ours = parse(text).ok().map(|node| typed(&node));
        let theirs = row.get("value").cloned().map(without_order_of_sets);
        if ours != theirs {
            wrong.push(format!("{text:?}\n  PyYAML: {theirs:?}\n  here:   {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_key_and_value_has_its_place() {
    let text = "a: 1\nbé:\n  - x\n  - {c: 'd e'}\n";
    let document = parse(text).unwrap();
    let at = |span: Span| (span.line, span.column, &text[span.range()]);
    let entry = document.as_map().unwrap().entry("bé").unwrap();
    assert_eq!(at(entry.key.span), (2, 1, "bé"));
    let items = entry.value.as_list().unwrap();
    assert_eq!(at(items[0].span), (3, 5, "x"));
    let inner = items[1].as_map().unwrap().entry("c").unwrap();
    assert_eq!(at(inner.key.span), (4, 6, "c"));
    assert_eq!(at(inner.value.span), (4, 9, "'d e'"));
}

#[test]
fn merged_keys_come_first_and_own_ones_win_in_their_place() {
    let text = "b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\nm:\n  z: 9\n  w: 0\n  <<: [*b, *c]\n";
    let merged = value_of(text, "m");
    let shown: Vec<String> = merged
        .as_map()
        .unwrap()
        .texts()
        .map(|(key, entry)| format!("{key}={}", typed(&entry.value)["int"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, ["y=2", "z=9", "x=1", "w=0"]);
}

#[test]
fn keys_that_python_takes_for_equal_are_one() {
    let document = parse("1: a\ntrue: b\n1.0: c\n'1': d\n").unwrap();
    let map = document.as_map().unwrap();
    assert_eq!(map.len(), 2);
    let first = map.iter().next().unwrap();
    assert_eq!(first.key.value, Value::from(1));
    assert_eq!(first.value.as_text(), Some("c"));
}

#[test]
fn large_keys_that_python_takes_for_equal_are_one() {
    for (first, second, count) in [
        ("1.0e+20", "100000000000000000000", 1),
        ("1.0e+20", "100000000000000000001", 2),
        ("-9.223372036854775808e+18", "-9223372036854775808", 1),
        ("9.223372036854775808e+18", "9223372036854775808", 1),
        ("-0.0", "0", 1),
    ] {
        let document = parse(&format!("{first}: a\n{second}: b\n")).unwrap();
        assert_eq!(document.as_map().unwrap().len(), count, "{first} {second}");
    }
}

#[test]
fn tabs_in_brackets_and_quotes_are_free_and_others_are_not() {
    assert!(parse("- ['a\n\tb',\n  [x]]\n- 'c\n \td'\n").is_ok());
    let many = "- ['a',\n  'b']\n".repeat(3) + "\t- c\n";
    assert_eq!(fault(&many).0, 7);
}

#[test]
fn inside_quotes_and_brackets_indentation_means_nothing() {
    for (text, wanted) in [
        ("m:\n  a: 'x\ny\n\n\tz'\n  b: 1\n", "x y\nz"),
        ("m:\n  a: \"x\n  y\\n\n z\"\n  b: 1\n", "x y\n z"),
        ("m:\n  - c: 1\n    a: 'x\n  y'\n    b: 1\n", "x y"),
        ("m:\n  a: 'x\r\ny'\r\n  b: 1\r\n", "x y"),
    ] {
        let node = value_of(text, "m");
        let node = node.as_list().map_or(&node, |items| &items[0]);
        let map = node.as_map().unwrap();
        assert_eq!(map.get("a").unwrap().as_text(), Some(wanted), "{text:?}");
        let after = map.entry("b").unwrap();
        assert_eq!(&text[after.key.span.range()], "b");
        assert_eq!(after.value.span.column, after.key.span.column + 3);
        let quoted = &text[map.get("a").unwrap().span.range()];
        assert!(quoted.starts_with(['"', '\'']) && quoted.ends_with(['"', '\'']), "{quoted:?}");
    }
    assert_eq!(value_of("a: [\n\t1,\n\t]\n", "a").as_list().unwrap().len(), 1);
    assert_eq!(value_of("a:\n  b: {\n\tc: 1,\n}\n", "a").as_map().unwrap().len(), 1);
    assert_eq!(fault("m:\n  a: 'x\ny' z: 1\n").0, 3);
    let (line, column, message) = fault("m:\n  a: ['x\n\ty', \"b\" c]\n");
    assert_eq!((line, column), (3, 10), "{message}");
    assert!(parse("a:\n  b: 1\n\tc: 2\n").is_err());
}

#[test]
fn a_comment_needs_no_blank_behind_quotes_and_brackets() {
    let text = "a: 'x'#c\nb: [1, 2]# c\nc: 'y\nz'#c\nd: |#c\n  t\ne: f#g\n";
    let texts = |key| value_of(text, key).as_text().map(str::to_owned);
    let wanted = [("a", "x"), ("c", "y z"), ("d", "t\n"), ("e", "f#g")];
    for (key, wanted) in wanted {
        assert_eq!(texts(key).as_deref(), Some(wanted));
    }
    let last = value_of(text, "e").span;
    assert_eq!((last.line, last.column, &text[last.range()]), (7, 4, "f#g"));
    assert_eq!(fault("a: 'x'#c\nb: ]\n"), fault("a: 'x' #\nb: ]\n"));
}

#[test]
fn a_block_text_may_end_without_a_line_end() {
    for (text, wanted) in [
        ("a: |+\n ", ""),
        ("a: |+\n\n ", "\n"),
        ("a: >+ # c\n\n\n  ", "\n\n"),
        ("a: |\n\n ", ""),
        ("a: |+\n  x\n  ", "x\n"),
        ("a: |+\n  x\n   ", "x\n "),
        ("a: >+\n  x\n\n ", "x\n\n"),
        ("a: >+\n  x\n    \n ", "x\n  \n"),
        ("a: |\n  x\n    \n ", "x\n  \n"),
        ("a: |\n  x\n   ", "x\n "),
        ("a: |-\n  x\n  ", "x"),
        ("a: |\r\n  x\r\n  y", "x\ny"),
        ("a: |1\n   x", "  x"),
    ] {
        assert_eq!(value_of(text, "a").as_text(), Some(wanted), "{text:?}");
    }
}

#[test]
fn faults_say_where() {
    for (text, line, column, message) in [
        ("a: 1\nb: [1, 2\n", 2, 4, "unclosed bracket '['"),
        ("a: !thing 1\n", 1, 11, "the tag `!thing` is not known for a text"),
        ("a: 2014-02-30\n", 1, 4, "\"2014-02-30\" is not a date or time that exists"),
        ("? [a]\n: 1\n", 1, 3, "a list cannot be a key"),
        ("a: &x 1\nb: &x 2\n", 2, 4, "the anchor `&x` is defined a second time"),
        ("a: *x\n", 1, 4, "while parsing node, found unknown anchor"),
        ("a: &x [*x]\n", 1, 8, "this alias stands inside of what it stands for"),
        ("a: 1\n---\nb: 1\n", 2, 1, "a second document begins here"),
        ("a: 1\nb: \u{7}\n", 2, 4, "the character U+0007 is not allowed"),
        ("a: <<\n", 1, 4, "unquoted `<<` can only be a key"),
        ("a:\n  <<: 1\n", 2, 7, "`<<` merges a map or a list of maps, found a whole number"),
        ("a: [1]\n\t\nb: 1\n", 2, 1, "a tab cannot indent"),
    ] {
        let (l, c, m) = fault(text);
        assert!(m.starts_with(message), "{text:?}: {m}");
        assert_eq!((l, c), (line, column), "{text:?}: {m}");
    }
}

#[test]
fn the_end_of_a_line_may_be_nel() {
    assert_eq!(value_of("a: 1\u{85}b: 2", "b").value, Value::from(2));
    assert_eq!(fault("a: 1\u{2028}b: 2").1, 5);
}

#[test]
fn a_byte_order_mark_is_no_content() {
    let text = "\u{feff}a: 1\n";
    let document = parse(text).unwrap();
    let entry = document.as_map().unwrap().entry("a").unwrap();
    assert_eq!(&text[entry.value.span.range()], "1");
}

#[test]
fn aliases_are_counted_in_full() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (next, last) in ('b'..='i').zip('a'..) {
        bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 10].join(",")));
    }
    assert!(fault(&bomb).2.contains("more than 100000 values"));
    let mut tower = "k0: &k0 [x]\n".to_owned();
    for level in 1..=MAX_DEPTH {
        tower.push_str(&format!("k{level}: &k{level} [*k{}]\n", level - 1));
    }
    assert!(fault(&tower).2.contains("nested deeper"));
}

#[test]
fn depth_and_size_are_bounded_and_what_is_allowed_passes() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert!(fault(&deep(MAX_DEPTH + 1)).2.contains("nested"));
        assert!(parse(&deep(100_000)).is_err());
    }
    let large = |size: usize| format!("#{}", "x".repeat(size - 1));
    assert!(parse(&large(MAX_BYTES)).is_ok());
    assert!(parse(&large(MAX_BYTES + 1)).is_err());
}

#[test]
fn numbers_have_any_size_up_to_what_python_prints() {
    let digits = "9".repeat(4300);
    assert_eq!(parse(&digits).unwrap().value, Value::Int(Int::Big(digits.clone().into())));
    assert!(parse(&format!("{digits}9")).is_err());
    assert!(parse(&format!("1{}", ":1".repeat(100_000))).is_err());
    let hex = parse("0x123456789abcdef0123456789").unwrap();
    assert_eq!(hex.value, Value::Int(Int::Big("90144042682896311822508713865".into())));
}

/// Pieces of which many make a document and many break one.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-c]{1,2}: ",
        "(&[ab] |\\*[ab]|<<: |!!(set|omap|str|int|float|binary|timestamp|null|bool) |! )",
        "([0-9]{1,4}[-:._]){0,3}[0-9+eExb_]{0,4}",
        "[{}\\[\\],&*<>|!\"'~#?:-]{1,3}",
        "(a: )?['\"\\[][a-c]{0,2}\n[ \t]{0,2}[a-c]{0,2}['\"\\]]?",
        "\n {0,4}(- )?",
        "[\t\u{85}\u{feff}\\\\]",
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![".*", "(?s).{0,200}", yaml_like()]) {
        match parse(&text) {
            Ok(node) => { typed(&node); }
            Err(fault) => prop_assert!(fault.span.range().end <= text.len()),
        }
    }
}

/// Maps with a few keys, so that two of them often share some.
fn map() -> impl Strategy<Value = Map> {
    let leaf = prop_oneof![
        Just(Node::made(Value::Null)),
        (0..5_i64).prop_map(Node::made),
        Just(Node::made(Vec::new())),
    ];
    let node = leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(("[a-d]", inner), 0..4)
            .prop_map(|entries| Node::made(entries.into_iter().collect::<Map>()))
    });
    prop::collection::vec(("[a-d]", node), 0..5).prop_map(|entries| entries.into_iter().collect())
}

fn merged(below: &Map, above: &Map) -> Map {
    let mut merged = below.clone();
    merged.merge(above);
    merged
}

fn keys(map: &Map) -> Vec<&str> {
    map.texts().map(|(key, _)| key).collect()
}

proptest! {
    #[test]
    fn an_empty_map_and_the_same_map_change_nothing(map in map()) {
        prop_assert_eq!(&merged(&map, &Map::default()), &map);
        prop_assert_eq!(&merged(&Map::default(), &map), &map);
        prop_assert_eq!(&merged(&map, &map), &map);
    }

    #[test]
    fn what_is_merged_over_wins_and_nothing_else_is_lost(below in map(), above in map()) {
        let all = merged(&below, &above);
        for (key, entry) in all.texts() {
            let expected = match (below.get(key), above.get(key)) {
                (Some(old), Some(new)) => match (old.as_map(), new.as_map()) {
                    (Some(old), Some(new)) => Node::made(merged(old, new)),
                    _ => new.clone(),
                },
                (old, new) => new.or(old).unwrap().clone(),
            };
            prop_assert_eq!(&entry.value, &expected);
        }
        let mut wanted = keys(&below);
        wanted.extend(keys(&above).into_iter().filter(|key| below.get(key).is_none()));
        prop_assert_eq!(keys(&all), wanted, "old keys keep their place, new ones are appended");
        prop_assert_eq!(&merged(&all, &above), &all);
    }
}

#[test]
fn places_are_those_of_the_text_whatever_ends_its_lines() {
    let text = "a: x # one\u{85}b: 5\u{85}c: 'y\u{85} z'\n";
    let node = parse(text).unwrap();
    let at = |key: &str| node.as_map().unwrap().get(key).unwrap().span;
    assert_eq!(&text[at("b").range()], "5");
    assert_eq!((at("b").line, at("b").column), (2, 4));
    assert_eq!(node.as_map().unwrap().get("c").unwrap().as_text(), Some("y z"));
    assert!(text[at("c").range()].starts_with("'y"));
}
