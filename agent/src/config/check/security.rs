//! How the agent logs in to ZooKeeper. Secrets may stand in files of their own.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use hacheck::settings::{Login, Secret};
use serde_yaml::Spanned;

use super::Problems;
use crate::{
    config::raw::{RawRegistry, RawSecretLogin, RawTls},
    registry::zookeeper::security::{Access, Security, Tls},
};

/// The longest password, in bytes.
const LONGEST: u64 = 1024;

impl Problems {
    pub(super) fn security(
        &mut self,
        raw: &RawRegistry,
        assumptions: &mut Vec<String>,
    ) -> Security {
        let digest = self.login("registry.auth", raw.auth.as_ref(), assumptions);
        let sasl = self.login("registry.sasl", raw.sasl.as_ref(), assumptions);
        let tls = self.tls(raw.tls.as_ref(), assumptions);
        let acl = raw.acl.as_ref().map_or("open", |acl| acl.value.as_str());
        let access = if acl == "owner" { Access::Owner } else { Access::Open };
        let is_somebody = raw.auth.is_some() || raw.sasl.is_some();
        if !["open", "owner"].contains(&acl) {
            self.add(raw.acl.as_ref(), "registry.acl", "expected open or owner");
        } else if access == Access::Owner && !is_somebody {
            let message = "owner needs a login: set registry.auth or registry.sasl";
            self.add(raw.acl.as_ref(), "registry.acl", message);
        }
        Security { digest, sasl, tls, access }
    }

    fn login(
        &mut self,
        key: &'static str,
        raw: Option<&Spanned<RawSecretLogin>>,
        assumptions: &mut Vec<String>,
    ) -> Option<Login> {
        let at = raw?;
        let RawSecretLogin { user, password, password_file } = &at.value;
        if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
            self.add(Some(at), key, "user must be a name without `:`");
        }
        let password = match (password, password_file) {
            (Some(password), None) => password.clone(),
            (None, Some(file)) => match secret(file) {
                Ok(password) => {
                    warn_of_readers(key, file, assumptions);
                    password
                }
                Err(error) => {
                    self.add(Some(at), key, format!("cannot read {}: {error}", file.display()));
                    return None;
                }
            },
            _ => {
                self.add(Some(at), key, "needs either password or password_file");
                return None;
            }
        };
        if password.is_empty() || password.chars().any(char::is_control) {
            self.add(Some(at), key, "the password must be one line, not empty");
        }
        Some(Login { user: user.clone(), password: Secret::new(password) })
    }

    /// Read once here, so that a wrong file is told at the start; and again with every connection.
    fn tls(&mut self, raw: Option<&Spanned<RawTls>>, assumptions: &mut Vec<String>) -> Option<Tls> {
        const KEY: &str = "registry.tls";
        let at = raw?;
        let RawTls { ca, cert, key } = &at.value;
        let identity = cert.clone().zip(key.clone());
        if cert.is_some() != key.is_some() {
            self.add(Some(at), KEY, "cert and key go together");
        }
        let tls = Tls { ca: ca.clone(), identity };
        match tls.options() {
            Ok(_) => {
                if let Some(key) = key {
                    warn_of_readers(KEY, key, assumptions);
                }
            }
            Err(error) => self.add(Some(at), KEY, format!("{:#}", anyhow::Error::from(error))),
        }
        Some(tls)
    }
}

/// The text of the file, without the end of its line.
fn secret(file: &PathBuf) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The host may be everybody's; its secrets are not.
fn warn_of_readers(key: &str, file: &Path, assumptions: &mut Vec<String>) {
    let mode = fs::metadata(file).map_or(0, |meta| meta.mode() & 0o777);
    if mode & 0o077 != 0 {
        let file = file.display();
        assumptions.push(format!(
            "{key}: others may use {file}, whose mode is {mode:04o}: chmod 600 {file}"
        ));
    }
}
