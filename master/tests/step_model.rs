//! Passes over an instance as [`step`](paasta_master::step) decides them, against a Marathon that follows:
//! hosts that are emptied, marks that nobody can set, tasks that come and go, counts that change.

#[path = "methods/promise.rs"]
mod promise;

use paasta_master::{
    bounce::Method,
    marathon::running::{RunningApp, Task},
    step::{Drained, Fact, Facts, Seen, Step, next},
};
use proptest::prelude::*;

use self::promise::{crossover, promise};

/// A task as the world has it.
#[derive(Clone, Debug)]
struct Running {
    id: String,
    serves: bool,
    is_marked: bool,
    /// It has been marked long enough.
    is_drained: bool,
    host_goes: bool,
    /// The hacheck of its host does not answer.
    is_silent: bool,
}

impl Running {
    /// Whether clients are sent to it.
    fn is_used(&self) -> bool {
        self.serves && !self.is_marked
    }

    fn fact(&self) -> Fact {
        Fact {
            is_happy: self.is_used(),
            is_draining: (!self.is_silent).then_some(self.is_marked),
            is_safe_to_kill: (!self.is_silent).then_some(self.is_drained),
            host_is_draining: self.host_goes,
        }
    }
}

#[derive(Clone, Debug)]
struct App {
    id: &'static str,
    instances: usize,
    tasks: Vec<Running>,
}

const NEW: &str = "/new";

#[derive(Clone, Debug)]
struct World {
    want: u32,
    apps: Vec<App>,
    started: usize,
}

/// What happens between two passes. Numbers choose a task of all.
#[derive(Clone, Copy, Debug)]
enum Event {
    Serves(usize),
    Fails(usize),
    /// It is gone, and Marathon starts another if it is to have one.
    Dies(usize),
    HostGoes(usize),
    HostStays(usize),
    FallsSilent(usize),
    Speaks(usize),
    MarkVanishes(usize),
    DrainedLongEnough,
    Wanted(u32),
}

impl World {
    fn tasks(&mut self) -> impl Iterator<Item = &mut Running> {
        self.apps.iter_mut().flat_map(|app| &mut app.tasks)
    }

    fn chosen(&mut self, which: usize, change: impl FnOnce(&mut Running)) {
        let count = self.tasks().count();
        if let Some(task) = which.checked_rem(count).and_then(|at| self.tasks().nth(at)) {
            change(task);
        }
    }

    fn serving(&self) -> usize {
        self.apps.iter().flat_map(|app| &app.tasks).filter(|task| task.is_used()).count()
    }

    /// Those of hosts that stay: as in PaaSTA, old tasks of the others go before those that do not serve.
    fn serving_for_long(&self) -> usize {
        let all = self.apps.iter().flat_map(|app| &app.tasks);
        all.filter(|task| task.is_used() && !task.host_goes).count()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Serves(which) => self.chosen(which, |task| task.serves = true),
            Event::Fails(which) => self.chosen(which, |task| task.serves = false),
            Event::Dies(which) => {
                let mut id = String::new();
                self.chosen(which, |task| id.clone_from(&task.id));
                self.apps.iter_mut().for_each(|app| app.tasks.retain(|task| task.id != id));
            }
            Event::HostGoes(which) => self.chosen(which, |task| task.host_goes = true),
            Event::HostStays(which) => self.chosen(which, |task| task.host_goes = false),
            Event::FallsSilent(which) => self.chosen(which, |task| task.is_silent = true),
            Event::Speaks(which) => self.chosen(which, |task| task.is_silent = false),
            Event::MarkVanishes(which) => self.chosen(which, |task| {
                (task.is_marked, task.is_drained) = (false, false);
            }),
            Event::DrainedLongEnough => self.tasks().for_each(|task| {
                task.is_drained = task.is_marked;
            }),
            Event::Wanted(want) => self.want = want,
        }
    }

    /// Marathon starts what is missing, on hosts that stay.
    fn fill(&mut self) {
        for app in &mut self.apps {
            while app.tasks.len() < app.instances {
                self.started += 1;
                let id = format!("{}.{}", app.id, self.started);
                let (serves, is_marked, is_drained) = (false, false, false);
                let (host_goes, is_silent) = (false, false);
                app.tasks.push(Running { id, serves, is_marked, is_drained, host_goes, is_silent });
            }
        }
    }

    fn listed(&self) -> (Vec<RunningApp>, Facts) {
        let task = |app: &App, task: &Running| Task {
            id: task.id.clone(),
            app_id: app.id.to_owned(),
            host: "h".to_owned(),
            ports: vec![1],
            state: "TASK_RUNNING".to_owned(),
            started_at: None,
            alive: Vec::new(),
        };
        let listed = self.apps.iter().map(|app| RunningApp {
            id: app.id.to_owned(),
            shard: 0,
            instances: u32::try_from(app.instances).unwrap_or(u32::MAX),
            tasks: app.tasks.iter().map(|one| task(app, one)).collect(),
            has_health_checks: true,
            odd: None,
        });
        let all = self.apps.iter().flat_map(|app| &app.tasks);
        (listed.collect(), all.map(|task| (task.id.clone(), task.fact())).collect())
    }

    /// One pass. `fails` says of each task that is drained whether nobody can mark it. Returns the tasks
    /// that are killed, as they were then.
    fn pass(&mut self, method: Method, fails: &[bool]) -> Vec<Running> {
        let (listed, facts) = self.listed();
        let new = listed.iter().find(|app| app.id == NEW);
        let old: Vec<&RunningApp> = listed.iter().filter(|app| app.id != NEW).collect();
        let want = self.want;
        let (old, facts) = (old.as_slice(), &facts);
        let seen = Seen { want, method, new, old, facts, kills_undrained: false };
        let step = next(&seen);
        self.begin(&seen, &step);
        let drained: Vec<Drained> = step
            .drain
            .iter()
            .zip(fails.iter().chain(std::iter::repeat(&false)))
            .map(|(task, fails)| self.drain(&task.id, *fails))
            .collect();
        let ends = step.ends(&seen, &drained);
        let mut killed = Vec::new();
        for app in &mut self.apps {
            let is_killed = |task: &Running| ends.kill.iter().any(|kill| kill.id == task.id);
            let (gone, left): (Vec<_>, Vec<_>) = app.tasks.drain(..).partition(is_killed);
            app.instances = app.instances.saturating_sub(gone.len());
            app.tasks = left;
            killed.extend(gone);
        }
        let removed: Vec<&str> = ends.remove.iter().map(|app| app.id.as_str()).collect();
        self.apps.retain(|app| !removed.contains(&app.id));
        killed
    }

    /// Scales, puts back and creates.
    fn begin(&mut self, seen: &Seen<'_>, step: &Step<'_>) {
        for scale in &step.scale {
            let app = self.apps.iter_mut().find(|app| app.id == scale.app.id);
            app.into_iter().for_each(|app| app.instances = scale.to);
        }
        let back: Vec<&str> = step.put_back(seen).map(|task| task.id.as_str()).collect();
        for task in self.tasks().filter(|task| back.contains(&task.id.as_str()) && !task.is_silent)
        {
            (task.is_marked, task.is_drained) = (false, false);
        }
        if step.create_app {
            let instances = self.want as usize;
            self.apps.push(App { id: NEW, instances, tasks: Vec::new() });
        }
    }

    fn drain(&mut self, id: &str, fails: bool) -> Drained {
        let mut drained = Drained { is_marked: false, is_safe_to_kill: None };
        for task in self.tasks().filter(|task| task.id == id && !task.is_silent && !fails) {
            task.is_marked = true;
            drained = Drained { is_marked: true, is_safe_to_kill: Some(task.is_drained) };
        }
        drained
    }
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        1 => Just(Method::Brutal),
        2 => Just(Method::Upthendown),
        1 => Just(Method::Downthenup),
        4 => crossover(),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let which = 0..64_usize;
    let event = prop_oneof![
        6 => which.clone().prop_map(Event::Serves),
        1 => which.clone().prop_map(Event::Fails),
        1 => which.clone().prop_map(Event::Dies),
        2 => which.clone().prop_map(Event::HostGoes),
        1 => which.clone().prop_map(Event::HostStays),
        1 => which.clone().prop_map(Event::FallsSilent),
        2 => which.clone().prop_map(Event::Speaks),
        1 => which.prop_map(Event::MarkVanishes),
        2 => Just(Event::DrainedLongEnough),
        1 => (0..8_u32).prop_map(Event::Wanted),
    ];
    prop::collection::vec(event, 0..8)
}

fn worlds() -> impl Strategy<Value = World> {
    let serving = prop::collection::vec(any::<bool>(), 0..6);
    (0..8_u32, prop::collection::vec(serving, 0..3)).prop_map(|(want, apps)| {
        let mut world = World { want, apps: Vec::new(), started: 0 };
        for (id, serving) in ["/old", "/older"].into_iter().zip(apps) {
            world.apps.push(App { id, instances: serving.len(), tasks: Vec::new() });
            world.fill();
            let tasks = world.apps.last_mut().into_iter().flat_map(|app| &mut app.tasks);
            tasks.zip(serving).for_each(|(task, serves)| task.serves = serves);
        }
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_pass_takes_more_than_its_method_promises_and_none_kills_what_is_in_service(
        mut world in worlds(),
        method in methods(),
        steps in prop::collection::vec((events(), prop::collection::vec(any::<bool>(), 0..8)), 1..30),
    ) {
        for (events, fails) in steps {
            events.into_iter().for_each(|event| world.happen(event));
            world.fill();
            let (before, seen) = (world.serving_for_long(), world.clone());
            let killed = world.pass(method, &fails);
            let after = world.serving();
            prop_assert!(after >= promise(method, world.want, before), "{seen:#?} {before} {after}");
            let is_out = |task: &Running| task.is_marked && task.is_drained && !task.is_silent;
            prop_assert!(killed.iter().all(is_out), "{killed:?}");
        }
    }

    #[test]
    fn a_bounce_that_is_left_alone_leaves_what_is_wanted_on_hosts_that_stay(
        mut world in worlds(),
        method in methods(),
        troubles in prop::collection::vec(events(), 0..8),
    ) {
        for events in troubles {
            events.into_iter().for_each(|event| world.happen(event));
            world.fill();
            world.pass(method, &[]);
        }
        world.tasks().for_each(|task| task.is_silent = false);
        for _ in 0..30 {
            world.fill();
            world.tasks().for_each(|task| task.serves = true);
            world.happen(Event::DrainedLongEnough);
            world.pass(method, &[]);
        }
        let ids: Vec<&str> = world.apps.iter().map(|app| app.id).collect();
        prop_assert_eq!(ids, [NEW], "{:?}", world);
        prop_assert_eq!(world.serving(), world.want as usize, "{:?}", world);
        prop_assert!(world.tasks().all(|task| !task.host_goes && !task.is_marked));
    }
}
