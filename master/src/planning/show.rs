//! What a pass would do, in words and as JSON.

use paasta_master::{
    deploy::pass::Looked,
    difference::Difference,
    drain,
    marathon::running::{RunningApp, Task},
    step::{Drained, Ends, Seen, Step},
};
use serde_json::{Value, json};

/// One instance, and what its app is beside the one that runs.
pub(super) struct Shown<'s> {
    pub(super) name: &'s str,
    pub(super) looked: &'s Looked,
    /// The app that it is compared with. `None`: there is none.
    pub(super) beside: Option<&'s str>,
    /// `None`: not compared.
    pub(super) differences: Option<&'s [Difference]>,
}

/// What draining would come to, if it works.
fn ends<'a>(looked: &Looked, seen: &Seen<'a>, step: &Step<'a>) -> Ends<'a> {
    let at_once = looked.wanted.draining == drain::Method::Noop;
    let drained = Drained { is_marked: true, is_safe_to_kill: Some(at_once) };
    step.ends(seen, &vec![drained; step.drain.len()])
}

impl Shown<'_> {
    pub(super) fn in_words(&self, seen: &Seen<'_>, step: &Step<'_>) -> String {
        let Self { name, looked, beside, differences } = self;
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
            ("put back into service", step.put_back(seen).collect()),
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
        if let Some(differences) = differences.filter(|differences| !differences.is_empty()) {
            match beside {
                Some(id) => text.push_str(&format!("  beside {id}:\n")),
                None => text.push_str("  its app:\n"),
            }
            for difference in differences {
                text.push_str(&format!("    {difference}\n"));
            }
        }
        text
    }

    pub(super) fn in_json(&self, seen: &Seen<'_>, step: &Step<'_>) -> Value {
        let Self { name, looked, beside, differences } = self;
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
            "undrain": ids(&step.put_back(seen).collect::<Vec<_>>()),
            "drain": ids(&step.drain),
            "kill": ids(&kill),
            "remove": remove.iter().map(|app| app.id.clone()).collect::<Vec<_>>(),
            "beside": beside,
            "differences": differences
                .map(|all| all.iter().map(Difference::as_json).collect::<Vec<_>>()),
        })
    }
}
