//! hacheck's HTTP interface inside the agent, as nerve, HAProxy and PaaSTA's drain method use it.

use end_to_end::{Scene, host::states, web};
use hyper::Method;

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::test]
async fn paastas_drain_method_takes_a_task_out_and_brings_it_back() -> Result {
    let scene = Scene::embedded()?;
    let web = scene.serve("web")?;
    scene.until_served_by(1).await;
    let namespace = &scene.namespace;
    let (hacheck, port) = (scene.hacheck.number, web.port()?);

    let spool = format!("/spool/{namespace}/{port}/status");
    assert_eq!(web::get(hacheck, &spool).await?, (200, String::new()));
    let form = "status=down&expiration=4102444800.5&reason=Drained+by+Paasta";
    assert_eq!(web::post(hacheck, &spool, form).await?.0, 200);
    let mark = std::fs::read_to_string(scene.path(&format!("spool/{namespace}:{port}")))?;
    let mark: serde_json::Value = serde_json::from_str(&mark)?;
    assert_eq!(
        (&mark["reason"], &mark["expiration"]),
        (&"Drained by Paasta".into(), &4_102_444_800.5.into())
    );
    scene
        .until("it is out", |report| {
            states(report).get(&web.name).is_some_and(|state| state == "marked")
                && report["registry"]["records"] == 0
        })
        .await;
    let (status, body) = web::get(hacheck, &spool).await?;
    assert_eq!(status, 503);
    assert!(body.starts_with(&format!("Service {namespace} in down state since ")), "{body}");
    assert!(body.ends_with("until 4102444800.500000: Drained by Paasta"), "{body}");
    assert_eq!(web::post(hacheck, &spool, "status=up").await?.0, 200);
    scene.until_served_by(1).await;
    assert!(!scene.path(&format!("spool/{namespace}:{port}")).exists());

    // A mark that another program writes is as good, and so is one on the whole host.
    scene.write("spool/all", "kernel upgrade")?;
    scene
        .until("everything is out", |report| states(report).values().all(|state| state == "marked"))
        .await;
    std::fs::remove_file(scene.path("spool/all"))?;
    scene.until_served_by(1).await;
    Ok(())
}

#[tokio::test]
async fn checks_go_through_one_cache_whoever_asks() -> Result {
    let scene = Scene::embedded()?;
    let web = scene.serve("web")?;
    scene.until_served_by(1).await;
    let namespace = &scene.namespace;
    let (hacheck, port) = (scene.hacheck.number, web.port()?);
    let path = format!("/http/{namespace}/{port}/status");
    let (status, body) = web::get(hacheck, &path).await?;
    assert_eq!((status, body.as_str()), (200, format!("hello from {}\n", web.name).as_str()));
    let state = format!(
        "UP 1/2; address=127.0.0.1; port={port}; name=x; node=y; weight=1/1; scur=0/0; qcur=0"
    );
    let dummy = format!("/http/{namespace}/0/status");
    let (status, _) =
        web::send(hacheck, Method::GET, &dummy, &[("x-haproxy-server-state", &state)], "").await?;
    assert_eq!(status, 200);
    assert_eq!(web::get(hacheck, &format!("/tcp/{namespace}/{port}")).await?.0, 200);
    let elsewhere = [("x-nerve-check-ip", "192.0.2.7")];
    let (status, body) = web::send(hacheck, Method::GET, &path, &elsewhere, "").await?;
    assert_eq!(status, 403, "hacheck is no open proxy: {body}");
    let (_, recent) = web::get(hacheck, "/recent").await?;
    assert!(recent.contains(namespace), "{recent}");
    let (_, status) = web::get(hacheck, "/status").await?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    assert!(status["cache"]["gets"].as_u64() > Some(0), "{status}");
    Ok(())
}
