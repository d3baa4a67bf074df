//! Marks over HTTP.

use std::fs;

use super::*;
use crate::marks::MarkKey;

#[tokio::test]
async fn a_drained_instance_answers_503_until_the_mark_expires() {
    let host = Host::start(Settings::default()).await;
    let until = UnixTime::now().seconds() + 0.5;
    let form = format!("status=down&expiration={until}&reason=x");
    assert_eq!(host.post("/spool/svc/80/status", &form).await, owned(200, ""));
    assert_eq!(host.get("/spool/svc/80").await.0, 503);
    let mut tables = host.marks.subscribe();
    tables.wait_for(|table| table.is_empty()).await.unwrap();
    assert_eq!(host.get("/spool/svc/80").await, owned(200, ""));
    assert!(UnixTime::now().seconds() > until);
}

#[tokio::test]
async fn marks_are_set_and_removed_by_post() {
    let host = Host::start(Settings::default()).await;
    let down = "status=down&expiration=4102444800.5&creation=7&reason=Drained+by+Paasta";
    let cases = [
        ("/spool/svc.main/31000/status", "svc.main:31000"),
        ("/spool/svc.main/0", "svc.main"),
        ("/spool/all/0/x", "all"),
    ];
    for (path, file) in cases {
        assert_eq!(host.post(path, down).await, owned(200, ""), "{path}");
        let text = fs::read_to_string(host.root.path().join("spool").join(file)).unwrap();
        let expected =
            r#"{"reason": "Drained by Paasta", "expiration": 4102444800.5, "creation": 7.0}"#;
        assert_eq!(text, expected, "{file}");
        let name: MarkKey = file.parse().unwrap();
        let shown = format!(
            "Service {} in down state since 7.000000 until 4102444800.500000: Drained by Paasta",
            name.shown()
        );
        assert_eq!(host.get("/spool/svc.main/31000").await, owned(503, &shown));
        assert_eq!(host.post(path, "status=up").await, owned(200, ""), "{path}");
        assert_eq!(host.post(path, "status=up").await, owned(200, ""), "{path} again");
        assert_eq!(host.get("/spool/svc.main/31000").await, owned(200, ""));
    }
    let query = "/spool/svc.main/31000?status=down&reason=by+query";
    assert_eq!(host.post(query, "").await, owned(200, ""));
    assert_eq!(host.get("/spool/svc.main/31000").await.0, 503);
    let counted = host.get("/status/count").await.1;
    let gets = r#"{"service_access_counts":{"svc.main":{"127.0.0.1":7}}}"#;
    assert_eq!(counted, gets, "posts are not counted");
}

#[tokio::test]
async fn posts_that_say_too_little_or_nonsense_change_nothing() {
    let host = Host::start(Settings::default()).await;
    let cases = [
        ("", 400, "argument `status` is missing"),
        ("status=down", 400, "argument `reason` is missing"),
        ("status=Down&reason=x", 400, "status must be up or down"),
        ("status=down&reason=x&expiration=soon", 500, "argument `expiration` is not a number"),
        ("status=down&reason=x&creation=nan", 500, "argument `creation` is not a number"),
        ("status=down&reason=%ff", 400, "the form cannot be read"),
    ];
    for (body, status, text) in cases {
        assert_eq!(host.post("/spool/svc/80/x", body).await, owned(status, text), "{body}");
    }
    let large = format!("status=down&reason={}", "x".repeat(65 * 1024));
    assert_eq!(host.post("/spool/svc/80/x", &large).await.0, 413);
    assert_eq!(host.post("/spool/../0/x", "status=up").await.0, 400);
    assert!(host.marks.table().is_empty());
}

#[tokio::test]
async fn only_this_host_may_set_marks_unless_others_are_listed() {
    let closed = Host::start(Settings::default()).await;
    let mut settings = Settings::default();
    settings.remote_marks.allow = vec!["10.5.0.0/16".parse().unwrap()];
    let open = Host::start(settings).await;
    let path = "/spool/svc/80/x?status=down&reason=x";
    let post = Ask { method: "POST", path, peer: THERE, ..Ask::default() };
    let refused = owned(403, "remote spool changes are not enabled");
    assert_eq!(closed.ask(post).await.short(), refused);
    assert_eq!(closed.ask(Ask { path: "/spool/svc/80/x", ..post }).await.short(), refused);
    assert!(closed.marks.table().is_empty());
    assert_eq!(open.ask(post).await.short(), owned(200, ""));
    assert_eq!(open.ask(Ask { peer: "10.6.0.1", ..post }).await.short(), refused);
}

#[tokio::test]
async fn a_client_that_is_too_fast_gets_429() {
    let mut settings = Settings::default();
    settings.remote_marks.burst = std::num::NonZeroU32::MIN;
    settings.remote_marks.per_second = std::num::NonZeroU32::MIN;
    let host = Host::start(settings).await;
    assert_eq!(host.post("/spool/svc/80", "status=up").await.0, 200);
    let refused = owned(429, "too many changes of marks from this client");
    assert_eq!(host.post("/spool/svc/80", "status=up").await, refused);
}

#[tokio::test]
async fn a_mark_that_the_disk_refuses_answers_500_says_why_and_holds() {
    let host = Host::start(Settings::default()).await;
    let spool = host.root.path().join("spool");
    fs::rename(&spool, host.root.path().join("aside")).unwrap();
    fs::File::create(&spool).unwrap();
    let (status, text) = host.post("/spool/svc/80", "status=down&reason=x").await;
    assert_eq!(status, 500);
    let expected = format!(
        "cannot write {}/svc:80; the mark is in force but would not survive a restart: \
         Not a directory (os error 20)",
        spool.display()
    );
    assert_eq!(text, expected);
    assert_eq!(host.get("/spool/svc/80").await.0, 503);
}

#[tokio::test]
async fn paastas_drain_works_on_the_wire() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let form = "status=down&expiration=4102444800.25&reason=Drained+by+Paasta";
    let post = format!(
        "POST /spool/svc.main/31000/status HTTP/1.1\r\nHost: 10.0.0.7:6666\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = exchange(address, &post).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let first = host.get("/spool/svc.main/31000/status").await.1;
    assert!(first.starts_with("Service svc.main in down state since "), "{first}");
    assert!(first.ends_with(" until 4102444800.250000: Drained by Paasta"), "{first}");
    exchange(address, &post).await;
    assert_eq!(host.get("/spool/svc.main/31000/status").await, (503, first), "kept its creation");
}
