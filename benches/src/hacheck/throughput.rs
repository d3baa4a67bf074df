//! How many answers a second, and how late the last one in a hundred.

use crate::{
    Arguments, Failure,
    program::Program,
    say,
    wrk::{self, Run},
};

/// The same settings as the fleet's, with a cache time that keeps checks out of the measurement.
const SETTINGS: &str = "cache_time: 60\n";

/// One round of one program.
#[derive(Clone, Copy, Debug)]
struct Round {
    run: Run,
    /// CPU time of the server for one request, in microseconds.
    cpu_us: f64,
}

/// What is compared.
struct Programs {
    bare: Program,
    ours: Program,
    old: Option<Program>,
    service: Program,
}

/// One line of the table.
struct Case {
    name: &'static str,
    path: String,
    connections: usize,
    headers: &'static [&'static str],
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let programs = Programs {
        bare: Program::own("bare").await?,
        ours: Program::hacheck(SETTINGS).await?,
        old: match &arguments.old {
            Some(command) => Some(Program::old(command).await?),
            None => None,
        },
        service: Program::own("service").await?,
    };
    say(&format!("  idle: {:.1} MiB resident\n\n", programs.ours.resident_mib()?))?;
    say(&format!(
        "{:38} {:>9} {:>7} {:>8} {:>8} {:>8} {:>7}\n",
        "  ours beside the others (medians)",
        "req/s",
        "ratio",
        "p99 ms",
        "ratio",
        "cpu us",
        "failed"
    ))?;
    let service = programs.service.port.number;
    let check = |rest: &str| format!("/http/svc/{service}/{rest}");
    let close = &["Connection: close"][..];
    let cases = [
        Case { name: "cached, 32", path: check("status"), connections: 32, headers: &[] },
        Case { name: "cached, 256", path: check("status"), connections: 256, headers: &[] },
        Case {
            name: "cached, 32, closing",
            path: check("status"),
            connections: 32,
            headers: close,
        },
        Case {
            name: "spool, 32",
            path: format!("/spool/svc/{service}/status"),
            connections: 32,
            headers: &[],
        },
        Case {
            name: "a check each, 32",
            path: check("status"),
            connections: 32,
            headers: &["Pragma: no-cache"],
        },
    ];
    for case in cases {
        compare(&programs, &case, arguments).await?;
    }
    Ok(())
}

/// Rounds of each program in turn, so that a machine that changes its speed changes it for all.
async fn compare(programs: &Programs, case: &Case, arguments: &Arguments) -> Result<(), Failure> {
    let (mut bare, mut ours, mut old) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        bare.push(round(&programs.bare, case, arguments.seconds).await?);
        ours.push(round(&programs.ours, case, arguments.seconds).await?);
    }
    if let Some(program) = &programs.old {
        old.push(round(program, case, arguments.seconds).await?);
    }
    let ratio = |of: fn(&Round) -> f64| {
        median(ours.iter().zip(&bare).map(|(ours, bare)| of(ours) / of(bare)))
    };
    let (rate, late) = (ratio(|round| round.run.per_second), ratio(|round| round.run.p99_ms));
    line(&format!("{}: ours / bare", case.name), &ours, Some((rate, late)))?;
    line(&format!("{}: bare", case.name), &bare, None)?;
    if !old.is_empty() {
        line(&format!("{}: old", case.name), &old, None)?;
        let of = |rounds: &[Round], of: fn(&Round) -> f64| median(rounds.iter().map(of));
        let faster = of(&ours, |r| r.run.per_second) / of(&old, |r| r.run.per_second);
        let cheaper = of(&old, |r| r.cpu_us) / of(&ours, |r| r.cpu_us);
        say(&format!("    {faster:.0} times the old rate, 1/{cheaper:.0} of its CPU\n"))?;
    }
    Ok(())
}

async fn round(program: &Program, case: &Case, seconds: u64) -> Result<Round, Failure> {
    let url = format!("http://127.0.0.1:{}{}", program.port.number, case.path);
    let before = program.spent()?;
    let run = wrk::run(&url, case.connections, seconds, case.headers).await?;
    let cpu = program.spent()?.cpu_since(before).as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let cpu_us = cpu / run.requests as f64;
    Ok(Round { run, cpu_us })
}

fn line(name: &str, rounds: &[Round], ratios: Option<(f64, f64)>) -> Result<(), Failure> {
    let of = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let (rate, late) = ratios.map_or((String::new(), String::new()), |(rate, late)| {
        (format!("{rate:.2}"), format!("{late:.2}"))
    });
    let failed: u64 = rounds.iter().map(|round| round.run.failed).sum();
    say(&format!(
        "  {name:36} {:9.0} {rate:>7} {:8.2} {late:>8} {:8.1} {failed:7}\n",
        of(|round| round.run.per_second),
        of(|round| round.run.p99_ms),
        of(|round| round.cpu_us),
    ))
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
