//! A restart of the agent is invisible.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::host::{Host, WEB, children, eventually, fewest_children, fleet, put, wish};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_leaves_no_moment_without_a_record_and_no_double() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut first = Host::start(settings.clone());
    first.want(&[wish(WEB, 1)]);
    first.published(|p| p.records.len() == 1).await;
    let stop = CancellationToken::new();
    let looking = tokio::spawn(fewest_children(client.clone(), stop.clone()));
    first.stop().await;
    assert_eq!(children(&client, WEB).await, ["host1_0000000000"], "the record lingers");

    let mut second = Host::start(settings);
    second.published(|p| p.connected).await;
    second.want(&[wish(WEB, 1)]);
    second.published(|p| p.records.len() == 1).await;
    eventually("the old record goes", async || {
        children(&client, WEB).await == ["host1_0000000001"]
    })
    .await;
    stop.cancel();
    assert_eq!(looking.await.unwrap(), 1);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_no_worse_than_a_stop() {
    let (server, dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let mut first = Host::start(settings.clone());
    first.want(&[wish(WEB, 1), wish(WEB, 2)]);
    first.published(|p| p.records.len() == 2).await;
    // What a killed process leaves: the file as it is, and a session that nobody closes.
    let file = std::fs::read(dir.path().join("sessions.json")).unwrap();
    first.stop().await;
    assert_eq!(std::fs::read(dir.path().join("sessions.json")).unwrap(), file);

    let mut second = Host::start(settings);
    second.want(&[wish(WEB, 2)]);
    second.published(|p| p.records.len() == 1).await;
    eventually("only the new record stays", async || {
        children(&client, WEB).await == ["host1_0000000002"]
    })
    .await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_nerve_with_the_same_name_is_left_alone() {
    let (server, _dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let payload = r#"{"host":"10.0.0.1","port":1,"name":"host1"}"#;
    let nerves = put(&client, WEB, "host1", payload).await;
    let mut first = Host::start(settings.clone());
    first.want(&[wish(WEB, 1)]);
    first.published(|p| p.records.len() == 1).await;
    first.stop().await;
    let second = Host::start(settings);
    second.want(&[]);
    let gone = async || children(&client, WEB).await == ["host1_0000000000"];
    eventually("our record goes", gone).await;
    assert!(client.check_stat(&nerves).await.unwrap().is_some());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_the_session_has_expired_begins_anew() {
    let (server, dir, settings) = fleet().await;
    let client = server.client().await.unwrap();
    let short = Duration::from_secs(1);
    let mut first = Host::start(agent::registry::zookeeper::Settings {
        session_timeout: short,
        connection_timeout: short / 2,
        ..settings.clone()
    });
    first.want(&[wish(WEB, 1)]);
    first.published(|p| p.records.len() == 1).await;
    first.stop().await;
    eventually("the session expires", async || children(&client, WEB).await.is_empty()).await;
    let mut second = Host::start(settings);
    second.want(&[wish(WEB, 1)]);
    second.published(|p| p.records.len() == 1).await;
    let file = dir.path().join("sessions.json");
    eventually("the expired session is forgotten", async || {
        let text = std::fs::read(&file).unwrap();
        let sessions: serde_json::Value = serde_json::from_slice(&text).unwrap();
        sessions.as_array().unwrap().len() == 1
    })
    .await;
    let wanted = Arc::clone(&second.wanted.borrow());
    assert_eq!(wanted.records.len(), 1);
    second.stop().await;
}
