//! Files for other programs: what PaaSTA's firewall and applications read, on real parts.

use std::{fs, os::unix::fs::MetadataExt as _};

use end_to_end::{
    Docker, Host, LocalProcess, ZooKeeper,
    docker::{Recipe, unique},
    eventually,
    host::{NAME, REGION},
};
use zookeeper_client::{Acls, Client, CreateMode};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// A host with local processes only.
fn host(zookeeper: &ZooKeeper) -> Result<Host> {
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    host.settings.push_str("docker: {enabled: false}\n");
    Ok(host)
}

async fn until_said(host: &Host, file: &str, text: &str) {
    eventually(file, || async {
        let found = fs::read_to_string(host.path(file)).map_err(|error| error.to_string())?;
        if found == text { Ok(()) } else { Err(found) }
    })
    .await;
}

/// What synapse writes for a record of this host.
fn ours(child: &str, port: u16) -> String {
    let id: u32 = child.rsplit_once('_').and_then(|(_, id)| id.parse().ok()).unwrap_or_default();
    format!(
        r#"{{"name":"{NAME}","host":"127.0.0.1","port":{port},"id":{id},"weight":10,"haproxy_server_options":null,"labels":{{"region:{REGION}":"","superregion:norcal-test":""}}}}"#
    )
}

async fn only_child(client: &Client, namespace: &str) -> String {
    eventually("one record", || async {
        let children = client.list_children(&format!("/smartstack/global/{namespace}")).await;
        match children.map_err(|error| error.to_string())?.as_slice() {
            [child] => Ok(child.clone()),
            others => Err(format!("{others:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_registered_task_stands_in_the_files_of_its_backends_until_it_is_gone() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut host = host(&zookeeper)?;
    let (service, process) = (unique("books"), LocalProcess::start(&unique("p"))?);
    let more = "files: {proxy_port: null}\nstuck: {proxy_port: null}\n\
                bad: {proxy_port: null, discover: nowhere}\n";
    host.namespace(&service, &format!("  advertise: [region, superregion]\n{more}"))?;
    let namespace = format!("{service}.main");
    host.write("tasks.yaml", &process.entry(&namespace))?;
    let file = |backend: &str| format!("services/{service}.{backend}.json");
    for (name, text) in [
        ("services/gone.main.json".to_owned(), "[]"),
        ("services/notes.json".to_owned(), "{}"),
        (file("main"), "broken"),
        (file("bad"), "[1]"),
    ] {
        host.write(&name, text)?;
    }
    fs::create_dir(host.path(&file("stuck")))?;
    host.start_agent()?;
    let client = zookeeper.client().await?;
    let child = only_child(&client, &namespace).await;
    let here = ours(&child, process.port.number);
    until_said(&host, &file("main"), &format!("[{here}]")).await;
    until_said(&host, &file("main.superregion"), &format!("[{here}]")).await;
    until_said(&host, &file("files"), "[]").await;

    let stuck = host.path(&file("stuck")).display().to_string();
    let told = |report: &serde_json::Value| report["problems"].to_string().contains(&stuck);
    host.until("what cannot be written is told", told).await;
    let (_, why) = host.command(&["why", &format!("{service}.stuck")]).await?;
    assert!(why.contains(&format!("{stuck}: cannot be written: ")), "{why}");
    let (_, status) = host.command(&["status"]).await?;
    assert!(status.contains(&stuck) && !status.contains("main.json"), "{status}");

    let parent = format!("/smartstack/global/{namespace}");
    let labels = r#""labels":{"superregion:norcal-test":"","region:elsewhere":""}"#;
    let payload = format!(r#"{{"host":"10.9.8.7","port":80,{labels}}}"#);
    let mode = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let (_, sequence) = client.create(&format!("{parent}/zz_"), payload.as_bytes(), &mode).await?;
    let there = format!(
        r#"{{"name":null,"host":"10.9.8.7","port":80,"id":{},"weight":null,"haproxy_server_options":null,{labels}}}"#,
        sequence.into_i64()
    );
    until_said(&host, &file("main.superregion"), &format!("[{here},{there}]")).await;
    until_said(&host, &file("main"), &format!("[{here}]")).await;
    let mut names: Vec<_> = fs::read_dir(host.path("services"))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    let backends = ["bad", "files", "main", "main.superregion", "stuck"];
    let mut expected = backends.map(|backend| format!("{service}.{backend}.json")).to_vec();
    expected.push("notes.json".to_owned());
    expected.sort();
    assert_eq!(names, expected);

    let unchanged = host.path(&file("files"));
    let which = || fs::metadata(&unchanged).map(|meta| (meta.ino(), meta.mtime_nsec()));
    let before = which()?;
    host.kill_agent().await?;
    host.start_agent()?;
    drop(process);
    until_said(&host, &file("main"), "[]").await;
    until_said(&host, &file("main.superregion"), &format!("[{there}]")).await;
    assert_eq!(which()?, before, "what did not change is not touched");
    Ok(())
}

#[tokio::test]
async fn another_writer_that_the_migration_file_names_is_respected() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let mut host = host(&zookeeper)?;
    let migration = host.path("envoy_migration.yaml").display().to_string();
    host.files =
        format!(", envoy_dir: {}, envoy_migration: {migration}", host.path("envoy").display());
    let (service, process) = (unique("books"), LocalProcess::start(&unique("p"))?);
    host.namespace(&service, "")?;
    let namespace = format!("{service}.main");
    host.write("envoy_migration.yaml", "registration_writer: [\n")?;
    host.start_agent()?;
    let (json, yaml) =
        (format!("services/{namespace}.json"), host.path(&format!("envoy/{namespace}.yaml")));
    let told = |report: &serde_json::Value| {
        report["problems"].to_string().contains("are left alone until it can be read")
    };
    host.until("the broken file is told", told).await;
    eventually("Envoy's file is there", || async { fs::read_to_string(&yaml) }).await;
    assert!(!host.path(&json).exists(), "it is not known who writes");

    host.write("envoy_migration.yaml", "{migration_enabled: false, namespaces: {}}\n")?;
    until_said(&host, &json, "[]").await;
    host.write("envoy_migration.yaml", "{migration_enabled: true, registration_writer: xds}\n")?;
    eventually("it is left to the other writer", || async {
        let log = host.agent_log();
        if log.contains("left to another writer") { Ok(()) } else { Err("not yet") }
    })
    .await;
    host.write(&json, "theirs")?;
    host.write("tasks.yaml", &process.entry(&namespace))?;
    let port = format!("port_value: {}", process.port.number);
    eventually("Envoy's file has the server", || async {
        let text = fs::read_to_string(&yaml).unwrap_or_default();
        if text.contains(&port) { Ok(()) } else { Err(text) }
    })
    .await;
    host.write("envoy_migration.yaml", "{registration_writer: ")?;
    host.until("the broken file is told", |report| {
        report["problems"].to_string().contains("stands")
    })
    .await;
    until_said(&host, &json, "theirs").await;
    host.write("envoy_migration.yaml", "registration_writer: synapse\n")?;
    let child = only_child(&zookeeper.client().await?, &namespace).await;
    let text = ours(&child, process.port.number).replace(r#","superregion:norcal-test":"""#, "");
    until_said(&host, &json, &format!("[{text}]")).await;
    Ok(())
}

#[tokio::test]
async fn containers_on_the_bridge_stand_in_the_map_while_they_run() -> Result {
    let (docker, service) = (Docker::local()?, unique("my_web"));
    let mut host = Host::new("{kind: embedded}")?;
    host.files = ", ip_map: true".to_owned();
    host.start_agent()?;
    let labels = [("paasta_service", service.as_str()), ("paasta_instance", "ma_in")];
    let recipe = Recipe { labels: &labels, ..Recipe::default() };
    let container = docker.create(&unique("bridge"), &recipe)?;
    container.start()?;
    let format = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    let address = docker.run(&["inspect", "-f", format, &container.id])?;
    let line = format!("{address} {}.ma--in", service.replace('_', "--"));
    let has_line = |expected: bool| {
        let (host, line) = (&host, &line);
        eventually("the line of the container", move || async move {
            let text = fs::read_to_string(host.path("ip_to_service.map")).unwrap_or_default();
            let found = text.split('\n').any(|found| found == line);
            if found == expected { Ok(()) } else { Err(text) }
        })
    };
    has_line(true).await;
    drop(container);
    has_line(false).await;
    Ok(())
}
