//! Every key of the system configuration that the tools on the masters read, as types
//! (marathon-sync.md §1.2, chronos-sync.md §13, cli-and-monitoring.md parts A, C and D).

use std::{collections::BTreeMap, fmt};

use super::{Deployd, SystemConfig};
use crate::{
    Cluster,
    fields::{self, Fields, Input},
    file::FileError,
    values,
    yaml::{Fault, Node},
};

/// A key that has no default is missing where it is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Could not find {what} in configuration directory: {dir}")]
pub struct NotConfigured {
    what: &'static str,
    dir: String,
}

/// A text that must not be seen in a log. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One group of Marathon servers that hold the same apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarathonServer {
    /// Tried in order. Never empty.
    pub urls: Vec<String>,
    pub user: String,
    pub password: Secret,
}

/// A directory of the host that containers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub host_path: String,
    pub container_path: String,
    /// `RO` or `RW`; others are refused when an app is sent. Default: Marathon's, `RW`.
    pub mode: Option<String>,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWriter {
    /// `file`, `null`, `stdout`, `syslog`, or what others know, as `scribe`.
    pub driver: String,
    /// As the driver wants them.
    pub options: Node,
}

/// The system configuration with its defaults. Required keys are optional here: they are required by
/// whoever uses them, see [`Settings::zookeeper`] and the like.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    dir: String,
    cluster: Option<Cluster>,
    zookeeper: Option<String>,
    docker_registry: Option<String>,
    volumes: Option<Vec<Volume>>,
    /// The same with whatever else is written there: all of it goes into an app.
    pub volumes_as_written: Vec<Node>,
    log_writer: Option<LogWriter>,
    /// Groups of Marathon servers that are in use; the index is the number of the shard. Default none.
    pub marathon_servers: Vec<MarathonServer>,
    /// Groups that may still hold apps. Default none.
    pub previous_marathon_servers: Vec<MarathonServer>,
    /// Chronos: servers, user and password. `None`: there is none.
    pub chronos: Option<MarathonServer>,
    /// The only entry of an app's `uris`. Default `file:///root/.dockercfg`.
    pub dockercfg_location: String,
    /// Mesos instead of Marathon asks for HTTP health. Default false.
    pub use_mesos_healthchecks: bool,
    /// Apps up to this size get one host for each task. Default -1: none.
    pub auto_hostname_unique_size: i64,
    /// Attributes of the agents, by which apps are spread. `None`: apps are not spread.
    pub expected_slave_attributes: Option<Vec<Node>>,
    /// `[attribute, value]`: agents that get no apps. Default none.
    pub deploy_blacklist: Vec<(String, String)>,
    /// `[attribute, [value, ..]]`: agents that get all apps.
    pub deploy_whitelist: Option<(String, Vec<String>)>,
    /// Which signature of a secret goes into the hash.
    pub vault_environment: Option<String>,
    /// HAProxy's statistics. Default 3212.
    pub synapse_port: u16,
    /// Default `localhost`.
    pub synapse_host: String,
    /// Python's format, with `{host:s}` and `{port:d}`.
    pub synapse_haproxy_url_format: String,
    /// `None`: nothing is sent (`sensu_host: null`). Default `localhost`.
    pub sensu_host: Option<String>,
    /// Default 3030.
    pub sensu_port: u16,
    /// Python's format, with `{cluster:s}`. Default `paasta-{cluster:s}.yelp`.
    pub cluster_fqdn_format: String,
    /// By cluster, then by label: one URL or a list.
    pub dashboard_links: BTreeMap<String, Node>,
    /// By cluster: the URL of PaaSTA's API.
    pub api_endpoints: BTreeMap<String, String>,
    /// The configuration of the Mesos client. Default `/nail/etc/mesos-cli.json`.
    pub mesos_config_path: String,
    /// Processor times that cannot be are left out. Default false.
    pub filter_bogus_mesos_cputime: bool,
    /// `register_native_services`, default false.
    pub register_native_services: bool,
    /// A command that checks a commit of a service for `paasta security-check`. `None`: there is none.
    pub security_check_command: Option<String>,
    /// The daemon that deploys.
    pub deployd: Deployd,
}

impl Settings {
    /// # Errors
    /// The first key with a value of the wrong kind, in the file that says it.
    pub fn read(system: &SystemConfig, dir: &std::path::Path) -> Result<Self, FileError> {
        let dir = dir.display().to_string();
        system.read(|fields| Self::of(fields, dir, system.cluster.clone()))
    }

    fn of(fields: &mut Fields<'_>, dir: String, cluster: Option<Cluster>) -> Self {
        let text = |fields: &mut Fields<'_>, key: &str, default: &str| {
            fields.read(key, |input| input.text()).unwrap_or_else(|| default.to_owned())
        };
        let flag =
            |fields: &mut Fields<'_>, key: &str| fields.read(key, Input::boolean).unwrap_or(false);
        Self {
            dir,
            cluster,
            zookeeper: fields
                .read("zookeeper", |input| input.text())
                .map(|hosts| hosts.strip_prefix("zk://").map(str::to_owned).unwrap_or(hosts)),
            docker_registry: fields.read("docker_registry", |input| input.text()),
            volumes: fields.read("volumes", |input| fields::list(input, volume)),
            volumes_as_written: fields
                .read("volumes", |input| Ok(input.list()?.to_vec()))
                .unwrap_or_default(),
            log_writer: fields.read("log_writer", log_writer),
            marathon_servers: servers(fields, "marathon_servers"),
            previous_marathon_servers: servers(fields, "previous_marathon_servers"),
            chronos: fields.read("chronos_config", server),
            dockercfg_location: text(fields, "dockercfg_location", "file:///root/.dockercfg"),
            use_mesos_healthchecks: flag(fields, "use_mesos_healthchecks"),
            auto_hostname_unique_size: fields
                .read("auto_hostname_unique_size", values::int)
                .unwrap_or(-1),
            expected_slave_attributes: fields
                .read("expected_slave_attributes", |input| Ok(input.list()?.to_vec())),
            deploy_blacklist: fields.read("deploy_blacklist", blacklist).unwrap_or_default(),
            deploy_whitelist: fields.read("deploy_whitelist", whitelist),
            vault_environment: fields.read("vault_environment", |input| input.text()),
            synapse_port: fields.read("synapse_port", values::count).unwrap_or(3212),
            synapse_host: text(fields, "synapse_host", "localhost"),
            synapse_haproxy_url_format: text(
                fields,
                "synapse_haproxy_url_format",
                "http://{host:s}:{port:d}/;csv;norefresh",
            ),
            sensu_host: match fields.get("sensu_host") {
                Some(input) if input.node.is_null() => None,
                _ => Some(text(fields, "sensu_host", "localhost")),
            },
            sensu_port: fields.read("sensu_port", values::count).unwrap_or(3030),
            cluster_fqdn_format: text(fields, "cluster_fqdn_format", "paasta-{cluster:s}.yelp"),
            dashboard_links: fields
                .read("dashboard_links", |input| by_name(input, |input| Ok(input.node.clone())))
                .unwrap_or_default(),
            api_endpoints: fields
                .read("api_endpoints", |input| by_name(input, |input| input.text()))
                .unwrap_or_default(),
            mesos_config_path: fields
                .read("mesos_config", mesos_path)
                .flatten()
                .unwrap_or_else(|| "/nail/etc/mesos-cli.json".to_owned()),
            filter_bogus_mesos_cputime: flag(fields, "filter_bogus_mesos_cputime_enabled"),
            register_native_services: flag(fields, "register_native_services"),
            security_check_command: fields.read("security_check_command", |input| input.text()),
            deployd: Deployd::of(fields),
        }
    }

    fn required<'s, T: ?Sized>(
        &self,
        value: Option<&'s T>,
        what: &'static str,
    ) -> Result<&'s T, NotConfigured> {
        value.ok_or_else(|| NotConfigured { what, dir: self.dir.clone() })
    }

    /// # Errors
    /// When `cluster` is not set.
    pub fn cluster(&self) -> Result<&Cluster, NotConfigured> {
        self.required(self.cluster.as_ref(), "cluster")
    }

    /// `host:port,host:port[/chroot]`, without `zk://`.
    ///
    /// # Errors
    /// When `zookeeper` is not set.
    pub fn zookeeper(&self) -> Result<&str, NotConfigured> {
        self.required(self.zookeeper.as_deref(), "zookeeper connection string")
    }

    /// The prefix of images, unless service.yaml names another.
    ///
    /// # Errors
    /// When `docker_registry` is not set.
    pub fn docker_registry(&self) -> Result<&str, NotConfigured> {
        self.required(self.docker_registry.as_deref(), "docker registry")
    }

    /// What every container sees of its host.
    ///
    /// # Errors
    /// When `volumes` is not set.
    pub fn volumes(&self) -> Result<&[Volume], NotConfigured> {
        self.required(self.volumes.as_deref(), "volumes")
    }

    /// # Errors
    /// When `log_writer` is not set.
    pub fn log_writer(&self) -> Result<&LogWriter, NotConfigured> {
        self.required(self.log_writer.as_ref(), "log_writer")
    }
}

fn servers(fields: &mut Fields<'_>, key: &str) -> Vec<MarathonServer> {
    fields.read(key, |input| fields::list(input, server)).unwrap_or_default()
}

fn server(input: Input<'_>) -> Result<MarathonServer, Fault> {
    let mut fields = Fields::new(input)?;
    let urls = fields.read("url", |input| match input.node.as_list() {
        Some(_) => fields::list(input, |input| input.text()),
        None => input.text().map(|url| vec![url]),
    });
    let user = fields.read("user", |input| input.text());
    let password = fields.read("password", |input| input.text()).map(Secret);
    fields.finish()?;
    let missing = |what| Fault::new(input.node.span, format!("expected `{what}`, found none"));
    Ok(MarathonServer {
        urls: urls.filter(|urls| !urls.is_empty()).ok_or_else(|| missing("url"))?,
        user: user.ok_or_else(|| missing("user"))?,
        password: password.ok_or_else(|| missing("password"))?,
    })
}

fn volume(input: Input<'_>) -> Result<Volume, Fault> {
    let mut fields = Fields::new(input)?;
    let host_path = fields.read("hostPath", |input| input.text());
    let container_path = fields.read("containerPath", |input| input.text());
    let mode = fields.read("mode", |input| input.text());
    fields.finish()?;
    let missing = |what| Fault::new(input.node.span, format!("expected `{what}`, found none"));
    Ok(Volume {
        host_path: host_path.ok_or_else(|| missing("hostPath"))?,
        container_path: container_path.ok_or_else(|| missing("containerPath"))?,
        mode,
    })
}

fn log_writer(input: Input<'_>) -> Result<LogWriter, Fault> {
    let mut fields = Fields::new(input)?;
    let driver = fields.read("driver", |input| input.text());
    let options = fields.get("options").map_or_else(Node::empty_map, |input| input.node.clone());
    fields.finish()?;
    match driver {
        Some(driver) => Ok(LogWriter { driver, options }),
        None => Err(Fault::new(input.node.span, "expected `driver`, found none")),
    }
}

fn mesos_path(input: Input<'_>) -> Result<Option<String>, Fault> {
    let mut fields = Fields::new(input)?;
    let path = fields.read("path", |input| input.text());
    fields.finish()?;
    Ok(path)
}

/// A list of `[attribute, value]`.
pub(crate) fn blacklist(input: Input<'_>) -> Result<Vec<(String, String)>, Fault> {
    fields::list(input, |input| match input.list()? {
        [kind, value] => Ok((input.with(kind).text()?, input.with(value).text()?)),
        _ => Err(input.expected("[attribute, value]")),
    })
}

/// `[attribute, [value, ..]]`.
pub(crate) fn whitelist(input: Input<'_>) -> Result<(String, Vec<String>), Fault> {
    match input.list()? {
        [kind, list] => {
            let values = fields::list(input.with(list), |input| input.text())?;
            Ok((input.with(kind).text()?, values))
        }
        _ => Err(input.expected("[attribute, [value, ..]]")),
    }
}

fn by_name<T>(
    input: Input<'_>,
    read: impl Fn(Input<'_>) -> Result<T, Fault>,
) -> Result<BTreeMap<String, T>, Fault> {
    Ok(fields::map(input, |key| key.text(), read)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.json");
        std::io::Write::write_all(&mut std::fs::File::create(file).unwrap(), text.as_bytes())
            .unwrap();
        let system = super::super::load(dir.path()).unwrap().unwrap();
        Settings::read(&system, std::path::Path::new("/etc/paasta"))
            .map_err(|error| error.one_line())
    }

    #[test]
    fn everything_has_its_default_and_what_has_none_says_so() {
        let settings = settings("{}").unwrap();
        assert_eq!((settings.synapse_port, settings.sensu_port), (3212, 3030));
        assert_eq!(settings.sensu_host.as_deref(), Some("localhost"));
        assert_eq!(settings.auto_hostname_unique_size, -1);
        let missing = [
            settings.cluster().unwrap_err().to_string(),
            settings.zookeeper().unwrap_err().to_string(),
            settings.docker_registry().unwrap_err().to_string(),
            settings.volumes().unwrap_err().to_string(),
            settings.log_writer().unwrap_err().to_string(),
        ];
        let deployd = &settings.deployd;
        assert_eq!((deployd.workers.get(), deployd.failure_backoff_factor), (4, 30));
        assert_eq!((deployd.big_bounce_rate, deployd.startup_bounce_rate), (0.1, 0.1));
        assert_eq!((deployd.log_level.as_str(), deployd.startup_oracle), ("INFO", true));
        let what =
            ["cluster", "zookeeper connection string", "docker registry", "volumes", "log_writer"];
        for (message, what) in missing.iter().zip(what) {
            assert_eq!(
                *message,
                format!("Could not find {what} in configuration directory: /etc/paasta")
            );
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = r#"{"cluster": "c1", "zookeeper": "zk://a:2181,b:2181/paasta", "sensu_host": null,
            "marathon_servers": [{"url": ["http://m:8080"], "user": "u", "password": "hush"}],
            "volumes": [{"hostPath": "/a", "containerPath": "/b", "mode": "RO"}],
            "deploy_whitelist": ["region", ["a", "b"]], "deploy_blacklist": [["habitat", "x"]],
            "deployd_number_workers": 8, "deployd_big_bounce_rate": 2, "metrics_provider": "m",
            "deployd_log_level": "DEBUG", "disabled_watchers": ["SoaFileWatcher"],
            "synapse_port": "3213", "mesos_config": {"path": "/x"}}"#;
        let settings = settings(text).unwrap();
        assert_eq!(settings.zookeeper().unwrap(), "a:2181,b:2181/paasta");
        assert_eq!(settings.sensu_host, None);
        assert_eq!((settings.synapse_port, settings.mesos_config_path.as_str()), (3213, "/x"));
        assert_eq!(settings.deploy_whitelist.as_ref().unwrap().1, ["a", "b"]);
        assert_eq!(settings.volumes().unwrap()[0].container_path, "/b");
        let deployd = &settings.deployd;
        assert_eq!((deployd.workers.get(), deployd.big_bounce_rate), (8, 2.0));
        assert_eq!(deployd.metrics_provider.as_deref(), Some("m"));
        assert_eq!(deployd.disabled_watchers, ["SoaFileWatcher"]);
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn a_fault_names_the_key_and_its_place() {
        for (text, fault) in [
            (
                r#"{"volumes": {}}"#,
                "a.json: volumes: expected a list, found a map at line 1, column 13",
            ),
            (
                "{\"marathon_servers\": [\n{\"url\": [], \"user\": \"u\"}]}",
                "`url`, found none at line 2, column 1",
            ),
            (
                r#"{"sensu_port": "x"}"#,
                "sensu_port: expected a whole number up to 65535, found \"x\"",
            ),
            (
                r#"{"deployd_big_bounce_rate": 0}"#,
                "deployd_big_bounce_rate: expected a number above 0, found a whole number",
            ),
            (r#"{"deploy_blacklist": [["a"]]}"#, "expected [attribute, value], found a list"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
