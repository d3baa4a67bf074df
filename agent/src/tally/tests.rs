use std::net::UdpSocket;

use prometheus_client::encoding::text::encode;

use super::*;

/// Sends to the returned socket.
pub(crate) fn heard() -> (Tally, UdpSocket) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let statsd = Statsd::open(&receiver.local_addr().unwrap().to_string()).unwrap();
    (Tally::new(statsd), receiver)
}

pub(crate) fn said(tally: &Tally, receiver: &UdpSocket) -> Vec<String> {
    tally.flush();
    let mut packet = [0; 1500];
    let length = receiver.recv(&mut packet).unwrap();
    std::str::from_utf8(&packet[..length]).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_write_has_a_result_a_time_and_the_name_of_its_cluster() {
    let (tally, receiver) = heard();
    let ensemble = Ensemble::of(["zk12.example.org:2181", "zk3.example.org"]).unwrap();
    let took = Duration::from_millis(7);
    let path = "/smartstack/global/web.main/h_0000000001";
    tally.wrote(&ensemble, path, Action::Create, took, false);
    let expected = [
        "nerve.watcher.status.report.count:1|c|#report_result:fail",
        "nerve.reporter.zk.create.elapsed_time:7|ms|#zk_cluster:zk,zk_path:/smartstack/global/web.main",
    ];
    assert_eq!(said(&tally, &receiver), expected);
    let mut registry = Registry::with_prefix("nerve");
    tally.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "nerve_report_results_total{action=\"create\",result=\"fail\"} 1",
        "nerve_zk_write_failures_total{zk_cluster=\"zk\",operation=\"create\"} 1",
        "nerve_zk_operation_duration_seconds_count{zk_cluster=\"zk\",operation=\"create\"} 1",
        "nerve_repeated_report_failures_max 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}
