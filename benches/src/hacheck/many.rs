//! Ten thousand targets, each checked once a second.

use std::time::Duration;

use crate::{
    Failure,
    client::{figures, steadily},
    program::Program,
    say,
};

const TARGETS: usize = 10_000;
const CONNECTIONS: usize = 50;
const WARM_UP: Duration = Duration::from_secs(3);
const LASTS: Duration = Duration::from_secs(10);

/// The service is on every address of 127.0.0.0/8, so each target is another address.
const SETTINGS: &str = "cache_time: 0.9\ntargets: [127.0.0.0/8]\n";

pub(crate) async fn measure() -> Result<(), Failure> {
    let (hacheck, service) = (Program::hacheck(SETTINGS).await?, Program::own("service").await?);
    let paths: Vec<_> = (0..TARGETS)
        .map(|target| {
            let path = format!("/http/svc{target}/{}/status", service.port.number);
            (path, format!("X-Nerve-Check-IP: 127.1.{}.{}\r\n", target / 250, target % 250 + 1))
        })
        .collect();
    let port = hacheck.port.number;
    let second = Duration::from_secs(1);
    steadily(port, paths.clone(), CONNECTIONS, second, WARM_UP).await?;
    let before = hacheck.spent()?;
    let (times, failed) = steadily(port, paths, CONNECTIONS, second, LASTS).await?;
    let cores = hacheck.spent()?.cores_since(before);
    say(&format!(
        "\n  {TARGETS} targets, each checked once a second: {} checks, {failed} failed\n    {cores:.2} \
         processors, {:.1} MiB resident\n    milliseconds (median, p99, worst): {}\n",
        times.len(),
        hacheck.resident_mib()?,
        figures(times)
    ))
}
