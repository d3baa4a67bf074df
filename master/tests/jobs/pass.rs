//! Passes without a command, as a daemon does them: with a look at soa-configs in hand.

use jiff::{Timestamp, Zoned};
use paasta_master::chronos::{
    JobName,
    cleanup::Rules,
    client::Chronos,
    pass::{Allowed, Pass, Written},
    soa::Soa,
    sync::Done,
};
use serde_json::json;
use soa_configs::{
    documents::Documents,
    paasta::{self, Settings},
};

use crate::scene::{Scene, after, hourly};

/// Work that a daemon may give to another thread.
fn movable<T>(work: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    work
}

/// The system configuration and soa-configs of a host, as they are now.
fn known(scene: &Scene) -> (Settings, Documents) {
    let etc = scene.place.path().join("etc");
    let settings = Settings::read(&paasta::load(&etc).unwrap().unwrap(), &etc).unwrap();
    let mut documents = Documents::new(scene.place.path().join("soa"));
    documents.refresh().unwrap();
    (settings, documents)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_at_soa_configs_is_brought_to_chronos_and_what_is_gone_from_it_leaves() {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": after(&["batch.a"]), "bad": {"schedule": "R//PT1H", "cmd": "x"}}));
    let (settings, documents) = known(&scene);
    let chronos = Chronos::new(settings.chronos.as_ref().unwrap());
    let cluster = settings.cluster().unwrap();
    let soa = |documents| Soa { documents, settings: &settings, cluster };
    let pass = |soa, is_dry| Pass { soa, chronos: &chronos, team: Some("infra"), is_dry };
    let name = |instance| JobName::new("batch", instance);
    let new = ["a", "b"].map(|instance| Written { name: name(instance), is_new: true });

    let look = soa(&documents);
    let dry = movable(pass(look, true).deploy(look.names(), &Zoned::now())).await;
    assert_eq!(dry.written, new);
    assert_eq!(scene.writes(), []);
    let deployed = movable(pass(look, false).deploy(look.names(), &Zoned::now())).await;
    assert_eq!(deployed.written, new);
    assert!(!deployed.is_fine);
    assert!(deployed.complaints[0].starts_with("batch.bad: "), "{:?}", deployed.complaints);
    assert_eq!(dry.complaints, deployed.complaints);
    // Chronos, three jobs: the dry run told nobody.
    assert_eq!(scene.sensu.told(4).await[0].0, "chronos.c1");
    let again = pass(look, false).deploy([name("a"), name("b")], &Zoned::now()).await;
    assert!(again.is_fine && again.written.is_empty(), "{again:?}");
    assert_eq!(again.jobs[&name("b")], Done::Unchanged);
    scene.sensu.told(3).await;

    scene.service("batch", &json!({"a": hourly()}));
    let (_, documents) = known(&scene);
    let allowed = |most| Allowed { rules: Rules::Safe, most };
    let clean = async |most, is_dry| {
        movable(pass(soa(&documents), is_dry).clean_up(allowed(most), Timestamp::now())).await
    };
    let refused = clean(Some(0.4), false).await;
    assert!(!refused.is_fine && !refused.is_known && refused.jobs.is_empty(), "{refused:?}");
    assert!(refused.complaints[0].starts_with("1 of 2 jobs are of no instance"), "{refused:?}");
    scene.calls();
    let gone = [("batch b".to_owned(), true)];
    assert_eq!(clean(Some(0.5), true).await.jobs, gone);
    assert_eq!(scene.writes(), []);
    let cleaned = clean(Some(0.5), false).await;
    assert!(cleaned.is_fine && cleaned.jobs == gone && cleaned.tasks == gone, "{cleaned:?}");
    assert_eq!(scene.jobs(), ["batch a"]);
    // Twice that Chronos answers, once that a job is gone.
    assert_eq!(scene.sensu.told(3).await[0].0, "check_chronos_jobs.batch.b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_says_of_a_new_job_that_it_is_there_and_of_an_old_one_how_it_runs() {
    let scene = Scene::new().await;
    let description = "config01234567";
    for (name, failure) in [("batch old", Some(Timestamp::now())), ("batch gone", None)] {
        let schedule = "R/2030-01-01T00:00:00Z/PT1H";
        let body =
            json!({"name": name, "command": "x", "schedule": schedule, "description": description});
        scene.chronos.change(|machine| machine.adopt(&body, None, failure).unwrap());
    }
    scene.service("batch", &json!({"old": hourly(), "new": hourly()}));
    scene.calls();
    let (settings, documents) = known(&scene);
    let chronos = Chronos::new(settings.chronos.as_ref().unwrap());
    let cluster = settings.cluster().unwrap();
    let soa = Soa { documents: &documents, settings: &settings, cluster };
    let pass = Pass { soa, chronos: &chronos, team: None, is_dry: false };
    let allowed = Allowed { rules: Rules::Safe, most: Some(0.5) };
    let round = movable(pass.round(allowed, &Zoned::now())).await;
    assert!(round.is_fine(), "{round:?}");
    assert_eq!((round.listed, round.deployed.written.len()), (Some(2), 2));
    let listings = scene.calls().iter().filter(|call| call.method == "GET").count();
    assert_eq!(listings, 1);
    let told = scene.sensu.told(4).await;
    let told: Vec<_> = told.iter().map(|(name, status, _)| (name.as_str(), *status)).collect();
    let wanted = [
        ("check_chronos_jobs.batch.gone", 0),
        ("check_chronos_jobs.batch.old", 2),
        ("setup_chronos_job.batch.new", 0),
        ("setup_chronos_job.batch.old", 0),
    ];
    assert_eq!(told, wanted);
}
