//! The demo's services as containers.
//!
//! No image has to be pulled: the image is empty, and the containers see this program and the
//! system's libraries through read-only mounts.

use std::collections::HashMap;

use anyhow::Context;
use bollard::{
    API_DEFAULT_VERSION, Docker, body_full,
    models::{ContainerCreateBody, HostConfig, PortBinding},
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveImageOptions, StartContainerOptions,
    },
};
use futures_util::TryStreamExt;

use super::{NAMES, NAMESPACE, Scene, say};

pub(super) const SOCKET: &str = "/var/run/docker.sock";
const IMAGE: &str = "smartstack-demo";
/// Its value is the process id of the demo that made the container.
const OWNER_LABEL: &str = "smartstack.demo";
const PORT: u16 = 8888;
/// Where programs and libraries live on a Linux host.
const SYSTEM: [&str; 3] = ["/usr", "/lib", "/lib64"];
/// An archive without files: two empty blocks.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

pub(super) struct Containers {
    docker: Docker,
    image: String,
    /// Their ids: the names may belong to another demo.
    made: Vec<String>,
}

pub(super) async fn start(scene: &Scene) -> anyhow::Result<Containers> {
    let docker =
        Docker::connect_with_unix(SOCKET, 20, API_DEFAULT_VERSION)?.negotiate_version().await?;
    remove_forgotten(&docker).await?;
    let image = format!("{IMAGE}:{}", std::process::id());
    say("making an image for the services");
    make_image(&docker, &image).await.context("cannot make the image")?;
    let mut this = Containers { docker, image, made: Vec::new() };
    for name in NAMES {
        say(&format!("starting container {name}"));
        if let Err(error) = this.start_one(scene, name).await {
            this.stop().await;
            return Err(error.context(format!("cannot start container {name}")));
        }
    }
    Ok(this)
}

async fn make_image(docker: &Docker, image: &str) -> anyhow::Result<()> {
    let (repo, tag) = image.split_once(':').unwrap_or((image, "latest"));
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(repo).tag(tag).build();
    let archive = body_full(EMPTY_TAR.to_vec().into());
    docker.create_image(Some(options), Some(archive), None).try_collect::<Vec<_>>().await?;
    Ok(())
}

/// Containers of a demo that was killed before it could clean up.
async fn remove_forgotten(docker: &Docker) -> anyhow::Result<()> {
    let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(options)).await? {
        let owner = container.labels.unwrap_or_default().remove(OWNER_LABEL).unwrap_or_default();
        let alive = std::path::Path::new("/proc").join(&owner).exists() && !owner.is_empty();
        if let Some(id) = container.id.filter(|_| !alive) {
            remove(docker, &id).await;
        }
    }
    Ok(())
}

async fn remove(docker: &Docker, container: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    if let Err(error) = docker.remove_container(container, Some(options)).await {
        tracing::debug!(%error, container, "cannot remove");
    }
}

impl Containers {
    async fn start_one(&mut self, scene: &Scene, name: &str) -> anyhow::Result<()> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let created = self.docker.create_container(Some(options), self.recipe(scene, name)).await?;
        self.made.push(created.id.clone());
        self.docker.start_container(&created.id, None::<StartContainerOptions>).await?;
        Ok(())
    }

    fn recipe(&self, scene: &Scene, name: &str) -> ContainerCreateBody {
        let port = format!("{PORT}/tcp");
        let words = ["/smartstack", "demo-service", "--name", name, "--port", "8888"];
        let labels = [
            ("smartstack.namespace", NAMESPACE.to_owned()),
            ("smartstack.port", PORT.to_string()),
            (OWNER_LABEL, std::process::id().to_string()),
        ];
        let system = SYSTEM.iter().filter(|dir| std::path::Path::new(dir).exists());
        let mut binds: Vec<String> = system.map(|dir| format!("{dir}:{dir}:ro")).collect();
        binds.push(format!("{}:/smartstack:ro", scene.program.display()));
        let here = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(words.map(str::to_owned).to_vec()),
            labels: Some(labels.map(|(k, v)| (k.to_owned(), v)).into_iter().collect()),
            exposed_ports: Some(vec![port.clone()]),
            host_config: Some(HostConfig {
                binds: Some(binds),
                port_bindings: Some(HashMap::from([(port, Some(vec![here]))])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    pub(super) async fn stop(self) {
        for container in &self.made {
            remove(&self.docker, container).await;
        }
        if let Err(error) =
            self.docker.remove_image(&self.image, None::<RemoveImageOptions>, None).await
        {
            tracing::debug!(%error, image = self.image, "cannot remove");
        }
    }
}
