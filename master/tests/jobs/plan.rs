//! `paasta-master plan`, of Chronos.

use serde_json::{Value, json};

use crate::scene::{Scene, after, hourly};

impl Scene {
    async fn plan(&self, names: &[&str]) -> (i32, Value, String) {
        let words = [&["plan", "-d", "soa", "--json"], names].concat();
        let program = env!("CARGO_BIN_EXE_paasta-master");
        let (code, out, complaint) = self.place.run(program, &words).await.unwrap();
        (code, serde_json::from_str(&out).unwrap(), complaint)
    }
}

/// The origin of a field that differs, as `layer place`.
fn told(job: &Value, field: &str) -> Vec<String> {
    let all = job["differences"].as_array().unwrap();
    let one = all.iter().find(|one| one["field"] == field);
    let from = one.unwrap_or_else(|| panic!("no {field} in {all:#?}"))["from"].as_array().unwrap();
    let text = |from: &Value| {
        let place = from["file"].as_str().or(from["key"].as_str()).unwrap_or_default();
        format!("{} {place}", from["layer"].as_str().unwrap())
    };
    from.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_to_write_are_told_field_by_field_and_nothing_is_written() {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": after(&["batch.a"]), "gone": hourly()}));
    scene.run("deploy", &[]).await;
    scene.calls();

    let mut changed = hourly();
    changed["cmd"] = json!("other");
    changed["env"] = json!({"A": "b"});
    let bad = json!({"schedule": "x", "cmd": "y"});
    let jobs = json!({"a": changed, "b": after(&["batch.a"]), "bad": bad, "new": hourly()});
    scene.service("batch", &jobs);
    scene.file("soa/batch/service.yaml", "cpus: 3\n");
    let (code, plan, complaint) = scene.plan(&[]).await;
    assert_eq!((code, complaint.lines().count()), (1, 1), "{complaint}");
    assert!(complaint.starts_with("error: batch.bad: "), "{complaint}");
    let planned = plan["jobs"].as_array().unwrap();
    let what: Vec<_> =
        planned.iter().map(|job| (&job["job"], &job["create"], &job["update"])).collect();
    let [yes, no] = [json!(true), json!(false)];
    let names = ["batch.a", "batch.b", "batch.new"].map(|name| json!(name));
    assert_eq!(
        what,
        [(&names[0], &no, &yes), (&names[1], &no, &yes), (&names[2], &yes, &no)],
        "{plan:#}"
    );
    assert_eq!(plan["remove_jobs"], json!(["batch gone"]));
    let own = "instance batch/chronos-c1.yaml";
    assert_eq!(told(&planned[0], "command"), [own]);
    assert_eq!(told(&planned[0], "environmentVariables[A]"), [own]);
    assert_eq!(told(&planned[0], "cpus"), ["service batch/service.yaml"]);
    assert_eq!(told(&planned[2], "schedule"), [own]);
    assert_eq!(
        told(&planned[2], "container.image"),
        ["deployments batch/deployments.json", "system docker_registry"]
    );
    let fields = |job: &Value| {
        let all = job["differences"].as_array().unwrap().iter();
        all.map(|one| one["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The schedule that Chronos has moved on is no difference.
    assert_eq!(
        fields(&planned[1]),
        ["container.parameters[cpu-quota]", "cpus"],
        "{:#}",
        planned[1]
    );
    assert_eq!(scene.writes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_is_planned_alone_and_others_are_nobodys_business() {
    let scene = Scene::new().await;
    scene.service("batch", &json!({"a": hourly(), "b": hourly()}));
    scene.run("deploy", &[]).await;
    scene.service("batch", &json!({"a": hourly()}));
    let (code, plan, complaint) = scene.plan(&["batch.a"]).await;
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert_eq!(
        plan["jobs"],
        json!([{"job": "batch.a", "create": false, "update": false, "differences": []}])
    );
    assert_eq!((&plan["instances"], &plan["remove_jobs"]), (&json!([]), &json!([])));
}
