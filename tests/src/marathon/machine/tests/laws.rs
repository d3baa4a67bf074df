//! What holds whatever is asked and however tasks fare.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Move {
    Create(usize, usize),
    Scale(usize, usize, bool),
    Delete(usize),
    Kill(usize, bool, bool),
    Cancel(bool),
    Lose(usize),
    Find(usize),
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        (0..3_usize, 0..5_usize).prop_map(|(app, n)| Move::Create(app, n)),
        (0..3_usize, 0..5_usize, any::<bool>()).prop_map(|(app, n, f)| Move::Scale(app, n, f)),
        (0..3_usize).prop_map(Move::Delete),
        (0..20_usize, any::<bool>(), any::<bool>()).prop_map(|(n, s, f)| Move::Kill(n, s, f)),
        any::<bool>().prop_map(Move::Cancel),
        (0..20_usize).prop_map(Move::Lose),
        (0..20_usize).prop_map(Move::Find),
        (0..30_u64).prop_map(Move::Wait),
    ]
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let delay = || (0..20_u64).prop_map(seconds);
    let health = prop_oneof![Just(Health::Good), Just(Health::Bad)];
    let times = (delay(), delay(), delay(), delay());
    let ends = (proptest::option::of(delay()), proptest::option::of(delay()));
    (times, ends, health, any::<bool>()).prop_map(|(times, ends, health, fails_to_start)| {
        let (start_delay, health_delay, kill_delay, listed_after_deletion) = times;
        Behaviour {
            start_delay,
            health_delay,
            kill_delay,
            listed_after_deletion,
            health,
            fails_to_start,
            dies_after: ends.0,
            replaced_after: ends.1,
            ..Behaviour::default()
        }
    })
}

fn play(machine: &mut Machine, one: &Move) {
    let some_task = |machine: &Machine, at: usize| {
        let ids: Vec<TaskId> = machine.tasks.keys().cloned().collect();
        ids.get(at % ids.len().max(1)).cloned()
    };
    match one {
        Move::Create(app, n) => {
            ask(machine, "POST", "/v2/apps", &with_check(&format!("app{app}"), *n));
        }
        Move::Scale(app, n, force) => {
            let path = format!("/v2/apps//app{app}?force={force}");
            let body = with_check(&format!("app{app}"), *n);
            ask(machine, "PUT", &path, &body);
        }
        Move::Delete(app) => {
            ask(machine, "DELETE", &format!("/v2/apps//app{app}"), &Value::Null);
        }
        Move::Kill(at, scale, force) => {
            let ids: Vec<String> =
                some_task(machine, *at).iter().map(ToString::to_string).collect();
            let path = format!("/v2/tasks/delete?scale={scale}&force={force}");
            ask(machine, "POST", &path, &json!({"ids": ids}));
        }
        Move::Cancel(force) => {
            if let Some(id) = machine.deployments().first() {
                let path = format!("/v2/deployments/{id}?force={force}");
                ask(machine, "DELETE", &path, &Value::Null);
            }
        }
        Move::Lose(at) => {
            if let Some(task) = some_task(machine, *at) {
                machine.lose(&task);
            }
        }
        Move::Find(at) => {
            if let Some(task) = some_task(machine, *at) {
                machine.find(&task);
            }
        }
        Move::Wait(time) => wait(machine, seconds(*time)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_app_has_more_living_tasks_than_wanted_and_no_port_is_given_twice(
        behaviour in behaviour(),
        moves in proptest::collection::vec(moves(), 1..40),
    ) {
        let mut machine = machine(3, Script::all(behaviour));
        for one in &moves {
            play(&mut machine, one);
            machine.step(machine.now);
            for (id, app) in &machine.apps {
                let active = machine.of(id).filter(|task| task.is_active()).count();
                let wanted = if app.deleted.is_some() { 0 } else { app.definition.instances };
                prop_assert!(active <= wanted, "{id}: {active} of {wanted} after {one:?}");
            }
            let mut places: Vec<(&str, u16)> = machine
                .tasks()
                .flat_map(|task| task.ports.iter().map(|port| (task.host.as_str(), *port)))
                .collect();
            let all = places.len();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(places.len(), all);
            let strays = machine.tasks().filter(|task| !machine.apps.contains_key(&task.app));
            prop_assert_eq!(strays.count(), 0);
            let due = machine.next();
            prop_assert!(due.is_none_or(|due| due > machine.now), "{:?} is due", due);
        }
    }

    #[test]
    fn when_tasks_fare_well_again_all_locks_are_released_and_all_instances_run(
        behaviour in behaviour(),
        moves in proptest::collection::vec(moves(), 1..40),
    ) {
        let mut machine = machine(3, Script::all(behaviour));
        moves.iter().for_each(|one| play(&mut machine, one));
        let lost: Vec<TaskId> = machine.tasks.keys().cloned().collect();
        lost.iter().for_each(|task| machine.find(task));
        machine.set_script(Script::default());
        wait(&mut machine, seconds(4000));
        prop_assert!(machine.deployments().is_empty());
        for (id, app) in &machine.apps {
            prop_assert!(app.deleted.is_none());
            prop_assert_eq!(machine.of(id).count(), app.definition.instances);
            prop_assert!(machine.of(id).all(|task| task.phase == Phase::Running && task.is_healthy()));
        }
        prop_assert_eq!(get(&mut machine, "/v2/queue"), json!({"queue": []}));
    }
}
