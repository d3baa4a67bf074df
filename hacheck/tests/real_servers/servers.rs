//! Starts the real servers, each in a directory and on ports of its own.

use std::{
    fs::File,
    io::Write,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use end_to_end::ports::Port;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempDir;

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) ports: Vec<Port>,
    child: Child,
    /// Run when it has ended.
    after: Option<Command>,
    _home: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server may be a script that started others. It may also have ended by itself.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
        if let Some(after) = &mut self.after {
            let _ = after.status();
        }
    }
}

impl Server {
    /// Plain on the first port, TLS on the second, HTTP/2 without TLS on the third.
    pub(crate) fn nginx() -> Self {
        let (home, ports) = (home(), ports(3));
        let (key, certificate) = certificate(home.path(), "rsa:2048");
        let [plain, tls, h2c] = [0, 1, 2].map(|port: usize| ports[port].number);
        let dir = home.path().display();
        let text = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; keepalive_timeout 30 30; client_body_temp_path {dir}/a; \
             proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; \
             scgi_temp_path {dir}/e;\n\
             server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; \
             listen 127.0.0.1:{h2c} http2; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
             location = /status {{ return 200 \"well\\n\"; }} location = /count {{ stub_status; }}\n\
             location = /sick {{ return 503; }} }} }}\n"
        );
        let config = write(home.path(), "nginx.conf", &text);
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-p", &dir.to_string(), "-c", &config]);
        Self::start(command, ports, home)
    }

    /// One version of TLS, with a key that nobody would trust any more.
    pub(crate) fn openssl(version: &str) -> Self {
        let (home, ports) = (home(), ports(1));
        let (key, certificate) = certificate(home.path(), "rsa:1024");
        let mut command = Command::new("openssl");
        let accept = format!("127.0.0.1:{}", ports[0].number);
        command.args(["s_server", "-www", "-quiet", "-accept", &accept, version]);
        command.args(["-key", &key, "-cert", &certificate, "-cipher", "DEFAULT@SECLEVEL=0"]);
        Self::start(command, ports, home)
    }

    pub(crate) fn redis(password: &str) -> Self {
        let (home, ports) = (home(), ports(1));
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &ports[0].number.to_string()]);
        command.args(["--save", "", "--requirepass", password]).arg("--dir").arg(home.path());
        Self::start(command, ports, home)
    }

    /// With one user that may log in and do nothing.
    pub(crate) fn mariadb(user: &str, password: &str) -> Self {
        let (home, ports) = (home(), ports(1));
        let data = home.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"]);
        install.arg("--skip-test-db").arg(format!("--datadir={}", data.display()));
        run(install);
        let user = format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';\n");
        let init = write(home.path(), "init.sql", &user);
        let mut command = Command::new("/usr/sbin/mariadbd");
        command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"]);
        command.args([
            format!("--port={}", ports[0].number),
            format!("--datadir={}", data.display()),
            format!("--socket={}/socket", home.path().display()),
            format!("--init-file={init}"),
        ]);
        Self::start(command, ports, home)
    }

    pub(crate) fn smtp() -> Self {
        let (home, ports) = (home(), ports(1));
        let mut command = Command::new("/usr/bin/python3");
        let listen = format!("127.0.0.1:{}", ports[0].number);
        command.args(["-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", &listen]);
        Self::start(command, ports, home)
    }

    /// With `guest` as it comes. Its name and its files are its own, and it needs no other process.
    pub(crate) fn rabbitmq() -> Self {
        let (home, ports) = (home(), ports(3));
        let (amqp, node) = (ports[0].number, ports[1].number);
        let epmd_port = ports[2].number.to_string();
        let dir = home.path().display().to_string();
        let text = format!("listeners.tcp.1 = 127.0.0.1:{amqp}\n");
        let config = write(home.path(), "rabbitmq.conf", &text);
        // The script of that name in sbin insists on a user.
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &dir);
        // It leaves what a crash looked like where it runs.
        command.current_dir(home.path());
        let variables = [
            ("RABBITMQ_NODENAME", format!("check{amqp}@localhost")),
            ("RABBITMQ_CONFIG_FILE", config),
            ("RABBITMQ_MNESIA_BASE", format!("{dir}/data")),
            ("RABBITMQ_LOG_BASE", format!("{dir}/log.d")),
            ("RABBITMQ_PID_FILE", format!("{dir}/pid")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{dir}/plugins")),
            ("RABBITMQ_CONF_ENV_FILE", format!("{dir}/none")),
            ("RABBITMQ_DIST_PORT", node.to_string()),
            ("ERL_EPMD_PORT", epmd_port.clone()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            ),
        ];
        command.envs(variables);
        let mut server = Self::start(command, ports, home);
        // The daemon by which Erlang's nodes find each other outlives them, and is not ended while it
        // still knows one.
        let line = format!("until epmd -port {epmd_port} -kill; do sleep 0.05; done");
        let mut epmd = Command::new("timeout");
        epmd.args(["5", "sh", "-c", &line]).stdout(Stdio::null()).stderr(Stdio::null());
        server.after = Some(epmd);
        server
    }

    /// gRPC's own server; the health service on it is ours, of a dozen lines.
    pub(crate) fn grpc() -> Self {
        let (home, ports) = (home(), ports(1));
        let script = write(home.path(), "health.py", HEALTH);
        let mut command = Command::new("/usr/bin/python3");
        command.args([&script, &ports[0].number.to_string()]);
        Self::start(command, ports, home)
    }

    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.child.id().to_string()]);
        run(kill);
    }

    fn start(mut command: Command, ports: Vec<Port>, home: TempDir) -> Self {
        let log = File::create(home.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.process_group(0);
        let child = command.spawn().unwrap_or_else(|error| {
            let name = command.get_program().display();
            panic!("cannot start {name}: {error}; packaging/install-dependencies test installs it")
        });
        Self { ports, child, after: None, _home: home }
    }
}

const HEALTH: &str = r#"
import sys, grpc
from concurrent import futures

STATUS = {b"": b"\x08\x01", b"\x0a\x04good": b"\x08\x01", b"\x0a\x03bad": b"\x08\x02"}

def check(request, context):
    if request not in STATUS:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return STATUS[request]

handler = grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)})
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
server.add_generic_rpc_handlers((handler,))
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
"#;

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn ports(count: usize) -> Vec<Port> {
    (0..count).map(|_| Port::free().unwrap()).collect()
}

fn write(home: &Path, name: &str, text: &str) -> String {
    let path = home.join(name);
    File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    path.display().to_string()
}

/// A key and a certificate that nobody has signed, in files.
fn certificate(home: &Path, key_kind: &str) -> (String, String) {
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| home.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=somebody.else"]);
    openssl.args(["-newkey", key_kind, "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    run(openssl);
    let text = |path: &Path| path.display().to_string();
    (text(&key), text(&certificate))
}

fn run(mut command: Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", command.get_program().display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", command.get_program().display());
}
