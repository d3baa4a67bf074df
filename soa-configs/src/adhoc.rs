//! An adhoc instance: run by hand, never by Marathon (marathon-sync.md §5.6, cli-and-monitoring.md D10).

use crate::{
    container::{Container, Size},
    load::Instance,
    merged::{ConfigError, Keys},
};

/// The instance that a run without a name uses.
pub const INTERACTIVE: &str = "interactive";

/// An adhoc instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdhocConfig {
    /// Of [`INTERACTIVE`], the defaults are 4 processors and 10240 MB.
    pub container: Container,
    /// Graphics processors. Default 0.
    pub gpus: i64,
    /// The role in Mesos under which it runs.
    pub role: Option<String>,
}

impl AdhocConfig {
    /// # Errors
    /// The first value that the tools could not work with.
    pub fn read(instance: &Instance) -> Result<Self, ConfigError> {
        let keys = Keys(&instance.merged);
        let is_interactive = instance.instance == INTERACTIVE;
        let size = if is_interactive { Size::Interactive } else { Size::Usual };
        Ok(Self {
            container: Container::read(keys, size)?,
            gpus: keys.whole("gpus", 0)?,
            role: keys.optional_text("role")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Kind, yaml};

    fn read(name: &str, text: &str) -> Result<AdhocConfig, ConfigError> {
        let merged = yaml::parse(text).unwrap().as_map().unwrap().clone();
        let names = ["web", name].map(str::to_owned);
        let [service, instance] = names;
        let (cluster, deploy_group) = ("c1".parse().unwrap(), String::new());
        let kind = Kind::Adhoc;
        AdhocConfig::read(&Instance { kind, service, instance, cluster, merged, deploy_group })
    }

    #[test]
    fn an_interactive_instance_is_larger() {
        let usual = read("main", "{cmd: x, gpus: 1, role: r}").unwrap();
        assert_eq!((usual.container.cpus.value, usual.gpus), (0.25.into(), 1));
        assert_eq!(usual.role.as_deref(), Some("r"));
        let large = read(INTERACTIVE, "{mem: 500}").unwrap().container;
        assert_eq!(
            (large.cpus.value, large.mem.value, large.disk.value),
            (4.into(), 500.into(), 1024.into())
        );
        assert!(matches!(read("main", "{mem: '500'}"), Err(ConfigError::WrongType { .. })));
    }
}
