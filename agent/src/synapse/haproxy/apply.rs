//! What has to be done so that the running HAProxy becomes the wanted one: decided here, carried out
//! elsewhere.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    line::ServerLine,
    observed::{self, Observed},
    render::{Backend, Lines, Rendered},
};

/// The lines the process was given, as far as the agent knows; HAProxy does not show all options.
pub type Known = BTreeMap<String, Lines>;

/// A server of a backend, written `backend/server` as on the socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerRef {
    pub backend: String,
    pub name: String,
}

impl fmt::Display for ServerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.name)
    }
}

/// What [`plan`] decides. Empty: the process is as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Commands on the socket, in order; useful whether or not a reload follows.
    pub steps: Vec<Step>,
    /// Steps alone are not enough.
    pub reload: Option<Reason>,
}

/// Why only a reload will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Reason {
    #[error("the running configuration is not the agent's")]
    Foreign,
    #[error("something other than servers changed")]
    Skeleton,
    #[error("too many servers of {0} have other options to replace them one by one")]
    Options(String),
    #[error("{0} cannot be replaced: it still has connections")]
    Stuck(String),
    #[error("haproxy refused `{command}`: {reply}")]
    Refused { command: String, reply: String },
}

/// One change of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Out of maintenance or drain.
    Ready(ServerRef),
    /// No new requests.
    Drain(ServerRef),
    Weigh(ServerRef, u16),
    Add(ServerRef, ServerLine),
    /// Into maintenance unless it is there, then away; refused while it has connections, so a later
    /// pass tries again.
    Retire {
        server: ServerRef,
        in_maintenance: bool,
    },
    /// Retire it and, only when it is gone, add it anew.
    Replace {
        server: ServerRef,
        in_maintenance: bool,
        line: ServerLine,
    },
}

/// Compares. Only backends that are in `observed` and managed are looked at.
#[must_use]
pub fn plan(wanted: &Rendered, observed: &Observed, known: &Known) -> Plan {
    let reload = |reason| Plan { steps: Vec::new(), reload: Some(reason) };
    match observed.info.fingerprint {
        None => return reload(Reason::Foreign),
        Some(running) if running != wanted.fingerprint => return reload(Reason::Skeleton),
        Some(_) => {}
    }
    let nothing_known = Lines::new();
    let mut plan = Plan::default();
    for (name, running) in &observed.backends {
        let Some(wanted) = wanted.backends.get(name) else { continue };
        let known = known.get(name).unwrap_or(&nothing_known);
        Comparison { name, wanted, running, known }.add_to(&mut plan);
    }
    plan
}

struct Comparison<'a> {
    name: &'a str,
    wanted: &'a Backend,
    running: &'a observed::Backend,
    known: &'a Lines,
}

impl Comparison<'_> {
    fn add_to(&self, plan: &mut Plan) {
        let (mut changes, mut replacements, mut staying) = (Vec::new(), Vec::new(), 0);
        for (name, line) in self.wanted.dynamic.iter().chain(&self.wanted.fixed) {
            let Some(server) = self.running.servers.get(name.as_ref()) else { continue };
            let dynamic = self.wanted.dynamic.contains_key(name);
            if dynamic && self.needs_replacement(line, server) {
                replacements.push(Step::Replace {
                    server: self.server(name),
                    in_maintenance: server.admin.in_maintenance(),
                    line: line.clone(),
                });
                continue;
            }
            staying += usize::from(!line.leaving);
            if dynamic && server.weight != line.weight {
                changes.push(Step::Weigh(self.server(name), line.weight));
            }
            changes.extend(self.admin(line, server));
        }
        // A replaced server is away until its last connection ends.
        if replacements.len() > staying {
            plan.reload = Some(Reason::Options(self.name.to_owned()));
            replacements.clear();
        }
        let (removals, additions) = (self.removals(), self.additions());
        // Removals first, unless clients would meet an empty backend in between.
        let order = if staying == 0 {
            [changes, additions, removals, replacements]
        } else {
            [removals, changes, replacements, additions]
        };
        plan.steps.extend(order.into_iter().flatten());
    }

    fn removals(&self) -> Vec<Step> {
        let unwanted = |name: &&String| self.wanted.line(name).is_none();
        let servers = self.running.servers.iter().filter(|(name, _)| unwanted(name));
        let retire = |(name, server): (&String, &observed::Server)| Step::Retire {
            server: self.server(name),
            in_maintenance: server.admin.in_maintenance(),
        };
        servers.map(retire).collect()
    }

    fn additions(&self) -> Vec<Step> {
        let missing = |name: &str| !self.running.servers.contains_key(name);
        let lines = self.wanted.dynamic.iter().filter(|(name, _)| missing(name));
        lines.map(|(name, line)| Step::Add(self.server(name), line.clone())).collect()
    }

    fn needs_replacement(&self, line: &ServerLine, server: &observed::Server) -> bool {
        let moved = server.address.is_some() && server.address != line.address;
        let check = line.check_port().is_some_and(|port| port != server.check_port);
        moved || check || self.known.get(&line.name).is_some_and(|known| !known.same_options(line))
    }

    fn admin(&self, line: &ServerLine, server: &observed::Server) -> Option<Step> {
        if line.leaving {
            return server.admin.takes_requests().then(|| Step::Drain(self.server(&line.name)));
        }
        server.admin.is_forced().then(|| Step::Ready(self.server(&line.name)))
    }

    fn server(&self, name: &str) -> ServerRef {
        ServerRef { backend: self.name.to_owned(), name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests;
