//! As many tasks as are wanted.

use std::collections::BTreeSet;

use super::{
    super::{
        event::Event,
        ids::{AppId, TaskId},
        placement,
        task::{Phase, Task},
    },
    Machine,
};

const NO_OFFER: &str = "InsufficientCpus";
const NO_HOST: &str = "UnfulfilledConstraint";
const NO_PORT: &str = "InsufficientPorts";

impl Machine {
    /// Kills tasks of old definitions, and those beyond the wanted number: unreachable and staged
    /// ones first, then the youngest.
    pub(super) fn kill_surplus(&mut self, id: &AppId) {
        let Some(app) = self.apps.get(id) else { return };
        let wanted = if app.deleted.is_some() { 0 } else { app.definition.instances };
        let (config, is_oldest_first) = (app.config, app.definition.is_oldest_first);
        let mut doomed: Vec<TaskId> = Vec::new();
        let mut others: Vec<&Task> = Vec::new();
        for task in self.of(id).filter(|task| task.is_active()) {
            if task.version < config {
                doomed.push(task.id.clone());
            } else {
                others.push(task);
            }
        }
        others.sort_by_key(|task| (task.staged_at, &task.id));
        if !is_oldest_first {
            others.reverse();
        }
        others.sort_by_key(|task| match task.phase {
            Phase::Unreachable { .. } => 0,
            Phase::Staging => 1,
            Phase::Running | Phase::Killing { .. } => 2,
        });
        let surplus = others.len().saturating_sub(wanted);
        doomed.extend(others.iter().take(surplus).map(|task| task.id.clone()));
        for task in doomed {
            self.kill(&task);
        }
    }

    /// Starts what is missing, unless the app is held back.
    pub(super) fn launch(&mut self, id: &AppId) {
        loop {
            let active = self.of(id).filter(|task| task.is_active()).count();
            let now = self.now;
            let Some(app) = self.apps.get_mut(id).filter(|app| app.deleted.is_none()) else {
                return;
            };
            if active >= app.definition.instances {
                (app.waiting, app.missing) = (None, None);
                return;
            }
            app.missing.get_or_insert(now);
            if app.delay.is_some_and(|delay| delay.until > now) {
                return;
            }
            let placed =
                if self.script.of(id.as_str()).no_offers { Err(NO_OFFER) } else { self.place(id) };
            if let Err(reason) = placed {
                self.wait(id, reason);
                return;
            }
        }
    }

    fn wait(&mut self, id: &AppId, reason: &'static str) {
        let Some(app) = self.apps.get_mut(id) else { return };
        if app.waiting.replace(reason) != Some(reason) {
            self.note(Event::Waiting { app: id.clone(), reason });
        }
    }

    /// One task on the first host that fits.
    fn place(&mut self, id: &AppId) -> Result<(), &'static str> {
        let app = self.apps.get(id).ok_or(NO_HOST)?;
        let (ports, version) = (app.definition.ports.clone(), app.config);
        let tasks: Vec<&Task> = self.tasks.values().collect();
        let places = placement::candidates(&app.definition, &self.hosts, &tasks);
        let mut reason = NO_HOST;
        for at in places {
            reason = NO_PORT;
            let Some(host) = self.hosts.get_mut(at) else { continue };
            let on_it = self.tasks.values().filter(|task| task.host == host.name);
            let taken: BTreeSet<u16> = on_it.flat_map(|task| task.ports.iter().copied()).collect();
            let Some(ports) = host.take(&ports, &taken) else { continue };
            let (name, address, slave) = (host.name.clone(), host.address, host.slave_id());
            let number = self.number();
            let task = Task {
                id: TaskId::nth(id, self.origin, number),
                app: id.clone(),
                host: name,
                address,
                slave,
                ports,
                version,
                staged_at: self.now,
                started_at: None,
                phase: Phase::Staging,
                results: None,
                was_unreachable: false,
            };
            let (task_id, host, ports) = (task.id.clone(), task.host.clone(), task.ports.clone());
            self.note(Event::Staged { task: task_id, host, ports });
            self.add(task);
            return Ok(());
        }
        Err(reason)
    }
}
