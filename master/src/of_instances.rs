//! The instances that a command is about: those that its arguments name, or all of a cluster.

use std::path::PathBuf;

use clap::Args;
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    load::{self, Kind},
    paasta::Settings,
    tree,
};

use crate::complain;

#[derive(Args, Clone)]
pub(crate) struct OfInstances {
    /// Instances, as SERVICE.INSTANCE [default: all of the cluster]
    #[arg(value_name = "SERVICE.INSTANCE")]
    pub(crate) names: Vec<String>,

    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    pub(crate) soa_dir: PathBuf,

    /// Cluster of the instances [default: `cluster` in /etc/paasta/*.json, or in the directory named by
    /// PAASTA_SYSTEM_CONFIG_DIR]
    #[arg(short, long)]
    pub(crate) cluster: Option<Cluster>,
}

/// Instances, the files of their services, and the configuration of this host.
pub(crate) struct Gathered {
    pub(crate) settings: Settings,
    pub(crate) cluster: Cluster,
    pub(crate) documents: Documents,
    /// Of a service without files.
    nothing: ServiceDocuments,
    /// Service and instance, in order.
    pub(crate) instances: Vec<(String, String)>,
    /// All that was named is an instance, and no file is broken; else that was said.
    pub(crate) is_whole: bool,
    /// Nobody named single instances.
    pub(crate) are_all: bool,
}

impl OfInstances {
    /// `None`: the cluster is not known, and that was said.
    ///
    /// # Errors
    /// When the system configuration or soa-configs cannot be read.
    pub(crate) fn gather(&self) -> anyhow::Result<Option<Gathered>> {
        let settings = crate::settings()?;
        let cluster = match self.cluster.as_ref().map_or_else(|| settings.cluster(), Ok) {
            Ok(cluster) => cluster.clone(),
            Err(error) => {
                complain(&format!("{error}\n\nName the cluster with --cluster NAME."));
                return Ok(None);
            }
        };
        let mut documents = Documents::new(&self.soa_dir);
        let (mut instances, mut is_whole) = (Vec::new(), true);
        if self.names.is_empty() {
            documents.refresh()?;
            // What stands in a broken file is no instance of which anything could be told.
            is_whole = crate::is_sound(&documents);
            for (service, files) in documents.services() {
                let own = load::names(files, Kind::Marathon, &cluster);
                instances.extend(own.map(|instance| (service.to_owned(), instance.to_owned())));
            }
        }
        for name in &self.names {
            match JobId::parse(name) {
                Ok(JobId { service, instance, .. }) => {
                    documents.refresh_service(&service);
                    instances.push((service, instance));
                }
                Err(_) => {
                    complain(&format!("`{name}` is not SERVICE.INSTANCE"));
                    is_whole = false;
                }
            }
        }
        let are_all = self.names.is_empty();
        Ok(Some(Gathered {
            settings,
            cluster,
            documents,
            nothing: ServiceDocuments::default(),
            instances,
            is_whole,
            are_all,
        }))
    }
}

impl Gathered {
    pub(crate) fn files(&self, service: &str) -> &ServiceDocuments {
        self.documents.service(service).unwrap_or(&self.nothing)
    }
}
