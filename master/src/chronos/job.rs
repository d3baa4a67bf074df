//! The Chronos job of an instance: its definition and hash (chronos-sync.md §4 to §7).
//!
//! Pure: what it depends on is in [`Given`]. PaaSTA's own tools would write a job whose hash they compute
//! otherwise again and again, so values keep the kind in which they are written.

use jiff::Zoned;
use soa_configs::{
    chronos::{self, Complaint, JobConfig},
    documents::ServiceDocuments,
    hash::config_hash,
    json,
    load::{Deployment, DesiredState, Instance, LoadError},
    marathon::ConfigError,
    paasta::Settings,
    time_variables::{self, Unparseable},
    yaml::{Map, Node, Value},
};

use super::JobName;
use crate::{
    app::{self, AppError, container, placement},
    events::lookup,
};

/// Everything that a job is made of.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The files of the service: its registry, its deployments and its team.
    pub files: &'g ServiceDocuments,
    pub instance: &'g Instance,
    pub settings: &'g Settings,
    /// What time variables in `cmd` stand for, by the clock of this host.
    pub now: &'g Zoned,
}

/// A job as PaaSTA defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub name: JobName,
    /// All fields but `description`.
    pub definition: Map,
    /// Whose success starts it. Empty when it has a schedule.
    pub parents: Vec<JobName>,
    /// `config` and eight digits; Chronos keeps it as `description`.
    pub hash: String,
}

/// Why an instance makes no job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part that Marathon's apps have, too.
    #[error(transparent)]
    Part(#[from] AppError),
    /// Rules that are broken, one sentence for each.
    #[error("{}", texts(.0))]
    Invalid(Vec<Complaint>),
    #[error("the desired state `{0}` is neither start nor stop")]
    DesiredState(String),
    #[error(transparent)]
    Command(#[from] Unparseable),
    #[error("the definition cannot be written as JSON: {0}")]
    Unwritable(String),
}

fn texts(complaints: &[Complaint]) -> String {
    let texts: Vec<&str> = complaints.iter().map(|complaint| complaint.message.as_str()).collect();
    texts.join("\n")
}

impl JobError {
    /// Nothing is deployed of the instance, which is no fault of what is written.
    #[must_use]
    pub fn is_not_deployed(&self) -> bool {
        matches!(
            self,
            Self::Load(LoadError::NoDeployments(_)) | Self::Part(AppError::NoDockerImage)
        )
    }
}

impl Job {
    /// # Errors
    /// See [`JobError`].
    pub fn make(given: Given<'_>) -> Result<Self, JobError> {
        let Given { files, instance, settings, now } = given;
        let deployment = Deployment::v1(files, instance)?;
        let image = app::image(files, &deployment, settings)?;
        let is_stopped = match &deployment.control.desired_state {
            DesiredState::Start => false,
            DesiredState::Stop => true,
            DesiredState::Other(state) => return Err(JobError::DesiredState(state.clone())),
        };
        let complaints = chronos::validate(instance, now);
        if !complaints.is_empty() {
            return Err(JobError::Invalid(complaints));
        }
        let config = JobConfig::read(instance)?;
        let name = JobName::new(&instance.service, &instance.instance);
        let mut definition = fields(given, &config, &deployment, &image)?;
        definition.set("name", Node::made(name.to_string()));
        let disabled = if is_stopped { Node::made(true) } else { config.disabled.clone() };
        definition.set("disabled", disabled);
        let parents = parents(&config);
        match &config.schedule {
            Some(schedule) => definition.set("schedule", Node::made(schedule.as_str())),
            None => {
                // Every dot, as PaaSTA does; there is one in each.
                let named = config.parents.iter().map(|parent| parent.replace('.', " "));
                definition.set("parents", Node::made(named.map(Node::made).collect::<Vec<_>>()));
            }
        }
        let token = deployment.control.force_bounce.as_deref();
        let hash = config_hash(&Node::made(definition.clone()), token)
            .map_err(|error| JobError::Unwritable(error.to_string()))?;
        Ok(Self { name, definition, parents, hash })
    }

    /// The job as Chronos is sent it, with what it is to remember of runs before.
    #[must_use]
    pub fn request(&self, past: &Map) -> Map {
        let mut request = self.definition.clone();
        request.set("description", Node::made(self.hash.as_str()));
        for (key, entry) in past.texts() {
            request.set(key, entry.value.clone());
        }
        request
    }

    /// Whether other jobs start it, and not a schedule.
    #[must_use]
    pub fn is_dependent(&self) -> bool {
        self.definition.get("schedule").is_none()
    }

    /// Whether nothing starts it.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.definition.get("disabled").is_some_and(|disabled| !disabled.is_falsy())
    }

    /// # Errors
    /// When it holds something that JSON cannot express.
    pub fn hash_input(&self) -> Result<String, JobError> {
        json::canonical(&Node::made(self.definition.clone()))
            .map_err(|error| JobError::Unwritable(error.to_string()))
    }
}

/// The jobs that start one. Beside a schedule they do not count.
#[must_use]
pub fn parents(config: &JobConfig) -> Vec<JobName> {
    let names = if config.schedule.is_some() { &[][..] } else { &config.parents };
    names.iter().filter_map(|parent| JobName::of_parent(parent)).collect()
}

fn fields(
    given: Given<'_>,
    config: &JobConfig,
    deployment: &Deployment,
    image: &str,
) -> Result<Map, JobError> {
    let Given { files, instance, settings, now } = given;
    let own = &config.container;
    let container: Map = [
        ("image", Node::made(image)),
        ("network", own.net.clone()),
        ("type", Node::made("DOCKER")),
        ("volumes", Node::made(container::volumes(settings, instance)?)),
        ("parameters", Node::made(container::parameters(instance, own)?)),
    ]
    .into_iter()
    .collect();
    let zone = config.schedule_time_zone.as_deref();
    let fields = [
        ("container", Node::made(container)),
        ("uris", Node::made(vec![Node::made(settings.dockercfg_location.as_str())])),
        ("environmentVariables", environment(instance, deployment, config)),
        ("mem", own.mem.clone()),
        ("cpus", own.cpus.clone()),
        ("disk", own.disk.clone()),
        ("constraints", constraints(config, settings)),
        ("command", command(own.cmd.as_ref(), now)?),
        ("arguments", own.args.clone().unwrap_or_else(null)),
        ("epsilon", Node::made(config.epsilon.as_str())),
        ("retries", config.retries.clone()),
        ("async", Node::made(false)),
        ("owner", lookup(files, &own.monitoring, "team").unwrap_or_else(null)),
        ("scheduleTimeZone", zone.map_or_else(null, Node::made)),
        ("shell", Node::made(own.args.as_ref().is_none_or(Node::is_falsy))),
    ];
    Ok(fields.into_iter().collect())
}

fn null() -> Node {
    Node::made(Value::Null)
}

/// A list of names and values.
fn environment(instance: &Instance, deployment: &Deployment, config: &JobConfig) -> Node {
    let env = app::environment(instance, deployment, &config.container);
    let pair = |(name, value): (&str, &Node)| {
        let pair = [("name", Node::made(name)), ("value", value.clone())];
        Node::made(pair.into_iter().collect::<Map>())
    };
    let pairs = env.texts().map(|(name, entry)| pair((name, &entry.value)));
    Node::made(pairs.collect::<Vec<_>>())
}

fn constraints(config: &JobConfig, settings: &Settings) -> Node {
    let own = &config.container;
    match &own.constraints {
        Some(constraints) => placement::written(constraints.clone()),
        None => {
            let extra = own.extra_constraints.iter().cloned();
            placement::written(extra.chain(placement::by_lists_and_pool(own, settings)))
        }
    }
}

/// With its time variables replaced.
fn command(written: Option<&Node>, now: &Zoned) -> Result<Node, Unparseable> {
    match written.map(|node| (node, node.as_text())) {
        None => Ok(null()),
        Some((_, Some(text))) => Ok(Node::made(time_variables::render(text, now)?)),
        Some((node, None)) => Ok(node.clone()),
    }
}
