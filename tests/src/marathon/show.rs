//! The state as the server tells it (marathon-sync.md §22).

use serde_json::{Map, Value, json};

use super::{
    deployment::{Deployment, Started},
    hosts::Host,
    ids::AppId,
    machine::{App, Machine},
    moment::Moment,
    query::Embed,
    task::{Phase, Task},
};

pub(super) fn app(machine: &Machine, app: &App, embed: Embed) -> Value {
    let id = &app.definition.id;
    let mut shown = app.definition.fields.clone();
    shown.entry("acceptedResourceRoles").or_insert(Value::Null);
    shown.entry("ports").or_insert_with(|| json!(vec![0; app.definition.ports.len()]));
    shown.insert("version".to_owned(), json!(app.version.to_string()));
    shown.insert(
        "versionInfo".to_owned(),
        json!({
            "lastScalingAt": app.scaled.to_string(),
            "lastConfigChangeAt": app.config.to_string(),
        }),
    );
    if embed.counts {
        counts(machine, id, &mut shown);
    }
    if embed.deployments {
        let of_app = machine.deployments.iter().filter(|deployment| deployment.affects(id));
        let ids: Vec<Value> = of_app.map(|deployment| json!({"id": deployment.id})).collect();
        shown.insert("deployments".to_owned(), ids.into());
    }
    if embed.tasks {
        shown.insert("tasks".to_owned(), tasks(machine, id));
    }
    if embed.last_failure
        && let Some(failure) = &app.failure
    {
        let last = json!({
            "appId": id.as_str(), "host": failure.task.host, "message": failure.message,
            "state": failure.state, "taskId": failure.task.id.as_str(),
            "timestamp": failure.at.to_string(), "version": failure.task.version.to_string(),
            "slaveId": failure.task.slave,
        });
        shown.insert("lastTaskFailure".to_owned(), last);
    }
    shown.into()
}

fn counts(machine: &Machine, id: &AppId, shown: &mut Map<String, Value>) {
    let count = |is: &dyn Fn(&Task) -> bool| machine.of(id).filter(|task| is(task)).count();
    let is_running = |task: &Task| !matches!(task.phase, Phase::Staging);
    let counts = [
        ("tasksStaged", count(&|task| task.phase == Phase::Staging)),
        ("tasksRunning", count(&is_running)),
        ("tasksHealthy", count(&Task::is_healthy)),
        ("tasksUnhealthy", count(&|task| task.results.is_some() && !task.is_healthy())),
    ];
    shown.extend(counts.map(|(name, count)| (name.to_owned(), json!(count))));
}

pub(super) fn tasks(machine: &Machine, app: &AppId) -> Value {
    machine.of(app).map(|one| task(machine, one)).collect::<Vec<_>>().into()
}

pub(super) fn task(machine: &Machine, task: &Task) -> Value {
    let mut shown = json!({
        "id": task.id.as_str(), "appId": task.app.as_str(), "host": task.host, "ports": task.ports,
        "slaveId": task.slave, "state": task.state(), "stagedAt": task.staged_at.to_string(),
        "version": task.version.to_string(), "servicePorts": vec![0; task.ports.len()],
        "ipAddresses": [{"ipAddress": task.address.to_string(), "protocol": "IPv4"}],
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    if let Some(started) = task.started_at {
        fields.insert("startedAt".to_owned(), json!(started.to_string()));
    }
    if let (Some(results), Some(_)) = (&task.results, machine.check(task)) {
        let time = |time: Option<Moment>| time.map(|time| time.to_string());
        let result = json!({
            "alive": results.is_alive, "consecutiveFailures": results.consecutive_failures,
            "firstSuccess": time(results.first_success),
            "lastSuccess": time(results.last_success),
            "lastFailure": time(results.last_failure),
            "lastFailureCause": results.last_failure_cause,
            "instanceId": instance_id(task),
        });
        fields.insert("healthCheckResults".to_owned(), json!([result]));
    }
    shown
}

/// The instance of a task is named after it.
fn instance_id(task: &Task) -> String {
    let id = task.id.as_str();
    match id.rsplit_once('.') {
        Some((app, uuid)) => format!("{app}.marathon-{uuid}"),
        None => id.to_owned(),
    }
}

pub(super) fn started(started: &Started) -> Value {
    json!({"version": started.version.to_string(), "deploymentId": started.id})
}

pub(super) fn deployment(deployment: &Deployment) -> Value {
    let action = |change: &super::deployment::Change| json!({"action": change.action.name(), "app": change.app.as_str()});
    let apps: Vec<&str> = deployment.changes.iter().map(|change| change.app.as_str()).collect();
    let actions: Vec<Value> = deployment.changes.iter().map(action).collect();
    json!({
        "id": deployment.id, "version": deployment.version.to_string(), "affectedApps": apps,
        "affectedPods": [], "steps": [{"actions": actions}], "currentActions": actions,
        "currentStep": 1, "totalSteps": 1,
    })
}

/// An app that waits for hosts or for the end of its back-off; none if it has all its tasks.
pub(super) fn queued(machine: &Machine, one: &App, with_offers: bool) -> Option<Value> {
    let since = one.missing?;
    let active = machine.of(&one.definition.id).filter(|task| task.is_active()).count();
    let left = one.delay.map(|delay| delay.until.since(machine.now).as_secs_f64().ceil());
    let left = left.unwrap_or_default();
    let unused = if one.waiting.is_some() { machine.hosts.len() } else { 0 };
    let mut shown = json!({
        "app": app(machine, one, Embed::default()),
        "count": one.definition.instances.saturating_sub(active),
        "delay": {"timeLeftSeconds": left, "overdue": left == 0.0},
        "since": since.to_string(),
        "processedOffersSummary": {
            "processedOffersCount": unused, "unusedOffersCount": unused,
            "lastUnusedOfferAt": one.waiting.map(|_| machine.now.to_string()), "lastUsedOfferAt": null,
            "rejectSummaryLastOffers": [], "rejectSummaryLaunchAttempt": [],
        },
    });
    if with_offers && let Some(fields) = shown.as_object_mut() {
        let unused = |host: &Host| {
            json!({
                "offer": {"id": format!("{}-O1", host.slave_id()), "hostname": host.name,
                    "agentId": host.slave_id(), "resources": [], "attributes": []},
                "reason": [one.waiting], "timestamp": machine.now.to_string(),
            })
        };
        let hosts = machine.hosts.iter().filter(|_| one.waiting.is_some());
        let offers: Vec<Value> = hosts.map(unused).collect();
        fields.insert("lastUnusedOffers".to_owned(), offers.into());
    }
    Some(shown)
}
