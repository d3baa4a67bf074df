//! What dashboards read.

use super::*;

/// The metrics whose lines begin so, by what follows.
async fn metrics(host: &Host, name: &str) -> Vec<String> {
    let answer = host.ask(Ask { path: "/metrics", ..Ask::default() }).await;
    assert_eq!(answer.status, 200);
    assert!(answer.content_type.starts_with("application/openmetrics-text; "));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix(name));
    lines.filter(|rest| !rest.ends_with(" 0")).map(str::to_owned).collect()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_by_what_came_of_them() {
    let host = Host::start(Settings::default()).await;
    let (port, _) = service(OK).await;
    let (sick, _) = service("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    for _ in 0..3 {
        host.get(&format!("/http/svc/{port}/status")).await;
    }
    host.get(&format!("/http/sick/{sick}/status")).await;
    host.get(&format!("/tcp/svc/{port}")).await;
    host.mark("svc:99", "drain").await;
    host.get("/tcp/svc/99").await;
    host.get("/spool/svc/99").await;
    host.get("/spool/svc/98").await;
    host.post("/spool/svc/97", "status=down&reason=x").await;
    host.post("/spool/svc/97", "status=sideways").await;
    host.get("/status").await;
    host.get("/nothing").await;
    let mut requests = metrics(&host, "hacheck_requests_total{").await;
    requests.sort();
    let expected = [
        r#"route="document",outcome="up"} 1"#,
        r#"route="http",outcome="down"} 1"#,
        r#"route="http",outcome="up"} 3"#,
        r#"route="mark",outcome="refused"} 1"#,
        r#"route="mark",outcome="up"} 1"#,
        r#"route="spool",outcome="marked"} 1"#,
        r#"route="spool",outcome="up"} 1"#,
        r#"route="tcp",outcome="marked"} 1"#,
        r#"route="tcp",outcome="up"} 1"#,
        r#"route="unknown",outcome="refused"} 1"#,
    ];
    assert_eq!(requests, expected);
    assert_eq!(metrics(&host, "hacheck_marks").await, [" 2"]);
}

#[tokio::test]
async fn checks_and_their_cache_are_counted_and_timed() {
    let host = Host::start(Settings::default()).await;
    let (port, _) = service(OK).await;
    for _ in 0..4 {
        host.get(&format!("/http/svc/{port}/status")).await;
    }
    let (path, hits) = (format!("/http/svc/{port}/other"), "hacheck_cache_hits_total");
    let (one, two) = tokio::join!(host.get(&path), host.get(&path));
    assert_eq!((one.0, two.0), (200, 200));
    assert_eq!(metrics(&host, hits).await, [" 4"], "three from memory, and one that waited");
    assert_eq!(metrics(&host, "hacheck_cache_coalesced_total").await, [" 1"]);
    assert_eq!(metrics(&host, "hacheck_cache_misses_total").await, [" 2"]);
    let healthy = r#"kind="http",outcome="healthy"} 2"#;
    assert_eq!(metrics(&host, "hacheck_checks_total{").await, [healthy]);
    let timed = r#"kind="http"} 2"#;
    assert_eq!(metrics(&host, "hacheck_check_duration_seconds_count{").await, [timed]);
}
