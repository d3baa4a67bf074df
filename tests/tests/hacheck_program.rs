//! The stand-alone program: old flags, old file, old signals.

use std::{fs, net::TcpListener, process::Output};

use end_to_end::{Hacheck, ServiceManager, web};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A service that is well.
async fn service() -> std::io::Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwell").await;
        }
    });
    Ok(port)
}

#[tokio::test]
async fn it_serves_on_every_port_from_one_cache_and_stops_in_order() -> Result {
    let hacheck = Hacheck::new()?;
    let service = service().await?;
    let second = end_to_end::ports::Port::free()?;
    let ports = ["-p", &second.number.to_string(), "-n", "4", "-c"];
    let config =
        hacheck.write("hacheck.yaml", "cache_time: 3600\nhttp_headers_to_copy: [X-Mode]\n")?;
    let words = [&ports[..], &[config.to_str().ok_or("a strange path")?]].concat();
    let mut running = hacheck.start(&words).await?;
    let path = format!("/http/web.main/{service}/status");
    assert_eq!(web::get(hacheck.port.number, &path).await?, (200, "well".to_owned()));
    let sets = async || -> std::result::Result<u64, web::Error> {
        let (_, status) = web::get(second.number, "/status").await?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        Ok(status["cache"]["sets"].as_u64().unwrap_or_default())
    };
    let before = sets().await?;
    // Each comes on a connection of its own, so all threads get some.
    for _ in 0..100 {
        for port in [hacheck.port.number, second.number] {
            assert_eq!(web::get(port, &path).await?.0, 200);
        }
    }
    assert_eq!((before, sets().await?), (1, 1), "200 answers took no further check");
    let status = running.stop().await?;
    assert!(status.success(), "{status}");
    assert!(TcpListener::bind(("127.0.0.1", hacheck.port.number)).is_ok(), "the port is free");
    Ok(())
}

#[tokio::test]
async fn interrupt_and_quit_are_orders_to_stop_and_hangup_is_not() -> Result {
    let hacheck = Hacheck::new()?;
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut running = hacheck.start(&["-n", "2"]).await?;
        running.signal(Signal::SIGHUP)?;
        assert_eq!(web::get(hacheck.port.number, "/status").await?.0, 200);
        running.signal(signal)?;
        let status = running.end().await?;
        assert!(status.success(), "{signal}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_told_in_a_line_before_anything_is_served() -> Result {
    let hacheck = Hacheck::new()?;
    let _running = hacheck.start(&[]).await?;
    let port = hacheck.port.number.to_string();
    let spool = hacheck.spool().display().to_string();
    let taken = ["-B", "127.0.0.1", "-p", &port, "--spool-root", &spool];
    let output = hacheck.run("hacheck", &taken).await?;
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("hacheck: cannot listen on 127.0.0.1:{port}: Address already in use");
    assert!(said(&output).contains(&expected), "{}", said(&output));

    let config =
        hacheck.write("bad.yaml", "cache_time: 1\nallow_remote_spool_changes: 'false'\n")?;
    let config = config.display().to_string();
    let output = hacheck.run("hacheck", &["-c", &config]).await?;
    assert_eq!(output.status.code(), Some(1));
    let (said, place) = (said(&output), format!("{config}:2"));
    assert!(said.contains(&place) && said.contains("without quotes"), "{said}");

    let file = hacheck.write("file", "")?.display().to_string();
    let output = hacheck.run("hacheck", &["-p", "0", "--spool-root", &file]).await?;
    assert_eq!(output.status.code(), Some(1));
    let config =
        hacheck.write("files.yaml", "rlimit_nofile: 999999999999\n")?.display().to_string();
    let output = hacheck.run("hacheck", &["-c", &config]).await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(self::said(&output).contains("above the hard limit"), "{}", self::said(&output));
    let output = hacheck.run("hacheck", &["-p", "many"]).await?;
    assert_eq!(output.status.code(), Some(2));
    let output = hacheck.run("hacheck", &["--help"]).await?;
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout)?;
    for word in ["--spool-root", "--num-procs", "hadown"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    Ok(())
}

#[tokio::test]
async fn the_service_manager_hears_when_it_is_ready_well_and_on_its_way_out() -> Result {
    let hacheck = Hacheck::new()?;
    let mut manager = ServiceManager::listen(&hacheck.path("notify"))?;
    let (name, value) = manager.variable();
    let mut command = hacheck.command(&["-n", "2"]);
    let mut child = command.env(name, value).env("WATCHDOG_USEC", "2000000").spawn()?;
    manager.until("READY=1").await;
    assert_eq!(web::get(hacheck.port.number, "/status").await?.0, 200, "ready means ready");
    for _ in 0..3 {
        manager.until("WATCHDOG=1").await;
    }
    let pid = child.id().and_then(|pid| pid.try_into().ok()).ok_or("it is gone")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM)?;
    manager.until("STOPPING=1").await;
    assert!(child.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn the_log_goes_where_the_file_says_and_tells_of_odd_settings_and_of_every_mark() -> Result {
    let hacheck = Hacheck::new()?;
    let log = hacheck.path("hacheck.log");
    let text = format!("log_path: {}\ncache_tme: 3\n", log.display());
    let config = hacheck.write("hacheck.yaml", &text)?.display().to_string();
    let mut running = hacheck.start(&["-c", &config]).await?;
    let form = "status=down&reason=kernel+upgrade";
    assert_eq!(web::post(hacheck.port.number, "/spool/web.main/80/x", form).await?.0, 200);
    assert!(running.stop().await?.success());
    let log = fs::read_to_string(log)?;
    let lines =
        log.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<_>, _>>()?;
    let messages: Vec<&str> =
        lines.iter().filter_map(|line: &serde_json::Value| line["message"].as_str()).collect();
    assert!(messages.iter().any(|m| m.ends_with("did you mean cache_time?")), "{messages:?}");
    assert!(messages.contains(&"marked down"), "{messages:?}");
    assert_eq!(hacheck.log(), "", "nothing on standard error");
    Ok(())
}
