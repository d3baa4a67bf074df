//! Checks and monitoring documents over HTTP.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_as_before() {
    let host = Host::start(Settings::default()).await;
    let not_found = "<html><title>404: Not Found</title><body>404: Not Found</body></html>";
    let not_allowed = "<html><title>405: Method Not Allowed</title>\
                       <body>405: Method Not Allowed</body></html>";
    for path in ["/", "/http/svc/80", "/https/svc/80", "/recent/", "/http/a%20b/80/x"] {
        assert_eq!(host.get(path).await, owned(404, not_found), "{path}");
    }
    let cases = [
        ("HEAD", "/http/svc/80/x"),
        ("OPTIONS", "/http/svc/80/x"),
        ("POST", "/tcp/svc/80"),
        ("DELETE", "/spool/svc/80"),
        ("POST", "/status"),
    ];
    for (method, path) in cases {
        let answer = host.ask(Ask { method, path, ..Ask::default() }).await;
        assert_eq!(answer.content_type, "text/html; charset=UTF-8");
        assert!(answer.server.starts_with("hacheck/"), "{}", answer.server);
        assert_eq!(answer.short(), owned(405, not_allowed), "{method} {path}");
    }
    for path in ["/http/../80/x", "/spool/./80", "/spool/svc/65536", "/tcp/svc/99999999999"] {
        assert_eq!(host.get(path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_check_passes_on_what_the_service_says() {
    let host = Host::start(Settings::default()).await;
    let (healthy, _) = service(OK).await;
    let answer =
        host.ask(Ask { path: &format!("/http/svc/{healthy}/status"), ..Ask::default() }).await;
    assert_eq!(answer.content_type, "text/html; charset=UTF-8");
    assert_eq!(answer.short(), owned(200, "fine"));
    let (status, text) = host.get(&format!("/tcp/svc/{healthy}")).await;
    assert!(status == 200 && text.starts_with("Connected in 0."), "{status} {text}");
    let (odd, _) = service("HTTP/1.1 420 Calm\r\nContent-Length: 2\r\n\r\nno").await;
    assert_eq!(host.get(&format!("/http/svc/{odd}/")).await, owned(503, "no"));
    let recent = host.get("/recent").await.1;
    assert!(recent.contains(r#"["svc",{"code":420,"remote_ip":"127.0.0.1","ts":"#), "{recent}");
}

#[tokio::test]
async fn the_service_is_asked_for_the_path_as_received_with_the_copied_headers() {
    let mode = HeaderName::from_static("x-mode");
    let settings = Settings {
        http_headers_to_copy: vec![header::HOST, mode],
        service_name_header: Some(HeaderName::from_static("x-service")),
        ..Settings::default()
    };
    let host = Host::start(settings).await;
    let (port, asked) = service(OK).await;
    let path = format!("/http/svc.main/{port}/a%20b//%2F?c=%26");
    let headers = &[("host", "h:6666"), ("x-mode", "ro"), ("x-mode", "rw"), ("x-other", "1")];
    assert_eq!(host.ask(Ask { path: &path, headers, ..Ask::default() }).await.status, 200);
    let expected = format!(
        "GET /a%20b//%2F?c=%26 HTTP/1.1\r\nuser-agent: hastate {}\r\nhost: h:6666\r\n\
         x-mode: ro,rw\r\nx-service: svc.main\r\nconnection: keep-alive\r\n\r\n",
        crate::VERSION
    );
    assert_eq!(*asked.borrow(), [expected]);
    for (rest, seen) in [("/status", "/status"), ("", "/"), ("x?", "/x"), ("//x", "//x")] {
        host.get(&format!("/http/svc.main/{port}/{rest}")).await;
        let last = asked.borrow().last().unwrap().clone();
        assert!(last.starts_with(&format!("GET {seen} HTTP/1.1\r\n")), "{rest}: {last}");
    }
}

#[tokio::test]
async fn nerve_and_haproxy_share_one_check_and_no_cache_makes_another() {
    let mut settings = Settings::default();
    settings.checks.cache_time = Duration::from_secs(60);
    let host = Host::start(settings).await;
    let (port, asked) = service(OK).await;
    let nerve = format!("/http/svc.main/{port}/status");
    let nerve_headers = &[("host", "127.0.0.1:6666"), ("x-nerve-check-ip", "10.0.0.7")];
    let state = format!("UP 1/3; address=10.0.0.7; port={port}; name=svc.main/x; qcur=0");
    let haproxy_headers = &[("x-haproxy-server-state", &*state)];
    let nerve = Ask { path: &nerve, headers: nerve_headers, ..Ask::default() };
    let haproxy =
        Ask { path: "/http/svc.main/0/status", headers: haproxy_headers, ..Ask::default() };
    assert_eq!(host.ask(nerve).await.status, 200);
    assert_eq!(host.ask(haproxy).await.status, 200);
    assert_eq!(asked.borrow().len(), 1);
    for (pragma, checks) in [("No-Cache", 1), ("no-cache", 2)] {
        let headers = &[("pragma", pragma)];
        assert_eq!(host.ask(Ask { headers, ..nerve }).await.status, 200);
        assert_eq!(asked.borrow().len(), checks, "{pragma}");
    }
    let status = host.get("/status").await.1;
    assert!(status.contains(r#""cache":{"expirations":1,"sets":2,"gets":4,"hits":2,"misses":2}"#));
    assert!(status.contains(r#""outbound_request_queue_size":0"#), "{status}");
}

#[tokio::test]
async fn a_marked_instance_is_down_by_whatever_address_of_this_host_and_is_not_asked() {
    let host = Host::start(Settings::default()).await;
    let (port, asked) = service(OK).await;
    host.mark(&format!("svc:{port}"), "Drained by Paasta").await;
    let text = "Service svc in down state since 7.000000: Drained by Paasta";
    for address in ["", "127.0.0.1", "::1", "10.0.0.7"] {
        let headers = &[("x-nerve-check-ip", address)];
        for path in ["http/svc", "tcp/svc", "spool/svc"] {
            let path = format!("/{path}/{port}/status");
            let answer = host.ask(Ask { path: &path, headers, ..Ask::default() }).await;
            assert_eq!(answer.short(), owned(503, text), "{path} {address}");
        }
    }
    assert_eq!(host.get(&format!("/spool/other/{port}")).await, owned(200, ""));
    host.mark("all", "kernel").await;
    let expected = owned(503, "Service all in down state since 7.000000: kernel");
    assert_eq!(host.get(&format!("/spool/other/{port}")).await, expected);
    assert!(asked.borrow().is_empty());
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_refused_and_the_answer_says_why() {
    let settings =
        Settings { target_networks: vec!["127.0.0.2".parse().unwrap()], ..Settings::default() };
    let host = Host::start(settings).await;
    let (port, asked) = service(OK).await;
    let cases = [
        ("x-nerve-check-ip", "169.254.169.254".to_owned(), 403),
        ("x-nerve-check-ip", "example.com".to_owned(), 403),
        ("x-haproxy-server-state", format!("UP; address=203.0.113.9; port={port}"), 403),
        ("x-haproxy-server-state", "UP; port=x".to_owned(), 500),
        // Nobody listens there, but we may try.
        ("x-nerve-check-ip", "127.0.0.2".to_owned(), 503),
    ];
    for (name, value, status) in cases {
        let path = format!("/tcp/svc/{port}");
        let headers = &[(name, &*value)];
        let answer = host.ask(Ask { path: &path, headers, ..Ask::default() }).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.body);
        assert!(!answer.body.is_empty());
    }
    assert!(asked.borrow().is_empty());
}

#[tokio::test]
async fn long_documents_are_not_written_where_other_requests_wait_for_their_answers() {
    let host = Host::start(Settings::default()).await;
    let is_at_once = |path: &str| {
        let request = Request::builder().uri(path).body(Full::<Bytes>::default()).unwrap();
        matches!(host.hacheck.handle(Peer::Unix, request), Either::Left(_))
    };
    for path in ["/spool/svc/80", "/status", "/metrics", "/nothing"] {
        assert!(is_at_once(path), "{path}");
    }
    for path in ["/recent", "/status/count"] {
        assert!(!is_at_once(path), "{path}");
        assert_eq!(host.get(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn recent_takes_a_threshold() {
    let host = Host::start(Settings::default()).await;
    host.get("/spool/svc/80").await;
    let nobody = r#"{"seen_services":[],"threshold_seconds":-5}"#;
    assert_eq!(host.get("/recent?threshold=-5").await, owned(200, nobody));
    assert_eq!(host.get("/recent?threshold=x").await.0, 500);
    let answer = host.ask(Ask { path: "/recent?threshold=9", ..Ask::default() }).await;
    assert_eq!(answer.content_type, "application/json; charset=UTF-8");
    assert!(answer.body.ends_with(r#"}]],"threshold_seconds":9}"#), "{}", answer.body);
}

#[tokio::test]
async fn haproxys_own_request_is_answered_on_the_wire() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let (port, _) = service(OK).await;
    let answer = exchange(
        address,
        &format!(
            "GET /http/svc.main/0/status HTTP/1.0\r\nx-haproxy-server-state: UP 1/3; \
             address=10.0.0.7; port={port}; name=svc.main/srv1; node=host1; weight=1/11; \
             scur=0/0; qcur=0\r\n\r\n"
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nfine"), "{answer}");
    for status in ["204 No Content", "304 Not Modified"] {
        let text: &'static str = match status {
            "204 No Content" => "HTTP/1.1 204 No Content\r\n\r\n",
            _ => "HTTP/1.1 304 Not Modified\r\n\r\n",
        };
        let (port, _) = service(text).await;
        let request =
            format!("GET /http/svc/{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(!answer.contains("content-length"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_the_client_has_already_is_not_sent_again() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let (port, _) = service(OK).await;
    let tag = etag::of(b"fine").unwrap();
    for path in [format!("/http/svc/{port}/status"), "/spool/svc/80".into(), "/status/count".into()]
    {
        let get = |more: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{more}\r\n");
        let first = exchange(address, &get("")).await;
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
        let line = first.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        if path.starts_with("/http") {
            assert_eq!(line, tag.to_str().unwrap());
        }
        if path.starts_with("/status") {
            continue;
        }
        let second = exchange(address, &get(&format!("If-None-Match: \"0\", {line}\r\n"))).await;
        assert!(second.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{second}");
        assert!(second.ends_with("\r\n\r\n"), "{second}");
    }
}

#[tokio::test]
async fn a_container_of_this_host_may_be_named_and_is_marked_by_its_own_address() {
    let host = Host::start(Settings::default()).await;
    host.mark("svc:10.7.0.2:8888", "drain").await;
    let spool = |address| {
        let headers: &[(&str, &str)] = match address {
            "10.7.0.2" => &[("x-nerve-check-ip", "10.7.0.2")],
            _ => &[("x-nerve-check-ip", "10.7.0.3")],
        };
        Ask { path: "/spool/svc/8888", headers, ..Ask::default() }
    };
    let marked = owned(503, "Service svc in down state since 7.000000: drain");
    assert_eq!(host.ask(spool("10.7.0.2")).await.short(), marked);
    assert_eq!(host.ask(spool("10.7.0.3")).await.status, 403, "no container of this host");
    assert_eq!(host.get("/spool/svc/8888").await, owned(200, ""), "another instance");
}
