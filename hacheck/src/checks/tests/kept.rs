//! Connections that are used again.

use super::*;

const KEPT: &str = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n";
const SILENT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";

/// Answers every request on a connection with `head` and the number of the connection, and hangs up
/// after `requests`.
async fn counting(head: &'static str, requests: usize) -> Service {
    let connections = Arc::new(AtomicUsize::new(0));
    Service::start(move |mut stream, _| {
        let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            for request in 1..=requests {
                if request > 1 && read_head(&mut stream).await.is_empty() {
                    return;
                }
                let _ = stream.write_all(format!("{head}no {number}").as_bytes()).await;
            }
        }
    })
    .await
}

/// What the service says to three checks, one after the other.
async fn three(checker: &Checker, service: &Service) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..3 {
        let outcome = checker.check(&service.request("/"), Freshness::Now, None).await;
        assert_eq!(outcome.code, 200, "{outcome:?}");
        said.push(String::from_utf8_lossy(&outcome.body).into_owned());
    }
    said
}

#[tokio::test]
async fn a_connection_is_used_again_where_the_service_says_that_it_may_be() {
    let checker = checker(Duration::from_secs(5));
    let kept = counting(KEPT, usize::MAX).await;
    assert_eq!(three(&checker, &kept).await, ["no 1"; 3]);
    let silent = counting(SILENT, usize::MAX).await;
    assert_eq!(three(&checker, &silent).await, ["no 1", "no 2", "no 3"]);
    let settings = CheckSettings { keep_alive: false, ..CheckSettings::default() };
    let never = Checker::new(&settings, Handle::current());
    let kept = counting(KEPT, usize::MAX).await;
    assert_eq!(three(&never, &kept).await, ["no 1", "no 2", "no 3"]);
}

#[tokio::test]
async fn a_service_that_hangs_up_between_two_checks_is_asked_over_a_new_connection() {
    let checker = checker(Duration::from_secs(5));
    let service = counting(KEPT, 1).await;
    assert_eq!(three(&checker, &service).await, ["no 1", "no 2", "no 3"]);
    let rude = Service::start(|mut stream, _| async move {
        let _ = stream.write_all(format!("{KEPT}nice").as_bytes()).await;
        // Takes the next request on this connection and answers it with an end.
        read_head(&mut stream).await;
    })
    .await;
    assert_eq!(three(&checker, &rude).await, ["nice"; 3]);
    assert_eq!(rude.connections(), 3);
}

#[tokio::test]
async fn a_service_that_dies_is_down_at_once_though_its_connection_was_kept() {
    let checker = checker(Duration::from_secs(5));
    let service = counting(KEPT, usize::MAX).await;
    let request = service.request("/");
    assert!(checker.check(&request, Freshness::Now, None).await.is_healthy());
    drop(service);
    let outcome = checker.check(&request, Freshness::Now, None).await;
    assert!(!outcome.is_healthy(), "{outcome:?}");
}

#[tokio::test]
async fn what_a_service_says_out_of_turn_is_not_taken_for_the_next_answer() {
    let checker = checker(Duration::from_secs(5));
    let service = Service::start(|mut stream, _| async move {
        let two = format!("{KEPT}goodHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(two.as_bytes()).await;
        read_head(&mut stream).await;
    })
    .await;
    assert_eq!(three(&checker, &service).await, ["good"; 3]);
}
