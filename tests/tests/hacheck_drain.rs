//! `hacheck drain` and `undrain` with a real HAProxy that asks hacheck.

use std::{process::Stdio, time::Duration};

use end_to_end::{Hacheck, eventually, host::program, ports::Port, web};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::watch,
    time,
};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(60);

/// A service that holds requests for `/hold` until it is told to answer them.
struct Service {
    port: Port,
    held: watch::Receiver<usize>,
    release: watch::Sender<bool>,
}

impl Service {
    async fn start() -> std::io::Result<Self> {
        let port = Port::free()?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.number)).await?;
        let (holding, held) = watch::channel(0);
        let (release, released) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (holding, mut released) = (holding.clone(), released.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    if request[..length].starts_with(b"GET /hold") {
                        holding.send_modify(|held| *held += 1);
                        let _ = released.wait_for(|released| *released).await;
                    }
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwell").await;
                });
            }
        });
        Ok(Self { port, held, release })
    }
}

/// A HAProxy with this service as `web.main`, and the same port on a host that does not exist.
struct Proxy {
    front: Port,
    stats: Port,
    socket: String,
    _child: Child,
}

impl Proxy {
    fn start(hacheck: &Hacheck, service: &Service) -> std::io::Result<Self> {
        let (front, stats) = (Port::free()?, Port::free()?);
        let socket = hacheck.path("haproxy.sock").display().to_string();
        let (port, check) = (service.port.number, hacheck.port.number);
        let config = format!(
            "global\n stats socket {socket} level admin\n\
             defaults\n mode http\n timeout connect 1s\n timeout client 60s\n timeout server 60s\n\
             frontend stats\n bind 127.0.0.1:{stats}\n stats enable\n stats uri /\n\
             frontend web\n bind 127.0.0.1:{front}\n default_backend web.main\n\
             backend web.main\n option httpchk GET /http/web.main/0/status\n http-check send-state\n \
             server web_127.0.0.1:{port} 127.0.0.1:{port} check port {check} inter 100 rise 1 fall 1\n \
             server far_192.0.2.1:{port} 192.0.2.1:{port} backup\n",
            front = front.number,
            stats = stats.number,
        );
        let config = hacheck.write("haproxy.cfg", &config)?;
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(config).process_group(0).kill_on_drop(true);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { front, stats, socket, _child: child })
    }

    fn page(&self) -> String {
        format!("http://127.0.0.1:{}/", self.stats.number)
    }

    /// Waits until the statistics show the local server so.
    async fn until(&self, status: &str) {
        eventually(&format!("the server is {status}"), async || {
            let page = web::get(self.stats.number, "/;csv").await.map_err(|e| e.to_string())?;
            let row = page.1.lines().find(|line| line.starts_with("web.main,web_")).unwrap_or("");
            if row.contains(&format!(",{status},")) { Ok(()) } else { Err(row.to_owned()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_drain_ends_when_the_last_request_has_ended_and_an_undrain_brings_the_service_back()
-> Result {
    let (hacheck, mut service) = (Hacheck::new()?, Service::start().await?);
    let _running = hacheck.start(&[]).await?;
    let proxy = Proxy::start(&hacheck, &service)?;
    proxy.until("UP").await;
    let (port, spool) = (hacheck.port.number.to_string(), hacheck.spool().display().to_string());
    let target = format!("web.main:{}", service.port.number);
    let place = ["-p", &port, "--spool-root", &spool];

    let front = proxy.front.number;
    let request = tokio::spawn(async move { web::get(front, "/hold").await });
    service.held.wait_for(|held| *held == 1).await?;

    let page = proxy.page();
    let both = ["--haproxy", &proxy.socket, "--haproxy", &page];
    let mut drain = Command::new(program("hacheck"));
    drain.arg("drain").arg(&target).args(["--wait", "60", "--reason", "upgrade"]);
    drain.args(place).args(both).stdout(Stdio::piped()).kill_on_drop(true);
    let mut drain = drain.spawn()?;
    let mut lines = BufReader::new(drain.stdout.take().ok_or("no output")?).lines();
    let mut said = Vec::new();
    // HAProxy sends nothing new, and one request is under way.
    while !said.last().is_some_and(|line: &String| {
        line.starts_with("waiting: ")
            && line.contains(" is DOWN, 1 sessions")
            && !line.contains(" is UP")
    }) {
        let line = time::timeout(PATIENCE, lines.next_line()).await??;
        said.push(line.ok_or_else(|| format!("it ended early: {said:?}"))?);
    }
    assert_eq!(said[0], format!("{target} is marked down (through the running hacheck)"));
    assert!(drain.try_wait()?.is_none(), "a request is under way: {said:?}");
    service.release.send_replace(true);
    assert_eq!(request.await?.map_err(|e| e.to_string())?.0, 200);
    while let Some(line) = time::timeout(PATIENCE, lines.next_line()).await?? {
        said.push(line);
    }
    assert_eq!(said.last(), Some(&format!("{target} is safe to stop")));
    assert!(time::timeout(PATIENCE, drain.wait()).await??.success());

    let words = [&["undrain", &target][..], &place].concat();
    let output = hacheck.run("hacheck", &words).await?;
    assert!(output.status.success(), "{output:?}");
    proxy.until("UP").await;
    let output = hacheck
        .run("hacheck", &[&["drain", &target, "--wait", "0", "--json"][..], &place, &both].concat())
        .await?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let server = &document["haproxy"][1]["servers"];
    assert_eq!(server.as_array().map(Vec::len), Some(1), "not the one far away: {document}");
    assert_eq!(document["by"], "hacheck");
    let safe = document["safe_to_stop"] == true;
    assert_eq!(output.status.code(), Some(if safe { 0 } else { 1 }), "{document}");
    Ok(())
}

#[tokio::test]
async fn without_a_running_hacheck_the_mark_is_left_for_the_next_one() -> Result {
    let (hacheck, service) = (Hacheck::new()?, Service::start().await?);
    let running = hacheck.start(&[]).await?;
    let proxy = Proxy::start(&hacheck, &service)?;
    proxy.until("UP").await;
    drop(running);
    let (port, spool) = (hacheck.port.number.to_string(), hacheck.spool().display().to_string());
    let target = format!("web.main:{}", service.port.number);
    let words = ["drain", &target, "-p", &port, "--spool-root", &spool, "--haproxy", &proxy.socket];
    // Without hacheck the check of HAProxy fails, so it sends nothing either.
    let output = hacheck.run("hacheck", &words).await?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with(&format!("{target} is marked down (in the spool directory)")),
        "{said}"
    );
    let _running = hacheck.start(&[]).await?;
    let path = format!("/spool/web.main/{}/x", service.port.number);
    assert_eq!(web::get(hacheck.port.number, &path).await?.0, 503);
    let output = hacheck.run("hacheck", &["drain", "web.main:many"]).await?;
    assert_eq!(output.status.code(), Some(2));
    let output = hacheck
        .run("hacheck", &["drain", &target, "-p", &port, "--wait", "0", "--haproxy", "/none.sock"])
        .await?;
    assert_eq!(output.status.code(), Some(1), "a HAProxy that does not answer may be sending");
    Ok(())
}
