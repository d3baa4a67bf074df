//! What is answered to questions.

use serde_json::{Map, Value, json};

use super::{
    definition::Starts,
    event::written,
    machine::{Job, Machine},
};

/// All jobs, by name.
pub(super) fn jobs(machine: &Machine) -> Value {
    machine.jobs().map(|(name, job)| self::job(name, job)).collect()
}

/// Those whose name or command contains a text, whatever the case of its letters.
pub(super) fn search(machine: &Machine, query: &str) -> Value {
    let wanted = |key: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(name, _)| *name == key).map(|(_, value)| value);
        value.map(|value| value.replace(['+'], " ").replace("%20", " ").to_lowercase())
    };
    let (name, command, any) = (wanted("name"), wanted("command"), wanted("any"));
    let number = |key, default| wanted(key).and_then(|n| n.parse().ok()).unwrap_or(default);
    let fits = |(job_name, job): &(&str, &Job)| {
        let own = job_name.to_lowercase();
        let says = job.field("command").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let has = |text: &String, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| text.contains(wanted.as_str()))
        };
        has(&own, &name) && has(&says, &command) && (has(&own, &any) || has(&says, &any))
    };
    let found = machine.jobs().filter(fits).skip(number("offset", 0)).take(number("limit", 10));
    found.map(|(name, job)| self::job(name, job)).collect()
}

fn job(name: &str, job: &Job) -> Value {
    let sent = |key: &str| job.field(key).filter(|value| !value.is_null()).cloned();
    let or = |key: &str, default: Value| sent(key).unwrap_or(default);
    let double = |key: &str, default: f64| sent(key).and_then(|n| n.as_f64()).unwrap_or(default);
    let mut shown = json!({
        "name": name,
        // Of nothing the real one makes a text.
        "command": or("command", json!("null")),
        "shell": or("shell", json!(true)),
        "epsilon": or("epsilon", json!("PT5M")),
        "executor": "", "executorFlags": "", "taskInfoData": "",
        "retries": or("retries", json!(2)),
        "owner": or("owner", json!("null")),
        "ownerName": or("ownerName", json!("")),
        "description": or("description", json!("")),
        "async": false,
        "successCount": job.successes,
        "errorCount": job.errors,
        "lastSuccess": written(job.last_success),
        "lastError": written(job.last_error),
        "cpus": double("cpus", 0.1), "disk": double("disk", 256.0), "mem": double("mem", 128.0),
        "disabled": job.is_disabled(),
        "softError": false, "dataProcessingJobType": false,
        "errorsSinceLastSuccess": job.errors_since_success,
        "fetch": [],
        "uris": or("uris", json!([])),
        "environmentVariables": or("environmentVariables", json!([])),
        "arguments": or("arguments", json!([])),
        "highPriority": false, "runAsUser": "root",
        "constraints": constraints(sent("constraints")),
    });
    if let Some(fields) = shown.as_object_mut() {
        container(fields, sent("container"));
        starts(fields, &job.definition.starts);
    }
    shown
}

fn container(fields: &mut Map<String, Value>, sent: Option<Value>) {
    if let Some(mut container) = sent {
        container["type"] = json!("docker");
        fields.insert("container".to_owned(), container);
    }
}

fn starts(fields: &mut Map<String, Value>, starts: &Starts) {
    match starts {
        Starts::Parents(parents) => {
            fields.insert("parents".to_owned(), json!(parents));
        }
        Starts::Schedule { schedule, zone } => {
            fields.insert("schedule".to_owned(), json!(schedule.text()));
            let zone = if zone.is_null() { json!("") } else { zone.clone() };
            fields.insert("scheduleTimeZone".to_owned(), zone);
        }
    }
}

/// Others are dropped without a word.
fn constraints(sent: Option<Value>) -> Value {
    let all = sent.and_then(|sent| sent.as_array().cloned()).unwrap_or_default();
    let is_known = |constraint: &Value| {
        constraint[1].as_str().is_some_and(|kind| matches!(kind, "EQUALS" | "LIKE" | "UNLIKE"))
    };
    all.into_iter().filter(is_known).collect()
}

/// How long runs took, in milliseconds.
pub(super) fn statistics(job: &Job) -> Value {
    let mut times = job.run_times.clone();
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "no run takes 2^52 ms")]
    let at = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).map_or(0.0, |time| *time as f64)
    };
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    #[expect(clippy::cast_precision_loss, reason = "no run takes 2^52 ms")]
    let mean = times.iter().sum::<u64>() as f64 / f64::from(count.max(1));
    json!({
        "histogram": {
            "75thPercentile": at(75), "95thPercentile": at(95), "98thPercentile": at(98),
            "99thPercentile": at(99), "median": at(50), "mean": mean, "count": count,
        },
        "taskStatHistory": [],
    })
}

/// Every job with its state, and who starts whom.
pub(super) fn graph(machine: &Machine) -> String {
    let mut text = String::new();
    for (name, job) in machine.jobs() {
        let last = match (job.last_success, job.last_error) {
            (None, None) => "fresh",
            (success, error) if error > success => "failure",
            _ => "success",
        };
        let state = if job.is_running() { "running" } else { "idle" };
        text.push_str(&format!("node,{name},{last},{state}\n"));
    }
    for (name, job) in machine.jobs() {
        for parent in job.parents() {
            text.push_str(&format!("link,{parent},{name}\n"));
        }
    }
    text
}
