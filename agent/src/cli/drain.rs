//! `smartstack drain`, `undrain` and `safe-to-stop`.

use std::{process::ExitCode, time::Duration};

use hacheck::tools::Caller;

use super::{EXIT_FAILED, client::Client, output::print};
use crate::api::{drain::Progress, encode};

/// What `drain` was told.
pub(super) struct Order {
    pub(super) reason: String,
    pub(super) lasts: Option<u32>,
    pub(super) wait: u32,
}

pub(super) async fn drain(
    client: &Client,
    target: &str,
    order: &Order,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let lasts = order.lasts.map(|seconds| format!("&seconds={seconds}")).unwrap_or_default();
    let reason = if order.reason.is_empty() { who() } else { order.reason.clone() };
    let path = format!(
        "/drain?target={}&reason={}&wait={}{lasts}",
        encode(target),
        encode(&reason),
        order.wait
    );
    let body = client.post(&path, Duration::from_secs(order.wait.into())).await?;
    tell(&body, json)
}

pub(super) async fn undrain(client: &Client, target: &str, json: bool) -> anyhow::Result<ExitCode> {
    let body = client.post(&format!("/undrain?target={}", encode(target)), Duration::ZERO).await?;
    if json {
        print(&String::from_utf8_lossy(&body))?;
    } else {
        let progress: Progress = serde_json::from_slice(&body)?;
        for instance in progress.instances {
            print(&format!("{}:{} may serve again\n", instance.namespace, instance.port))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn safe_to_stop(
    client: &Client,
    target: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let body = client.get(&format!("/safe-to-stop?target={}", encode(target))).await?;
    tell(&body, json)
}

/// Takes the whole host out of service.
pub(super) async fn leave(
    client: &Client,
    reason: &str,
    wait: u32,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let reason = if reason.is_empty() { who() } else { reason.to_owned() };
    let path = format!("/leave?reason={}&wait={wait}", encode(&reason));
    let body = client.post(&path, Duration::from_secs(wait.into())).await?;
    let progress: Progress = serde_json::from_slice(&body)?;
    if !json && progress.instances.is_empty() {
        print("this host has left; no task runs here\n")?;
    }
    tell(&body, json)
}

pub(super) async fn come_back(client: &Client) -> anyhow::Result<ExitCode> {
    let body = client.post("/return", Duration::ZERO).await?;
    print(&String::from_utf8_lossy(&body))?;
    Ok(ExitCode::SUCCESS)
}

fn tell(body: &[u8], json: bool) -> anyhow::Result<ExitCode> {
    let progress: Progress = serde_json::from_slice(body)?;
    if json {
        print(&String::from_utf8_lossy(body))?;
    } else {
        print(&text(&progress))?;
    }
    Ok(if progress.safe_to_stop { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn text(progress: &Progress) -> String {
    let line = |i: &crate::api::drain::Instance| {
        let mut missing = Vec::new();
        if !i.marked {
            missing.push("it is in service".to_owned());
        }
        if i.registered {
            missing.push("its record is still in the registry".to_owned());
        }
        if let Some(status) = i.haproxy.as_ref().filter(|_| !i.withdrawn) {
            missing.push(format!("HAProxy shows {status} with {} sessions", i.sessions));
        }
        if i.withdrawn {
            missing.push(format!("other hosts have {:.1} s more to follow", i.hold_left_s));
        }
        let state = if i.safe_to_stop {
            "safe to stop".to_owned()
        } else {
            format!("not yet: {}", missing.join(", "))
        };
        format!("{}:{} {state}\n", i.namespace, i.port)
    };
    progress.instances.iter().map(line).collect()
}

/// Who drains, as hadown names them (hacheck.md §12).
fn who() -> String {
    Caller::of_this_process().names.into_iter().next().unwrap_or_default()
}
