use end_to_end::{Secured, eventually, zookeeper::secured};
use hacheck::settings::{Login, Secret};
use zookeeper_client::Permission;

use super::{
    super::{
        security::{Access, Security, Tls},
        write::create_all,
    },
    *,
};
use crate::registry::{RecordKey, TaskId, zookeeper::plan::Missing};
use crate::tally::Tally;

fn login(password: &str) -> Option<Login> {
    Some(Login { user: secured::USER.to_owned(), password: Secret::new(password) })
}

fn tls(server: &Secured, ca: &str) -> Option<Tls> {
    let identity = Some((server.file("client.pem"), server.file("client.key")));
    Some(Tls { ca: server.file(ca), identity })
}

/// One attempt.
async fn attempt(hosts: String, security: Security) -> Result<Client, Unconnected> {
    let ensemble = hosts.parse().unwrap();
    let settings =
        Settings { security, ..Settings::new(ensemble, "host1".to_owned(), "/nowhere".into()) };
    let (link, _) = watch::channel(None);
    let purpose = Purpose::Records;
    let keeper = Keeper { settings, purpose, link, doubt: Arc::default(), connections: 0 };
    keeper.connect(&mut None).await
}

/// The agent tries again as well: a busy server lets a first handshake wait for too long.
async fn taken(hosts: String, security: Security) -> Client {
    eventually("the server takes us", || attempt(hosts.clone(), security.clone())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_taken_by_tls_only_if_it_proves_its_name_to_a_known_authority() {
    let server = Secured::start("IP:127.0.0.1").await.unwrap();
    let with = |tls| Security { tls, ..Security::default() };
    taken(server.hosts(), with(tls(&server, "ca.pem"))).await;
    assert!(attempt(server.hosts(), with(tls(&server, "stranger.pem"))).await.is_err());
    let without_identity = Tls { ca: server.file("ca.pem"), identity: None };
    assert!(attempt(server.hosts(), with(Some(without_identity))).await.is_err());
    assert!(attempt(server.hosts(), Security::default()).await.is_err(), "it is no plain port");
    let missing = attempt(server.hosts(), with(tls(&server, "missing.pem"))).await.unwrap_err();
    assert!(missing.to_string().contains("missing.pem: No such file"), "{missing}");
    let other = Secured::start("DNS:other.example.com").await.unwrap();
    assert!(attempt(other.hosts(), with(tls(&other, "ca.pem"))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_owns_what_it_writes_and_a_wrong_one_is_refused() {
    let server = Secured::start("IP:127.0.0.1").await.unwrap();
    let wrong = Security { sasl: login("wrong"), ..Security::default() };
    eventually("a wrong password is refused", async || {
        match attempt(server.server.hosts(), wrong.clone()).await {
            Err(Unconnected::ZooKeeper(Error::AuthFailed)) => Ok(()),
            other => Err(other.map(drop).map_err(|error| error.to_string())),
        }
    })
    .await;
    let stranger = server.server.client().await.unwrap();
    for (namespace, hosts, security) in [
        ("a.main", server.server.hosts(), Security { digest: login("any"), ..Security::default() }),
        (
            "b.main",
            server.server.hosts(),
            Security { sasl: login(secured::PASSWORD), ..Security::default() },
        ),
        (
            "c.main",
            server.hosts(),
            Security {
                tls: tls(&server, "ca.pem"),
                sasl: login(secured::PASSWORD),
                ..Security::default()
            },
        ),
    ] {
        let scheme = if security.sasl.is_some() { "sasl" } else { "digest" };
        let client = taken(hosts, security).await;
        // The root of all layouts would belong to the first login of the three.
        let parent: crate::registry::ParentPath = format!("/{namespace}").parse().unwrap();
        let ensemble = "zk1".parse().unwrap();
        let key = RecordKey { ensemble, parent: parent.clone(), task: TaskId("t".into()) };
        let missing = vec![Missing { key, payload: b"{}".to_vec() }];
        let created = create_all(&client, Access::Owner, "host1", missing, &Tally::default())
            .await
            .remove(0)
            .1;
        let path = created.unwrap();
        for path in [path.as_str(), parent.as_str()] {
            let (acl, _) = client.get_acl(path).await.unwrap();
            let rights: Vec<_> = acl.iter().map(|acl| (acl.scheme(), acl.permission())).collect();
            assert!(rights.contains(&("world", Permission::READ)), "{path}: {acl:?}");
            assert!(rights.contains(&(scheme, Permission::ALL)), "{path}: {acl:?}");
        }
        stranger.get_data(&path).await.unwrap();
        assert_eq!(stranger.set_data(&path, b"", None).await, Err(Error::NoAuth));
        assert_eq!(stranger.delete(&path, None).await, Err(Error::NoAuth));
        client.delete(&path, None).await.unwrap();
    }
}
