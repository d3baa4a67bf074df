//! A host that nerve served is moved over with the file that nerve read.

use end_to_end::{Host, LocalProcess, ZooKeeper, docker::unique, host::NAME};
use serde_json::{Value, json};

type Result = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// An entry as configure_nerve writes it.
fn entry(
    zookeeper: &ZooKeeper,
    path: &str,
    check: &str,
    process: &LocalProcess,
    hacheck: u16,
) -> Value {
    json!({
        "check_interval": 2.0,
        "checks": [{
            "fall": 2, "rise": 1, "headers": {}, "host": "127.0.0.1", "open_timeout": 1.0, "port": hacheck,
            "timeout": 1.0, "type": "http", "uri": check,
        }],
        "host": "127.0.0.1", "port": process.port.number, "weight": 10,
        "labels": {"region:uswest1-test": ""},
        "zk_hosts": [zookeeper.hosts()], "zk_path": path,
    })
}

#[tokio::test]
async fn the_entries_of_nerve_are_registered_and_marks_count_for_them() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let service = unique("books");
    let (namespace, process) = (format!("{service}.main"), LocalProcess::start(&unique("p"))?);
    let port = process.port.number;
    host.namespace(&service, "")?;
    let check = format!("/http/{namespace}/{port}/status");
    let path = format!("/smartstack/global/{namespace}");
    let good = entry(&zookeeper, &path, &check, &process, host.hacheck.number);
    let conf = |services: Value| json!({"instance_id": NAME, "services": services}).to_string();
    host.write("nerve.conf.json", &conf(json!({"books": good, "broken": {"port": 1}})))?;
    let file = host.path("nerve.conf.json");
    host.settings
        .push_str(&format!("docker: {{enabled: false}}\nnerve_conf: {}\n", file.display()));
    host.start_haproxy()?;
    host.start_agent()?;
    let report = host.until_up(&namespace, 1).await;
    let refused = &report["refused"][0];
    assert_eq!(refused["what"], "broken", "{report:#}");
    assert!(
        refused["reason"].as_str().unwrap_or_default().contains("`host` is missing"),
        "{refused}"
    );
    let client = zookeeper.client().await?;
    let children = client.list_children(&path).await?;
    let (data, _) = client.get_data(&format!("{path}/{}", children[0])).await?;
    let payload = format!(
        r#"{{"host":"127.0.0.1","port":{port},"name":"{NAME}","weight":10,"labels":{{"region:uswest1-test":""}}}}"#
    );
    assert_eq!((children.len(), String::from_utf8(data)?), (1, payload));

    let target = format!("{namespace}:{port}");
    let (code, text) = host.command(&["drain", &target]).await?;
    assert_eq!(code, 0, "{text}");
    assert_eq!(client.list_children(&path).await?.len(), 0);
    host.command(&["undrain", &target]).await?;
    host.until_up(&namespace, 1).await;

    // A file that is just being written takes nothing away; one without the entry does.
    host.write("nerve.conf.json", "{\"services\": {\"books\": ")?;
    let told = |report: &Value| report["refused"].to_string().contains("nerve.conf.json");
    let report = host.until("the broken file is told", told).await;
    assert_eq!(report["tasks"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(client.list_children(&path).await?.len(), 1);
    host.write("nerve.conf.json", &conf(json!({})))?;
    host.until("the entry is gone", |report| report["tasks"] == json!([])).await;
    Ok(())
}
