//! A state that is put there as it is, for tests that begin in the middle.

use super::{
    super::{
        definition::Definition,
        ids::TaskId,
        moment::Moment,
        refusal::Refusal,
        task::{Phase, Results, Task},
    },
    App, Machine,
};

/// A task to put there. It runs since the beginning of time and has no results.
#[derive(Clone, Debug)]
pub struct Adopted {
    host: String,
    ports: Vec<u16>,
    phase: Phase,
    started_at: Option<Moment>,
    alive: Option<bool>,
}

impl Adopted {
    #[must_use]
    pub fn on(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            ports: vec![port],
            phase: Phase::Running,
            started_at: Some(Moment::default()),
            alive: None,
        }
    }

    /// With a result of its health check.
    #[must_use]
    pub fn alive(self, alive: bool) -> Self {
        Self { alive: Some(alive), ..self }
    }

    #[must_use]
    pub fn started(self, at: Moment) -> Self {
        Self { started_at: Some(at), ..self }
    }

    /// Without a time of start, whatever its state.
    #[must_use]
    pub fn never_started(self) -> Self {
        Self { started_at: None, ..self }
    }

    #[must_use]
    pub fn in_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

impl Machine {
    /// Puts an app there with exactly these tasks, without a deployment. What the script says then goes
    /// on: [`Behaviour::frozen`](crate::marathon::Behaviour::frozen) leaves everything as it is.
    ///
    /// # Errors
    /// When Marathon would refuse the app, or a host is not one of ours.
    pub fn adopt(&mut self, body: &str, tasks: &[Adopted]) -> Result<Vec<TaskId>, Refusal> {
        let definition = Definition::create(body)?;
        let id = definition.id.clone();
        let version = self.new_version();
        let mut adopted = Vec::new();
        for one in tasks {
            let host = self.hosts.iter().find(|host| host.name == one.host);
            let unknown = || Refusal::bad_request(format!("there is no host {}", one.host));
            let (address, slave) =
                host.map(|host| (host.address, host.slave_id())).ok_or_else(unknown)?;
            let results = one.alive.map(|is_alive| Results {
                is_alive,
                consecutive_failures: u64::from(!is_alive),
                first_success: is_alive.then_some(version),
                last_success: is_alive.then_some(version),
                last_failure: (!is_alive).then_some(version),
                last_failure_cause: (!is_alive).then(|| "it was put there so".to_owned()),
            });
            let number = self.number();
            adopted.push(Task {
                id: TaskId::nth(&id, self.origin, number),
                app: id.clone(),
                host: one.host.clone(),
                address,
                slave,
                ports: one.ports.clone(),
                version,
                staged_at: one.started_at.unwrap_or(version),
                started_at: one.started_at,
                phase: one.phase,
                results,
                was_unreachable: false,
            });
        }
        self.apps.insert(id, App::new(definition, version));
        Ok(adopted.into_iter().map(|task| self.add(task)).collect())
    }

    pub(super) fn add(&mut self, task: Task) -> TaskId {
        let id = task.id.clone();
        self.by_app.entry(task.app.clone()).or_default().insert(id.clone());
        self.tasks.insert(id.clone(), task);
        id
    }
}
