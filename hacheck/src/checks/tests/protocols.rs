//! Every other protocol, with services that follow a script. The real servers are asked by the
//! end-to-end tests.

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use hyper::{HeaderMap, Response};

use super::*;
use crate::settings::Secret;

/// A service that says `greeting`, then answers each line that contains a word by the text beside it.
async fn lines(greeting: &'static str, answers: &'static [(&str, &str)]) -> Service {
    Service::silent(move |mut stream| async move {
        let _ = stream.write_all(greeting.as_bytes()).await;
        let mut line = String::new();
        while let Ok(byte) = stream.read_u8().await {
            line.push(char::from(byte));
            if byte == b'\n' {
                if let Some((_, answer)) = answers.iter().find(|(word, _)| line.contains(word)) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                line.clear();
            }
        }
    })
    .await
}

async fn ask(kind: Kind, port: u16) -> (u16, String) {
    let outcome = check(&request(kind, port, "/")).await;
    (outcome.code, String::from_utf8_lossy(&outcome.body).into_owned())
}

#[tokio::test]
async fn smtp_wants_a_greeting_and_a_proper_end() {
    let good = lines("220 mail\r\n", &[("QUIT", "221 bye\r\n")]).await;
    let (code, text) = ask(Kind::Smtp, good.port).await;
    assert!(code == 200 && text.starts_with("Connected in 0."), "{code} {text}");
    let wordy = lines("220-mail\r\n220 hello\r\n", &[("QUIT", "221-so\r\n221 long\r\n")]).await;
    assert_eq!(ask(Kind::Smtp, wordy.port).await.0, 200);
    let odd = lines("220 mail\r\n", &[("QUIT", "502 what\r\n")]).await;
    let expected = "Got unexpected QUIT response b'502 what\\r\\n'".to_owned();
    assert_eq!(ask(Kind::Smtp, odd.port).await, (503, expected));
    let gone = Service::silent(|stream| async move { drop(stream) }).await;
    let expected = "Peer unexpectedly closed connection".to_owned();
    assert_eq!(ask(Kind::Smtp, gone.port).await, (503, expected));
}

#[tokio::test]
async fn a_mute_server_of_any_protocol_is_given_up_after_the_timeout() {
    let mute = Service::silent(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let settings = CheckSettings {
        mysql: Some(Login { user: "me".into(), password: Secret::new("x") }),
        timeout: Duration::from_millis(200),
        ..CheckSettings::default()
    };
    let checker = Checker::new(&settings, Handle::current());
    let cases = [
        (Kind::Http, 599, "no answer after 0.20s"),
        (Kind::Https, 599, "no answer after 0.20s"),
        (Kind::H2c, 599, "no answer after 0.20s"),
        (Kind::Grpc, 503, "no answer after 0.20s"),
        (Kind::Smtp, 503, "Connection timed out after 0.20s"),
        (Kind::Mysql, 503, "no answer after 0.20s"),
        (Kind::Redis, 503, "no answer after 0.20s"),
        (Kind::Rabbitmq, 503, "no answer after 0.20s"),
    ];
    for (kind, code, text) in cases {
        let outcome = checker.check(&request(kind, mute.port, "/"), Freshness::Now, None).await;
        assert_eq!((outcome.code, &*outcome.body), (code, text.as_bytes()), "{kind:?}");
        assert!(outcome.timed_out, "{kind:?}");
    }
}

#[tokio::test]
async fn nonsense_and_endless_lines_are_down_for_every_protocol() {
    let nonsense = Service::silent(|mut stream| async move {
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    let login = Some(Login { user: "me".into(), password: Secret::new("x") });
    let settings = CheckSettings { mysql: login, ..CheckSettings::default() };
    let checker = Checker::new(&settings, Handle::current());
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tcp) {
        let outcome = checker.check(&request(kind, nonsense.port, "/"), Freshness::Now, None).await;
        assert!(!outcome.is_healthy(), "{kind:?}: {outcome:?}");
        assert!(outcome.took < settings.timeout, "{kind:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn redis_answers_a_ping_and_says_why_not() {
    let good = lines("", &[("PING", "+PONG\r\n")]).await;
    assert_eq!(ask(Kind::Redis, good.port).await, (200, "PONG".into()));
    let loading = lines("", &[("PING", "-LOADING soon\r\n")]).await;
    let expected = "PING was answered by `-LOADING soon`".to_owned();
    assert_eq!(ask(Kind::Redis, loading.port).await, (503, expected));
}

/// A gRPC server whose every call has this message and these trailers.
async fn grpc(message: &'static [u8], status: &'static str) -> Service {
    Service::silent(move |stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut answer = respond.send_response(Response::new(()), false).unwrap();
            answer.send_data(Bytes::from_static(message), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            answer.send_trailers(trailers).unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn grpc_is_up_when_it_is_serving() {
    let cases: [(&[u8], &str, u16, &str); 5] = [
        (b"\0\0\0\0\x02\x08\x01", "0", 200, "SERVING"),
        (b"\0\0\0\0\x02\x08\x02", "0", 503, "NOT_SERVING"),
        (b"", "5", 503, "the service `` is not known there"),
        (b"", "12", 503, "it does not implement grpc.health.v1.Health"),
        (b"", "14", 503, "the call failed with gRPC status 14"),
    ];
    for (message, status, code, text) in cases {
        let service = grpc(message, status).await;
        assert_eq!(ask(Kind::Grpc, service.port).await, (code, text.to_owned()));
    }
    let http = Service::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (code, text) = ask(Kind::Grpc, http.port).await;
    assert!(code == 503 && text.starts_with("no valid HTTP/2 answer: "), "{code} {text}");
}

/// A gRPC server that treats every call so.
async fn grpc_that(treat: fn(SendResponse<Bytes>)) -> Service {
    Service::silent(move |stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, respond))) = connection.accept().await {
            treat(respond);
        }
    })
    .await
}

#[tokio::test]
async fn grpc_is_answered_by_a_head_alone_and_by_a_stream_that_is_reset() {
    let head_alone = grpc_that(|mut respond| {
        let answer = Response::builder().header("grpc-status", "12").body(()).unwrap();
        respond.send_response(answer, true).unwrap();
    });
    let expected = (503, "it does not implement grpc.health.v1.Health".to_owned());
    assert_eq!(ask(Kind::Grpc, head_alone.await.port).await, expected);
    let reset = grpc_that(|mut respond| respond.send_reset(Reason::REFUSED_STREAM));
    let (code, text) = ask(Kind::Grpc, reset.await.port).await;
    assert!(code == 503 && text.starts_with("no valid HTTP/2 answer: "), "{code} {text}");
}

#[tokio::test]
async fn an_http2_server_that_goes_away_before_it_answers_is_down_at_once_and_after_it_is_not() {
    let leaving = |answers: bool| {
        Service::silent(move |stream| async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let Some(Ok((_, mut respond))) = connection.accept().await else { return };
            if answers {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                connection.graceful_shutdown();
                body.send_data(Bytes::from_static(b"bye"), true).unwrap();
            } else {
                connection.abrupt_shutdown(Reason::NO_ERROR);
            }
            while connection.accept().await.is_some() {}
        })
    };
    assert_eq!(ask(Kind::H2c, leaving(true).await.port).await, (200, "bye".to_owned()));
    let (code, text) = ask(Kind::H2c, leaving(false).await.port).await;
    assert!(code == 599 && text.starts_with("no valid HTTP/2 answer"), "{code} {text}");
}

#[tokio::test]
async fn h2c_passes_on_code_and_body() {
    let service = Service::silent(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let status = if request.uri().path() == "/up" { 200 } else { 404 };
            let answer = Response::builder().status(status).body(()).unwrap();
            let mut answer = respond.send_response(answer, false).unwrap();
            let path = request.uri().path_and_query().unwrap().as_str().to_owned();
            answer.send_data(path.into(), true).unwrap();
        }
    })
    .await;
    for (path, code) in [("/up?x=%20", 200), ("/down", 404)] {
        let outcome = check(&request(Kind::H2c, service.port, path)).await;
        assert_eq!((outcome.code, &*outcome.body), (code, path.as_bytes()));
    }
}

#[tokio::test]
async fn a_service_that_speaks_plain_http_on_https_is_down_at_once() {
    let plain = Service::silent(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let (code, text) = ask(Kind::Https, plain.port).await;
    assert!(code == 599 && text.starts_with("no TLS connection: "), "{code} {text}");
}

#[tokio::test]
async fn mysql_without_a_login_in_the_settings_is_not_asked() {
    let service = Service::silent(|stream| async move { drop(stream) }).await;
    let (code, text) = ask(Kind::Mysql, service.port).await;
    assert_eq!((code, &*text), (500, "No MySQL username/pasword in config file"));
    assert_eq!(service.connections(), 0);
}

/// A broker that answers what a client says, in turn, by these frames.
async fn broker(answers: &'static [&'static [u8]]) -> Service {
    Service::silent(move |mut stream| async move {
        for answer in answers {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_broker_that_refuses_is_down_with_its_reason_and_one_that_is_none_with_what_it_says() {
    const START: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xce";
    const NO: &[u8] = b"\x01\0\0\0\0\0\x0d\0\x0a\0\x32\x01\x93\x02no\0\0\0\0\xce";
    let refused = broker(&[START, NO]).await;
    assert_eq!(ask(Kind::Rabbitmq, refused.port).await, (503, "RabbitMQ says 403 no".to_owned()));
    let other = broker(&[b"AMQP\x03\x01\0\0"]).await;
    let (code, text) = ask(Kind::Rabbitmq, other.port).await;
    assert!(code == 503 && text.starts_with("not a frame of AMQP 0-9-1: `AMQP"), "{text}");
    let unended = broker(&[b"\x01\0\0\0\0\0\x04\0\x0a\0\x0a\0"]).await;
    let expected = (503, "a frame of AMQP has no end".to_owned());
    assert_eq!(ask(Kind::Rabbitmq, unended.port).await, expected);
    let endless = broker(&[b"\x01\0\0\xff\xff\xff\xff"]).await;
    let expected = (503, "the answer is longer than 4096 bytes".to_owned());
    assert_eq!(ask(Kind::Rabbitmq, endless.port).await, expected);
}
