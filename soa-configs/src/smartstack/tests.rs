use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<SmartstackFile, FileError> {
    parse("web", Path::new("/soa/web/smartstack.yaml"), text)
}

/// The configuration of `web.main`.
fn main(text: &str) -> NamespaceConfig {
    let file = parsed(text).unwrap();
    NamespaceConfig::clone(&file.namespaces[&"web.main".parse::<Namespace>().unwrap()])
}

/// The configuration of `web.main` with these lines below its `proxy_port`.
fn with(lines: &str) -> Result<NamespaceConfig, String> {
    let text = format!("main:\n  proxy_port: 20001\n  {lines}\n");
    parsed(&text).map(|_| main(&text)).map_err(|error| error.one_line())
}

fn names<'a>(names: impl IntoIterator<Item = &'a Namespace>) -> Vec<&'a str> {
    names.into_iter().map(Namespace::as_str).collect()
}

#[test]
fn everything_has_a_default() {
    let wanted = NamespaceConfig {
        proxy_port: NonZeroU16::new(20001),
        mode: Mode::Http,
        advertise: vec!["region".to_owned()],
        discover: "region".to_owned(),
        extra_advertise: Vec::new(),
        healthcheck_mode: Mode::Http,
        healthcheck_uri: "/status".to_owned(),
        healthcheck_port: None,
        healthcheck_timeout: Duration::from_secs(1),
        healthcheck_body_expect: None,
        updown_timeout: None,
        extra_healthcheck_headers: IndexMap::new(),
        extra_headers: IndexMap::new(),
        timeout_connect: None,
        timeout_server: None,
        timeout_client: None,
        endpoint_timeouts: IndexMap::new(),
        retries: None,
        allredisp: false,
        balance: None,
        keepalive: false,
        proxied_through: None,
        is_proxy: false,
        chaos: IndexMap::new(),
        slowstart: None,
        canary: None,
        spillover: None,
        guard: Guard::default(),
        use_previous_backends: false,
        default_servers: Vec::new(),
        plugins: Plugins::default(),
    };
    assert_eq!(main("main:\n  proxy_port: 20001\n"), wanted);
    let nulls = "main: {proxy_port: 20001, mode: null, advertise: ~, retries: , extra_headers: ~}";
    assert_eq!(main(nulls), wanted);
    assert_eq!(with("routes: [{source: a}]\n  fixed_delay: {x: 1}").unwrap(), wanted);
}

#[test]
fn every_key_is_read() {
    let text = "
shared: &shared
  timeout_connect_ms: 500
  timeout_server_ms: 1000
  retries: 9
main:
  <<: *shared
  proxy_port: 20001
  mode: tcp
  advertise: [region, superregion, region]
  discover: superregion
  healthcheck_mode: https
  healthcheck_uri: //health?deep=1
  healthcheck_port: 8080
  healthcheck_timeout_s: 2.5
  healthcheck_body_expect: all fine
  extra_healthcheck_headers: {X-B: 1.10, X-A: yes}
  extra_headers: {X-Mode: ''}
  timeout_client_ms: '2000'
  retries: 3
  balance: roundrobin
  keepalive: yes
  allredisp: on
  updown_timeout_s: 400
  extra_advertise: {'region:a': ['region:b', 'habitat:c']}
  endpoint_timeouts: {/slow/report: 20000}
  proxied_through: cache.main
  is_proxy: true
  chaos: {region: {a: {fail: error_503}, b: {delay: 2s}}}
  plugins: {logging: {enabled: true, sample_rate: 0.1}}
";
    let config = main(text);
    assert_eq!(config.mode, Mode::Tcp);
    assert_eq!(config.advertise, ["region", "superregion"]);
    assert_eq!(config.discover, "superregion");
    assert_eq!(config.healthcheck_mode, Mode::Https);
    assert_eq!(config.healthcheck_uri, "/health?deep=1");
    assert_eq!(config.healthcheck_port, NonZeroU16::new(8080));
    assert_eq!(config.healthcheck_timeout, Duration::from_millis(2500));
    assert_eq!(config.healthcheck_body_expect.as_deref(), Some("all fine"));
    let headers: Vec<_> = config.extra_healthcheck_headers.iter().collect();
    let (b, a) = (("X-B".to_owned(), "1.10".to_owned()), ("X-A".to_owned(), "yes".to_owned()));
    assert_eq!(headers, [(&b.0, &b.1), (&a.0, &a.1)], "in file order and as written");
    assert_eq!(config.extra_headers["X-Mode"], "");
    assert_eq!(config.timeout_connect, Some(Duration::from_millis(500)), "merged");
    assert_eq!(config.timeout_server, Some(Duration::from_secs(1)), "merged");
    assert_eq!(config.timeout_client, Some(Duration::from_secs(2)));
    assert_eq!(config.retries, Some(3), "own keys win over merged ones");
    assert_eq!(config.balance, Some(Balance::Roundrobin));
    assert!(config.keepalive && config.allredisp && config.is_proxy);
    assert_eq!(config.updown_timeout, Some(Duration::from_secs(400)));
    let place = |text: &str| text.parse::<Place>().unwrap();
    let pairs = [(place("region:a"), place("region:b")), (place("region:a"), place("habitat:c"))];
    assert_eq!(config.extra_advertise, pairs);
    assert_eq!(config.endpoint_timeouts["/slow/report"], Duration::from_secs(20));
    assert_eq!(config.proxied_through.unwrap().as_str(), "cache.main");
    assert_eq!(config.chaos[&place("region:a")].fail, Some(Fail::Error503));
    assert_eq!(config.chaos[&place("region:b")].delay, Some(Duration::from_secs(2)));
    assert!(config.plugins.logging && !config.plugins.source_required);
}

#[test]
fn proxy_port_tells_three_things_apart() {
    let text = "
number: {proxy_port: 20001}
digits: {proxy_port: '20002'}
octal: {proxy_port: 0755}
discovery_only: {proxy_port: null}
absent: {mode: http}
negative: {proxy_port: -1}
nothing:
";
    let file = parsed(text).unwrap();
    let ports: Vec<_> = file
        .namespaces
        .iter()
        .map(|(name, config)| (name.namespace(), config.proxy_port.map(NonZeroU16::get)))
        .collect();
    let wanted = [
        ("digits", Some(20002)),
        ("discovery_only", None),
        ("number", Some(20001)),
        ("octal", Some(493)),
    ];
    assert_eq!(ports, wanted);
    assert_eq!(names(&file.without_proxy_port), ["web.absent", "web.negative", "web.nothing"]);
}

#[test]
fn a_file_without_namespaces_is_empty() {
    for text in ["", "# nothing yet\n", "---\n", "{}"] {
        assert_eq!(parsed(text).unwrap(), SmartstackFile::default(), "{text:?}");
    }
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let text = "main: {proxy_port: 1, mode: tcp}\nmain: {proxy_port: 2, proxy_port: 3}\n";
    let config = main(text);
    assert_eq!((config.proxy_port, config.mode), (NonZeroU16::new(3), Mode::Http));
}

#[test]
fn values_without_a_meaning_are_as_good_as_absent() {
    assert_eq!(with("balance: source").unwrap().balance, None);
    assert_eq!(with("healthcheck_body_expect: ''").unwrap().healthcheck_body_expect, None);
    assert_eq!(with("advertise: []").unwrap().advertise, [""; 0], "registered nowhere");
    assert_eq!(with("healthcheck_uri: ''").unwrap().healthcheck_uri, "/");
    assert_eq!(with("mode: https").unwrap().healthcheck_mode, Mode::Https, "follows mode");
}

#[test]
fn a_fault_is_named_with_its_place() {
    let place = "/soa/web/smartstack.yaml: ";
    for (lines, fault) in [
        ("mode: udp", "\"udp\" is no mode; expected http, https or tcp at line 3, column 9"),
        ("mode: [http]", "expected a text, found a list at line 3, column 9"),
        ("proxy_port: 0", "expected a port from 1 to 65535, or null, found 0 at line 3, column 15"),
        ("proxy_port: 65536", "expected a port from 1 to 65535, or null"),
        ("proxy_port: 1.5", "expected a port from 1 to 65535, or null"),
        ("proxy_port: '1 '", "expected a port from 1 to 65535, or null"),
        ("proxy_port: 99999999999999999999", "expected a port from 1 to 65535, or null"),
        ("proxy_port: [1]", "expected a port from 1 to 65535, or null"),
        ("healthcheck_port: -1", "expected a port from 1 to 65535, found -1 at"),
        ("healthcheck_timeout_s: 0", "expected seconds above 0 and up to 3600"),
        ("healthcheck_timeout_s: -1", "expected seconds above 0 and up to 3600"),
        ("healthcheck_timeout_s: 3600.5", "expected seconds above 0 and up to 3600"),
        ("healthcheck_timeout_s: 1.0e-12", "expected seconds above 0 and up to 3600"),
        ("healthcheck_timeout_s: .inf", "at line 3, column 26"),
        ("healthcheck_timeout_s: .nan", "at line 3, column 26"),
        ("healthcheck_timeout_s: soon", "up to 3600, found \"soon\" at line 3, column 26"),
        ("healthcheck_uri: /a b", "\"/a b\" is no path"),
        ("healthcheck_uri: \"/a\\nb\"", "\"/a\\nb\" is no path"),
        ("advertise: region", "expected a list, found \"region\" at line 3, column 14"),
        ("advertise: [region, 'a b']", "\"a b\" is no location type; expected a word"),
        ("advertise: ['']", "\"\" is no location type"),
        ("advertise: [~]", "expected a text, found nothing at line 3, column 15"),
        ("discover: ..", "\"..\" is no location type"),
        ("timeout_server_ms: -1", "expected milliseconds, a whole number up to 2147483647"),
        ("timeout_server_ms: 2147483648", "expected milliseconds"),
        ("retries: 65536", "expected a whole number up to 65535"),
        ("keepalive: perhaps", "expected true or false, found \"perhaps\" at line 3, column 14"),
        ("extra_headers: {'X A': 1}", "\"X A\" is no header name"),
        ("extra_headers: {'': 1}", "\"\" is no header name"),
        ("extra_headers: {X-A: ~}", "expected a text, found nothing"),
        ("extra_headers: {X-A: [1]}", "expected a text, found a list at line 3, column 24"),
        ("extra_headers: {X-A: \"a\\r\\nX-B: b\"}", "is no header value"),
        ("extra_healthcheck_headers: {\"X\\nA\": b}", "is no header name"),
        ("a: [", "unclosed bracket '[' at line 3, column 6"),
    ] {
        let error = with(lines).expect_err(lines);
        assert!(error.starts_with(place) && error.contains(fault), "{lines}: {error}");
    }
}

#[test]
fn a_fault_outside_of_a_namespace_is_named_too() {
    for (text, fault) in [
        ("- main", "expected a map, found a list at line 1, column 1"),
        ("main: 5", "expected a map, found 5 at line 1, column 7"),
        (
            "ok: {}\na/b: {}",
            "only letters, digits, `_`, `-` and `.` are allowed at line 2, column 1",
        ),
        ("a: {}\n---\nb: {}\n", "a second document begins here at line 2, column 1"),
    ] {
        let error = parsed(text).unwrap_err().one_line();
        assert!(error.contains(fault), "{text:?}: {error}");
    }
    let error = parse("a.b", Path::new("f"), "main: {}").unwrap_err();
    assert!(error.one_line().contains("\"a.b\" is not the name of a service"), "{error}");
}

#[test]
fn a_fault_shows_the_text_around_it() {
    let shown = parsed("main:\n  proxy_port: 20001\n  mode: udp\n").unwrap_err().to_string();
    let wanted = "\
/soa/web/smartstack.yaml:3:9: \"udp\" is no mode; expected http, https or tcp
  |
3 |   mode: udp
  |         ^^^";
    assert_eq!(shown, wanted);
}

#[test]
fn a_message_stays_short() {
    let long = "x".repeat(100_000);
    for text in
        [format!("main: {{keepalive: [{long}], balance: {{a: {long}}}}}"), format!("{long}: {{}}")]
    {
        let problem = crate::Problem::from(&parsed(&text).unwrap_err());
        assert!(problem.message.len() < 2000, "{}", problem.message.len());
        assert!(problem.one_line.len() < 1000, "{}", problem.one_line.len());
    }
    for lines in [format!("mode: {long}"), format!("healthcheck_timeout_s: {long}")] {
        assert!(with(&lines).unwrap_err().len() < 300);
    }
}

#[test]
fn a_file_that_would_exhaust_stack_or_memory_is_refused() {
    let deep = format!("main: {{x: {}{}}}", "[".repeat(80), "]".repeat(80));
    let error = parsed(&deep).unwrap_err().one_line();
    assert!(error.contains("recursion limit exceeded"), "{error}");
    for open in ["[", "{", "- ", "? ", "a: {", "[{"] {
        assert!(parsed(&open.repeat(100_000)).is_err(), "{open:?}");
    }
    let many = format!("main: {{x: [{}]}}", "1,".repeat(300_000));
    assert!(parsed(&many).is_err());
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (next, last) in ('b'..='i').zip('a'..) {
        text.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 10].join(",")));
    }
    assert!(parsed(&text).is_err());
}

/// Pieces of which some make a namespace and some break one.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,4}: ",
        "proxy_port: -?[0-9]{1,20}\n",
        "healthcheck_timeout_s: [0-9.e+-]{1,9}\n",
        "(extra_headers|healthcheck_uri|mode|advertise): ",
        "[{}\\[\\],&*<>|!\"'~#?-]{1,3}",
        "\n {0,4}",
        "\\PC{0,5}",
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn parsing_any_text_never_panics(text in prop_oneof![".*", "(?s).{0,200}", yaml_like()]) {
        if let Err(error) = parsed(&text) {
            prop_assert!(!error.one_line().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn a_header_with_a_control_character_never_passes(
        before in "[a-zA-Z: -]{0,5}", control in prop_oneof![0u8..32, Just(0x7f)], after in "[a-zA-Z: -]{0,5}",
        in_name: bool,
    ) {
        let bad = format!("\"{before}\\x{control:02x}{after}\"");
        let header = if in_name { format!("{bad}: v") } else { format!("X-A: {bad}") };
        for key in ["extra_headers", "extra_healthcheck_headers"] {
            let lines = format!("{key}: {{{header}}}");
            let fault = with(&lines).unwrap_err();
            prop_assert!(fault.contains("is no header"), "refused for another reason: {}", fault);
        }
    }

    #[test]
    fn what_passes_fits_on_one_line(
        uri in prop_oneof!["[!-~]{0,20}", "(?s).{0,20}"], value in "(?s).{0,20}",
    ) {
        let (uri, value) = (serde_json::to_string(&uri)?, serde_json::to_string(&value)?);
        if let Ok(config) = with(&format!("healthcheck_uri: {uri}\n  extra_headers: {{A: {value}}}")) {
            let uri = &config.healthcheck_uri;
            prop_assert!(uri.starts_with('/') && !uri.starts_with("//"));
            prop_assert!(uri.chars().all(|c| c.is_ascii_graphic()));
            prop_assert!(!config.extra_headers["A"].contains(char::is_control));
        }
    }
}

#[test]
fn requests_are_divided_as_written_or_the_fault_says_how_to_write_it() {
    let share = |part| Share::of_thousand(part).unwrap();
    let config =
        with("canary: {label: canary, share: 0.05}\n  spillover: {below: 2}\n  slowstart_s: 30");
    let config = config.unwrap();
    assert_eq!(config.slowstart, Some(Duration::from_secs(30)));
    let canary = Canary { label: "canary".to_owned(), value: None, share: share(50) };
    assert_eq!(config.canary, Some(canary));
    assert_eq!(config.spillover, Some(Spillover { below: 2, until: 3, joined: Joined::Backup }));
    let config = with("spillover: {below: 2, until: 5, as: weighted, share: 0.25}").unwrap();
    let joined = Joined::Weighted(share(250));
    assert_eq!(config.spillover, Some(Spillover { below: 2, until: 5, joined }));
    let config = with(
        "guard: {share: 0.9, hold_s: 5}\n  use_previous_backends: true\n  default_servers: [{host: 10.0.0.1, port: 80}]",
    );
    let config = config.unwrap();
    let hold = Some(Duration::from_secs(5));
    assert_eq!(config.guard, Guard { share: Some(share(900)), hold });
    let server = DefaultServer { name: String::new(), address: ([10, 0, 0, 1], 80).into() };
    assert!(config.use_previous_backends && config.default_servers == [server]);
    for wrong in [
        "default_servers: [{host: 10.0.0.1}]",
        "default_servers: [{host: 10.0.0.1, port: 80, name: a_b}]",
        "guard: {share: 2}",
        "canary: {label: canary}",
        "canary: {share: 0.1}",
        "canary: {label: a, share: 1.5}",
        "canary: {label: a, share: .nan}",
        "spillover: {}",
        "spillover: {below: 0}",
        "spillover: {below: 3, until: 2}",
        "spillover: {below: 3, as: weighted}",
        "spillover: {below: 3, as: backup, share: 0.5}",
        "spillover: {below: 3, as: twins}",
        "slowstart_s: 0",
    ] {
        let message = with(wrong).unwrap_err().to_string();
        assert!(message.contains("expected"), "{wrong}: {message}");
    }
}
