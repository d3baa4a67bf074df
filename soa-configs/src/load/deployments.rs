//! `deployments.json`: which image an instance runs, and whether it is to run
//! (marathon-sync.md §5.5).

use super::{Instance, LoadError, known};
use crate::{
    documents::ServiceDocuments,
    merged::shown,
    yaml::{Map, Node},
};

/// Whether an instance is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredState {
    Start,
    Stop,
    /// Marathon takes it for a stop, Chronos refuses it.
    Other(String),
}

/// What the tags of a service's repository ask of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Default start.
    pub desired_state: DesiredState,
    /// A token that changes the configuration hash, so that everything is started again.
    pub force_bounce: Option<String>,
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Without the registry, `services-web:paasta-<sha>`. Empty: nothing is deployed.
    pub docker_image: String,
    /// Only in the second version.
    pub git_sha: Option<String>,
    pub control: Control,
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key)?.as_text().map(str::to_owned)
}

fn control(map: &Map) -> Control {
    // Null is no start: nothing runs that nobody asked for.
    let desired_state = match map.get("desired_state").map(shown).as_deref() {
        None | Some("start") => DesiredState::Start,
        Some("stop") => DesiredState::Stop,
        Some(other) => DesiredState::Other(other.to_owned()),
    };
    Control { desired_state, force_bounce: text(map, "force_bounce") }
}

fn part<'d>(files: &'d ServiceDocuments, version: &str) -> Result<&'d Map, LoadError> {
    let Some(document) = known(files, "deployments.json")? else {
        return Err(LoadError::NoDeployments("there is no deployments.json".to_owned()));
    };
    let wrong = |what: &str| LoadError::WrongType(format!("{what}: expected a map"));
    let all = document.node.as_map().ok_or_else(|| wrong("deployments.json"))?;
    let all = all.get(version).ok_or_else(|| LoadError::MissingKey(version.to_owned()))?;
    all.as_map().ok_or_else(|| wrong(version))
}

impl Deployment {
    /// By the first version, which Marathon and Chronos jobs use. An entry that is missing says that
    /// nothing is deployed.
    ///
    /// # Errors
    /// When the file is missing or broken, or has no first version.
    pub fn v1(files: &ServiceDocuments, instance: &Instance) -> Result<Self, LoadError> {
        let all = part(files, "v1")?;
        let empty = Map::default();
        let key = Self::v1_key(instance);
        let entry = all.get(&key).and_then(Node::as_map).unwrap_or(&empty);
        Ok(Self {
            docker_image: text(entry, "docker_image").unwrap_or_default(),
            git_sha: None,
            control: control(entry),
        })
    }

    /// The key of an instance in the first version.
    #[must_use]
    pub fn v1_key(instance: &Instance) -> String {
        let default = format!("{}.{}", instance.cluster, instance.instance);
        let branch = instance.merged.get("branch").map_or(default, shown);
        format!("{}:paasta-{branch}", instance.service)
    }

    /// By the second version, which adhoc instances use.
    ///
    /// # Errors
    /// When the file is missing or broken, or one of the two entries is missing.
    pub fn v2(files: &ServiceDocuments, instance: &Instance) -> Result<Self, LoadError> {
        let all = part(files, "v2")?;
        let map = |key: &str| {
            let part = all.get(key).and_then(Node::as_map);
            part.ok_or_else(|| LoadError::MissingKey(key.to_owned()))
        };
        let missing = |key: &str| LoadError::NoDeployments(format!("there is no entry {key:?}"));
        let group = &instance.deploy_group;
        let deployed = map("deployments")?.get(group).and_then(Node::as_map);
        let deployed = deployed.ok_or_else(|| missing(group))?;
        let key = format!("{}:{}.{}", instance.service, instance.cluster, instance.instance);
        let controls = map("controls")?.get(&key).and_then(Node::as_map);
        Ok(Self {
            docker_image: text(deployed, "docker_image").unwrap_or_default(),
            git_sha: text(deployed, "git_sha"),
            control: control(controls.ok_or_else(|| missing(&key))?),
        })
    }
}
