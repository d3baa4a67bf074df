//! The tools as links to the one program, beside a running daemon.

use std::fs;

use end_to_end::{Hacheck, eventually, web};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Exit code and standard output of a tool that has nothing to complain about.
async fn run(
    hacheck: &Hacheck,
    tool: &str,
    words: &[&str],
) -> std::result::Result<(Option<i32>, String), Box<dyn std::error::Error + Send + Sync>> {
    let output = hacheck.run(tool, words).await?;
    assert!(output.stderr.is_empty(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

async fn until_answered(hacheck: &Hacheck, path: &str, expected: (u16, &str)) {
    eventually(&format!("{path} is {expected:?}"), async || {
        let answer = web::get(hacheck.port.number, path).await.map_err(|e| e.to_string())?;
        let fits = answer.0 == expected.0 && answer.1.ends_with(expected.1);
        if fits { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

#[tokio::test]
async fn tools_and_daemon_see_each_others_marks_at_once() -> Result {
    let hacheck = Hacheck::new()?;
    let _running = hacheck.start(&[]).await?;
    let path = "/spool/svc.main/31000/status";
    let instance = ["-P", "31000", "svc.main"];

    let down = ["-r", "why", "-e", "4102444800.5", "-P", "31000", "svc.main"];
    assert_eq!(run(&hacheck, "hadown", &down).await?, (Some(0), String::new()));
    until_answered(&hacheck, path, (503, " until 4102444800.500000: why")).await;
    let line = "DOWN\t4102444800.500000\tsvc.main::31000\twhy\n".to_owned();
    assert_eq!(run(&hacheck, "hastatus", &instance).await?, (Some(1), line.clone()));
    assert_eq!(run(&hacheck, "hashowdowned", &[]).await?, (Some(0), line));
    // Renewed by the daemon, the mark keeps the beginning that the tool gave it.
    let before: serde_json::Value =
        serde_json::from_slice(&fs::read(hacheck.spool().join("svc.main:31000"))?)?;
    let form = "status=down&reason=why";
    assert_eq!(web::post(hacheck.port.number, path, form).await?.0, 200);
    let after: serde_json::Value =
        serde_json::from_slice(&fs::read(hacheck.spool().join("svc.main:31000"))?)?;
    assert_eq!(before["creation"], after["creation"]);
    assert!(after["expiration"].is_null());
    assert_eq!(run(&hacheck, "haup", &instance).await?, (Some(0), String::new()));
    until_answered(&hacheck, path, (200, "")).await;

    let form = "status=down&reason=by+http&expiration=4102444800";
    assert_eq!(web::post(hacheck.port.number, "/spool/web.main/0/x", form).await?.0, 200);
    let line = "DOWN\t4102444800.000000\tweb.main\tby http\n".to_owned();
    assert_eq!(run(&hacheck, "hashowdowned", &[]).await?, (Some(0), line));
    assert_eq!(web::post(hacheck.port.number, "/spool/web.main/0/x", "status=up").await?.0, 200);
    assert_eq!(run(&hacheck, "hashowdowned", &[]).await?, (Some(0), String::new()));

    assert_eq!(run(&hacheck, "hadown", &["-r", "kernel", "all"]).await?.0, Some(0));
    until_answered(&hacheck, "/spool/any.thing/1/x", (503, ": kernel")).await;
    assert_eq!(run(&hacheck, "haup", &["all"]).await?.0, Some(0));
    until_answered(&hacheck, "/spool/any.thing/1/x", (200, "")).await;
    Ok(())
}

#[tokio::test]
async fn marks_of_older_programs_are_shown_and_served() -> Result {
    let hacheck = Hacheck::new()?;
    // As 0.9.0-yelp1 and later write them, as older ones do, and as people do.
    let json = r#"{"reason": "Drained by Paasta", "expiration": 4102444800.25, "creation": 1571234000.123456}"#;
    hacheck.write("spool/svc.main:31000", json)?;
    hacheck.write("spool/old", "plain text reason\n")?;
    hacheck.write("spool/touched", "")?;
    let _running = hacheck.start(&[]).await?;
    let text = "Service svc.main in down state since 1571234000.123456 until 4102444800.250000: Drained by Paasta";
    until_answered(&hacheck, "/spool/svc.main/31000/x", (503, text)).await;
    let text = "Service old in down state: plain text reason";
    until_answered(&hacheck, "/spool/old/1/x", (503, text)).await;
    until_answered(&hacheck, "/spool/touched/1/x", (503, "Service touched in down state")).await;
    let (_, out) = run(&hacheck, "hashowdowned", &[]).await?;
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    let expected = [
        "DOWN\t4102444800.250000\tsvc.main::31000\tDrained by Paasta",
        "DOWN\tinf\told\tplain text reason",
        "DOWN\tinf\ttouched\t",
    ];
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
async fn halist_shows_what_the_daemon_was_asked_about() -> Result {
    let hacheck = Hacheck::new()?;
    let _running = hacheck.start(&[]).await?;
    let port = hacheck.port.number.to_string();
    assert_eq!(run(&hacheck, "halist", &["-p", &port]).await?, (Some(0), String::new()));
    for service in ["b.main", "a.main"] {
        web::get(hacheck.port.number, &format!("/spool/{service}/80/x")).await?;
    }
    let (code, out) = run(&hacheck, "halist", &["-p", &port]).await?;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{out}");
    for (line, name) in lines.iter().zip(["a.main", "b.main"]) {
        let start =
            format!("{name} last_response={{\"code\": 200, \"remote_ip\": \"127.0.0.1\", \"ts\": ");
        assert!(line.starts_with(&start) && line.ends_with('}'), "{line}");
    }
    drop(_running);
    let free = end_to_end::ports::Port::free()?;
    let output = hacheck.run("halist", &["-p", &free.number.to_string()]).await?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    Ok(())
}

#[tokio::test]
async fn two_hundred_tools_and_the_daemon_at_once_lose_no_mark() -> Result {
    let hacheck = Hacheck::new()?;
    let _running = hacheck.start(&[]).await?;
    let tools = (0..100).map(async |number: u32| {
        let port = number.to_string();
        run(&hacheck, "hadown", &["-r", "x", "-P", &port, "svc"]).await.map(|ran| ran.0)
    });
    let posts = (0..100).map(async |number: u32| {
        let path = format!("/spool/svc/{}/x", 100 + number);
        let form = "status=down&reason=x";
        web::post(hacheck.port.number, &path, form).await.map(|answer| i32::from(answer.0))
    });
    let (tools, posts) = (wait_for_all(tools).await?, wait_for_all(posts).await?);
    assert!(tools.iter().all(|code| *code == Some(0)), "{tools:?}");
    assert!(posts.iter().all(|code| *code == 200), "{posts:?}");
    let (_, out) = run(&hacheck, "hashowdowned", &[]).await?;
    assert_eq!(out.lines().count(), 200);
    Ok(())
}

async fn wait_for_all<T, E, F>(all: impl Iterator<Item = F>) -> std::result::Result<Vec<T>, E>
where
    F: Future<Output = std::result::Result<T, E>>,
{
    let mut done = Vec::new();
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                done.push(result);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().collect()
}
