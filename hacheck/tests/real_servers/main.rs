//! Every protocol against the real server of Debian's package: what it says when it is well, and
//! that it is down when it is not.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod servers;

use std::{sync::Arc, time::Duration};

use end_to_end::eventually;
use hacheck::{
    cache::Freshness,
    checks::{CheckRequest, Checker, Kind, Outcome},
    names::Host,
    settings::{CheckSettings, Login, Secret},
};
use tokio::runtime::Handle;

use self::servers::Server;

fn checker(settings: &CheckSettings) -> Checker {
    Checker::new(settings, Handle::current())
}

fn login(user: &str, password: &str) -> Option<Login> {
    Some(Login { user: user.into(), password: Secret::new(password) })
}

async fn ask(checker: &Checker, kind: Kind, port: u16, path: &str) -> Arc<Outcome> {
    let request = CheckRequest {
        kind,
        service: "svc.main".parse().unwrap(),
        host: Host::Local,
        port,
        path_and_query: path.parse().unwrap(),
        headers: Vec::new(),
        login: None,
    };
    checker.check(&request, Freshness::Now, None).await
}

/// Waits until the check is answered so: servers listen before they are ready.
async fn becomes(checker: &Checker, kind: Kind, port: u16, path: &str, expected: (u16, &str)) {
    eventually(&format!("{kind:?} {path} is answered by {expected:?}"), || async move {
        let outcome = ask(checker, kind, port, path).await;
        let body = String::from_utf8_lossy(&outcome.body).into_owned();
        let right = outcome.code == expected.0 && body.starts_with(expected.1);
        if right { Ok(()) } else { Err((outcome.code, body)) }
    })
    .await;
}

#[tokio::test]
async fn nginx_answers_over_http_tls_and_http_2() {
    let nginx = Server::nginx();
    let checker = checker(&CheckSettings::default());
    for (kind, port) in [(Kind::Http, 0), (Kind::Https, 1), (Kind::H2c, 2)] {
        let port = nginx.ports[port].number;
        becomes(&checker, kind, port, "/status", (200, "well\n")).await;
        becomes(&checker, kind, port, "/status?x=1", (200, "well\n")).await;
        becomes(&checker, kind, port, "/sick", (503, "")).await;
        becomes(&checker, kind, port, "/none", (404, "")).await;
    }
    let (plain, tls) = (nginx.ports[0].number, nginx.ports[1].number);
    becomes(&checker, Kind::Https, plain, "/status", (599, "no TLS connection: ")).await;
    becomes(&checker, Kind::H2c, plain, "/status", (599, "no valid HTTP/2 answer: ")).await;
    becomes(&checker, Kind::Http, tls, "/status", (400, "")).await;
    // nginx counts the connections it has taken.
    let connections = |text: &str| -> usize {
        let line = text.lines().nth(2).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = ask(&checker, Kind::Http, plain, "/count").await;
    for _ in 0..20 {
        ask(&checker, Kind::Https, tls, "/status").await;
        ask(&checker, Kind::Http, plain, "/status").await;
    }
    let after = ask(&checker, Kind::Http, plain, "/count").await;
    let [before, after] = [before, after].map(|o| connections(&String::from_utf8_lossy(&o.body)));
    assert!(after - before <= 1, "{} connections for 40 checks", after - before);
}

#[tokio::test]
async fn openssl_with_a_certificate_of_nobody_and_a_weak_key_is_taken() {
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::openssl(version);
        let checker = checker(&CheckSettings::default());
        becomes(&checker, Kind::Https, server.ports[0].number, "/", (200, "<HTML>")).await;
    }
}

#[tokio::test]
async fn redis_is_up_with_the_right_password_only() {
    let redis = Server::redis("s3cret");
    let port = redis.ports[0].number;
    let with = |redis| checker(&CheckSettings { redis, ..CheckSettings::default() });
    becomes(&with(login("", "s3cret")), Kind::Redis, port, "/", (200, "PONG")).await;
    becomes(&with(login("default", "s3cret")), Kind::Redis, port, "/", (200, "PONG")).await;
    let refused = (503, "AUTH was answered by `-WRONGPASS");
    becomes(&with(login("", "wrong")), Kind::Redis, port, "/", refused).await;
    let refused = (503, "PING was answered by `-NOAUTH");
    becomes(&with(None), Kind::Redis, port, "/", refused).await;
}

#[tokio::test]
async fn mariadb_is_up_with_the_right_password_only() {
    let mariadb = Server::mariadb("check", "s3cret");
    let port = mariadb.ports[0].number;
    let with = |mysql| checker(&CheckSettings { mysql, ..CheckSettings::default() });
    let good = (200, "MySQL connect response: OK");
    becomes(&with(login("check", "s3cret")), Kind::Mysql, port, "/", good).await;
    let refused = (500, "MySQL sez 1045 ");
    becomes(&with(login("check", "wrong")), Kind::Mysql, port, "/", refused).await;
    becomes(&with(login("nobody", "")), Kind::Mysql, port, "/", refused).await;
}

#[tokio::test]
async fn rabbitmq_is_up_when_a_message_comes_out_again() {
    let rabbitmq = Server::rabbitmq();
    let port = rabbitmq.ports[0].number;
    let with = |rabbitmq| checker(&CheckSettings { rabbitmq, ..CheckSettings::default() });
    let good = (200, "a message went in and came out");
    becomes(&with(None), Kind::Rabbitmq, port, "/", good).await;
    becomes(&with(login("guest", "guest")), Kind::Rabbitmq, port, "/", good).await;
    let refused = (503, "RabbitMQ says 403 ACCESS_REFUSED");
    becomes(&with(login("guest", "wrong")), Kind::Rabbitmq, port, "/", refused).await;
}

#[tokio::test]
async fn a_mail_server_is_up_when_it_says_goodbye() {
    let smtp = Server::smtp();
    let checker = checker(&CheckSettings::default());
    becomes(&checker, Kind::Smtp, smtp.ports[0].number, "/", (200, "Connected in ")).await;
}

#[tokio::test]
async fn grpcs_own_server_is_up_when_it_is_serving() {
    let grpc = Server::grpc();
    let port = grpc.ports[0].number;
    let checker = checker(&CheckSettings::default());
    becomes(&checker, Kind::Grpc, port, "/", (200, "SERVING")).await;
    becomes(&checker, Kind::Grpc, port, "/?service=good", (200, "SERVING")).await;
    becomes(&checker, Kind::Grpc, port, "/?service=bad", (503, "NOT_SERVING")).await;
    let unknown = (503, "the service `none` is not known there");
    becomes(&checker, Kind::Grpc, port, "/?service=none", unknown).await;
}

#[tokio::test]
async fn a_server_that_is_stopped_in_its_tracks_is_down_after_the_timeout_and_comes_back() {
    let nginx = Server::nginx();
    let timeout = Duration::from_millis(500);
    let checker = checker(&CheckSettings { timeout, ..CheckSettings::default() });
    let port = nginx.ports[0].number;
    becomes(&checker, Kind::Http, port, "/status", (200, "well\n")).await;
    nginx.signal("STOP");
    becomes(&checker, Kind::Http, port, "/status", (599, "no answer after 0.50s")).await;
    nginx.signal("CONT");
    becomes(&checker, Kind::Http, port, "/status", (200, "well\n")).await;
}
