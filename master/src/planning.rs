//! `paasta-master plan`: what the next pass of a deployment would do.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    net::IpAddr,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use hyper::Method as HttpMethod;
use jiff::Timestamp;
use paasta_master::{
    app::{App, Given},
    bounce::{
        Method,
        happy::{self, HealthParams},
        proxies::Registered,
    },
    drain::{self, states::Owner},
    http::{self, Question},
    marathon::{
        Marathon, Shards,
        running::{RunningApp, Task},
    },
    mesos,
    scaled::Counts,
    step::{Fact, Facts, Seen, Step, next},
    url_format::{Field, UrlFormat, Values},
};
use serde_json::{Value, json};
use soa_configs::{
    documents::ServiceDocuments,
    ids::JobId,
    json as exact,
    load::{Deployment, Instance},
    marathon::MarathonConfig,
    paasta::Settings,
};

use crate::{
    Outcome, complain,
    of_instance::{Found, OfInstance},
};

/// As PaaSTA waits for HAProxy's statistics.
const OF_HAPROXY: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 64 << 20;

/// Say what the next pass of a deployment would do to an instance, and do nothing.
///
/// Asks Marathon for its apps and tasks, Mesos for hosts that are to be emptied, the HAProxy of each task's
/// host whether it sends there, and hacheck (or whoever drain_method names) whether the task is drained.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 the instance makes no app, or somebody does not answer, 2 the arguments
are wrong or the cluster is not known.

Examples:
  paasta-master plan web.main
  paasta-master plan web.main -d ./yelpsoa-configs --json | jq .drain")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfInstance,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When the instance makes no app, or Marathon or Mesos does not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(Found { settings, files, instance }) = arguments.of.find()? else {
        return Ok(Outcome::Usage);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let planned = instance
        .map_err(anyhow::Error::from)
        .and_then(|instance| runtime.block_on(plan(&files, &instance, &settings, arguments.json)));
    let text = planned.with_context(|| arguments.of.name.clone())?;
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}

async fn plan(
    files: &ServiceDocuments,
    instance: &Instance,
    settings: &Settings,
    as_json: bool,
) -> anyhow::Result<String> {
    let deployment = Deployment::v1(files, instance)?;
    let config = MarathonConfig::read(instance)?;
    let scaled = match config.max_instances {
        None => None,
        Some(_) => {
            let counts = Counts::connect(settings.zookeeper()?).await?;
            counts.of(&instance.service, &instance.instance).await?
        }
    };
    let app =
        App::of(Given { files, instance, deployment: &deployment, settings, scaled }, &config)?;
    let want = app.definition.get("instances").map(exact::canonical).transpose()?;
    let want: u32 =
        want.unwrap_or_default().parse().context("instances: expected a whole number")?;
    let method = Method::parse(&config.bounce_method()?, &config.bounce_margin_factor)?;
    let draining = drain::Method::parse(&config.drain_method()?, &config.drain_method_params()?)?;
    let (new, old) = apps(instance, &config, settings, &app.id).await?;
    let apps: Vec<&RunningApp> = new.iter().chain(&old).collect();
    let facts = Asking { instance, config: &config, settings }.facts(&apps, &draining).await?;
    let seen = Seen {
        want,
        method,
        new: new.as_ref(),
        old: &old.iter().collect::<Vec<_>>(),
        facts: &facts,
        drains_at_once: draining == drain::Method::Noop,
    };
    let step = next(&seen);
    if as_json {
        return Ok(format!("{:#}\n", in_json(&app.id, &seen, &step)));
    }
    Ok(in_words(instance, &app.id, &seen, &step))
}

/// The app of the wanted definition where it is to be, and all others of the instance.
async fn apps(
    instance: &Instance,
    config: &MarathonConfig,
    settings: &Settings,
    id: &str,
) -> anyhow::Result<(Option<RunningApp>, Vec<RunningApp>)> {
    let shards = Shards::of(settings);
    let current = shards.current(instance, config)?;
    let (mut new, mut old) = (None, Vec::new());
    for (shard, server) in shards.all().iter().enumerate() {
        for app in Marathon(server).running().await? {
            if !JobId::matches(&instance.service, &instance.instance, &app.id) {
                continue;
            }
            if shard == current && app.id.trim_start_matches('/') == id {
                new = Some(app);
            } else {
                old.push(app);
            }
        }
    }
    Ok((new, old))
}

struct Asking<'a> {
    instance: &'a Instance,
    config: &'a MarathonConfig,
    settings: &'a Settings,
}

impl Asking<'_> {
    async fn facts(&self, apps: &[&RunningApp], draining: &drain::Method) -> anyhow::Result<Facts> {
        let tasks: Vec<&Task> = apps.iter().flat_map(|app| &app.tasks).collect();
        let leader = mesos::leader(&self.settings.mesos_config_path).await?;
        let emptied = mesos::draining_hosts(&leader).await?;
        let registration = format!("{}.{}", self.instance.service, self.config.nerve_namespace);
        let owner = Owner {
            service: &self.instance.service,
            instance: &self.instance.instance,
            namespace: &self.config.nerve_namespace,
            registration: registration.parse()?,
        };
        let states = draining.states(&owner, &tasks).await?;
        let params = HealthParams::read(&self.config.bounce_health_params()?)?;
        let registered = if params.check_haproxy {
            self.registered(&tasks, &registration).await?
        } else {
            BTreeSet::new()
        };
        let now = Timestamp::now();
        let is_registered = |task: &Task| registered.contains(&task.id);
        let happy = apps.iter().flat_map(|app| happy::tasks(app, &params, now, is_registered));
        let happy: BTreeSet<&str> = happy.map(|task| task.id.as_str()).collect();
        let fact = |(task, drained): (&&Task, drain::states::Drained)| {
            let fact = Fact {
                is_happy: happy.contains(task.id.as_str()),
                is_draining: drained.is_draining,
                is_safe_to_kill: drained.is_safe_to_kill,
                host_is_draining: emptied.contains(&task.host),
            };
            (task.id.clone(), fact)
        };
        Ok(tasks.iter().zip(states).map(fact).collect())
    }

    /// The tasks to which the HAProxy of their own host sends. One that does not answer sends to nobody.
    async fn registered(
        &self,
        tasks: &[&Task],
        registration: &str,
    ) -> anyhow::Result<BTreeSet<String>> {
        let format = &self.settings.synapse_haproxy_url_format;
        let format = UrlFormat::parse(format, &[Field::Host, Field::Port])
            .context("synapse_haproxy_url_format")?;
        let mut by_host = BTreeMap::<&str, Vec<&Task>>::new();
        for task in tasks {
            by_host.entry(task.host.as_str()).or_default().push(task);
        }
        let mut registered = BTreeSet::new();
        for (host, tasks) in by_host {
            let (service, instance, namespace) = ("", "", "");
            let port = Some(self.settings.synapse_port);
            let url = format.fill(&Values { host, port, service, instance, namespace })?;
            let found =
                async { anyhow::Ok((servers(&url, registration).await?, address(host).await?)) };
            match found.await {
                Ok((servers, ip)) => {
                    let is_there = |task: &&&Task| servers.has(ip, &task.ports);
                    registered.extend(tasks.iter().filter(is_there).map(|task| task.id.clone()));
                }
                Err(error) => complain(&format!("{error:#}; its tasks count as not registered")),
            }
        }
        Ok(registered)
    }
}

async fn servers(url: &str, registration: &str) -> anyhow::Result<Registered> {
    let (method, login, body) = (HttpMethod::GET, None, "");
    let (patience, most) = (OF_HAPROXY, MOST_BYTES);
    let asked = http::ask(Question { method, url, login, body, patience, most });
    let (_, text) = asked.await?;
    Registered::read(&String::from_utf8_lossy(&text), registration).with_context(|| url.to_owned())
}

async fn address(host: &str) -> anyhow::Result<IpAddr> {
    let mut found = tokio::net::lookup_host((host, 0)).await.with_context(|| host.to_owned())?;
    let address = found.next().with_context(|| format!("{host} has no address"))?;
    Ok(address.ip())
}

/// Tasks that are in service need not be put back there.
fn put_back<'a>(seen: &Seen<'a>, step: &Step<'a>) -> Vec<&'a Task> {
    let is_out = |task: &&&Task| {
        let fact = seen.facts.get(&task.id);
        fact.is_some_and(|fact| fact.is_draining == Some(true))
    };
    step.undrain.iter().filter(is_out).copied().collect()
}

fn in_words(instance: &Instance, id: &str, seen: &Seen<'_>, step: &Step<'_>) -> String {
    let exists = if seen.new.is_some() { "exists" } else { "is not created yet" };
    let (method, want) = (seen.method.as_str(), seen.want);
    let mut text = format!("{instance}: {method}, {want} tasks wanted; {id} {exists}\n");
    let first = text.len();
    for scale in &step.scale {
        text.push_str(&format!("  scale {} to {}\n", scale.app, scale.to));
    }
    if step.create_app {
        text.push_str(&format!("  create {id} with {want} tasks\n"));
    }
    let lists = [
        ("put back into service", put_back(seen, step)),
        ("drain", step.drain.clone()),
        ("kill", step.kill.clone()),
    ];
    for (what, tasks) in lists {
        for Task { id, host, ports, .. } in tasks {
            let port = ports.first().map(|port| format!(":{port}")).unwrap_or_default();
            text.push_str(&format!("  {what} {id} on {host}{port}\n"));
        }
    }
    for app in &step.remove {
        text.push_str(&format!("  remove {app}\n"));
    }
    if text.len() == first {
        text.push_str("  nothing to do\n");
    }
    text
}

fn in_json(id: &str, seen: &Seen<'_>, step: &Step<'_>) -> Value {
    let ids = |tasks: &[&Task]| tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    let scale = step.scale.iter().map(|scale| json!({"app": scale.app, "to": scale.to}));
    json!({
        "id": id,
        "instances": seen.want,
        "bounce_method": seen.method.as_str(),
        "exists": seen.new.is_some(),
        "scale": scale.collect::<Vec<_>>(),
        "create": step.create_app,
        "undrain": ids(&put_back(seen, step)),
        "drain": ids(&step.drain),
        "kill": ids(&step.kill),
        "remove": step.remove,
    })
}
