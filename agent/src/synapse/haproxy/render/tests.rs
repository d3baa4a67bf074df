use super::*;

const TEXT: &str = "global
	maxconn 10
defaults
	mode http
	balance leastconn

# the first
backend web.main
	option httpchk
	server a 10.0.0.1:1 id 1 check
	server b 10.0.0.1:2 id 2 check disabled
	retries 2

backend hash.main
	balance source
	server c 10.0.0.1:3 id 1 check

backend by-hand
	server d 10.0.0.1:4 check
";

fn parse(text: &str) -> Rendered {
    Rendered::parse(text, &BTreeSet::from(["web.main", "hash.main"]))
}

fn names(lines: &Lines) -> Vec<&str> {
    lines.keys().map(AsRef::as_ref).collect()
}

#[test]
fn only_managed_backends_have_servers_to_look_after() {
    let rendered = parse(TEXT);
    assert_eq!(rendered.backends.len(), 2);
    assert_eq!(names(&rendered.backends["web.main"].dynamic), ["a", "b"]);
    assert!(rendered.backends["web.main"].dynamic["b"].leaving);
    assert!(rendered.text().contains("server d 10.0.0.1:4 check"));
    assert!(
        rendered.text().ends_with(&format!("global\n\tdescription {}\n", rendered.fingerprint))
    );
}

#[test]
fn what_was_rendered_is_recovered_from_the_file() {
    let rendered = parse(TEXT);
    let managed = BTreeSet::from(["web.main", "hash.main"]);
    assert_eq!(Rendered::recover(&rendered.text(), &managed).unwrap(), rendered);
    let everything = Rendered::parse(TEXT, &BTreeSet::from(["web.main", "hash.main", "by-hand"]));
    let recovered = Rendered::recover(&everything.text(), &BTreeSet::from(["web.main"])).unwrap();
    assert_eq!(recovered.backends.len(), 3, "namespaces that left the catalog are known too");
    assert_eq!(Rendered::recover(TEXT, &managed), None);
    let edited = rendered.text().replace("maxconn 10", "maxconn 11");
    assert_eq!(Rendered::recover(&edited, &managed), None);
}

#[test]
fn the_fingerprint_is_of_the_skeleton_alone() {
    let before = parse(TEXT).fingerprint;
    for (what, from, to) in [
        ("a server more", "\tserver a", "\tserver e 10.0.0.9:1 id 9 check\n\tserver a"),
        ("a server less", "\tserver a 10.0.0.1:1 id 1 check\n", ""),
        ("other options", "id 1 check\n\tserver b", "id 7 weight 3 check\n\tserver b"),
        ("a server that leaves", "server a 10.0.0.1:1 id 1 check", "server a 10.0.0.1:1 disabled"),
        ("a static server that leaves", "10.0.0.1:3 id 1 check", "10.0.0.1:3 id 1 check disabled"),
        ("a comment", "# the first", "# the second\n\n"),
    ] {
        let text = TEXT.replace(from, to);
        assert_ne!(text, TEXT, "{what}");
        assert_eq!(parse(&text).fingerprint, before, "{what}");
    }
    for (what, from, to) in [
        ("a setting", "maxconn 10", "maxconn 11"),
        ("a server by hand", "10.0.0.1:4 check", "10.0.0.1:5 check"),
        ("a server where the algorithm is static", "10.0.0.1:3 id 1", "10.0.0.1:5 id 1"),
        ("a server that cannot be added", "10.0.0.1:1 id 1 check", "10.0.0.1:1 cookie a"),
        ("another algorithm", "leastconn", "source"),
    ] {
        let text = TEXT.replace(from, to);
        assert_ne!(text, TEXT, "{what}");
        assert_ne!(parse(&text).fingerprint, before, "{what}");
    }
}

#[test]
fn a_static_algorithm_makes_servers_part_of_the_skeleton() {
    let dynamic = |change: &str| {
        let text = TEXT.replace("	balance source", change);
        !parse(&text).backends["hash.main"].dynamic.is_empty()
    };
    for change in
        ["	balance source", "	balance uri depth 3", "	balance hdr(host)", "	balance static-rr"]
    {
        assert!(!dynamic(change), "{change}");
    }
    for change in [
        "	balance source\n	hash-type consistent",
        "	balance random(2)",
        "	balance first",
        "	retries 3",
    ] {
        assert!(dynamic(change), "{change}");
    }
    let referred = TEXT.replace("retries 2", "use-server a if TRUE");
    assert!(parse(&referred).backends["web.main"].dynamic.is_empty());
}

#[test]
fn another_catalogs_servers_fit_into_an_older_skeleton() {
    let running = parse(TEXT);
    let wanted = parse(
        &TEXT
            .replace("maxconn 10", "maxconn 99")
            .replace("	server a 10.0.0.1:1 id 1 check\n", "	server z 10.0.0.1:9 id 4 check\n")
            .replace("10.0.0.1:3 id 1 check", "10.0.0.1:3 id 1 check disabled"),
    );
    let reachable = running.with_servers_of(&wanted);
    assert_eq!(reachable.fingerprint, running.fingerprint);
    assert_eq!(names(&reachable.backends["web.main"].dynamic), ["z", "b"]);
    assert!(reachable.text().contains("maxconn 10\n"));
    assert!(reachable.text().contains("server z 10.0.0.1:9 id 4 check"));
    assert!(reachable.backends["hash.main"].fixed["c"].leaving);
    assert_eq!(parse(&reachable.text()), reachable, "the text says the same");
}

#[test]
fn an_empty_backend_has_the_skeleton_of_a_full_one() {
    let empty = parse(
        &TEXT
            .lines()
            .filter(|l| !l.contains("id "))
            .fold(String::new(), |text, line| text + line + "\n"),
    );
    let full = parse(TEXT);
    assert!(empty.backends["web.main"].dynamic.is_empty());
    let filled = empty.with_servers_of(&full);
    assert_eq!(names(&filled.backends["web.main"].dynamic), ["a", "b"]);
    assert!(filled.text().contains("\tretries 2\n\tserver a "));
}

#[test]
fn a_part_is_taken_over_unless_it_touches_the_skeleton() {
    let whole = parse(TEXT);
    let part = |lines: &str| {
        let text = format!("defaults\n\tbalance source\nbackend hash.main\n{lines}");
        Rendered::parse(&text, &BTreeSet::from(["hash.main"]))
    };
    let leaving = part("\tserver c 10.0.0.1:3 id 1 check disabled\n");
    assert!(whole.can_take_servers_of(&leaving));
    let next = whole.with_servers_of(&leaving);
    assert!(next.backends["hash.main"].fixed["c"].leaving);
    assert_eq!(next.backends["web.main"], whole.backends["web.main"]);
    assert!(!whole.can_take_servers_of(&part("\tserver c 10.0.0.1:4 id 1 check\n")));
    assert!(!whole.can_take_servers_of(&part("")));
    let unknown = Rendered::parse("backend new.main\n", &BTreeSet::from(["new.main"]));
    assert!(!whole.can_take_servers_of(&unknown));
}
