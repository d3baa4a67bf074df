//! Carries steps out on the statistics socket and judges HAProxy's replies.

use super::{
    apply::{ServerRef, Step},
    line::ServerLine,
    runtime::{Error, Runtime},
};

/// What became of the steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub added: Vec<(ServerRef, ServerLine)>,
    pub deleted: Vec<ServerRef>,
    /// In maintenance, but connections keep them from being deleted.
    pub pending: Vec<ServerRef>,
    /// Commands that HAProxy did not take, and its reply.
    pub refused: Vec<(String, String)>,
    /// Commands sent.
    pub commands: u64,
}

/// Carries `steps` out, all in flight together; only what follows a deletion waits for it.
///
/// # Errors
/// When HAProxy did not answer everything; it has to be observed anew.
pub async fn execute(runtime: &mut Runtime, steps: &[Step]) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    send(runtime, steps.iter(), &mut outcome).await?;
    let gone = |server: &ServerRef| outcome.deleted.contains(server);
    let again: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Replace { server, line, .. } if gone(server) => {
                Some(Step::Add(server.clone(), line.clone()))
            }
            _ => None,
        })
        .collect();
    send(runtime, again.iter(), &mut outcome).await?;
    Ok(outcome)
}

async fn send<'a>(
    runtime: &mut Runtime,
    steps: impl Iterator<Item = &'a Step>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let sent: Vec<_> = steps
        .flat_map(|step| commands(step).into_iter().map(move |command| (step, command)))
        .collect();
    let commands: Vec<_> = sent.iter().map(|(_, command)| command.clone()).collect();
    let replies = runtime.run(&commands).await?;
    outcome.commands += commands.len() as u64;
    for ((step, command), reply) in sent.into_iter().zip(replies) {
        outcome.record(step, command, reply);
    }
    Ok(())
}

/// The commands of one step, in the order that works (synapse.md §13.2, §13.3).
fn commands(step: &Step) -> Vec<String> {
    match step {
        Step::Ready(server) => vec![format!("set server {server} state ready")],
        Step::Drain(server) => vec![format!("set server {server} state drain")],
        Step::Weigh(server, weight) => vec![format!("set server {server} weight {weight}")],
        Step::Add(server, line) => add(server, line),
        Step::Retire { server, in_maintenance } | Step::Replace { server, in_maintenance, .. } => {
            let maintenance = format!("set server {server} state maint");
            let delete = format!("del server {server}");
            if *in_maintenance { vec![delete] } else { vec![maintenance, delete] }
        }
    }
}

fn add(server: &ServerRef, line: &ServerLine) -> Vec<String> {
    let mut commands = vec![format!("add server {}", line.add_arguments(&server.backend))];
    if line.has("check") {
        commands.push(format!("enable health {server}"));
    }
    if line.has("agent-check") {
        commands.push(format!("enable agent {server}"));
    }
    commands.push(if line.leaving {
        format!("set server {server} state drain")
    } else {
        format!("enable server {server}")
    });
    commands
}

impl Outcome {
    fn record(&mut self, step: &Step, command: String, reply: String) {
        match (judge(&command, &reply), step) {
            (Verdict::Done, Step::Add(server, line)) if command.starts_with("add ") => {
                self.added.push((server.clone(), line.clone()));
            }
            (Verdict::Done, Step::Retire { server, .. } | Step::Replace { server, .. })
                if command.starts_with("del ") =>
            {
                self.deleted.push(server.clone());
            }
            (Verdict::Busy, Step::Retire { server, .. } | Step::Replace { server, .. }) => {
                self.pending.push(server.clone());
            }
            (Verdict::Done, _) => {}
            (Verdict::Busy | Verdict::Refused, _) => self.refused.push((command, reply)),
        }
    }
}

enum Verdict {
    Done,
    Busy,
    Refused,
}

/// HAProxy answers in prose, so success is an exact text (synapse.md §13).
fn judge(command: &str, reply: &str) -> Verdict {
    let verb = command.split(' ').next().unwrap_or_default();
    match (verb, reply) {
        ("add", "New server registered.")
        // Someone was faster: it is gone, as wanted.
        | ("del", "Server deleted." | "No such server.")
        | ("set" | "enable", "") => Verdict::Done,
        ("del", "Server still has connections attached to it, cannot remove it.") => Verdict::Busy,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerRef {
        ServerRef { backend: "web.main".to_owned(), name: "a".to_owned() }
    }

    fn line(options: &str) -> ServerLine {
        ServerLine::parse(&format!("server a 10.0.0.1:80 {options}")).unwrap()
    }

    #[test]
    fn a_server_is_added_then_checked_then_enabled() {
        assert_eq!(
            commands(&Step::Add(server(), line("check id 2"))),
            [
                "add server web.main/a 10.0.0.1:80 check id 2 weight 1",
                "enable health web.main/a",
                "enable server web.main/a"
            ]
        );
    }

    #[test]
    fn a_leaving_server_is_added_without_being_enabled() {
        let commands = commands(&Step::Add(server(), line("disabled")));
        assert_eq!(
            commands,
            ["add server web.main/a 10.0.0.1:80 weight 1", "set server web.main/a state drain"]
        );
    }

    #[test]
    fn a_refused_deletion_of_a_busy_server_is_pending_and_no_failure() {
        let mut outcome = Outcome::default();
        let step = Step::Retire { server: server(), in_maintenance: true };
        let [command] = &commands(&step)[..] else { panic!("one command") };
        let busy = "Server still has connections attached to it, cannot remove it.";
        outcome.record(&step, command.clone(), busy.to_owned());
        assert_eq!((outcome.pending.len(), outcome.refused.len()), (1, 0));
        outcome.record(&step, command.clone(), "Server deleted.".to_owned());
        assert_eq!(outcome.deleted, [server()]);
    }

    #[test]
    fn any_other_reply_is_a_refusal() {
        for (command, reply) in [
            ("add server a/b", "'cookie' option is not accepted for dynamic server"),
            ("add server a/b", ""),
            ("set server a/b state ready", "No such server."),
            ("enable health a/b", "Permission denied"),
            ("del server a/b", "Only servers in maintenance mode can be deleted."),
        ] {
            assert!(matches!(judge(command, reply), Verdict::Refused), "{command}: {reply}");
        }
    }
}
