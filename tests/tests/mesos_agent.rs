//! The Mesos agent as a second source. It is simulated: there is no package of the real one.

use end_to_end::{
    MesosAgent, Scene,
    docker::{Recipe, unique},
    host::states,
};
use serde_json::Value;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::test]
async fn a_container_without_labels_is_named_by_mesos_and_a_disagreement_is_told() -> Result {
    for is_old in [false, true] {
        let mesos = MesosAgent::start(is_old).await?;
        let settings =
            format!("cluster: test\nmesos: {{agent_url: '{}', poll: 1s}}\n", mesos.url());
        let scene = Scene::new("{kind: embedded}", &settings, "")?;
        let instances = format!("soa/{}/marathon-test.yaml", scene.service());
        scene.write(&instances, "main: {instances: 1}\n")?;
        let uuid = unique("0242ac11");
        let name = format!("mesos-agent-S1.{uuid}");
        let nameless = scene.docker.create(&name, &Recipe::default())?;
        nameless.start()?;
        let stranger = |report: &Value| report["strangers"].to_string().contains(&name);
        scene.until("nobody knows who it is", stranger).await;

        let (task, port) =
            (format!("{}.main.gitx.configy.{uuid}", scene.service()), nameless.port()?);
        mesos.run(&[(&uuid, &task, port)]);
        scene.until_served_by(1).await;
        assert_eq!(states(&scene.status().await?)[&name], "up");

        mesos.run(&[(&uuid, &task, 1)]);
        let disputed = |report: &Value| {
            report["refused"].to_string().contains("but the mesos agent gave it 1")
        };
        scene.until("the disagreement is told", disputed).await;
        drop(mesos);
        scene.until_served_by(1).await;
        assert_eq!(states(&scene.status().await?)[&name], "up", "it takes nothing away");
    }
    Ok(())
}
