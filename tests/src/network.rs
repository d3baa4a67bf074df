//! Networks of the tests' own.

mod bridge;
mod namespace;

use std::{
    io,
    process::{Command, Stdio},
};

pub(crate) use self::{bridge::Bridge, namespace::Namespace};

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("ip {}: {complaint}", arguments.join(" "))))
}
