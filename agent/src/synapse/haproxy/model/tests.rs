use std::{env, net::Ipv4Addr, num::NonZeroU16, process::Command, time::Duration};

use indexmap::IndexMap;
use proptest::prelude::*;

use super::*;
use crate::{
    atomic_file::Staged,
    synapse::{
        catalog::{Pool, Reach},
        haproxy::{
            render::Rendered,
            template::{self, Template},
        },
    },
};

fn config(port: u16) -> NamespaceConfig {
    NamespaceConfig { proxy_port: NonZeroU16::new(port), ..NamespaceConfig::default() }
}

fn server(name: &str, port: u16) -> catalog::Server {
    catalog::Server {
        name: format!("{name}_10.20.1.11:{port}"),
        address: (Ipv4Addr::new(10, 20, 1, 11), port).into(),
        weight: None,
        backup: false,
        leaving: false,
    }
}

fn reach(place: &str, is_discovered: bool, servers: Vec<catalog::Server>) -> Reach {
    Reach { place: place.parse().unwrap(), is_discovered, servers }
}

fn one_place(config: NamespaceConfig, servers: Vec<catalog::Server>) -> Pool {
    Pool {
        config: Arc::new(config),
        records: Arc::default(),
        reaches: vec![reach("region:here", true, servers)],
        fault: None,
        leaving: BTreeSet::new(),
        spilled: false,
    }
}

fn catalog<'a>(
    pools: impl IntoIterator<Item = (&'a str, NamespaceConfig, Vec<catalog::Server>)>,
) -> Catalog {
    let pool = |config, servers| Arc::new(one_place(config, servers));
    let pools = pools
        .into_iter()
        .map(|(name, config, servers)| (name.parse().unwrap(), pool(config, servers)));
    Catalog { pools: pools.collect(), ..Catalog::default() }
}

fn simply(catalog: &Catalog) -> Built {
    build(
        &Settings::default(),
        catalog,
        &Ids::new(),
        &Accepted::new(),
        &HeldBack::new(),
        &BTreeSet::new(),
    )
}

fn text(model: &Model) -> String {
    let template::Source { file, text } = template::built_in();
    let text = Template::parse(&file, text).unwrap().render(model).unwrap();
    let backends = model.namespaces.iter().flat_map(|section| &section.backends);
    let managed = backends.map(|backend| backend.name.as_str()).collect();
    Rendered::parse(&text, &managed).text()
}

/// What `haproxy -c` has to say; empty: it accepts without a warning.
fn objections(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    // Without a state file it warns.
    let state = dir.path().join("state");
    crate::atomic_file::write(&state, b"1\n").unwrap();
    let elsewhere = carry::file(&Settings::default()).display().to_string();
    let text = &text.replace(&elsewhere, &state.display().to_string());
    let staged = Staged::new(&dir.path().join("haproxy.cfg"), text.as_bytes()).unwrap();
    let mut command = Command::new(env::var_os("HAPROXY").unwrap_or("/usr/sbin/haproxy".into()));
    let output = command.arg("-c").arg("-f").arg(staged.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() {
        said
    } else {
        format!("refused: {said}\n{text}")
    }
}

/// The examples of synapse.md §9 and one of everything else.
fn examples() -> Catalog {
    let headers = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let web1 = || vec![server("web1", 31001), server("web1", 31002)];
    let pencil = NamespaceConfig {
        timeout_connect: Some(Duration::from_millis(300)),
        timeout_server: Some(Duration::from_secs(4)),
        retries: Some(2),
        healthcheck_uri: "/healthz".to_owned(),
        extra_healthcheck_headers: headers(&[("X-Mode", "ro"), ("Host", "a \"b\" 50% $x")]),
        extra_headers: headers(&[("X-Mode", "ro #1")]),
        endpoint_timeouts: [("/slow/report".to_owned(), Duration::from_secs(20))].into(),
        ..config(20973)
    };
    let in_region = vec![
        catalog::Server { weight: Some(12), ..server("web1", 31001) },
        catalog::Server { backup: true, ..server("web1", 31002) },
        catalog::Server { leaving: true, weight: Some(0), ..server("web2", 31001) },
        catalog::Server { address: "[2001:db8::1]:80".parse().unwrap(), ..server("web6", 80) },
    ];
    let pencil = Pool {
        reaches: vec![
            reach("habitat:east1a", false, web1()),
            reach("region:east1", true, in_region),
        ],
        ..one_place(pencil, vec![])
    };
    let nearfar = Pool {
        reaches: vec![reach("habitat:east1a", true, vec![]), reach("region:east1", false, web1())],
        ..one_place(config(20977), vec![])
    };
    let queue = NamespaceConfig {
        mode: Mode::Tcp,
        balance: Some(Balance::Roundrobin),
        retries: Some(0),
        endpoint_timeouts: [("/".to_owned(), Duration::from_secs(1))].into(),
        ..config(20974)
    };
    let cacheproxy = NamespaceConfig { is_proxy: true, keepalive: true, ..config(20978) };
    let through = NamespaceConfig {
        proxied_through: Some("cacheproxy.main".parse().unwrap()),
        ..config(20979)
    };
    let waiting = Pool {
        fault: Some(Fault::Delay(Duration::from_millis(500))),
        ..one_place(through, vec![server("c1", 31001)])
    };
    let dropping = Pool { fault: Some(Fault::Drop), ..one_place(config(20975), vec![]) };
    let pools = [
        ("cacheproxy.main", one_place(cacheproxy, vec![server("p1", 31001)])),
        ("catalog.main", waiting),
        ("nearfar.main", nearfar),
        ("pencil.main", pencil),
        ("pencil.only_files", one_place(config(0), vec![server("web1", 31009)])),
        ("queue.main", one_place(queue, vec![server("q1", 31044)])),
        ("queue.spare", dropping),
    ];
    let pools = pools.into_iter().map(|(name, pool)| (name.parse().unwrap(), Arc::new(pool)));
    Catalog { pools: pools.collect(), ..Catalog::default() }
}

#[test]
fn the_rendered_file_is_this_one_and_haproxy_takes_it() {
    let built = simply(&examples());
    assert_eq!(built.refused, []);
    let text = text(&built.model);
    assert_eq!(objections(&text), "");
    insta::assert_snapshot!(text);
}

#[test]
fn servers_keep_their_numbers_and_new_ones_take_the_lowest_that_is_free() {
    let known = [("b_10.20.1.11:2", 2), ("going_10.20.1.11:9", 1), ("d_10.20.1.11:4", 7)];
    let known = known.map(|(name, id)| (name.to_owned(), id)).into();
    let ids = Ids::from([("web.main".to_owned(), known)]);
    let servers = vec![server("a", 1), server("b", 2), server("c", 3), server("d", 4)];
    let catalog = catalog([("web.main", config(1), servers)]);
    let built = build(
        &Settings::default(),
        &catalog,
        &ids,
        &Accepted::new(),
        &HeldBack::new(),
        &BTreeSet::new(),
    );
    let mut ids: Vec<_> = built.model.namespaces[0].backends[0]
        .servers
        .iter()
        .map(|s| (s.name.clone(), s.id))
        .collect();
    ids.sort();
    let ids: Vec<_> = ids.iter().map(|(name, id)| (&name[..1], *id)).collect();
    assert_eq!(ids, [("a", 3), ("b", 2), ("c", 4), ("d", 7)]);
}

#[test]
fn hosts_do_not_all_begin_with_the_same_server() {
    let servers: Vec<_> = (1..20).map(|port| server("a", port)).collect();
    let catalog = catalog([("web.main", config(1), servers)]);
    let first = |order_seed| {
        let settings = Settings { order_seed, ..Settings::default() };
        let built = build(
            &settings,
            &catalog,
            &Ids::new(),
            &Accepted::new(),
            &HeldBack::new(),
            &BTreeSet::new(),
        );
        built.model.namespaces[0].backends[0].servers[0].name.clone()
    };
    assert!((1..20).any(|seed| first(seed) != first(0)));
    assert_eq!(first(7), first(7));
}

#[test]
fn one_timeout_holds_for_both_sides() {
    let given = |client, server| {
        let (timeout_client, timeout_server) =
            (client, server).map_each(|ms: Option<u64>| ms.map(Duration::from_millis));
        let config = NamespaceConfig { timeout_client, timeout_server, ..config(1) };
        let model = simply(&catalog([("web.main", config, vec![])])).model;
        let section = &model.namespaces[0];
        (
            section.frontend.as_ref().unwrap().timeout_client_ms,
            section.backends[0].timeout_server_ms,
        )
    };
    assert_eq!(given(Some(5), None), (Some(5), Some(5)));
    assert_eq!(given(None, Some(6)), (Some(6), Some(6)));
    assert_eq!(given(Some(5), Some(6)), (Some(5), Some(6)));
    assert_eq!(given(None, None), (None, None));
    assert_eq!(given(Some(0), Some(u64::MAX)), (Some(1), Some(2_073_600_000)));
}

trait MapEach<T> {
    fn map_each<U>(self, f: impl Fn(T) -> U) -> (U, U);
}

impl<T> MapEach<T> for (T, T) {
    fn map_each<U>(self, f: impl Fn(T) -> U) -> (U, U) {
        (f(self.0), f(self.1))
    }
}

#[test]
fn a_newcomer_cannot_take_a_port_away() {
    let settings = Settings::default();
    let before = simply(&catalog([("web.main", config(80), vec![])]));
    let with_rival = catalog([("aaa.main", config(80), vec![]), ("web.main", config(80), vec![])]);
    let built = build(
        &settings,
        &with_rival,
        &Ids::new(),
        &before.accepted,
        &HeldBack::new(),
        &BTreeSet::new(),
    );
    let names: Vec<_> = built.accepted.keys().map(Namespace::as_str).collect();
    assert_eq!(names, ["web.main"]);
    assert_eq!(built.refused[0].what, "aaa.main");
    assert!(built.refused[0].reason.contains("web.main"), "{:?}", built.refused);
    let statistics = simply(&catalog([("web.main", config(3212), vec![])]));
    assert!(statistics.model.namespaces.is_empty());
}

#[test]
fn a_port_of_another_process_is_left_to_it() {
    let before = simply(&catalog([("moves.main", config(80), vec![])]));
    let next = catalog([("moves.main", config(81), vec![]), ("new.main", config(81), vec![])]);
    let taken = BTreeSet::from([81]);
    let built =
        build(&Settings::default(), &next, &Ids::new(), &before.accepted, &HeldBack::new(), &taken);
    assert_eq!(built.accepted, before.accepted, "who had another port keeps it");
    assert_eq!(built.refused.len(), 2);
    assert!(built.refused[0].reason.contains("another process"), "{:?}", built.refused);
}

#[test]
fn a_namespace_that_cannot_be_rendered_keeps_its_last_good_settings_and_new_servers() {
    let before = simply(&catalog([("web.main", config(80), vec![])]));
    let broken = NamespaceConfig {
        extra_headers: [("X-A".to_owned(), "a\nb".to_owned())].into_iter().collect(),
        ..config(81)
    };
    let next =
        catalog([("other.main", config(82), vec![]), ("web.main", broken, vec![server("a", 1)])]);
    let built = build(
        &Settings::default(),
        &next,
        &Ids::new(),
        &before.accepted,
        &HeldBack::new(),
        &BTreeSet::new(),
    );
    let web = &built.model.namespaces[1];
    assert_eq!(web.frontend.as_ref().unwrap().bind.port(), 80);
    assert_eq!((web.backends[0].servers.len(), built.model.namespaces.len()), (1, 2));
    assert!(built.refused[0].reason.contains("control characters"), "{:?}", built.refused);
    let without_history = simply(&next);
    assert_eq!(without_history.model.namespaces.len(), 1);
}

#[test]
fn a_pool_of_mode_https_is_checked_over_tls_and_otherwise_like_http() {
    let https = NamespaceConfig { mode: Mode::Https, ..config(80) };
    let built = simply(&catalog([("web.main", https, vec![server("a", 1)])]));
    let namespace = &built.model.namespaces[0];
    assert_eq!((namespace.mode, namespace.check.observe), ("http", "layer4"));
    assert!(namespace.check.uri.starts_with("/https/web.main/0/"), "{}", namespace.check.uri);
}

#[test]
fn a_server_that_could_break_out_of_its_line_is_left_out() {
    let bad_name = |name: &str| catalog::Server { name: name.to_owned(), ..server("x", 1) };
    let servers = vec![
        server("good", 1),
        bad_name("a b"),
        bad_name("a\n\tserver evil 6.6.6.6:1"),
        bad_name(""),
        bad_name("a/b"),
        catalog::Server { weight: Some(257), ..server("heavy", 2) },
        catalog::Server { address: "0.0.0.0:80".parse().unwrap(), ..server("nowhere", 3) },
        server("good", 1),
    ];
    let built = simply(&catalog([("web.main", config(1), servers)]));
    assert_eq!(built.model.namespaces[0].backends[0].servers.len(), 1);
    assert_eq!(built.refused.len(), 7);
}

#[test]
fn a_socket_path_that_haproxy_could_not_bind_is_left_out() {
    let name = format!("{}.main", "w".repeat(80));
    let built = simply(&catalog([(name.as_str(), config(1), vec![])]));
    assert_eq!(built.model.namespaces[0].frontend.as_ref().unwrap().socket, None);
    assert_eq!(built.refused.len(), 2);
    assert_eq!(objections(&text(&built.model)), "");
}

#[test]
fn headers_that_haproxy_treats_specially_load() {
    let headers: IndexMap<_, _> =
        ["Host", "Connection", "Content-Length", "Transfer-Encoding", "X-Haproxy-Server-State"]
            .map(|name| (name.to_owned(), "1".to_owned()))
            .into();
    let config = NamespaceConfig {
        extra_headers: headers.clone(),
        extra_healthcheck_headers: headers,
        ..config(1)
    };
    assert_eq!(objections(&text(&simply(&catalog([("web.main", config, vec![])])).model)), "");
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zA-Z0-9/_.-]{1,8}",
        2 => "[ \"'\\\\$%#{}\\[\\]();,&|~!*+=<>?^`@:]{1,4}",
        1 => "\\PC{1,3}",
        1 => prop_oneof![Just("\n\tuser root\n"), Just("\r\n"), Just("%[env(HOME)]"), Just("${HOME}")]
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn headers() -> impl Strategy<Value = IndexMap<String, String>> {
    let name =
        prop_oneof![4 => "[a-zA-Z-]{1,10}", 1 => "[!#$%&'*+.^_`|~a-z-]{1,6}", 1 => hostile()];
    proptest::collection::vec((name, hostile()), 0..4).prop_map(IndexMap::from_iter)
}

fn any_config() -> impl Strategy<Value = NamespaceConfig> {
    let timeout = || proptest::option::of(any::<u64>().prop_map(Duration::from_millis));
    let mode = prop_oneof![4 => Just(Mode::Http), 1 => Just(Mode::Https), 4 => Just(Mode::Tcp)];
    let balance = prop_oneof![Just(None), Just(Some(Balance::Leastconn))];
    let uri = prop_oneof!["/[a-z%?=&]{0,10}", hostile()];
    let timeouts = (timeout(), timeout(), timeout());
    let path = prop_oneof!["/[a-z]{1,8}", "/[ -~]{0,8}", hostile()];
    let endpoints = proptest::collection::vec((path, 1_u64..100_000), 0..3);
    let through = prop_oneof![Just(None), Just(Some("s0.main")), Just(Some("no.where"))];
    let routes = (endpoints, through, any::<bool>());
    let rest = (mode, balance, uri, headers(), headers(), any::<bool>(), routes);
    (any::<u16>(), timeouts, any::<Option<u16>>(), rest).prop_map(
        |(port, (connect, server, client), retries, rest)| NamespaceConfig {
            timeout_connect: connect,
            timeout_server: server,
            timeout_client: client,
            retries,
            mode: rest.0,
            balance: rest.1,
            healthcheck_uri: rest.2,
            extra_headers: rest.3,
            extra_healthcheck_headers: rest.4,
            keepalive: rest.5,
            endpoint_timeouts: rest
                .6
                .0
                .into_iter()
                .map(|(path, ms)| (path, Duration::from_millis(ms)))
                .collect(),
            proxied_through: rest.6.1.map(|name| name.parse().unwrap()),
            is_proxy: rest.6.2,
            ..config(port)
        },
    )
}

/// The model with harmless texts in place of all that YAML says.
fn harmless(mut model: Model) -> Model {
    for section in &mut model.namespaces {
        section.check.uri = "/x".to_owned();
        section.check.status_path = "/x".to_owned();
        let headers = section.request_headers.iter_mut().chain(&mut section.check.headers);
        for header in headers {
            *header = Header { name: "X".to_owned(), value: "x".to_owned() };
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_from_yaml_can_add_a_line_or_stop_a_reload(
        configs in proptest::collection::vec(any_config(), 1..12),
    ) {
        let names: Vec<_> = (0..configs.len()).map(|at| format!("s{at}.main")).collect();
        let pools = names.iter().zip(configs).map(|(name, config)| {
            (name.as_str(), config, vec![server("a", 1)])
        });
        let model = simply(&catalog(pools)).model;
        let rendered = text(&model);
        prop_assert_eq!(objections(&rendered), "");
        let expected = text(&harmless(model));
        prop_assert_eq!(rendered.lines().count(), expected.lines().count());
    }
}
