//! `smartstack demo` as a newcomer meets it: one command, everything it prints works, and nothing of
//! it is left.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use end_to_end::{Docker, eventually, host::program, processes, web};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time,
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

const PATIENCE: Duration = Duration::from_secs(60);
/// The demo's directories are made here, and nobody else's.
const DIR: &str = "TMPDIR";

/// A running demo, in a process group of its own as a terminal gives it one.
struct Demo {
    /// Where it may leave files.
    dir: tempfile::TempDir,
    child: Child,
    pid: i32,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("smartstack-test-demo-").tempdir()?;
        let mut demo = Command::new(program("smartstack"));
        demo.arg("demo").args(arguments).env(DIR, dir.path()).process_group(0);
        let log = File::create(dir.path().join("log"))?;
        demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = demo.spawn()?;
        let pid = child.id().ok_or("no pid")?.try_into()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self { dir, child, pid, lines, said: Vec::new() })
    }

    /// Reads until it says something with `words`, and returns that line.
    async fn until_said(&mut self, words: &str) -> Result<String> {
        while let Some(line) = time::timeout(PATIENCE, self.lines.next_line()).await?? {
            self.said.push(line.clone());
            if line.contains(words) {
                return Ok(line);
            }
        }
        Err(format!("it never said `{words}`: {:#?}\n{}", self.said, self.log()).into())
    }

    /// The port in the URL of a line such as `  http://127.0.0.1:1/   the service`.
    async fn port_of(&mut self, what: &str) -> Result<u16> {
        let line = self.until_said(&format!("/   {what}")).await?;
        let url = line.split_whitespace().next().unwrap_or_default();
        let port = url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/'));
        Ok(port.ok_or(line.clone())?.parse()?)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ctrl-C in its terminal, which every process of its group gets; its exit code.
    async fn interrupt(&mut self) -> Result<Option<i32>> {
        killpg(Pid::from_raw(self.pid), Signal::SIGINT)?;
        Ok(time::timeout(PATIENCE, self.child.wait()).await??.code())
    }

    /// Files it has left.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.dir.path())?.map(|entry| Ok(entry?.path()));
        let left = entries.filter(|path| !path.as_ref().is_ok_and(|path| path.ends_with("log")));
        left.collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked, so that a failed test leaves no containers either.
        if killpg(Pid::from_raw(self.pid), Signal::SIGINT).is_ok() {
            let end = std::time::Instant::now() + Duration::from_secs(20);
            while self.child.try_wait().is_ok_and(|status| status.is_none())
                && std::time::Instant::now() < end
            {
                std::thread::yield_now();
            }
        }
    }
}

/// A line of the guide, typed as it stands there.
async fn typed(line: &str) -> Result<(i32, String)> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let output = time::timeout(PATIENCE, shell.spawn()?.wait_with_output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code().unwrap_or(-1), text))
}

async fn until_served_by(port: u16, names: &[&str]) {
    let expected: BTreeSet<String> =
        names.iter().map(|name| format!("hello from {name}\n")).collect();
    eventually(&format!("{names:?} answer"), || async {
        let mut answers = BTreeSet::new();
        for _ in 0..8 {
            answers.insert(web::get(port, "/").await.map_err(|error| error.to_string())?.1);
        }
        if answers == expected { Ok(()) } else { Err(format!("{answers:?}")) }
    })
    .await;
}

const FIRST: &str = "smartstack-demo-1";
const SECOND: &str = "smartstack-demo-2";

/// The guide, from the first line to the last; then Ctrl-C.
async fn everything_printed_works(demo: &mut Demo, kind: &str) -> Result {
    demo.until_said(&format!("web.main is served by two {kind}, through HAProxy")).await?;
    let service = demo.port_of("the service").await?;
    let page = demo.port_of("the status page").await?;
    let status = demo.until_said(" status").await?;
    let drain = demo.until_said(" drain ").await?;
    demo.until_said("Ctrl-C stops and removes everything").await?;

    until_served_by(service, &[FIRST, SECOND]).await;
    let (code, headers, body) = web::get_with_headers(page, "/").await?;
    assert_eq!(code, 200, "{body}");
    assert!(headers["content-type"].to_str()?.starts_with("text/html"), "{headers:?}");
    let (code, text) = typed(&status).await?;
    assert!(code == 0 && text.contains(FIRST) && text.contains(SECOND), "{code}: {text}");
    let (code, text) = typed(&drain).await?;
    assert!(code == 0 && text.contains("safe to stop"), "{code}: {text}");
    until_served_by(service, &[SECOND]).await;
    let (code, text) = typed(&drain.replace(" drain ", " undrain ")).await?;
    assert!(code == 0 && text.contains("may serve again"), "{code}: {text}");
    until_served_by(service, &[FIRST, SECOND]).await;
    Ok(())
}

async fn nothing_is_left(demo: &Demo, family: &[processes::Process]) -> Result {
    assert_eq!(demo.files()?, Vec::<PathBuf>::new(), "{}", demo.log());
    let with_its_files = processes::naming(demo.dir.path());
    assert!(with_its_files.is_empty(), "{with_its_files:?}");
    let alive: Vec<_> = family.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "{alive:?}");
    Ok(())
}

/// Containers and images of the demo with this pid.
fn in_docker(docker: &Docker, pid: i32) -> Result<Vec<String>> {
    let label = format!("label=smartstack.demo={pid}");
    let containers = docker.run(&["ps", "-a", "--filter", &label, "--format", "{{.Names}}"])?;
    let images = docker.run(&["images", "-q", &format!("smartstack-demo:{pid}")])?;
    Ok(containers.lines().chain(images.lines()).map(str::to_owned).collect())
}

/// The names of the demo's containers are fixed, so one at a time.
fn alone() -> io::Result<File> {
    let lock = File::create(std::env::temp_dir().join("smartstack-test-demo.lock"))?;
    lock.lock()?;
    Ok(lock)
}

#[tokio::test]
async fn with_docker_everything_printed_works_and_nothing_is_left() -> Result {
    let _alone = alone()?;
    let docker = Docker::local()?;
    let mut demo = Demo::start(&[])?;
    everything_printed_works(&mut demo, "containers").await?;
    let mut family = processes::family(demo.pid);
    for name in [FIRST, SECOND] {
        let pid = docker.run(&["inspect", "-f", "{{.State.Pid}}", name])?.parse()?;
        family.extend(processes::Process::of(pid));
    }
    assert!(family.iter().any(|process| process.line.contains("haproxy")), "{family:?}");
    assert_eq!(in_docker(&docker, demo.pid)?.len(), 3);

    assert_eq!(demo.interrupt().await?, Some(0), "{}", demo.log());
    assert_eq!(in_docker(&docker, demo.pid)?, Vec::<String>::new());
    nothing_is_left(&demo, &family).await
}

#[tokio::test]
async fn without_docker_everything_printed_works_and_nothing_is_left() -> Result {
    let mut demo = Demo::start(&["--no-docker"])?;
    everything_printed_works(&mut demo, "local processes").await?;
    let family = processes::family(demo.pid);
    let services = family.iter().filter(|process| process.line.contains("demo-service"));
    assert_eq!(services.count(), 2, "{family:?}");

    assert_eq!(demo.interrupt().await?, Some(0), "{}", demo.log());
    assert_eq!(demo.log(), "", "an orderly end is nothing to complain about");
    nothing_is_left(&demo, &family).await
}

#[tokio::test]
async fn interrupted_while_it_starts_it_leaves_nothing_either() -> Result {
    let _alone = alone()?;
    let docker = Docker::local()?;
    for moment in ["making an image", FIRST, SECOND, "waiting for the health checks"] {
        let mut demo = Demo::start(&[])?;
        demo.until_said(moment).await?;
        let family = processes::family(demo.pid);
        assert_eq!(demo.interrupt().await?, Some(0), "{moment}: {}", demo.log());
        let error = demo.until_said("http://").await;
        assert!(error.is_err(), "{moment}: it points to what is gone: {:?}", demo.said);
        assert_eq!(in_docker(&docker, demo.pid)?, Vec::<String>::new(), "{moment}");
        nothing_is_left(&demo, &family).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_demo_leaves_the_first_alone() -> Result {
    let _alone = alone()?;
    let docker = Docker::local()?;
    let mut first = Demo::start(&[])?;
    let service = first.port_of("the service").await?;
    let mut second = Demo::start(&[])?;
    second.until_said("Docker cannot be used").await?;
    let other = second.port_of("the service").await?;
    until_served_by(other, &[FIRST, SECOND]).await;
    assert_eq!(second.interrupt().await?, Some(0));
    assert_eq!(in_docker(&docker, second.pid)?, Vec::<String>::new());
    assert_eq!(in_docker(&docker, first.pid)?.len(), 3, "two containers and their image");
    until_served_by(service, &[FIRST, SECOND]).await;
    assert_eq!(first.interrupt().await?, Some(0));
    assert_eq!(in_docker(&docker, first.pid)?, Vec::<String>::new());
    Ok(())
}
