//! `paasta-master plan`: what the next pass of a deployment would do.

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use futures_util::{StreamExt, stream};
use paasta_master::{
    deploy::{
        guard,
        pass::{Deployer, Emptied, Looked},
        sight::{self, Listing},
    },
    drain,
    marathon::running::{RunningApp, Task},
    step::{Drained, Ends, Seen, Step},
};
use serde_json::{Value, json};

use crate::{
    Outcome, complain,
    of_instances::{Gathered, OfInstances},
};

/// Instances that are looked at at once.
const AT_ONCE: usize = 8;

/// Say what the next pass of a deployment would do, and do nothing.
///
/// Asks Marathon for its apps and tasks, Mesos for hosts that are to be emptied, the HAProxy of each task's
/// host whether it sends there, and hacheck (or whoever drain_method names) whether the task is drained. Of
/// a whole cluster, instances that need nothing are left out.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 it is printed, 1 an instance makes no app, or somebody does not answer, 2 the arguments
are wrong or the cluster is not known.

Examples:
  paasta-master plan
  paasta-master plan web.main
  paasta-master plan web.main -d ./yelpsoa-configs --json | jq .instances[0].drain")]
pub(crate) struct Arguments {
    #[command(flatten)]
    of: OfInstances,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When Marathon does not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let Some(gathered) = arguments.of.gather()? else { return Ok(Outcome::Usage) };
    crate::block_on(print(&gathered, arguments.json))
}

/// # Errors
/// When Marathon does not answer, or standard output cannot be written.
pub(crate) async fn print(gathered: &Gathered, as_json: bool) -> anyhow::Result<Outcome> {
    let deployer = Deployer::new(&gathered.settings, &gathered.cluster, false);
    let deployer = deployer.context("synapse_haproxy_url_format")?;
    let emptied = Emptied::ask(&gathered.settings).await;
    let apps = Listing::of(sight::all_apps(&deployer.shards).await?);
    let looks = stream::iter(&gathered.instances).map(async |(service, name)| {
        let files = gathered.files(service);
        let looked = match deployer.wanted(files, service, name).await {
            Ok(wanted) => {
                let own = apps.apps(&wanted);
                deployer.look(wanted, own, &emptied).await
            }
            Err(verdict) => Err(verdict),
        };
        (format!("{service}.{name}"), looked)
    });
    let looks: Vec<_> = looks.buffered(AT_ONCE).collect().await;
    let mut outcome = if gathered.unnamed == 0 { Outcome::Complete } else { Outcome::Incomplete };
    let (mut words, mut objects, mut before) = (String::new(), Vec::new(), Vec::new());
    for (name, looked) in looks {
        match looked {
            Ok(looked) => {
                looked.unheard.iter().for_each(|line| complain(line));
                before.push(looked.before());
                if !gathered.are_all || !looked.is_steady() {
                    words.push_str(
                        &looked.decided(|seen, step| in_words(&name, &looked, seen, step)),
                    );
                }
                objects.push(looked.decided(|seen, step| in_json(&name, &looked, seen, step)));
            }
            Err(verdict) => {
                if verdict.has_failed || verdict.event.is_some() {
                    outcome = Outcome::Incomplete;
                }
                verdict.complaints.iter().for_each(|line| complain(&format!("{name}: {line}")));
            }
        }
    }
    if gathered.are_all
        && let Err(refused) = guard::within(before, guard::MOST)
    {
        complain(&refused.to_string());
        outcome = Outcome::Incomplete;
    }
    let text = if as_json {
        format!("{:#}\n", json!({"cluster": gathered.cluster.as_str(), "instances": objects}))
    } else {
        words
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(outcome)
}

/// What draining would come to, if it works.
fn ends<'a>(looked: &Looked, seen: &Seen<'a>, step: &Step<'a>) -> Ends<'a> {
    let at_once = looked.wanted.draining == drain::Method::Noop;
    let drained = Drained { is_marked: true, is_safe_to_kill: Some(at_once) };
    step.ends(seen, &vec![drained; step.drain.len()])
}

/// Tasks that are in service need not be put back there.
fn put_back<'a>(seen: &Seen<'a>, step: &Step<'a>) -> Vec<&'a Task> {
    let is_out = |task: &&&Task| {
        let fact = seen.facts.get(&task.id);
        fact.is_some_and(|fact| fact.is_draining == Some(true))
    };
    step.undrain.iter().filter(is_out).copied().collect()
}

fn in_words(name: &str, looked: &Looked, seen: &Seen<'_>, step: &Step<'_>) -> String {
    let id = &looked.wanted.app.id;
    let exists = if seen.new.is_some() { "exists" } else { "is not created yet" };
    let (method, want) = (seen.method.as_str(), seen.want);
    let mut text = format!("{name}: {method}, {want} tasks wanted; {id} {exists}\n");
    let first = text.len();
    for scale in &step.scale {
        text.push_str(&format!("  scale {} to {}\n", scale.app.id, scale.to));
    }
    if step.create_app {
        text.push_str(&format!("  create {id} with {want} tasks\n"));
    }
    let Ends { kill, remove } = ends(looked, seen, step);
    let lists = [
        ("put back into service", put_back(seen, step)),
        ("drain", step.drain.clone()),
        ("kill", kill),
    ];
    for (what, tasks) in lists {
        for Task { id, host, ports, .. } in tasks {
            let port = ports.first().map(|port| format!(":{port}")).unwrap_or_default();
            text.push_str(&format!("  {what} {id} on {host}{port}\n"));
        }
    }
    for RunningApp { id, .. } in remove {
        text.push_str(&format!("  remove {id}\n"));
    }
    if text.len() == first {
        text.push_str("  nothing to do\n");
    }
    text
}

fn in_json(name: &str, looked: &Looked, seen: &Seen<'_>, step: &Step<'_>) -> Value {
    let ids = |tasks: &[&Task]| tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    let scale = step.scale.iter().map(|scale| json!({"app": scale.app.id, "to": scale.to}));
    let Ends { kill, remove } = ends(looked, seen, step);
    json!({
        "instance": name,
        "id": looked.wanted.app.id,
        "instances": seen.want,
        "bounce_method": seen.method.as_str(),
        "exists": seen.new.is_some(),
        "scale": scale.collect::<Vec<_>>(),
        "create": step.create_app,
        "undrain": ids(&put_back(seen, step)),
        "drain": ids(&step.drain),
        "kill": ids(&kill),
        "remove": remove.iter().map(|app| app.id.clone()).collect::<Vec<_>>(),
    })
}
