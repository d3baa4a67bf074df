//! How this host and ZooKeeper prove who they are, and who may change what we write.

use std::{fs, io, path::PathBuf};

use hacheck::settings::Login;
use tokio_rustls::rustls::{crypto::ring, pki_types::ServerName};
use zookeeper_client::{
    Acl, Acls, Connector, CreateMode, CreateOptions, Error as ZooKeeperError, Permission,
    SaslOptions, TlsOptions,
};

/// The largest certificate or key file that is read.
const LONGEST: u64 = 1 << 20;

/// What is needed to be let in. Default: nothing, over a plain connection.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// By ZooKeeper's own `digest` scheme. It takes any password: what counts is who owns a znode.
    pub digest: Option<Login>,
    /// By SASL with DIGEST-MD5, as the server's JAAS file names its users.
    pub sasl: Option<Login>,
    pub tls: Option<Tls>,
    pub access: Access,
}

/// TLS to every server; its certificate has to prove the name by which it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Authorities, in PEM.
    pub ca: PathBuf,
    /// Certificate and key of this host, in PEM, for servers that ask.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Who may change and delete what we write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody, as nerve has it.
    #[default]
    Open,
    /// All may read; everything else is for whom we have logged in as. Goes for parents that we make as
    /// well: it is by the rights on the parent that ZooKeeper lets somebody delete a record.
    Owner,
}

/// Why a connection cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use {}: {source}", file.display())]
    Use { file: PathBuf, source: ZooKeeperError },
    #[error("`{0}` is no name that a certificate could prove")]
    Name(String),
}

static OWNER: [Acl; 2] = [
    Acl::new_const(Permission::READ, "world", "anyone"),
    // Whoever this session has logged in as.
    Acl::new_const(Permission::ALL, "auth", ""),
];

impl Access {
    fn acls(self) -> Acls<'static> {
        match self {
            Self::Open => Acls::anyone_all(),
            Self::Owner => Acls::new(&OWNER),
        }
    }

    pub(super) fn parent(self) -> CreateOptions<'static> {
        CreateMode::Persistent.with_acls(self.acls())
    }

    pub(super) fn record(self) -> CreateOptions<'static> {
        CreateMode::EphemeralSequential.with_acls(self.acls())
    }
}

impl Security {
    /// A connector that logs in. Blocks on the files of TLS, which are read each time, so that a new
    /// certificate needs no restart.
    ///
    /// # Errors
    /// When such a file cannot be used.
    pub fn equip(&self, connector: Connector) -> Result<Connector, Error> {
        let mut connector = connector;
        if let Some(Login { user, password }) = &self.digest {
            let login = format!("{user}:{}", password.expose());
            connector = connector.with_auth("digest", login.as_bytes());
        }
        if let Some(Login { user, password }) = &self.sasl {
            let password = password.expose().to_owned();
            connector = connector.with_sasl(SaslOptions::digest_md5(user.clone(), password));
        }
        if let Some(tls) = &self.tls {
            connector = connector.with_tls(tls.options()?);
        }
        Ok(connector)
    }

    /// Refuses a list of servers that cannot be verified: the client would end over it.
    ///
    /// # Errors
    /// With the first one.
    pub fn admit(&self, hosts: &str) -> Result<(), Error> {
        let names =
            hosts.split(',').map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
        let unproven = |name: &&str| ServerName::try_from(*name).is_err();
        match names.filter(|_| self.tls.is_some()).find(unproven) {
            Some(name) => Err(Error::Name(name.to_owned())),
            None => Ok(()),
        }
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or holds nothing of use.
    pub fn options(&self) -> Result<TlsOptions, Error> {
        // The client takes the provider of the process; one that was chosen before is as good.
        let _ = ring::default_provider().install_default();
        let used = |file: &PathBuf| {
            let file = file.clone();
            move |source| Error::Use { file, source }
        };
        let options = TlsOptions::new().with_pem_ca(&read(&self.ca)?).map_err(used(&self.ca))?;
        let Some((certificate, key)) = &self.identity else { return Ok(options) };
        options.with_pem_identity(&read(certificate)?, &read(key)?).map_err(used(key))
    }
}

fn read(file: &PathBuf) -> Result<String, Error> {
    let failed = |source| Error::Read { file: file.clone(), source };
    let meta = fs::metadata(file).map_err(failed)?;
    if !meta.is_file() || meta.len() > LONGEST {
        return Err(failed(io::Error::other("it is no regular file of at most 1 MiB")));
    }
    fs::read_to_string(file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_provable_name_is_refused_before_it_is_asked() {
        let plain = Security::default();
        assert!(plain.admit("[::1]:2181,zk1:2181").is_ok());
        let tls = Tls { ca: "/ca".into(), identity: None };
        let secured = Security { tls: Some(tls), ..Security::default() };
        assert!(secured.admit("10.0.0.1:2181,zk1.example.com:2281").is_ok());
        let refused = secured.admit("zk1:2281,[::1]:2281").unwrap_err().to_string();
        assert_eq!(refused, "`[::1]` is no name that a certificate could prove");
    }

    #[test]
    fn a_file_that_is_missing_or_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        let tls = Tls { ca: ca.clone(), identity: None };
        assert!(matches!(tls.options(), Err(Error::Read { file, .. }) if file == ca));
        crate::atomic_file::write(&ca, b"nonsense").unwrap();
        assert!(matches!(tls.options(), Err(Error::Use { file, .. }) if file == ca));
    }

    #[test]
    fn no_secret_is_shown() {
        let password = hacheck::settings::Secret::new("hidden");
        let login = Some(Login { user: "u".to_owned(), password });
        let security = Security { digest: login.clone(), sasl: login, ..Security::default() };
        assert!(!format!("{security:?}").contains("hidden"));
    }
}
