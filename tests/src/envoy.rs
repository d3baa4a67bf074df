//! A real Envoy that follows the endpoints of one backend.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ports::Port;

/// An Envoy with a listener whose requests go to one backend. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    dir: TempDir,
    /// Where it serves the backend.
    pub listener: Port,
    /// Its admin interface.
    pub admin: Port,
    _child: Child,
}

impl Envoy {
    /// Starts it on the endpoints in `file`, which must be there.
    ///
    /// # Errors
    /// When it is not installed or cannot be started.
    pub fn start(backend: &str, file: &Path) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (listener, admin) = (Port::free()?, Port::free()?);
        let config = dir.path().join("envoy.yaml");
        let text = config_text(backend, file, &listener, &admin);
        File::create(&config)?.write_all(text.as_bytes())?;
        let log = File::create(dir.path().join("envoy.log"))?;
        let mut envoy = Command::new(installed()?);
        envoy.arg("-c").arg(config).args(["--concurrency", "1", "--use-dynamic-base-id"]);
        envoy.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = envoy.process_group(0).kill_on_drop(true).spawn()?;
        Ok(Self { dir, listener, admin, _child: child })
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("envoy.log")).unwrap_or_default()
    }
}

/// Where `make test` puts it.
fn installed() -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // target/debug/deps/test-…
    let places = exe.ancestors().map(|dir| dir.join("tools/envoy/envoy"));
    places.into_iter().find(|program| program.exists()).ok_or_else(|| {
        io::Error::other(
            "these tests need Envoy: run `make test` or `packaging/install-envoy target/tools/envoy`",
        )
    })
}

fn config_text(backend: &str, file: &Path, listener: &Port, admin: &Port) -> String {
    let address = |port: &Port| {
        format!("{{socket_address: {{address: 127.0.0.1, port_value: {}}}}}", port.number)
    };
    let types = "type.googleapis.com/envoy.extensions.filters";
    format!(
        r#"
node: {{id: test, cluster: test}}
admin: {{address: {}}}
static_resources:
  listeners:
  - address: {}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: backend}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": {types}.http.router.v3.Router}}
  clusters:
  - name: backend
    type: EDS
    eds_cluster_config:
      service_name: {backend}
      eds_config: {{path_config_source: {{path: {}}}}}
"#,
        address(admin),
        address(listener),
        file.display()
    )
}
