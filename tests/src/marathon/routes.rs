//! Requests and what they are answered with, apart from any socket.

use serde_json::{Value, json};

use super::{
    deployment::Started,
    ids::{AppId, TaskId},
    machine::{App, Killed, Machine},
    query::{Embed, Query},
    refusal::Refusal,
    show,
};

/// As far as it matters to the state.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Without its question mark.
    pub query: &'a str,
    pub body: &'a str,
}

/// What goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The id of the deployment that was begun, for `Marathon-Deployment-Id`.
    pub deployment: Option<String>,
    /// None: no body at all.
    pub body: Option<Value>,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { status: 200, deployment: None, body: Some(body) }
    }

    fn started(status: u16, started: &Started) -> Self {
        let body = Some(show::started(started));
        Self { status, deployment: Some(started.id.clone()), body }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, deployment: None, body: Some(refusal.body) }
    }
}

/// Does what is asked. What follows from it happens at the machine's next step.
pub fn answer(machine: &mut Machine, request: &Request<'_>) -> Reply {
    route(machine, request).unwrap_or_else(Reply::from)
}

fn route(machine: &mut Machine, request: &Request<'_>) -> Result<Reply, Refusal> {
    let Request { method, path, query, body } = *request;
    let query = Query::parse(query);
    let unknown = || Refusal::no_path(path);
    let (room, rest) = split(path).ok_or_else(unknown)?;
    match (room, rest, method) {
        ("ping", "", "GET") => Ok(Reply::ok(json!("pong"))),
        ("v2/apps", "", "GET") => apps(machine, &query),
        ("v2/apps", "", "POST") => create(machine, body, &query),
        ("v2/apps", rest, "GET") if rest.ends_with("/tasks") => {
            let id = AppId::new(rest.trim_end_matches("/tasks"));
            listed(machine, &id)?;
            Ok(Reply::ok(json!({"tasks": show::tasks(machine, &id)})))
        }
        ("v2/apps", "", _) => Err(Refusal::no_method()),
        ("v2/apps", id, method) => app(machine, &AppId::new(id), method, body, &query),
        ("v2/tasks", "", "GET") => {
            let tasks: Vec<Value> = machine.tasks().map(|task| show::task(machine, task)).collect();
            Ok(Reply::ok(json!({"tasks": tasks})))
        }
        ("v2/tasks", "delete", "POST") => kill(machine, body, &query),
        ("v2/queue", "", "GET") => {
            let with_offers = query.has_embed("lastUnusedOffers");
            let apps = machine.apps.values().filter(|app| app.deleted.is_none());
            let queue: Vec<Value> =
                apps.filter_map(|app| show::queued(machine, app, with_offers)).collect();
            Ok(Reply::ok(json!({"queue": queue})))
        }
        ("v2/deployments", "", "GET") => {
            Ok(Reply::ok(machine.deployments.iter().map(show::deployment).collect()))
        }
        ("v2/deployments", id, "DELETE") if !id.is_empty() => {
            let id = id.to_owned();
            Ok(match machine.cancel(&id, query.flag("force", false))? {
                Some(undone) => Reply::started(200, &undone),
                None => Reply { status: 202, deployment: None, body: None },
            })
        }
        ("v2/tasks", "" | "delete", _) | ("v2/queue" | "v2/deployments" | "ping", "", _) => {
            Err(Refusal::no_method())
        }
        _ => Err(unknown()),
    }
}

/// The first part of a path that is known here, and what follows without its slashes.
fn split(path: &str) -> Option<(&'static str, &str)> {
    let path = path.trim_matches('/');
    let rooms = ["v2/apps", "v2/tasks", "v2/queue", "v2/deployments", "ping"];
    rooms.into_iter().find_map(|room| {
        let rest = path.strip_prefix(room)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| (room, rest.trim_matches('/')))
    })
}

fn listed<'a>(machine: &'a Machine, id: &AppId) -> Result<&'a App, Refusal> {
    let mut listed = machine.listed();
    listed.find(|app| app.definition.id == *id).ok_or_else(|| Refusal::no_app(id))
}

fn apps(machine: &Machine, query: &Query) -> Result<Reply, Refusal> {
    let mut apps = Vec::new();
    for app in machine.listed() {
        if query.lets_through(app)? {
            apps.push(show::app(machine, app, query.embed()));
        }
    }
    Ok(Reply::ok(json!({"apps": apps})))
}

fn create(machine: &mut Machine, body: &str, query: &Query) -> Result<Reply, Refusal> {
    let (id, started) = machine.create(body, query.flag("force", false))?;
    let embed = Embed { tasks: true, counts: true, deployments: true, last_failure: false };
    let shown = show::app(machine, listed(machine, &id)?, embed);
    Ok(Reply { status: 201, deployment: Some(started.id), body: Some(shown) })
}

fn app(
    machine: &mut Machine,
    id: &AppId,
    method: &str,
    body: &str,
    query: &Query,
) -> Result<Reply, Refusal> {
    match method {
        "GET" => {
            let all = Embed { tasks: true, counts: true, deployments: true, last_failure: true };
            Ok(Reply::ok(json!({"app": show::app(machine, listed(machine, id)?, all)})))
        }
        "PUT" => {
            let (started, is_new) = machine.update(id, body, query.flag("force", false))?;
            Ok(Reply::started(if is_new { 201 } else { 200 }, &started))
        }
        "DELETE" => Ok(Reply::started(200, &machine.delete(id, query.flag("force", true))?)),
        _ => Err(Refusal::no_method()),
    }
}

fn kill(machine: &mut Machine, body: &str, query: &Query) -> Result<Reply, Refusal> {
    let [scale, wipe, force] = ["scale", "wipe", "force"].map(|name| query.flag(name, false));
    if scale && wipe {
        let text = "You cannot use scale and wipe at the same time.";
        return Err(Refusal::bad_request(text));
    }
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let list = parsed.get("ids").and_then(Value::as_array);
    let wrong = || Refusal::form(&[("/ids".to_owned(), "error.expected.jsarray".to_owned())]);
    let mut ids = Vec::new();
    for id in list.ok_or_else(wrong)? {
        let id = id.as_str().ok_or_else(wrong)?;
        let ill_formed = || Refusal::bad_request(format!("Invalid task id '{id}'."));
        ids.push(TaskId::parse(id).ok_or_else(ill_formed)?);
    }
    Ok(match machine.kill_tasks(&ids, (scale, wipe, force))? {
        Killed::Scaled(started) => Reply::started(200, &started),
        Killed::Only(tasks) => {
            let tasks: Vec<Value> = tasks.iter().map(|task| show::task(machine, task)).collect();
            Reply::ok(json!({"tasks": tasks}))
        }
    })
}
