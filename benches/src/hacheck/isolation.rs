//! What a hundred targets that hang do to one that does not, and to `/spool`.

use std::time::Duration;

use tokio::time;

use crate::{
    Failure,
    client::{figures, steadily},
    program::Program,
    say,
};

const HUNG: usize = 100;
/// Each hung target is asked by so many at once.
const ASKERS: usize = 5;
const LASTS: Duration = Duration::from_secs(5);
const SETTINGS: &str = "cache_time: 1\ntargets: [127.0.0.0/8]\n";

pub(crate) async fn measure() -> Result<(), Failure> {
    let hacheck = Program::hacheck(SETTINGS).await?;
    let (service, hung) = (Program::own("service").await?, Program::own("hung").await?);
    let port = hacheck.port.number;
    let healthy = format!("/http/svc/{}/status", service.port.number);
    let fresh = vec![(healthy.clone(), "Pragma: no-cache\r\n".to_owned())];
    let spool = vec![(format!("/spool/svc/{}/status", service.port.number), String::new())];
    let every = Duration::from_millis(10);
    say(&format!("\n  {:52} {:>8} {:>8} {:>8}\n", "milliseconds", "median", "p99", "worst"))?;
    let alone = steadily(port, fresh.clone(), 1, every, LASTS).await?;
    line("an uncached check, nothing else", alone)?;
    line("/spool, nothing else", steadily(port, spool.clone(), 1, every, LASTS).await?)?;
    let stuck: Vec<_> = (0..HUNG * ASKERS)
        .map(|number| {
            let path = format!("/http/hung{number}/{}/{number}", hung.port.number);
            (path, format!("X-Nerve-Check-IP: 127.2.0.{}\r\n", number % HUNG + 1))
        })
        .collect();
    let hanging = tokio::spawn(async move {
        let (connections, second) = (stuck.len(), Duration::from_secs(1));
        steadily(port, stuck, connections, second, 6 * LASTS).await
    });
    // All of them have asked.
    time::sleep(Duration::from_secs(1)).await;
    let beside = steadily(port, fresh, 1, every, LASTS).await?;
    line("an uncached check, 100 targets hanging", beside)?;
    line("/spool, 100 targets hanging", steadily(port, spool.clone(), 1, every, LASTS).await?)?;
    let load: Vec<_> = (0..5000)
        .map(|target| {
            let path = format!("/http/svc{target}/{}/status", service.port.number);
            (path, format!("X-Nerve-Check-IP: 127.1.{}.{}\r\n", target / 250, target % 250 + 1))
        })
        .collect();
    let second = Duration::from_secs(1);
    let (spooled, loaded) = tokio::join!(
        steadily(port, spool, 1, every, LASTS),
        steadily(port, load, 20, second, LASTS),
    );
    line("/spool, the same and 5000 checks a second", spooled?)?;
    loaded?;
    hanging.abort();
    Ok(())
}

fn line(what: &str, (times, failed): (Vec<Duration>, usize)) -> Result<(), Failure> {
    let failed = if failed > 0 { format!("  {failed} failed") } else { String::new() };
    say(&format!("  {what:52} {}{failed}\n", figures(times)))
}
