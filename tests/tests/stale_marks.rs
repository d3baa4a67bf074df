//! A mark that outlived its task does not take the next one on its port out of service; and the
//! containers of this host, but no others, may be checked at their own addresses.

use end_to_end::{
    Scene,
    docker::{Recipe, Service, unique},
    eventually,
    host::states,
    ports::Port,
    web,
};
use hyper::Method;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A container of the namespace on this very port of the host, as Mesos gives them.
fn serve_on(scene: &Scene, name: &str, port: &Port) -> std::io::Result<Service> {
    let labels = [("smartstack.namespace", scene.namespace.as_str()), ("smartstack.port", "8888")];
    let published = format!("127.0.0.1:{}:8888", port.number);
    let options = ["-p", &published];
    let recipe = Recipe { labels: &labels, options: &options, ..Recipe::default() };
    let service = scene.docker.create(&unique(name), &recipe)?;
    service.start()?;
    Ok(service)
}

#[tokio::test]
async fn a_new_task_is_not_held_down_by_the_mark_of_the_one_before_on_its_port() -> Result {
    let scene = Scene::embedded()?;
    let port = Port::free()?;
    let first = serve_on(&scene, "first", &port)?;
    scene.until_served_by(1).await;
    let spool = format!("/spool/{}/{}/status", scene.namespace, port.number);
    let drain = "status=down&reason=Drained+by+Paasta&expiration=4102444800";
    assert_eq!(web::post(scene.hacheck.number, &spool, drain).await?.0, 200);
    let marked = |report: &serde_json::Value, name: &str| {
        states(report).get(name).is_some_and(|state| state == "marked")
    };
    scene.until("it is marked", |report| marked(report, &first.name)).await;
    assert_eq!(web::get(scene.hacheck.number, &spool).await?.0, 503);
    drop(first);

    let second = serve_on(&scene, "second", &port)?;
    scene.until_served_by(1).await;
    assert_eq!(web::get(scene.hacheck.number, &spool).await?.0, 200);
    let metrics = web::get(scene.admin.number, "/metrics").await?.1;
    assert!(metrics.contains("smartstack_stale_marks_total 1\n"), "{metrics}");

    // A mark that was made for this very task holds.
    assert_eq!(web::post(scene.hacheck.number, &spool, drain).await?.0, 200);
    scene.until("it is marked", |report| marked(report, &second.name)).await;
    assert_eq!(web::get(scene.hacheck.number, &spool).await?.0, 503);
    Ok(())
}

#[tokio::test]
async fn containers_of_this_host_are_checked_at_their_own_addresses_and_nobody_else_is() -> Result {
    let scene = Scene::embedded()?;
    let service = scene.serve("own")?;
    scene.until_served_by(1).await;
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = scene.docker.run(&["inspect", "--format", format, &service.id])?;
    let path = format!("/http/{}/8888/status", scene.namespace);
    let ask = async |address: &str| {
        let headers = [("x-nerve-check-ip", address)];
        web::send(scene.hacheck.number, Method::GET, &path, &headers, "").await
    };
    eventually("the container is asked", async || match ask(&address).await {
        Ok((200, _)) => Ok(()),
        other => Err(other.map_err(|error| error.to_string())),
    })
    .await;
    for stranger in ["192.0.2.1", "127.0.0.2", "169.254.169.254"] {
        let (status, text) = ask(stranger).await?;
        assert_eq!(status, 403, "{stranger}: {text}");
    }
    Ok(())
}
