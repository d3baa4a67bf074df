//! What a field is made of: keys of soa-configs and of the system configuration.

mod app;
mod job;

use soa_configs::{
    documents::ServiceDocuments,
    load::{Deployment, Instance, Layer, Origin},
    paasta::Settings,
    secrets,
    yaml::{Map, Node},
};

use super::Source;

pub(super) use self::{app::OfApp, job::OfJob};

/// What nobody need write.
const DOCKERCFG: &str = "file:///root/.dockercfg";

/// The files that an instance is made of.
#[derive(Clone, Copy)]
pub(super) struct Files<'m> {
    pub(super) instance: &'m Instance,
    pub(super) files: &'m ServiceDocuments,
}

impl Files<'_> {
    fn written(&self, key: &[&str]) -> Option<Source> {
        let origin = Origin::of(self.files, self.instance, key)?;
        Some(Source::Written { key: key.join("."), origin })
    }

    /// The same, for a key of which null means that nobody says anything.
    fn said(&self, key: &str) -> Option<Source> {
        let is_null = self.instance.merged.get(key).is_some_and(Node::is_null);
        if is_null { None } else { self.written(&[key]) }
    }

    /// A key that counts in `service.yaml` only.
    fn of_service(&self, key: &str) -> Option<Source> {
        let file = "service.yaml";
        let entry = self.files.get(file)?.node.as_map()?.entry(key)?;
        let (file, line) = (format!("{}/{file}", self.instance.service), entry.key.span.line);
        let origin = Origin { layer: Layer::Service, file, line };
        Some(Source::Written { key: key.to_owned(), origin })
    }

    /// Those of the keys that are written somewhere; else the default of the first.
    fn keys(&self, keys: &[&str]) -> Vec<Source> {
        let written: Vec<_> = keys.iter().filter_map(|key| self.written(&[key])).collect();
        match (written.is_empty(), keys.first()) {
            (true, Some(first)) => vec![Source::Default((*first).to_owned())],
            _ => written,
        }
    }

    fn deployed(&self, key: &str) -> Option<Source> {
        let origin = Origin::of_deployment(self.files, self.instance, key)?;
        Some(Source::Written { key: deployed(self.instance, key), origin })
    }

    /// `name` is that of the variable. PaaSTA's own ones yield to those that are written.
    fn env(&self, name: &str) -> Vec<Source> {
        if let Some(written) = self.written(&["env", name]) {
            return vec![written];
        }
        let from = match name {
            "PAASTA_DOCKER_IMAGE" => self.deployed("docker_image"),
            "PAASTA_DEPLOY_GROUP" => self.written(&["deploy_group"]),
            name if name.starts_with("PAASTA_") => None,
            // It is not to be there any more.
            _ => return vec![Source::Default("env".to_owned())],
        };
        vec![from.unwrap_or(Source::Computed)]
    }

    fn parameter(&self, name: &str) -> Vec<Source> {
        match name {
            "memory-swap" => self.keys(&["mem"]),
            "cpu-period" => self.keys(&["cfs_period_us"]),
            "cpu-quota" => self.keys(&["cpus", "cfs_period_us", "cpu_burst_pct"]),
            "ulimit" => self.keys(&["ulimit"]),
            "cap-add" => self.keys(&["cap_add"]),
            "label" => vec![Source::Computed],
            name => match self.written(&["extra_docker_args", name]) {
                Some(written) => vec![written],
                None => self.keys(&["extra_docker_args"]),
            },
        }
    }

    fn image(&self) -> Vec<Source> {
        let registry = self.of_service("docker_registry");
        let registry = registry.unwrap_or(Source::System("docker_registry"));
        self.deployed("docker_image").into_iter().chain([registry]).collect()
    }

    fn dockercfg(&self, settings: &Settings) -> Vec<Source> {
        let key = "dockercfg_location";
        let is_default = settings.dockercfg_location == DOCKERCFG;
        vec![if is_default { Source::Default(key.to_owned()) } else { Source::System(key) }]
    }

    /// What an instance says itself of where it may run, but for `constraints`, which replaces it all.
    fn placed(&self) -> impl Iterator<Item = Source> {
        let keys = ["extra_constraints", "deploy_blacklist", "deploy_whitelist", "pool"];
        keys.into_iter().filter_map(|key| self.written(&[key]))
    }

    fn volumes(&self) -> Vec<Source> {
        let own = self.written(&["extra_volumes"]);
        own.into_iter().chain([Source::System("volumes")]).collect()
    }

    /// What counts in the hash and stands in no field. `env` is that of the definition.
    fn hash(&self, env: Option<&Map>) -> Vec<Source> {
        let force = self.deployed("force_bounce");
        let is_secret = |node: &Node| node.as_text().and_then(secrets::reference).is_some();
        let secret = env
            .into_iter()
            .flat_map(Map::texts)
            .filter(|(_, entry)| is_secret(&entry.value))
            .filter_map(|(name, _)| self.written(&["env", name]));
        let from: Vec<_> = force.into_iter().chain(secret).collect();
        if from.is_empty() { vec![Source::Computed] } else { from }
    }
}

/// The entry of an instance in `deployments.json`, as a key.
fn deployed(instance: &Instance, key: &str) -> String {
    format!("{}.{key}", Deployment::v1_key(instance))
}

/// The lists of the system configuration that say where anything may run.
fn lists(settings: &Settings) -> impl Iterator<Item = Source> {
    let black = (!settings.deploy_blacklist.is_empty()).then_some("deploy_blacklist");
    let white = settings.deploy_whitelist.is_some().then_some("deploy_whitelist");
    black.into_iter().chain(white).map(Source::System)
}
