//! Which request means what.

use serde_json::{Value, json};

use super::{
    definition::Path,
    machine::{Job, Machine},
    refusal::Refusal,
    show,
};

/// Status and body; a text is sent as it is.
pub(super) type Reply = (u16, Option<Value>);

/// Answers, and changes the state.
pub(super) fn answer(
    machine: &mut Machine,
    (method, path, query): (&str, &str, &str),
    body: &str,
) -> Reply {
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let done = match (method, &parts[..]) {
        ("POST" | "PUT", ["scheduler", "iso8601"]) => {
            machine.put(body, Path::Scheduled).map(|_| (204, None))
        }
        ("POST" | "PUT", ["scheduler", "dependency"]) => {
            machine.put(body, Path::Dependent).map(|_| (204, None))
        }
        ("PUT", ["scheduler", "job", "success", name]) => {
            machine.succeed(name).map(|()| (200, Some(json!("true"))))
        }
        ("PUT", ["scheduler", "job", name]) => machine.run_now(name).map(|()| (204, None)),
        ("DELETE", ["scheduler", "job", name]) => machine.delete(name).map(|()| (204, None)),
        ("DELETE", ["scheduler", "task", "kill", name]) => machine.kill(name).map(|()| (204, None)),
        ("GET", _) => look(machine, &parts, query).map(|body| (200, Some(body))),
        _ => Err(Refusal::no_path()),
    };
    done.unwrap_or_else(|refusal| (refusal.status, Some(refusal.body)))
}

fn look(machine: &Machine, parts: &[&str], query: &str) -> Result<Value, Refusal> {
    Ok(match parts {
        ["scheduler", "jobs"] => show::jobs(machine),
        ["scheduler", "jobs", "search"] => show::search(machine, query),
        ["scheduler", "job", "stat", name] => {
            show::statistics(machine.job(name).ok_or_else(|| Refusal::unknown(name))?)
        }
        ["scheduler", "graph", "csv"] => json!(show::graph(machine)),
        ["scheduler", "stats", kind] => {
            let of = |(name, job): (&str, &Job)| json!({"jobNameLabel": name, "time": show::statistics(job)["histogram"][*kind]});
            machine.jobs().map(of).collect()
        }
        ["metrics"] => {
            let prefix = "org.apache.mesos.chronos.scheduler.jobs.TaskManager";
            json!({"gauges": {
                format!("{prefix}.queueSize"): {"value": 0},
                format!("{prefix}.highQueueSize"): {"value": 0},
            }})
        }
        _ => return Err(Refusal::no_path()),
    })
}

/// Without its percent signs.
pub(super) fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
