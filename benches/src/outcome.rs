//! How a benchmark ends: with what it prints, or with why there are no numbers.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::time;

/// Why there are no numbers.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints what `measuring` comes to, unless it takes longer than `limit` or is interrupted. It is ended
/// by leaving, so that processes and containers go too.
pub(crate) async fn print(
    name: &str,
    limit: Duration,
    measuring: impl Future<Output = Result<String, Failure>>,
) -> ExitCode {
    let outcome = tokio::select! {
        outcome = measuring => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        () = time::sleep(limit) => Err("it takes too long; something hangs".into()),
    };
    let printed = outcome.and_then(|text| Ok(io::stdout().lock().write_all(text.as_bytes())?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
