//! What a service says of itself: `service.yaml`, `monitoring.yaml`, `deploy.yaml`,
//! `dependencies.yaml` (marathon-sync.md §5, cli-and-monitoring.md A2 and A3).

mod monitoring;

use std::path::Path;

use crate::{
    documents::{Document, ServiceDocuments},
    fields::{self, Fields, Input},
    file::{self, FileError},
    yaml::{self, Fault, Map, Node},
};

pub use self::monitoring::Monitoring;

/// `service.yaml`, without what are defaults of instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub description: Option<String>,
    pub external_link: Option<String>,
    /// `None`: where all services are, see [`Service::git_url`].
    pub git_url: Option<String>,
    /// Over the system configuration's.
    pub docker_registry: Option<String>,
}

/// A step of `deploy.yaml`'s pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A deploy group, or a step as `itest`.
    pub name: String,
    /// `trigger_next_step_manually`, default false.
    pub waits: bool,
}

/// Steps that deploy nothing.
const OTHER_STEPS: [&str; 4] = ["itest", "security-check", "performance-check", "push-to-registry"];

impl Step {
    /// Whether the step deploys the group of its name.
    #[must_use]
    pub fn is_deployment(&self) -> bool {
        !OTHER_STEPS.contains(&self.name.as_str()) && !self.name.starts_with("command-")
    }
}

fn text(fields: &mut Fields<'_>, key: &str) -> Option<String> {
    fields.read(key, |input| input.text())
}

/// Reads a document; nothing is a default.
fn read<T: Default>(
    files: &ServiceDocuments,
    name: &str,
    read: impl FnOnce(Input<'_>) -> Result<T, Fault>,
) -> Result<T, FileError> {
    let Some(document) = files.get(name).filter(|document| !document.node.is_falsy()) else {
        return Ok(T::default());
    };
    let Document { file, text, node } = document;
    read(Input { node, text }).map_err(|fault| FileError::fault(file, text, &fault))
}

impl Service {
    /// # Errors
    /// The first value of the wrong kind.
    pub fn read(files: &ServiceDocuments) -> Result<Self, FileError> {
        read(files, "service.yaml", |input| {
            let mut fields = Fields::new(input)?;
            let service = Self {
                description: text(&mut fields, "description"),
                external_link: text(&mut fields, "external_link"),
                git_url: text(&mut fields, "git_url"),
                docker_registry: text(&mut fields, "docker_registry"),
            };
            fields.finish()?;
            Ok(service)
        })
    }

    /// Where the code of a service is.
    #[must_use]
    pub fn git_url(&self, service: &str) -> String {
        let default = || format!("git@git.yelpcorp.com:services/{service}.git");
        self.git_url.clone().unwrap_or_else(default)
    }
}

/// Whether `updown_service` leaves a service alone: a true `no_updown_service` in its `service.yaml`
/// (nerve.md §6).
///
/// # Errors
/// When there is a file and it cannot be read or parsed.
pub fn is_without_updown(soa_dir: &Path, service: &str) -> Result<bool, FileError> {
    let path = soa_dir.join(service).join("service.yaml");
    let text = match file::read(&path) {
        Err(error) if error.is_missing() => return Ok(false),
        text => text?,
    };
    let node = yaml::parse(&text).map_err(|fault| FileError::fault(&path, &text, &fault))?;
    let map = Input { node: &node, text: &text }.map();
    let map = map.map_err(|fault| FileError::fault(&path, &text, &fault))?;
    Ok(map.get("no_updown_service").is_some_and(|value| !value.is_falsy()))
}

/// The pipeline of `deploy.yaml`, in order.
///
/// # Errors
/// The first value of the wrong kind.
pub fn pipeline(files: &ServiceDocuments) -> Result<Vec<Step>, FileError> {
    read(files, "deploy.yaml", |input| {
        let mut fields = Fields::new(input)?;
        let steps = fields.read("pipeline", |input| fields::list(input, step));
        fields.finish()?;
        Ok(steps.unwrap_or_default())
    })
}

fn step(input: Input<'_>) -> Result<Step, Fault> {
    let mut fields = Fields::new(input)?;
    let name = text(&mut fields, "step");
    let waits = fields.read("trigger_next_step_manually", Input::boolean).unwrap_or(false);
    fields.finish()?;
    match name {
        Some(name) => Ok(Step { name, waits }),
        None => Err(Fault::new(input.node.span, "expected `step`, found none")),
    }
}

/// The dependencies of a service, by the name that `dependencies_reference` uses. What they hold is
/// the firewall's business.
///
/// # Errors
/// When the file is no map.
pub fn dependencies(files: &ServiceDocuments) -> Result<Map, FileError> {
    read(files, "dependencies.yaml", |input| input.map().cloned())
}

/// A value that may be null, as a number of minutes or a text.
fn scalar(input: Input<'_>) -> Result<Node, Fault> {
    match (input.node.as_list(), input.node.as_map()) {
        (None, None) => Ok(input.node.clone()),
        _ => Err(input.expected("a text or a number")),
    }
}

#[cfg(test)]
mod tests;
