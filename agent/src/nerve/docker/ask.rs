//! What is asked of Docker, and how its answers are understood.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    Docker,
    errors::Error,
    models::ContainerInspectResponse,
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use tracing::warn;

use super::{super::containers::Container, Seen};
use crate::registry::TaskId;

pub(super) async fn running_ids(docker: &Docker) -> Result<BTreeSet<TaskId>, Error> {
    let filters = HashMap::from([("status", vec!["running"])]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let list = docker.list_containers(Some(options)).await?;
    Ok(list.into_iter().filter_map(|c| Some(TaskId(c.id?.into()))).collect())
}

/// What Docker says of one container.
pub(super) enum Answer {
    Described(Box<ContainerInspectResponse>),
    Gone,
    /// It cannot say.
    Nothing,
}

/// One container that Docker cannot describe is no reason to lose sight of the others.
///
/// # Errors
/// When Docker does not answer at all.
pub(super) async fn ask(docker: &Docker, id: &TaskId) -> Result<Answer, Error> {
    match docker.inspect_container(&id.0, None::<InspectContainerOptions>).await {
        Ok(answer) => Ok(Answer::Described(Box::new(answer))),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(Answer::Gone),
        Err(error @ (Error::DockerResponseServerError { .. } | Error::JsonDataError { .. })) => {
            warn!(container = %id, %error, "docker cannot describe this container");
            Ok(Answer::Nothing)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn inspect(docker: &Docker, id: &TaskId) -> Result<Seen, Error> {
    Ok(match ask(docker, id).await? {
        Answer::Described(answer) => match Container::from_inspect(*answer) {
            Some(container) => Seen::Running(Box::new(container)),
            None => Seen::Gone,
        },
        Answer::Gone => Seen::Gone,
        Answer::Nothing => Seen::Unknown,
    })
}
