//! The load generator `wrk`: one thread, so that two processors are enough for both sides.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time};

use crate::Failure;

/// What one run of wrk says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    pub(crate) per_second: f64,
    pub(crate) requests: u64,
    pub(crate) p99_ms: f64,
    /// Answers that were no 2xx or 3xx, and connections that failed.
    pub(crate) failed: u64,
}

/// Requests `url` over `connections` for some seconds.
pub(crate) async fn run(
    url: &str,
    connections: usize,
    seconds: u64,
    headers: &[&str],
) -> Result<Run, Failure> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    for header in headers {
        wrk.args(["-H", header]);
    }
    wrk.arg(url).stdin(Stdio::null()).kill_on_drop(true);
    let limit = Duration::from_secs(seconds + 20);
    #[expect(clippy::disallowed_methods, reason = "it has a deadline and is killed when dropped")]
    let output = time::timeout(limit, wrk.output()).await?;
    let output = output.map_err(|error| format!("cannot run wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(read(&text).ok_or_else(|| format!("wrk says: {text}"))?)
}

fn read(text: &str) -> Option<Run> {
    let mut run = Run::default();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match *words {
            ["99%", time] => run.p99_ms = milliseconds(time)?,
            ["Requests/sec:", number] => run.per_second = number.parse().ok()?,
            [number, "requests", "in", ..] => run.requests = number.parse().ok()?,
            ["Non-2xx", "or", "3xx", "responses:", number] => {
                run.failed += number.parse::<u64>().ok()?;
            }
            ["Socket", "errors:", ref errors @ ..] => {
                let numbers =
                    errors.iter().filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok());
                run.failed += numbers.sum::<u64>();
            }
            _ => {}
        }
    }
    (run.per_second > 0.0).then_some(run)
}

/// `9.30ms`, `740.00us`, `1.20s`
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let (number, factor) =
        units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_wrk_are_read() {
        let text = "  Latency Distribution\n     50%  740.00us\n     99%    1.35ms\n  \
                    8000 requests in 3.00s, 1MB read\n  Socket errors: connect 1, read 2, write 0, \
                    timeout 3\n  Non-2xx or 3xx responses: 4\nRequests/sec:  2666.5\n";
        let run = Run { per_second: 2666.5, requests: 8000, p99_ms: 1.35, failed: 10 };
        assert_eq!(read(text), Some(run));
        assert_eq!(read("unable to connect"), None);
        assert_eq!(milliseconds("1.20s"), Some(1200.0));
        assert_eq!(milliseconds("740.00us"), Some(0.74));
    }
}
