//! The real Docker Engine, and small services in containers.
//!
//! No image can be pulled, so the image is empty and a container sees our program and the system's
//! libraries through read-only mounts.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::host::program;

const IMAGE: &str = "smartstack-test:empty";
/// The docker command itself waits for ever for a daemon that is stopped where it stands.
const PATIENCE_S: &str = "30";
const PATIENCE: Duration = Duration::from_secs(30);

/// A Docker daemon, by its socket.
#[derive(Clone, Debug)]
pub struct Docker {
    socket: String,
}

/// What a container is made of, beside its name.
#[derive(Clone, Debug, Default)]
pub struct Recipe<'a> {
    pub labels: &'a [(&'a str, &'a str)],
    pub env: &'a [(&'a str, &'a str)],
    /// Milliseconds it goes on serving after SIGTERM.
    pub linger_ms: u64,
    /// Shell commands that run before the service, in the same process.
    pub before: &'a str,
    /// More arguments of `docker create`.
    pub options: &'a [&'a str],
}

/// A container that serves on port 8888 inside. Dropping it removes it.
#[derive(Debug)]
pub struct Service {
    docker: Docker,
    pub name: String,
    pub id: String,
}

impl Docker {
    /// The daemon of this machine.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn local() -> io::Result<Self> {
        Self::at("/var/run/docker.sock")
    }

    /// The daemon that listens on `socket`.
    ///
    /// # Errors
    /// When it does not answer, or the image cannot be made.
    pub fn at(socket: &str) -> io::Result<Self> {
        let this = Self { socket: socket.to_owned() };
        this.run(&["version", "--format", "{{.Server.Version}}"]).map_err(|error| {
            io::Error::other(format!("these tests need Docker Engine at {socket}: {error}"))
        })?;
        this.make_image()?;
        Ok(this)
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// One `docker` command; what it prints.
    ///
    /// # Errors
    /// With what it complains about.
    pub fn run(&self, arguments: &[&str]) -> io::Result<String> {
        let mut docker = Command::new("timeout");
        docker.env_remove("DOCKER_HOST").args([
            PATIENCE_S,
            "docker",
            "-H",
            &format!("unix://{}", self.socket),
        ]);
        let output = docker.args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("docker {}: {complaint}", arguments.join(" "))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// One request without a body to the daemon itself; the docker command takes more of the machine
    /// than what it asks for.
    ///
    /// # Errors
    /// When the answer is neither success nor that it is so already.
    pub fn post(&self, path: &str) -> io::Result<()> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split(' ').nth(1) {
            Some("200" | "204" | "304" | "409") => Ok(()),
            _ => Err(io::Error::other(format!("docker {path}: {answer}"))),
        }
    }

    fn make_image(&self) -> io::Result<()> {
        let lock = File::create(std::env::temp_dir().join("smartstack-test-image.lock"))?;
        lock.lock()?;
        if self.run(&["image", "inspect", IMAGE]).is_ok() {
            return Ok(());
        }
        let archive = tempfile::NamedTempFile::new()?;
        // Two empty blocks are an archive without files.
        archive.as_file().write_all(&[0; 1024])?;
        self.run(&["import", &archive.path().display().to_string(), IMAGE]).map(drop)
    }

    /// Makes a container without starting it.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn create(&self, name: &str, recipe: &Recipe<'_>) -> io::Result<Service> {
        self.create_on(name, recipe, 8888)
    }

    /// Makes a container that serves on another port inside.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn create_on(&self, name: &str, recipe: &Recipe<'_>, port: u16) -> io::Result<Service> {
        let program = format!("{}:/smartstack:ro", program("smartstack").display());
        let mut arguments: Vec<String> =
            ["create", "--name", name, "-v", &program].map(str::to_owned).to_vec();
        for dir in ["/usr", "/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).exists()) {
            arguments.extend(["-v".to_owned(), format!("{dir}:{dir}:ro")]);
        }
        for (name, value) in recipe.labels {
            arguments.extend(["--label".to_owned(), format!("{name}={value}")]);
        }
        for (name, value) in recipe.env {
            arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        if recipe.options.is_empty() {
            arguments.extend(["-p".to_owned(), "127.0.0.1::8888".to_owned()]);
        }
        arguments.extend(recipe.options.iter().map(|option| (*option).to_owned()));
        let (linger, port) = (recipe.linger_ms.to_string(), port.to_string());
        arguments.push(IMAGE.to_owned());
        if !recipe.before.is_empty() {
            let script = format!("{}; exec \"$@\"", recipe.before);
            arguments.extend(["/usr/bin/sh", "-c", &script, "sh"].map(str::to_owned));
        }
        let command = ["/smartstack", "demo-service", "--name", name, "--port", &port];
        arguments.extend(command.map(str::to_owned));
        arguments.extend(["--linger-ms".to_owned(), linger]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let id = self.run(&arguments)?;
        Ok(Service { docker: self.clone(), name: name.to_owned(), id })
    }

    /// Makes and starts a container that asks for `namespaces` by plain labels.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn serve(&self, name: &str, namespaces: &str) -> io::Result<Service> {
        let labels = [("smartstack.namespace", namespaces), ("smartstack.port", "8888")];
        let service = self.create(name, &Recipe { labels: &labels, ..Recipe::default() })?;
        service.start()?;
        Ok(service)
    }
}

impl Service {
    /// # Errors
    /// When Docker refuses.
    pub fn start(&self) -> io::Result<()> {
        self.docker.run(&["start", &self.id]).map(drop)
    }

    /// The port of this host on which it is published.
    ///
    /// # Errors
    /// When it is not.
    pub fn port(&self) -> io::Result<u16> {
        let shown = self.docker.run(&["port", &self.id, "8888/tcp"])?;
        let port = shown.lines().next().and_then(|line| line.rsplit_once(':')?.1.parse().ok());
        port.ok_or_else(|| io::Error::other(format!("{}: no port in `{shown}`", self.name)))
    }

    /// The process that serves, as this machine numbers it.
    ///
    /// # Errors
    /// When Docker does not know.
    pub fn pid(&self) -> io::Result<i32> {
        let pid = self.docker.run(&["inspect", "-f", "{{.State.Pid}}", &self.id])?;
        pid.parse().map_err(|_| io::Error::other(format!("{}: no pid in `{pid}`", self.name)))
    }

    /// Begins a `docker stop` and does not wait for it.
    ///
    /// # Errors
    /// When docker cannot be run.
    pub fn begin_stop(&self) -> io::Result<std::process::Child> {
        let mut docker = Command::new("docker");
        docker.args([
            "-H",
            &format!("unix://{}", self.docker.socket),
            "stop",
            "-t",
            "30",
            &self.id,
        ]);
        docker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn kill(&self, signal: &str) -> io::Result<()> {
        self.docker.run(&["kill", "-s", signal, &self.id]).map(drop)
    }

    /// # Errors
    /// When Docker does not know.
    pub fn is_running(&self) -> io::Result<bool> {
        let state = self.docker.run(&["inspect", "-f", "{{.State.Running}}", &self.id])?;
        Ok(state == "true")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.docker.run(&["rm", "-f", &self.id]);
    }
}

/// A name that no other test uses.
#[must_use]
pub fn unique(name: &str) -> String {
    let random = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    format!("{name}-{}", random.get(..8).unwrap_or("x"))
}
