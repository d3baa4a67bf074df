//! Metrics to a DogStatsD agent over UDP, for fleets whose dashboards live there.
//!
//! A lost packet is a lost number and nothing else: no error of the network reaches the caller.

use std::{
    io,
    net::{ToSocketAddrs, UdpSocket},
    sync::Arc,
    time::Duration,
};

use cadence::{BufferedUdpMetricSink, prelude::*};

/// Sends metrics, or drops them where nobody wants any. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Statsd(Option<Arc<cadence::StatsdClient>>);

/// Names and values of tags; both ours or checked, so that no text can end a line.
pub type Tags<'a> = [(&'a str, &'a str)];

impl Statsd {
    /// Sends to `host:port`.
    ///
    /// # Errors
    /// When the name does not resolve or no socket can be had.
    pub fn open(target: &str) -> io::Result<Self> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
        let target = target.to_socket_addrs()?.next().ok_or_else(unknown)?;
        let here: std::net::SocketAddr =
            if target.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(here)?;
        socket.set_nonblocking(true)?;
        let sink = BufferedUdpMetricSink::from(target, socket).map_err(io::Error::other)?;
        let client = cadence::StatsdClient::builder("", sink).with_error_handler(|_| {}).build();
        Ok(Self(Some(Arc::new(client))))
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds to a counter.
    pub fn count(&self, name: &str, tags: &Tags<'_>) {
        let Some(client) = &self.0 else { return };
        tagged(client.count_with_tags(name, 1_u64), tags);
    }

    /// Notes how long something took.
    pub fn time(&self, name: &str, took: Duration, tags: &Tags<'_>) {
        let Some(client) = &self.0 else { return };
        tagged(client.time_with_tags(name, took), tags);
    }

    pub fn gauge(&self, name: &str, value: u64, tags: &Tags<'_>) {
        let Some(client) = &self.0 else { return };
        tagged(client.gauge_with_tags(name, value), tags);
    }

    /// Sends what waits for a full packet.
    pub fn flush(&self) {
        if let Some(client) = &self.0 {
            // The next flush is as good.
            let _ = client.flush();
        }
    }
}

fn tagged<'m, T: cadence::Metric + From<String>>(
    mut metric: cadence::MetricBuilder<'m, '_, T>,
    tags: &'m Tags<'m>,
) {
    for (name, value) in tags {
        metric = metric.with_tag(name, value);
    }
    metric.send();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_arrive_as_dogstatsd_reads_them() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let statsd = Statsd::open(&receiver.local_addr().unwrap().to_string()).unwrap();
        statsd.count("nerve.start", &[]);
        statsd.count("nerve.watcher.start", &[("service_name", "web.main")]);
        statsd.time("nerve.x.elapsed_time", Duration::from_millis(7), &[("a", "b"), ("c", "d")]);
        statsd.gauge("nerve.y", 3, &[]);
        statsd.flush();
        let mut packet = [0; 1500];
        let length = receiver.recv(&mut packet).unwrap();
        let lines: Vec<_> = std::str::from_utf8(&packet[..length]).unwrap().lines().collect();
        let expected = [
            "nerve.start:1|c",
            "nerve.watcher.start:1|c|#service_name:web.main",
            "nerve.x.elapsed_time:7|ms|#a:b,c:d",
            "nerve.y:3|g",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn nobody_there_is_no_error() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let statsd = Statsd::open(&gone.to_string()).unwrap();
        for _ in 0..1000 {
            statsd.count("nerve.start", &[]);
        }
        statsd.flush();
        Statsd::default().count("nerve.start", &[]);
    }
}
