//! A bounce under everything that can happen to it: what a method promises, pass after pass.

#[path = "methods/promise.rs"]
mod promise;

use paasta_master::bounce::{
    Decision, Method, Situation, decide,
    standing::{Stand, Standing},
};
use proptest::prelude::*;

use self::promise::{crossover, promise};

/// A task as the world has it.
#[derive(Clone, Copy, Debug)]
struct Task {
    serves: bool,
    is_marked: bool,
}

impl Task {
    const STARTING: Self = Self { serves: false, is_marked: false };

    /// Whether clients are sent to it.
    fn is_used(self) -> bool {
        self.serves && !self.is_marked
    }
}

#[derive(Clone, Debug)]
struct World {
    want: u32,
    old: Vec<Task>,
    /// `None`: Marathon does not know the app.
    new: Option<Vec<Task>>,
    /// Passes until Marathon shows an app that it was told to make.
    app_comes_in: Option<usize>,
}

/// What happens between two passes. Numbers choose a task.
#[derive(Clone, Copy, Debug)]
enum Event {
    NewTaskServes(usize),
    NewTaskFails(usize),
    /// It is gone, and Marathon starts another.
    NewTaskDies(usize),
    OldTaskFails(usize),
    OldTaskRecovers(usize),
    OldTaskIsLost(usize),
    /// Somebody removes it, or it lapses.
    MarkVanishes(usize),
    /// What is marked is stopped.
    DrainedTasksEnd,
}

fn chosen(tasks: &mut [Task], which: usize) -> Option<&mut Task> {
    let count = tasks.len();
    (count > 0).then(|| tasks.get_mut(which % count)).flatten()
}

impl World {
    fn serving(&self) -> usize {
        let new = self.new.iter().flatten();
        self.old.iter().chain(new).filter(|task| task.is_used()).count()
    }

    fn happen(&mut self, event: Event) {
        let mut none = Vec::new();
        let new = self.new.as_mut().unwrap_or(&mut none);
        match event {
            Event::NewTaskServes(which) => {
                chosen(new, which).into_iter().for_each(|task| task.serves = true);
            }
            Event::NewTaskFails(which) => {
                chosen(new, which).into_iter().for_each(|task| task.serves = false);
            }
            Event::NewTaskDies(which) => {
                chosen(new, which).into_iter().for_each(|task| *task = Task::STARTING);
            }
            Event::OldTaskFails(which) => {
                chosen(&mut self.old, which).into_iter().for_each(|task| task.serves = false);
            }
            Event::OldTaskRecovers(which) => {
                chosen(&mut self.old, which).into_iter().for_each(|task| task.serves = true);
            }
            Event::OldTaskIsLost(which) if !self.old.is_empty() => {
                self.old.remove(which % self.old.len());
            }
            Event::OldTaskIsLost(_) => {}
            Event::MarkVanishes(which) => {
                chosen(&mut self.old, which).into_iter().for_each(|task| task.is_marked = false);
            }
            Event::DrainedTasksEnd => self.old.retain(|task| !task.is_marked),
        }
    }

    fn advance(&mut self) {
        match self.app_comes_in {
            Some(0) => {
                self.app_comes_in = None;
                self.new = Some(vec![Task::STARTING; self.want as usize]);
            }
            Some(passes) => self.app_comes_in = Some(passes - 1),
            None => {}
        }
    }

    /// One pass, as the deployment makes it. `fails` says of which drained tasks the drain fails: they
    /// are killed. Returns whether the app was to be made, and how many tasks were drained.
    fn pass(&mut self, method: Method, delay: usize, fails: &[bool]) -> (bool, usize) {
        let stand = |task: &Task| Stand::of(Some(task.is_marked), task.serves, false);
        let standing: Standing<usize> =
            self.old.iter().enumerate().map(|(at, task)| (at, stand(task))).collect();
        let old = standing.candidates();
        let happy_new = self.new.iter().flatten().filter(|task| task.is_used()).count();
        let new_app_exists = self.new.is_some();
        let situation = Situation { want: self.want, new_app_exists, happy_new, old: &old };
        let Decision { create_app, drain } = decide(method, &situation);
        // An app that is on its way is answered with a conflict, and nothing changes.
        if create_app && self.app_comes_in.is_none() {
            self.app_comes_in = Some(delay);
        }
        let mut killed = Vec::new();
        for (at, fails) in drain.iter().zip(fails.iter().chain(std::iter::repeat(&false))) {
            self.old[*at].is_marked = true;
            if *fails {
                killed.push(*at);
            }
        }
        let drained = drain.len();
        let mut at = 0;
        self.old.retain(|_| {
            at += 1;
            !killed.contains(&(at - 1))
        });
        (create_app, drained)
    }
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Brutal),
        Just(Method::Upthendown),
        Just(Method::Downthenup),
        Just(Method::Down),
        crossover(),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let which = 0..64_usize;
    let event = prop_oneof![
        5 => which.clone().prop_map(Event::NewTaskServes),
        1 => which.clone().prop_map(Event::NewTaskFails),
        1 => which.clone().prop_map(Event::NewTaskDies),
        1 => which.clone().prop_map(Event::OldTaskFails),
        1 => which.clone().prop_map(Event::OldTaskRecovers),
        1 => which.clone().prop_map(Event::OldTaskIsLost),
        1 => which.prop_map(Event::MarkVanishes),
        1 => Just(Event::DrainedTasksEnd),
    ];
    prop::collection::vec(event, 0..6)
}

fn worlds() -> impl Strategy<Value = World> {
    let task = any::<(bool, bool)>().prop_map(|(serves, is_marked)| Task { serves, is_marked });
    (0..12_u32, prop::collection::vec(task, 0..12)).prop_map(|(want, old)| World {
        want,
        old,
        new: None,
        app_comes_in: None,
    })
}

proptest! {
    #[test]
    fn a_pass_never_takes_more_than_its_method_promises(
        mut world in worlds(),
        method in methods(),
        delay in 0..4_usize,
        steps in prop::collection::vec((events(), prop::collection::vec(any::<bool>(), 0..12)), 1..40),
    ) {
        for (events, fails) in steps {
            events.into_iter().for_each(|event| world.happen(event));
            world.advance();
            let (before, seen) = (world.serving(), world.clone());
            let (create_app, drained) = world.pass(method, delay, &fails);
            let after = world.serving();
            prop_assert!(after >= promise(method, world.want, before), "{seen:?} {before} {after}");
            let new_serve = seen.new.iter().flatten().filter(|task| task.is_used()).count();
            if method == Method::Upthendown && drained > 0 {
                prop_assert_eq!(new_serve, world.want as usize, "{:?}", seen);
                prop_assert!(seen.new.is_some());
            }
            if method == Method::Downthenup && create_app {
                prop_assert!(seen.old.iter().all(|task| task.is_marked), "{seen:?}");
            }
            prop_assert!(!(create_app && (seen.new.is_some() || method == Method::Down)));
        }
    }

    #[test]
    fn a_bounce_that_is_left_alone_comes_to_its_end(
        mut world in worlds(),
        method in methods(),
        delay in 0..4_usize,
        troubles in prop::collection::vec(events(), 0..10),
    ) {
        for events in troubles {
            events.into_iter().for_each(|event| world.happen(event));
            world.advance();
            world.pass(method, delay, &[]);
        }
        for _ in 0..delay + 4 {
            world.advance();
            world.new.iter_mut().flatten().for_each(|task| task.serves = true);
            world.pass(method, delay, &[]);
            world.happen(Event::DrainedTasksEnd);
        }
        prop_assert!(world.old.is_empty(), "{world:?}");
        let new = world.new.as_ref().map(Vec::len);
        let wanted = (method != Method::Down).then_some(world.want as usize);
        prop_assert_eq!(new, wanted);
    }
}
