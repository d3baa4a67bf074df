//! Tells the people of an instance: reads whom, and hands it to Sensu and to the log of the service.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use monitoring::{
    events::Event,
    log_line::LogLine,
    oom::{Instance, Kills},
    sensu::Sensu,
};
use soa_configs::{
    Cluster,
    documents::Documents,
    paasta::{self, Settings as System},
};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{
    Settings,
    ledger::{Due, Told},
};

/// Where it stands who is told, and the way to them.
#[derive(Debug)]
pub(super) struct Books {
    shelf: Shelf,
    sensu: Option<Sensu>,
}

/// What is read anew each time: kills are rare, and what is written may have changed.
#[derive(Clone, Debug)]
struct Shelf {
    settings: Settings,
    soa_dir: PathBuf,
    paasta_dir: PathBuf,
    host: String,
    /// As it was last understood. `Some(None)`: this is no PaaSTA host. `None`: it never was.
    system: Option<Option<Arc<System>>>,
}

impl Books {
    pub(super) fn new(
        settings: Settings,
        soa_dir: PathBuf,
        paasta_dir: PathBuf,
        host: String,
    ) -> Self {
        Self { shelf: Shelf { settings, soa_dir, paasta_dir, host, system: None }, sensu: None }
    }

    pub(super) async fn tell(&mut self, due: &Due, cluster: Option<Cluster>) -> Told {
        if due.kills == 0 && !due.is_alarmed {
            return Told::Nobody;
        }
        let (mut shelf, read) = (self.shelf.clone(), due.clone());
        let looked = spawn_blocking(move || {
            let told = shelf.look_up(&read, cluster.as_ref());
            (shelf, told)
        });
        let (shelf, found) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                warn!(name = %due.name, %error, "cannot read who hears of oom kills");
                return Told::Unheard;
            }
        };
        self.shelf = shelf;
        match found {
            Found::Nobody => Told::Nobody,
            Found::Unknown => Told::Unheard,
            Found::Event { event, host, port, is_alarm } => {
                match (self.hand_over(&event, host, port).await, is_alarm) {
                    (true, true) => Told::Heard,
                    (true, false) => Told::Nobody,
                    (false, _) => Told::Unheard,
                }
            }
        }
    }

    async fn hand_over(&mut self, event: &Event, host: String, port: u16) -> bool {
        let known = self.sensu.take().filter(|sensu| sensu.is_at(&host, port));
        let sensu = self.sensu.insert(known.unwrap_or_else(|| Sensu::new(host, port)));
        match sensu.tell(event).await {
            Ok(taken) => taken,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                warn!(error, "an oom kill is not told yet");
                false
            }
        }
    }
}

enum Found {
    Event {
        event: Box<Event>,
        host: String,
        port: u16,
        /// Otherwise it says that all is well.
        is_alarm: bool,
    },
    Nobody,
    /// It cannot be read now.
    Unknown,
}

impl Shelf {
    /// Blocks on files.
    fn look_up(&mut self, due: &Due, cluster: Option<&Cluster>) -> Found {
        self.read_system();
        let Due { name, kills, is_alarmed, .. } = due;
        if *kills > 0 && !due.is_again {
            self.log(due, cluster);
        }
        let target = match (&self.settings.sensu, &self.system) {
            (Some(target), _) => Some(target.clone()),
            (None, Some(Some(system))) => {
                system.sensu_host.clone().map(|host| (host, system.sensu_port))
            }
            (None, Some(None)) => None,
            (None, None) => return Found::Unknown,
        };
        let Some((host, port)) = target else { return Found::Nobody };
        let mut documents = Documents::new(&self.soa_dir);
        documents.refresh_service(name.service());
        let files = documents.into_service(name.service());
        for problem in files.problems() {
            warn!(problem = problem.one_line, "who hears of oom kills is read without this");
        }
        let instance = Instance::of(&files, name.service(), name.namespace(), cluster);
        let is_alarm = *kills > 0 && instance.is_wanted();
        if !is_alarm && !is_alarmed {
            return Found::Nobody;
        }
        let kills = Kills { count: *kills, processes: None };
        match instance.event(&kills, self.settings.realert_every) {
            Ok(Some(event)) => Found::Event { event: Box::new(event), host, port, is_alarm },
            Ok(None) => {
                info!(%name, "nobody hears of its oom kills: monitoring.yaml names no team");
                Found::Nobody
            }
            Err(error) => {
                warn!(%name, %error, "nobody hears of its oom kills");
                Found::Nobody
            }
        }
    }

    /// What was understood before stands while it cannot be read.
    fn read_system(&mut self) {
        let read = || match paasta::load(&self.paasta_dir) {
            Ok(Some(system)) => {
                System::read(&system, &self.paasta_dir).map(|system| Some(Arc::new(system)))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match read() {
            Ok(system) => self.system = Some(system),
            Err(error) => {
                warn!(problem = error.one_line(), "what was understood before stands");
            }
        }
    }

    /// For the operator, and for the people of the service.
    fn log(&self, due: &Due, cluster: Option<&Cluster>) {
        let Due { name, kills, container, .. } = due;
        let container = container.as_ref().map_or("", |id| &id.0);
        warn!(%name, kills, container, "processes were killed for want of memory");
        // A host without PaaSTA, or without `log_writer`, has no such log.
        let Some(Some(system)) = &self.system else { return };
        let Ok(writer) = system.log_writer() else { return };
        let what = match kills {
            1 => "a process".to_owned(),
            kills => format!("{kills} processes"),
        };
        let (host, id) = (&self.host, container.get(..12).unwrap_or(container));
        let message = format!("oom-killer killed {what} on {host} (container_id: {id}).");
        let cluster = cluster.map_or("", Cluster::as_str);
        let (service, instance) = (name.service(), name.namespace());
        let line = LogLine::of_oom(cluster, service, instance, &message, Timestamp::now());
        if let Err(error) = line.write(writer) {
            warn!(%error, "an oom kill is not in the log of its service");
        }
    }
}
