//! The Marathon app of an instance: its definition, hash and id, and the request that creates it
//! (marathon-sync.md §6 to §8).
//!
//! Pure: what it depends on is in [`Given`]. The hash stands in the id, and PaaSTA's own tools would bounce
//! an app whose hash they compute otherwise, so values keep the kind in which they are written.

pub(crate) mod container;
mod health;
pub(crate) mod placement;
mod request;

use soa_configs::{
    container::Container,
    documents::ServiceDocuments,
    hash::config_hash,
    ids::{self, JobId},
    json,
    load::{Deployment, DesiredState, Instance},
    marathon::{ConfigError, MarathonConfig},
    paasta::{NotConfigured, Settings},
    secrets,
    yaml::{Map, Node, Value},
};

pub use request::InvalidRequest;

/// Everything that an app is made of.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The files of the service: its registry, and its secrets.
    pub files: &'g ServiceDocuments,
    pub instance: &'g Instance,
    pub deployment: &'g Deployment,
    pub settings: &'g Settings,
    /// What `autoscaling` wrote last. `None`: nothing.
    pub scaled: Option<i64>,
}

/// An app as PaaSTA defines it.
#[derive(Clone, Debug)]
pub struct App {
    /// Without a leading slash.
    pub id: String,
    /// All fields, named as PaaSTA has them; this is what is hashed, but for a few.
    pub definition: Map,
    /// The text that is hashed, without the token of `force_bounce`.
    pub hash_input: String,
}

/// Why an instance makes no app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("Docker url not available because there is no docker_image")]
    NoDockerImage,
    #[error(
        "We do not believe any slaves on the cluster will match the constraints for {0}. If you \
         believe this is incorrect, have your system administrator adjust the value of \
         expected_slave_attributes in the system paasta configs."
    )]
    NoSlavesAvailable(String),
    #[error(transparent)]
    NotConfigured(#[from] NotConfigured),
    /// A value that PaaSTA cannot work with either.
    #[error("{key}: expected {expected}")]
    WrongValue { key: String, expected: &'static str },
    /// Two or more of the hosts that would do are meant, and one says nothing of this attribute.
    #[error("expected_slave_attributes: a host that could run it has no `{0}`")]
    UnknownPlace(String),
    #[error("the definition cannot be written as JSON: {0}")]
    Unwritable(String),
}

impl App {
    /// # Errors
    /// See [`AppError`].
    pub fn make(given: Given<'_>) -> Result<Self, AppError> {
        let config = MarathonConfig::read(given.instance)?;
        Self::of(given, &config)
    }

    /// The same of an instance that has been read already.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn of(given: Given<'_>, config: &MarathonConfig) -> Result<Self, AppError> {
        let image = image(given.files, given.deployment, given.settings)?;
        let mut definition = fields(given, config, &image)?;
        let hashed = hashed(given, &definition);
        let unwritable = |error: json::Unwritable| AppError::Unwritable(error.to_string());
        let hash_input = json::canonical(&hashed).map_err(unwritable)?;
        let token = given.deployment.control.force_bounce.as_deref();
        let hash = config_hash(&hashed, token).map_err(unwritable)?;
        let id = JobId {
            service: given.instance.service.clone(),
            instance: given.instance.instance.clone(),
            hashes: Some((ids::code_hash(&image), hash)),
        };
        let id = id.format();
        definition.set("id", Node::made(id.as_str()));
        Ok(Self { id, definition, hash_input })
    }

    /// The body of `POST /v2/apps`.
    ///
    /// # Errors
    /// When PaaSTA's Marathon client would not send it.
    pub fn request(&self) -> Result<Node, InvalidRequest> {
        request::body(&self.id, &self.definition)
    }
}

/// The URL of the image.
pub(crate) fn image(
    files: &ServiceDocuments,
    deployment: &Deployment,
    settings: &Settings,
) -> Result<String, AppError> {
    if deployment.docker_image.is_empty() {
        return Err(AppError::NoDockerImage);
    }
    let service = files.get("service.yaml").and_then(|document| document.node.as_map());
    let own = service.and_then(|map| map.get("docker_registry")).and_then(Node::as_text);
    let registry = match own {
        Some(own) => own,
        None => settings.docker_registry()?,
    };
    Ok(format!("{registry}/{}", deployment.docker_image))
}

fn fields(given: Given<'_>, config: &MarathonConfig, image: &str) -> Result<Map, AppError> {
    let own = &config.container;
    let count = config.count(given.scaled);
    let wanted = match given.deployment.control.desired_state {
        DesiredState::Start => count,
        DesiredState::Stop | DesiredState::Other(_) => Node::made(0),
    };
    let is_bridged = own.net.as_text() == Some("BRIDGE");
    let mut fields: Map = [
        ("container", container::container(given, config, image)?),
        ("uris", Node::made(vec![Node::made(given.settings.dockercfg_location.as_str())])),
        ("backoff_seconds", Node::made(backoff_seconds(config))),
        ("backoff_factor", config.backoff_factor.clone()),
        ("max_launch_delay_seconds", config.max_launch_delay_seconds.clone()),
        ("health_checks", health::checks(given.settings, config)),
        ("env", Node::made(environment(given.instance, given.deployment, own))),
        ("mem", float("mem", &own.mem)?),
        ("cpus", float("cpus", &own.cpus)?),
        ("disk", float("disk", &own.disk)?),
        ("constraints", placement::constraints(given, config, &wanted)?),
        ("instances", wanted),
        ("cmd", own.cmd.clone().unwrap_or_else(null)),
        ("args", own.args.clone().unwrap_or_else(null)),
    ]
    .into_iter()
    .collect();
    if !is_bridged {
        let port = [("port", config.host_port.clone()), ("protocol", Node::made("tcp"))];
        let port: Map = port.into_iter().collect();
        fields.set("port_definitions", Node::made(vec![Node::made(port)]));
        fields.set("require_ports", Node::made(number(&config.host_port) != Some(0.0)));
    }
    if let Some(roles) = &config.accepted_resource_roles {
        fields.set("accepted_resource_roles", roles.clone());
    }
    Ok(fields)
}

/// §6.2: the more tasks, the sooner one that fails is started again.
fn backoff_seconds(config: &MarathonConfig) -> i64 {
    let most = config.max_instances.as_ref().unwrap_or(&config.instances);
    match number(most) {
        None | Some(0.0) => 1,
        Some(tasks) => whole(10.0 / tasks, f64::ceil).unwrap_or(1),
    }
}

/// What PaaSTA tells a container of itself, and the instance's own over it (§6.5).
pub(crate) fn environment(instance: &Instance, deployment: &Deployment, own: &Container) -> Map {
    let injected = [
        ("PAASTA_SERVICE", instance.service.as_str()),
        ("PAASTA_INSTANCE", instance.instance.as_str()),
        ("PAASTA_CLUSTER", instance.cluster.as_str()),
        ("PAASTA_DEPLOY_GROUP", instance.deploy_group.as_str()),
        ("PAASTA_DOCKER_IMAGE", deployment.docker_image.as_str()),
    ];
    let mut env: Map = injected.into_iter().map(|(name, text)| (name, Node::made(text))).collect();
    for (name, value) in &own.env {
        env.set(name, value.clone());
    }
    env
}

/// What is hashed: the definition without what may change in place, and with the signatures of its secrets.
fn hashed(given: Given<'_>, definition: &Map) -> Node {
    let mut hashed = definition.clone();
    for key in ["id", "instances", "backoff_seconds"] {
        hashed.remove(key);
    }
    if let Some(container) = hashed.get("container") {
        let without = container::without_labels(container);
        hashed.set("container", without);
    }
    let env = definition.get("env").and_then(Node::as_map);
    let texts = env.into_iter().flat_map(Map::iter).filter_map(|entry| entry.value.as_text());
    let environment = given.settings.vault_environment.as_deref();
    let signature = |name: &str| secrets::signature(given.files, name, environment?);
    let signatures: Map = texts
        .filter_map(|text| {
            let signature = signature(secrets::reference(text)?);
            Some((text, Node::made(signature.map_or(Value::Null, Value::from))))
        })
        .collect();
    if !signatures.is_empty() {
        hashed.set("paasta_secrets", Node::made(signatures));
    }
    Node::made(hashed)
}

fn null() -> Node {
    Node::made(Value::Null)
}

/// A number; booleans are numbers to Python.
fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Int(int) => int.to_f64(),
        Value::Float(float) => Some(*float),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}

fn float(key: &str, node: &Node) -> Result<Node, AppError> {
    Ok(Node::made(expect_number(key, node)?))
}

fn expect_number(key: &str, node: &Node) -> Result<f64, AppError> {
    number(node).ok_or_else(|| AppError::WrongValue { key: key.to_owned(), expected: "a number" })
}

/// A number of an integral part that fits; `None`: it has none.
fn whole(number: f64, round: impl Fn(f64) -> f64) -> Option<i64> {
    let rounded = round(number);
    // Of a float, because there is no checked conversion; the text of an integral one has no point.
    rounded.is_finite().then(|| format!("{rounded:.0}").parse().ok()).flatten()
}
