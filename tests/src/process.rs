//! A small service without a container.

use std::{io, process::Stdio};

use tokio::process::{Child, Command};

use crate::{host::program, ports::Port};

/// A local process that serves on a port of its own. Dropping it ends it.
#[derive(Debug)]
pub struct LocalProcess {
    pub name: String,
    pub port: Port,
    _child: Child,
}

impl LocalProcess {
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str) -> io::Result<Self> {
        let port = Port::free()?;
        let mut service = Command::new(program("smartstack"));
        service.args(["demo-service", "--name", name, "--port", &port.number.to_string()]);
        service.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        Ok(Self { name: name.to_owned(), port, _child: service.spawn()? })
    }

    /// Its line in the file of local tasks.
    #[must_use]
    pub fn entry(&self, namespace: &str) -> String {
        format!(
            "- {{name: {}, namespaces: [{namespace}], port: {}}}\n",
            self.name, self.port.number
        )
    }
}
