//! What soa-configs ask of one instance: its app, how many tasks of it, where, and how it is bounced.

use soa_configs::{
    Cluster,
    documents::ServiceDocuments,
    json,
    load::{self, Deployment, Instance, Kind, LoadError},
    marathon::{ConfigError, MarathonConfig},
    paasta::Settings,
    yaml::Map,
};

use super::verdict::Verdict;
use crate::{
    app::{App, AppError, Given, InvalidRequest},
    bounce,
    drain::{self, drainer::Owner},
    marathon::{NoShard, Shards},
};

/// An instance as its files have it.
#[derive(Clone, Debug)]
pub struct Written {
    pub instance: Instance,
    pub deployment: Deployment,
    pub config: MarathonConfig,
}

/// An instance as it is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub instance: Instance,
    pub config: MarathonConfig,
    pub app: App,
    /// Of the request that creates the app.
    pub body: String,
    /// Tasks.
    pub count: u32,
    pub method: bounce::Method,
    pub draining: drain::Method,
    pub owner: Owner,
    /// What the autoscaler wrote last.
    pub scaled: Option<i64>,
    /// The place of its group of servers.
    pub shard: usize,
}

/// Why nothing can be done for an instance.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Shard(#[from] NoShard),
    #[error(transparent)]
    Drain(#[from] drain::Invalid),
    #[error(transparent)]
    Bounce(#[from] bounce::Invalid),
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// A value that cannot be sent or counted.
    #[error("{0}")]
    Value(String),
}

impl Written {
    /// # Errors
    /// When the files say nothing of it, or nothing that can be read.
    pub fn load(
        files: &ServiceDocuments,
        service: &str,
        name: &str,
        cluster: &Cluster,
    ) -> Result<Self, Unmet> {
        let instance = load::instance(files, Kind::Marathon, service, name, cluster)?;
        let deployment = Deployment::v1(files, &instance)?;
        let config = MarathonConfig::read(&instance)?;
        Ok(Self { instance, deployment, config })
    }

    /// Its count is what the autoscaler wrote last.
    #[must_use]
    pub fn is_scaled(&self) -> bool {
        self.config.max_instances.is_some()
    }
}

impl Wanted {
    /// `scaled` is what the autoscaler wrote last.
    ///
    /// # Errors
    /// See [`Unmet`].
    pub fn of(
        written: Written,
        files: &ServiceDocuments,
        settings: &Settings,
        shards: &Shards<'_>,
        scaled: Option<i64>,
    ) -> Result<Self, Unmet> {
        let Written { instance, deployment, config } = written;
        let given = Given { files, instance: &instance, deployment: &deployment, settings, scaled };
        let app = App::of(given, &config)?;
        let unwritable = |error: json::Unwritable| Unmet::Value(error.to_string());
        let body = json::canonical(&app.request()?).map_err(unwritable)?;
        let count = app.definition.get("instances").map(json::canonical).transpose();
        let count = count.map_err(unwritable)?.unwrap_or_default();
        let no_count =
            || Unmet::Value(format!("instances: expected a whole number, found {count}"));
        let draining =
            drain::Method::parse(&config.drain_method()?, &config.drain_method_params()?)?;
        let method = bounce::Method::parse(&config.bounce_method()?, &config.bounce_margin_factor)?;
        let registration = format!("{}.{}", instance.service, config.nerve_namespace);
        let no_name = |_| Unmet::Value(format!("registrations: `{registration}` has no mark"));
        let owner = Owner {
            service: instance.service.clone(),
            instance: instance.instance.clone(),
            namespace: config.nerve_namespace.clone(),
            registration: registration.parse().map_err(no_name)?,
        };
        let count = count.parse().map_err(|_| no_count())?;
        let shard = shards.current(&instance, &config)?;
        Ok(Self { instance, config, app, body, count, method, draining, owner, scaled, shard })
    }

    /// What it says of its events.
    #[must_use]
    pub fn monitoring(&self) -> &Map {
        &self.config.container.monitoring
    }
}

impl Unmet {
    /// What becomes of the pass (marathon-sync.md §10). `name` is `service.instance`.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Verdict {
        let text = self.to_string();
        match self {
            Self::Load(LoadError::NoDeployments(_)) => Verdict::nothing(),
            Self::Load(_) | Self::Shard(_) | Self::App(AppError::NotConfigured(_)) => {
                Verdict::unable(text)
            }
            Self::App(AppError::NoDockerImage) => Verdict::wrong(
                format!(
                    "Docker image for {name} not in deployments.json. Exiting. Has Jenkins deployed it?\n"
                ),
                None,
            ),
            Self::Drain(drain::Invalid::Method(_)) | Self::Bounce(bounce::Invalid::Method(_)) => {
                Verdict::wrong(format!("ERROR: {text}"), None)
            }
            Self::App(_)
            | Self::Config(_)
            | Self::Drain(_)
            | Self::Bounce(_)
            | Self::Request(_)
            | Self::Value(_) => Verdict::failed(text),
        }
    }
}
