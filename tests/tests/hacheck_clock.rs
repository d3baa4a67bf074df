//! hacheck under a clock that is turned back and forth, and what its log makes of hostile words.

use std::{fs, path::PathBuf, time::SystemTime};

use end_to_end::{Hacheck, eventually, web};
use nix::sys::signal::Signal;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

const DAY: i64 = 24 * 3600;

/// Of Debian's package faketime; its directory has the name of the machine's architecture.
fn library() -> std::io::Result<PathBuf> {
    let dirs = fs::read_dir("/usr/lib")?.flatten().map(|dir| dir.path());
    let found = dirs.map(|dir| dir.join("faketime/libfaketime.so.1")).find(|path| path.exists());
    let missing = || std::io::Error::other("packaging/install-dependencies test installs faketime");
    found.ok_or_else(missing)
}

/// Turns the clock of the program; it looks at the file whenever it looks at its clock.
fn turn(hacheck: &Hacheck, seconds: i64) -> std::io::Result<()> {
    let beside = hacheck.write("clock.beside", &format!("{seconds:+}\n"))?;
    fs::rename(beside, hacheck.path("clock"))
}

#[tokio::test]
async fn a_clock_that_is_turned_back_and_forth_ends_marks_by_the_clock_and_stops_nothing() -> Result
{
    let hacheck = Hacheck::new()?;
    turn(&hacheck, 0)?;
    let mut command = hacheck.command(&[]);
    command.env("LD_PRELOAD", library()?).env("FAKETIME_TIMESTAMP_FILE", hacheck.path("clock"));
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut child = command.spawn()?;
    hacheck.until_it_answers().await;
    let port = hacheck.port.number;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (instance, seconds) in [("soon:80", 3600), ("late:80", 100 * 24 * 3600)] {
        let path = format!("/spool/{}/status", instance.replace(':', "/"));
        let form = format!("status=down&reason=x&expiration={}", now + seconds);
        assert_eq!(web::post(port, &path, &form).await?.0, 200);
    }
    let state = async |service: &str| web::get(port, &format!("/spool/{service}/80/status")).await;
    let both = async || -> std::result::Result<_, web::Error> {
        Ok((state("soon").await?.0, state("late").await?.0))
    };
    assert_eq!(both().await?, (503, 503));
    turn(&hacheck, -30 * DAY)?;
    assert_eq!(both().await?, (503, 503), "a month earlier");
    // Another program's mark is seen as ever.
    hacheck.write("spool/hand:80", "by hand")?;
    eventually("the mark made by hand", async || match state("hand").await {
        Ok((503, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    turn(&hacheck, DAY)?;
    eventually("the day after, the first has ended", async || match both().await {
        Ok((200, 503)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    eventually("and its file is gone", async || {
        if hacheck.path("spool/soon:80").exists() { Err(()) } else { Ok(()) }
    })
    .await;
    turn(&hacheck, 0)?;
    // What was read while it was over is perhaps not in force yet.
    eventually("back in the present, the first does not come back", async || match both().await {
        Ok((200, 503)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(state("hand").await?.0, 503);
    assert_eq!(web::get(port, "/status").await?.0, 200);
    let pid = child.id().and_then(|pid| pid.try_into().ok()).ok_or("it is gone")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM)?;
    assert!(child.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn no_reason_and_no_name_of_a_client_becomes_a_line_of_the_log() -> Result {
    let hacheck = Hacheck::new()?;
    let log = hacheck.path("hacheck.log");
    let config = hacheck.write("hacheck.yaml", &format!("log_path: {}\n", log.display()))?;
    let mut running = hacheck.start(&["-c", &config.display().to_string()]).await?;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("user-agent", "evil\t\u{9b}31m agent"),
    ];
    let form = "status=down&reason=x%0a%7b%22level%22%3a%22FORGED%22%7d%0d%1b%5b31m%00";
    let path = "/spool/web.main/80/x";
    let port = hacheck.port.number;
    let answer = web::send(port, hyper::Method::POST, path, &headers, form).await?;
    assert_eq!(answer.0, 200);
    assert!(running.stop().await?.success());
    let log = fs::read_to_string(log)?;
    let marked = log.lines().find(|line| line.contains("marked down")).ok_or("no line")?;
    let line: serde_json::Value = serde_json::from_str(marked)?;
    assert_eq!(line["mark"], "web.main:80");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        assert_ne!(line["level"], "FORGED", "{line}");
    }
    Ok(())
}
