//! The instance that a command is about, as its arguments name it.

use std::path::PathBuf;

use clap::Args;
use soa_configs::{
    Cluster,
    documents::{Documents, ServiceDocuments},
    ids::JobId,
    load::{self, Instance, Kind, LoadError},
    paasta::Settings,
    tree,
};

use crate::complain;

#[derive(Args)]
pub(crate) struct OfInstance {
    /// The instance, as SERVICE.INSTANCE
    #[arg(value_name = "SERVICE.INSTANCE")]
    pub(crate) name: String,

    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    pub(crate) soa_dir: PathBuf,

    /// Cluster of the instance [default: `cluster` in /etc/paasta/*.json, or in the directory named by
    /// PAASTA_SYSTEM_CONFIG_DIR]
    #[arg(short, long)]
    cluster: Option<Cluster>,
}

/// An instance, the files of its service, and the configuration of this host.
pub(crate) struct Found {
    pub(crate) settings: Settings,
    pub(crate) files: ServiceDocuments,
    pub(crate) instance: Result<Instance, LoadError>,
}

impl OfInstance {
    /// `None`: the arguments do not say which, and that was said.
    ///
    /// # Errors
    /// When the system configuration cannot be read.
    pub(crate) fn find(&self) -> anyhow::Result<Option<Found>> {
        self.find_of(Kind::Marathon)
    }

    /// The same in the file of this kind.
    ///
    /// # Errors
    /// See [`Self::find`].
    pub(crate) fn find_of(&self, kind: Kind) -> anyhow::Result<Option<Found>> {
        let Ok(JobId { service, instance, .. }) = JobId::parse(&self.name) else {
            complain(&format!("`{}` is not SERVICE.INSTANCE", self.name));
            return Ok(None);
        };
        let settings = crate::settings()?;
        let cluster = match self.cluster.as_ref().map_or_else(|| settings.cluster(), Ok) {
            Ok(cluster) => cluster,
            Err(error) => {
                complain(&format!("{error}\n\nName the cluster with --cluster NAME."));
                return Ok(None);
            }
        };
        let mut documents = Documents::new(&self.soa_dir);
        documents.refresh_service(&service);
        let files = documents.into_service(&service);
        let instance = load::instance(&files, kind, &service, &instance, cluster);
        Ok(Some(Found { settings, files, instance }))
    }
}
