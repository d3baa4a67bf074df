//! Framing as clients of all ages do it (hacheck.md §3, §10).

use super::*;

/// Sends all of `pieces`, each after the answer to the one before has begun, and returns everything
/// that came back.
async fn talk(address: SocketAddr, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut heard = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        stream.write_all(piece.as_bytes()).await.unwrap();
        if place + 1 < pieces.len() {
            let before = heard.len();
            while heard.len() == before {
                assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "it hung up");
            }
        }
    }
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn an_old_client_may_keep_its_connection() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let kept = "GET /spool/svc/80 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let last = "GET /spool/svc/81 HTTP/1.0\r\n\r\n";
    let answers = talk(address, &[kept, kept, last]).await;
    assert_eq!(answers.matches(" 200 OK\r\n").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_form_may_come_in_chunks_in_parts_and_after_a_question() {
    let host = Host::start(Settings::default()).await;
    let address = serve(&host);
    let post = |port: u16, more: &str| {
        format!("POST /spool/svc/{port}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let chunked = post(81, &format!("{form}Transfer-Encoding: chunked\r\n"))
        + "c\r\nstatus=down&\r\n8\r\nreason=x\r\n0\r\n\r\n";
    let parts = "--b\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\ndown\r\n\
                 --b\r\nContent-Disposition: form-data; name=\"reason\"\r\n\r\nx\r\n--b--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
    let multipart = post(82, &format!("{kind}Content-Length: {}\r\n", parts.len())) + parts;
    for request in [chunked, multipart] {
        let answer = talk(address, &[&request]).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{request}: {answer}");
    }
    let asking = post(83, &format!("{form}Content-Length: 20\r\nExpect: 100-continue\r\n"));
    let answer = talk(address, &[&asking, "status=down&reason=x"]).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    for port in 81..=83 {
        assert_eq!(host.get(&format!("/spool/svc/{port}")).await.0, 503, "{port}");
    }
}
