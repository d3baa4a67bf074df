//! Keys and certificates for a test, made by openssl.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time};

const PATIENCE: Duration = Duration::from_secs(60);

/// `NAME.key` and `NAME.pem` of an authority that signs by itself.
pub(crate) async fn authority(dir: &Path, name: &str) -> io::Result<()> {
    let subject = format!("/CN={name}");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "rsa:2048", "-subj", &subject]);
    openssl.arg("-keyout").arg(dir.join(format!("{name}.key")));
    run(openssl.arg("-out").arg(dir.join(format!("{name}.pem")))).await
}

/// `NAME.key` and `NAME.pem`, which `ca` of this directory has signed.
pub(crate) async fn certificate(dir: &Path, name: &str, extension: &str) -> io::Result<()> {
    let file = |suffix: &str| dir.join(format!("{name}.{suffix}"));
    let mut request = Command::new("openssl");
    request.args(["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", &format!("/CN={name}")]);
    run(request.arg("-keyout").arg(file("key")).arg("-out").arg(file("csr"))).await?;
    File::create(file("ext"))?.write_all(extension.as_bytes())?;
    let mut sign = Command::new("openssl");
    sign.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-CA"]).arg(dir.join("ca.pem"));
    sign.arg("-CAkey").arg(dir.join("ca.key")).arg("-in").arg(file("csr"));
    run(sign.arg("-extfile").arg(file("ext")).arg("-out").arg(file("pem"))).await
}

async fn run(command: &mut Command) -> io::Result<()> {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let status = time::timeout(PATIENCE, child.wait()).await??;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("openssl: {status}"))) }
}
