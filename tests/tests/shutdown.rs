//! A machine is shut down by systemd: it goes out of service first, then its services stop.

use std::{net::Ipv4Addr, time::Duration};

use end_to_end::{
    Host, LocalProcess, Machine, Traffic, ZooKeeper,
    docker::unique,
    eventually,
    host::{OTHER_NAME, REGION},
    ports::Port,
    web,
};
use tokio::{net::TcpStream, time};
use zookeeper_client::Client;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

/// Ports of the machine, which shares this one's network.
struct Ports {
    service: Port,
    proxy: Port,
    admin: Port,
    stats: Port,
    /// Answers when everything has been started.
    booted: Port,
}

/// A machine in the fleet of `first` that serves `namespace` with what runs in place of Docker.
fn machine(first: &Host, zookeeper: &ZooKeeper, namespace: &str, ports: &Ports) -> Result<Machine> {
    let machine = Machine::new()?;
    let (hacheck, admin) = (first.hacheck.number, ports.admin.number);
    let (stats, service) = (ports.stats.number, ports.service.number);
    let settings = format!(
        "soa_dir: /etc/soa\nhost: {{name: {OTHER_NAME}, address: 127.0.0.2}}\n\
         locations: {{fixed: {{region: {REGION}}}}}\nregistry: {{hosts: ['{}']}}\n\
         hacheck: {{listen: '127.0.0.2:{hacheck}'}}\nadmin: {{listen: '127.0.0.1:{admin}'}}\n\
         haproxy: {{stats: '127.0.0.1:{stats}', log: '', maxconn: 500}}\n\
         docker: {{enabled: false}}\ndrain: {{hold: 2s}}\n",
        zookeeper.hosts()
    );
    machine.write("etc/smartstack/agent.yaml", &settings)?;
    let task = format!("- {{name: web, namespaces: [{namespace}], port: {service}}}\n");
    machine.write("etc/smartstack/tasks.yaml", &task)?;
    let keys = format!("main: {{proxy_port: {}}}\n", ports.proxy.number);
    let name = namespace.trim_end_matches(".main");
    machine.write(&format!("etc/soa/{name}/smartstack.yaml"), &keys)?;
    let bootstrap = include_str!("../../packaging/haproxy-bootstrap.cfg");
    let bootstrap = bootstrap.replace(":3212", &format!("127.0.0.1:{stats}"));
    machine.write("usr/share/smartstack/haproxy-bootstrap.cfg", &bootstrap)?;
    for unit in ["smartstack.service", "smartstack-haproxy.service", "smartstack-host.service"] {
        machine.enable(unit)?;
    }
    // Its containers end when it is told to stop, as they do in a shutdown.
    let docker = format!(
        "[Service]\nExecStart=/usr/bin/smartstack demo-service --name web --port {service}\n"
    );
    machine.enable_text("docker.service", &docker)?;
    let booted = format!(
        "[Unit]\nAfter=smartstack-host.service\n\
         [Service]\nExecStart=/usr/bin/smartstack demo-service --name booted --port {}\n",
        ports.booted.number
    );
    machine.enable_text("booted.service", &booted)?;
    Ok(machine)
}

/// Waits until nobody listens on the port any more; how many records there were then.
async fn records_at_the_end(client: &Client, namespace: &str, port: u16) -> Result<usize> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
        time::sleep(Duration::from_millis(5)).await;
    }
    let records = client.list_children(&format!("/smartstack/global/{namespace}")).await?;
    Ok(records.into_iter().filter(|record| record.starts_with(OTHER_NAME)).count())
}

#[tokio::test]
async fn a_machine_that_shuts_down_is_out_of_service_before_its_services_stop() -> Result {
    let zookeeper = ZooKeeper::start().await?;
    let client = zookeeper.client().await?;
    let mut host = Host::new(&format!("{{hosts: ['{}']}}", zookeeper.hosts()))?;
    let service = unique("web");
    let namespace = format!("{service}.main");
    let proxy = host.namespace(&service, "")?;
    let process = LocalProcess::start(&unique("process"))?;
    host.settings.push_str("docker: {enabled: false}\n");
    host.write("tasks.yaml", &process.entry(&namespace))?;
    host.start_haproxy()?;
    host.start_agent()?;
    host.until_up(&namespace, 1).await;

    let ports = Ports {
        service: Port::free()?,
        proxy: Port::free()?,
        admin: Port::free()?,
        stats: Port::free()?,
        booted: Port::free()?,
    };
    let mut machine = machine(&host, &zookeeper, &namespace, &ports)?;
    machine.boot()?;
    host.until_up(&namespace, 2).await;
    for port in [&ports.proxy, &ports.booted] {
        eventually("the machine has booted and serves", || async {
            web::get(port.number, "/").await.map_err(|_| machine.log())
        })
        .await;
    }

    let traffic = Traffic::on(proxy);
    let (records, shut_down) = tokio::join!(
        records_at_the_end(&client, &namespace, ports.service.number),
        machine.shut_down(),
    );
    shut_down?;
    assert_eq!(records?, 0, "{}", machine.log());
    host.until_up(&namespace, 1).await;
    let outcome = traffic.outcome().await?;
    assert!(outcome.served > 0 && outcome.failed.is_empty(), "{outcome:?}");
    Ok(())
}
