//! The state behind a lock, moved by the clock, with the runner and the health checks beside it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinSet,
    time,
};

use super::{
    event::Event,
    faults::Faults,
    ids::TaskId,
    machine::Machine,
    moment::Moment,
    probe::Question,
    real::{Ending, Placed, Runner},
    script::Health,
    settings::Settings,
    simulator::Call,
    task::Phase,
};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    pub(super) settings: Settings,
    pub(super) port: u16,
    /// Whether there is a leader.
    pub(super) leads: watch::Sender<bool>,
    pub(super) events: broadcast::Sender<Event>,
    /// Something was changed from outside.
    wake: Notify,
    /// For those that the tasks of `inner` must not keep alive.
    own: Weak<Self>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) machine: Machine,
    pub(super) faults: Faults,
    pub(super) calls: Vec<Call>,
    /// Ends of tasks that are waited for, and health checks.
    work: JoinSet<()>,
}

impl Shared {
    pub(super) fn new(port: u16, settings: Settings) -> Arc<Self> {
        let now = Moment::now();
        let (hosts, script) = (settings.hosts.clone(), settings.script.clone());
        let mut machine = Machine::new(u32::from(port), now, hosts, script);
        if settings.runner.is_some() {
            machine = machine.with_real_tasks();
        }
        let inner =
            Inner { machine, faults: Faults::default(), calls: Vec::new(), work: JoinSet::new() };
        Arc::new_cyclic(|own| Self {
            inner: Mutex::new(inner),
            settings,
            port,
            leads: watch::Sender::new(true),
            events: broadcast::Sender::new(1024),
            wake: Notify::new(),
            own: Weak::clone(own),
        })
    }

    /// Lets the state come up to now, and then looks at it or changes it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        self.step(&mut inner);
        let result = act(&mut inner);
        self.step(&mut inner);
        drop(inner);
        self.wake.notify_one();
        result
    }

    /// Moves the state whenever something is due. Never ends.
    pub(super) async fn drive(&self) {
        loop {
            let next = {
                let mut inner = self.inner.lock();
                self.step(&mut inner);
                inner.machine.next()
            };
            let wait = next.map_or(Duration::MAX, |next| next.since(Moment::now()));
            tokio::select! {
                // A millisecond is as fine as moments are.
                () = time::sleep(wait.max(Duration::from_millis(1))) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn step(&self, inner: &mut Inner) {
        inner.machine.step(Moment::now());
        while inner.work.try_join_next().is_some() {}
        loop {
            let events = inner.machine.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.follow(inner, &event);
                // Nobody may be listening.
                let _ = self.events.send(event);
            }
            inner.machine.step(Moment::now());
        }
    }

    /// Starts and stops what is real.
    fn follow(&self, inner: &mut Inner, event: &Event) {
        let runner = self.settings.runner.as_ref();
        match (event, runner) {
            (Event::Running { task }, runner) => {
                if let Some(runner) = runner {
                    start(&**runner, &mut inner.machine, task);
                }
                inner.work.spawn(check(self.own.clone(), task.clone()));
            }
            (Event::Killing { task }, Some(runner)) => {
                let (end, own, task) =
                    (runner.stop(task, Ending::Killed), self.own.clone(), task.clone());
                inner.work.spawn(async move {
                    end.await;
                    if let Some(shared) = own.upgrade() {
                        shared.with(|inner| inner.machine.ended(&task));
                    }
                });
            }
            (Event::Ended { task, .. }, Some(runner)) => {
                inner.work.spawn(runner.stop(task, Ending::Died));
            }
            _ => {}
        }
    }
}

fn start(runner: &dyn Runner, machine: &mut Machine, id: &TaskId) {
    let Some(task) = machine.task(id) else { return };
    let placed = Placed {
        task: id.clone(),
        app: task.app.clone(),
        address: task.address,
        ports: task.ports.clone(),
    };
    if let Err(error) = runner.start(placed) {
        machine.fail(id, &format!("it could not be started: {error}"));
    }
}

/// Checks one task as long as it is there, whenever the script wants that.
async fn check(own: Weak<Shared>, id: TaskId) {
    loop {
        let Some(shared) = own.upgrade() else { return };
        let Some((question, every)) = next_check(&shared.inner.lock().machine, &id) else { return };
        drop(shared);
        if let Some(question) = question {
            let result = question.ask().await;
            let Some(shared) = own.upgrade() else { return };
            shared.with(|inner| inner.machine.checked(&id, result));
        }
        time::sleep(every).await;
    }
}

/// What to ask, if anything, and when to come back; none when the task is on its way out.
fn next_check(machine: &Machine, id: &TaskId) -> Option<(Option<Question>, Duration)> {
    let task = machine.task(id).filter(|task| !matches!(task.phase, Phase::Killing { .. }))?;
    let check = machine.check(task)?;
    let behaviour = machine.script.of(task.app.as_str());
    let is_asked = behaviour.health == Health::Asked && task.phase == Phase::Running;
    let every = behaviour.check_every.unwrap_or(check.interval).max(Duration::from_millis(1));
    Some((Question::of(task, check).filter(|_| is_asked), every))
}
