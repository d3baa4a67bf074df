//! The systemd units, as systemd and HAProxy themselves see them.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use end_to_end::{eventually, ports::Port};
use tempfile::TempDir;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// All that the package brings.
const UNITS: [&str; 7] = [
    "smartstack.service",
    "smartstack-host.service",
    "smartstack-haproxy.service",
    "smartstack-hacheck.socket",
    "hacheck.service",
    "hacheck.socket",
    "paasta-master.service",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn unit(name: &str) -> Outcome<String> {
    Ok(fs::read_to_string(repository().join("systemd").join(name))?)
}

/// The values of a key, in the order of the unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn put(path: &Path, text: &str) -> Outcome<()> {
    Ok(fs::File::create(path)?.write_all(text.as_bytes())?)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() -> Outcome<()> {
    let dir = TempDir::new()?;
    for name in UNITS {
        // The programs need not be installed here; any other will do.
        let text = unit(name)?.replace("/usr/bin/smartstack", "/bin/true");
        let text = text.replace("/usr/bin/hacheck", "/bin/true");
        let text = text.replace("/usr/bin/paasta-master", "/bin/true");
        put(&dir.path().join(name), &text)?;
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(UNITS.map(|name| dir.path().join(name)))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Some findings, such as an unknown key, do not make it fail.
    assert!(!said.contains("smartstack") && !said.contains("hacheck"), "{said}");
    Ok(())
}

#[test]
fn a_socket_is_that_of_the_port_which_its_service_asks_for() -> Outcome<()> {
    let ports = [
        ("hacheck.socket", unit("hacheck.service")?, "/usr/bin/hacheck -p 6666 "),
        (
            "smartstack-hacheck.socket",
            fs::read_to_string(repository().join("packaging/agent.yaml"))?,
            "listen: 0.0.0.0:6666",
        ),
    ];
    for (socket, asks, word) in ports {
        assert_eq!(values(&unit(socket)?, "ListenStream"), ["0.0.0.0:6666"], "{socket}");
        assert!(asks.contains(word), "{socket}: {asks}");
        assert_eq!(values(&unit(socket)?, "ReusePort"), [""; 0], "two would share it in silence");
    }
    let service = values(&unit("smartstack-hacheck.socket")?, "Service").join(" ");
    assert_eq!(service, "smartstack.service");
    Ok(())
}

#[test]
fn no_unit_stops_because_another_one_does() -> Outcome<()> {
    for name in UNITS {
        for key in ["Requires", "Requisite", "BindsTo", "PartOf", "Conflicts", "StopPropagatedFrom"]
        {
            assert_eq!(values(&unit(name)?, key), [""; 0], "{key} in {name}");
        }
    }
    Ok(())
}

/// What stops after this unit at a shutdown; systemd stops in the reverse order of `After`.
#[test]
fn a_host_leaves_before_containers_or_proxies_are_stopped() -> Outcome<()> {
    let host = unit("smartstack-host.service")?;
    let after = values(&host, "After").join(" ");
    let later: Vec<&str> = after.split(' ').collect();
    for unit in [
        "smartstack.service",
        "smartstack-haproxy.service",
        "docker.service",
        "containerd.service",
        "mesos-slave.service",
        "mesos-agent.service",
        "network-online.target",
    ] {
        assert!(later.contains(&unit), "{unit} is stopped before, or at the same time");
    }
    for name in UNITS {
        let others = values(&unit(name)?, "After").join(" ");
        assert!(!others.contains("smartstack-host"), "{name} would be stopped first");
    }
    let [stop] = values(&host, "ExecStop")[..] else { return Err("one ExecStop expected".into()) };
    let words = stop.trim_start_matches("-/usr/bin/smartstack ");
    let wait = words.split_once("--wait ").and_then(|(_, rest)| rest.split(' ').next());
    let limit = values(&host, "TimeoutStopSec").join("");
    assert!(wait.ok_or("no --wait")?.parse::<u32>()? + 10 < limit.parse()?, "{wait:?} {limit}");
    // The command as it stands, with nobody there to ask.
    let program = end_to_end::host::program("smartstack");
    let nobody = TempDir::new()?.path().join("agent.sock");
    let line = format!("exec {} --socket {} {words}", program.display(), nobody.display());
    let output = Command::new("/bin/sh").args(["-c", &line]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("cannot reach the agent"), "{said}");
    Ok(())
}

#[test]
fn neither_unit_takes_the_shared_directory_away() -> Outcome<()> {
    for name in ["smartstack.service", "smartstack-haproxy.service"] {
        let unit = unit(name)?;
        let directories = values(&unit, "RuntimeDirectory").join(" ");
        assert!(directories.split(' ').any(|directory| directory == "synapse"), "{name}");
        assert_eq!(values(&unit, "RuntimeDirectoryPreserve"), ["yes"], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn haproxy_starts_before_the_agent_has_written_a_configuration() -> Outcome<()> {
    let haproxy = HaProxyUnit::new()?;
    haproxy.prepare()?;
    let _running = haproxy.start()?;
    let master = haproxy.dir.path().join("haproxy-master.sock");
    let processes = eventually("the master answers", async || ask(&master, "show proc")).await;
    assert!(processes.contains("worker "), "{processes}");
    // Without level admin the agent could change nothing.
    let worker = haproxy.dir.path().join("haproxy.sock");
    assert_eq!(ask(&worker, "show cli level")?, "admin\n");
    Ok(())
}

#[test]
fn a_configuration_that_is_there_is_kept() -> Outcome<()> {
    let haproxy = HaProxyUnit::new()?;
    let config = haproxy.dir.path().join("haproxy.cfg");
    put(&config, "# written by the agent\n")?;
    haproxy.prepare()?;
    assert_eq!(fs::read_to_string(config)?, "# written by the agent\n");
    Ok(())
}

/// The commands of smartstack-haproxy.service, moved into a directory and to a port of their own.
struct HaProxyUnit {
    dir: TempDir,
    unit: String,
    _port: Port,
}

impl HaProxyUnit {
    fn new() -> Outcome<Self> {
        let dir = TempDir::new()?;
        let here = dir.path().to_str().ok_or("a directory with a strange name")?;
        let port = Port::free()?;
        let bootstrap = fs::read_to_string(repository().join("packaging/haproxy-bootstrap.cfg"))?
            .replace("/var/run/synapse", here)
            .replace("bind :3212", &format!("bind 127.0.0.1:{}", port.number));
        put(&dir.path().join("haproxy-bootstrap.cfg"), &bootstrap)?;
        let unit = unit("smartstack-haproxy.service")?
            .replace("/var/run/synapse", here)
            .replace("/usr/share/smartstack", here);
        Ok(Self { dir, unit, _port: port })
    }

    fn prepare(&self) -> Outcome<()> {
        for command in values(&self.unit, "ExecStartPre") {
            // `sh` reads the quotes of this command as systemd does.
            let status = Command::new("/bin/sh").args(["-c", command]).status()?;
            assert!(status.success(), "{command}: {status}");
        }
        Ok(())
    }

    fn start(&self) -> Outcome<Running> {
        let [command] = values(&self.unit, "ExecStart")[..] else {
            return Err("one ExecStart expected".into());
        };
        let mut words = command.split(' ');
        let program = words.next().ok_or("an empty ExecStart")?;
        Ok(Running(Command::new(program).args(words).spawn()?))
    }
}

/// Stops the master, and with it the worker, by SIGTERM as systemd does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).map(nix::unistd::Pid::from_raw);
        let _ = pid.map(|pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM));
        let _ = self.0.wait();
    }
}

fn ask(socket: &Path, question: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    // An empty line ends an answer; the master does not close the connection after it.
    for line in BufReader::new(stream).lines() {
        match line? {
            line if line.is_empty() => break,
            line => answer.push_str(&(line + "\n")),
        }
    }
    Ok(answer)
}
