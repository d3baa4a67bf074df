//! One pass: render, observe, plan, act.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    super::{
        apply::{self, Known, Reason, Step},
        execute::{self, Outcome},
        limit::Limit,
        observed::{Info, Observed},
        reload,
        render::Rendered,
        runtime::{self, Scope},
        status::LastReload,
    },
    AFTER_FAILURE, ATTENTION, Keeper, LOOK, LOOK_WHEN_AWAY, chain,
};
use crate::{backoff::random, synapse::catalog::Catalog};

/// Passes that may fail to replace a server before a reload does it.
const MAX_REPLACE_PASSES: u32 = 10;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    Again,
}

impl<L: Limit> Keeper<L> {
    pub(super) async fn pass(&mut self, catalog: &Arc<Catalog>) -> Next {
        let now = Instant::now();
        let full = now >= self.clock.full;
        let changed = self.render(catalog, full).await;
        let Some(wanted) = self.wanted.clone() else {
            self.only_look().await;
            return Next::Wait;
        };
        let scope = self.scope(&wanted, changed, full);
        let observed = match self.runtime.observe(&scope).await {
            Ok(observed) => observed,
            // The connection led to an old worker; the next one leads to the new.
            Err(runtime::Error::Stopping) if now < self.clock.full => {
                self.clock.full = now;
                return Next::Again;
            }
            Err(error) => return self.away(&wanted, &error),
        };
        self.clock.look = now + LOOK;
        if full {
            self.clock.full = now + self.settings.compare_interval;
        }
        self.saw(Some(&observed.info));
        if self.is_new_worker(&observed.info) && !full {
            self.clock.full = now;
            return Next::Again;
        }
        self.take_ids(&observed);
        if full {
            self.status.ports = self.renderer.served();
        }
        self.clock.reload = None;
        if let Some(reason) = self.reload_reason(&wanted, &observed.info)
            && self.may_reload(&wanted, &reason)
        {
            self.reload(&wanted, &observed.info, reason).await;
            return Next::Again;
        }
        self.target = self.reachable_target(&wanted, &observed.info);
        let Some(target) = self.target.clone() else { return Next::Wait };
        self.act(&target, observed, full).await
    }

    /// Renders if there may be something new. Returns the backends whose servers changed.
    async fn render(&mut self, catalog: &Arc<Catalog>, full: bool) -> BTreeSet<String> {
        let same = self.rendered.as_ref().is_some_and(|rendered| Arc::ptr_eq(rendered, catalog));
        // While HAProxy is away there is nothing to compare with twice a second.
        if same && (!full || !self.status.reachable) {
            return BTreeSet::new();
        }
        if self.wanted.is_none() {
            self.seed(catalog).await;
        }
        if full || self.wanted.is_none() {
            self.renderer.refresh(catalog, &self.ids).await;
        }
        // The same would come of it.
        if same && self.wanted.is_some() {
            let is_stale = self.renderer.is_stale() | std::mem::take(&mut self.ids_moved);
            if !is_stale {
                return BTreeSet::new();
            }
        }
        let quick = if full { None } else { self.render_servers(catalog) };
        let Some(wanted) = quick.or_else(|| self.renderer.render(catalog, &self.ids)) else {
            return BTreeSet::new();
        };
        self.rendered = Some(Arc::clone(catalog));
        let before = self.wanted.replace(Arc::new(wanted));
        let Some(wanted) = &self.wanted else { return BTreeSet::new() };
        let old = |name: &String| before.as_ref().and_then(|before| before.backends.get(name));
        let changed = wanted.backends.iter().filter(|(name, backend)| old(name) != Some(*backend));
        changed.map(|(name, _)| name.clone()).collect()
    }

    /// The quick way, when nothing but servers differs from the catalog that was rendered last.
    fn render_servers(&self, catalog: &Catalog) -> Option<Rendered> {
        let (before, wanted) = (self.rendered.as_ref()?, self.wanted.as_ref()?);
        let mut changed = BTreeSet::new();
        if before.pools.len() != catalog.pools.len() {
            return None;
        }
        for (name, pool) in &catalog.pools {
            let old = before.pools.get(name)?;
            if Arc::ptr_eq(old, pool) {
                continue;
            }
            if !old.differs_in_servers_only(pool) {
                return None;
            }
            changed.insert(name.clone());
        }
        self.renderer.render_servers(catalog, &changed, &self.ids, wanted)
    }

    /// Before the first rendering: servers keep the numbers that the process, or else the file, has
    /// given them.
    async fn seed(&mut self, catalog: &Catalog) {
        let pools = catalog.pools.iter();
        let names = pools.flat_map(|(name, pool)| pool.variants(name, &pool.config));
        let names: BTreeSet<_> = names.map(|variant| variant.name).collect();
        self.disk.recover(names.clone()).await;
        self.ids = self.disk.written().map(|written| written.ids()).unwrap_or_default();
        if let Ok(observed) = self.runtime.observe(&Scope::All(names)).await {
            self.take_ids(&observed);
        }
    }

    fn scope(&mut self, wanted: &Rendered, mut changed: BTreeSet<String>, full: bool) -> Scope {
        let attention = self.clock.attention.take_if(|due| *due <= Instant::now()).is_some();
        if full {
            return Scope::All(wanted.backends.keys().cloned().collect());
        }
        if attention {
            changed.extend(self.attention(wanted));
        }
        Scope::Only(changed)
    }

    /// Backends with servers that are leaving or to be deleted.
    pub(super) fn attention(&self, wanted: &Rendered) -> BTreeSet<String> {
        let leaving = wanted.backends.iter().filter(|(_, backend)| {
            backend.dynamic.values().chain(backend.fixed.values()).any(|line| line.leaving)
        });
        let pending = self.pending.iter().map(|server| server.backend.clone());
        leaving.map(|(name, _)| name.clone()).chain(pending).collect()
    }

    /// HAProxy does not answer. What runs cannot be changed, but what it will start with can.
    fn away(&mut self, wanted: &Arc<Rendered>, error: &runtime::Error) -> Next {
        if self.status.reachable {
            warn!(error = error as &dyn Error, "haproxy does not answer");
        }
        self.saw(None);
        self.clock.look = Instant::now() + LOOK_WHEN_AWAY;
        self.clock.full = self.clock.look;
        self.target = match self.disk.written() {
            Some(written) if self.failed_before(wanted) => {
                Some(Arc::new(written.with_servers_of(wanted)))
            }
            _ => Some(Arc::clone(wanted)),
        };
        Next::Wait
    }

    pub(super) fn saw(&mut self, info: Option<&Info>) {
        let Some(info) = info else { return self.status.forget() };
        self.status.reachable = true;
        self.status.version = Some(info.version.clone());
        self.status.worker_pid = Some(info.pid);
        self.status.fingerprint_running = info.fingerprint;
    }

    /// A worker that was not seen before has what the file said, not what the last one was told.
    fn is_new_worker(&mut self, info: &Info) -> bool {
        if self.worker == Some(info.pid) {
            return false;
        }
        self.worker = Some(info.pid);
        self.pending.clear();
        self.replacing.clear();
        let written = self.disk.written().filter(|w| Some(w.fingerprint) == info.fingerprint);
        self.renderer.ports.are_held(written.map(|written| written.ports()));
        self.known = written.map(|written| lines(written)).unwrap_or_default();
        true
    }

    fn take_ids(&mut self, observed: &Observed) {
        // An unknown backend of the catalog has no numbers to keep.
        for (backend, ids) in observed.ids() {
            if self.ids.get(&backend) != Some(&ids) {
                self.ids_moved = true;
                self.ids.insert(backend, ids);
            }
        }
    }

    fn reload_reason(&self, wanted: &Rendered, info: &Info) -> Option<Reason> {
        match info.fingerprint {
            None => Some(Reason::Foreign),
            Some(running) if running != wanted.fingerprint => Some(Reason::Skeleton),
            Some(_) => self.asked.clone(),
        }
    }

    fn failed_before(&self, wanted: &Rendered) -> bool {
        self.failed.is_some_and(|(fingerprint, at)| {
            fingerprint == wanted.fingerprint && at.elapsed() < AFTER_FAILURE
        })
    }

    fn may_reload(&mut self, wanted: &Rendered, reason: &Reason) -> bool {
        if self.failed_before(wanted) {
            return false;
        }
        if *reason == Reason::Skeleton {
            let (quiet, jitter) = (self.settings.reload_quiet, self.settings.reload_jitter);
            let until = self.quiet.until(wanted.fingerprint, quiet, jitter, random());
            if until > Instant::now() {
                self.clock.reload = Some(until);
                return false;
            }
        }
        match self.limit.take() {
            Ok(()) => true,
            Err(wait) => {
                self.clock.reload = Some(Instant::now() + wait);
                false
            }
        }
    }

    async fn reload(&mut self, wanted: &Arc<Rendered>, before: &Info, reason: Reason) {
        self.disk.settle().await;
        info!(%reason, "haproxy is reloaded");
        let outcome = reload::reload(&self.settings, &mut self.runtime, wanted, before).await;
        self.asked = None;
        self.quiet.over();
        let error = match outcome {
            Ok(_) => {
                self.failed = None;
                self.status.counters.reloads += 1;
                self.disk.now_has(Arc::clone(wanted));
                self.renderer.is_proven();
                None
            }
            Err(failure) => {
                let text = chain(&failure);
                error!(error = text, "haproxy not reloaded");
                self.failed = Some((wanted.fingerprint, Instant::now()));
                self.status.counters.reload_failures += 1;
                if failure.is_of_start() {
                    self.renderer.look_for_taken_ports();
                }
                if failure.is_refusal() {
                    self.hold_back_guilty().await;
                }
                Some(text)
            }
        };
        self.reload_alarm.clone_from(&error);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.status.last_reload = Some(LastReload { at, reason: reason.to_string(), error });
        // Whatever runs now, the old worker's connection leads elsewhere.
        self.runtime.disconnect();
        self.clock.full = Instant::now();
    }

    /// Without them the rest is rendered again at once.
    async fn hold_back_guilty(&mut self) {
        let Some(catalog) = self.rendered.clone() else { return };
        if self.renderer.hold_back_guilty(&catalog, &self.ids).await {
            self.failed = None;
            self.rendered = None;
        }
    }

    /// What the running skeleton can be brought to; `None`: it is not the agent's.
    fn reachable_target(&self, wanted: &Arc<Rendered>, info: &Info) -> Option<Arc<Rendered>> {
        if info.fingerprint == Some(wanted.fingerprint) {
            return Some(Arc::clone(wanted));
        }
        let written = self.disk.written()?;
        let runs = Some(written.fingerprint) == info.fingerprint;
        runs.then(|| Arc::new(written.with_servers_of(wanted)))
    }

    async fn act(&mut self, target: &Rendered, mut observed: Observed, full: bool) -> Next {
        let plan = apply::plan(target, &observed, &self.known);
        let mut next = Next::Wait;
        if full && matches!(self.asked, Some(Reason::Options(_))) {
            self.asked = None;
        }
        if !plan.steps.is_empty() {
            let outcome = match execute::execute(&mut self.runtime, &plan.steps).await {
                Ok(outcome) => outcome,
                Err(error) => return self.away_after(&error),
            };
            self.learn(&plan.steps, outcome);
            // What is published is what HAProxy says after the change.
            let touched = observed.backends.keys().cloned().collect();
            match self.runtime.observe(&Scope::Only(touched)).await {
                Ok(after) => observed.backends.extend(after.backends),
                Err(error) => return self.away_after(&error),
            }
            self.take_ids(&observed);
        } else {
            self.settled(&observed);
            if full {
                self.refusals = 0;
                self.runtime_alarm = None;
            }
            if full && plan.reload.is_none() {
                self.no_reload_needed(&observed.info);
            }
        }
        if let Some(reason) = plan.reload {
            self.asked = Some(reason);
            if self.clock.reload.is_none() {
                next = Next::Again;
            }
        }
        self.statistics(target, &observed, full).await;
        let attention = !self.attention(target).is_empty();
        self.clock.attention = attention.then(|| Instant::now() + ATTENTION);
        next
    }

    pub(super) fn away_after(&mut self, error: &runtime::Error) -> Next {
        warn!(error = error as &dyn Error, "haproxy did not answer while being changed");
        self.saw(None);
        self.clock.look = Instant::now() + LOOK_WHEN_AWAY;
        self.clock.full = self.clock.look;
        Next::Wait
    }

    fn learn(&mut self, steps: &[Step], outcome: Outcome) {
        self.status.counters.runtime_commands += outcome.commands;
        self.status.counters.runtime_refusals += outcome.refused.len() as u64;
        for server in &outcome.deleted {
            self.pending.remove(server);
            self.replacing.remove(server);
            if let Some(lines) = self.known.get_mut(&server.backend) {
                lines.shift_remove(server.name.as_str());
            }
        }
        for (server, line) in outcome.added {
            self.known.entry(server.backend).or_default().insert(Arc::clone(&line.name), line);
        }
        for server in outcome.pending {
            let replaced = steps.iter().any(
                |step| matches!(step, Step::Replace { server: other, .. } if *other == server),
            );
            if replaced {
                let passes = self.replacing.entry(server.clone()).or_default();
                *passes += 1;
                if *passes >= MAX_REPLACE_PASSES {
                    self.asked = Some(Reason::Stuck(server.to_string()));
                }
            }
            self.pending.insert(server);
        }
        self.judge_refusals(&outcome.refused);
    }

    /// Something else may have changed HAProxy since it was observed, so everything is looked at
    /// once more before a reload is asked for.
    fn judge_refusals(&mut self, refused: &[(String, String)]) {
        let Some((command, reply)) = refused.first() else {
            self.refusals = 0;
            self.runtime_alarm = None;
            return;
        };
        for (command, reply) in refused {
            warn!(command, reply, "haproxy refused a command");
        }
        self.refusals += 1;
        self.clock.full = Instant::now() + ATTENTION;
        self.runtime_alarm = Some(format!("haproxy refused `{command}`: {reply}"));
        if self.refusals >= 2 {
            self.asked = Some(Reason::Refused { command: command.clone(), reply: reply.clone() });
        }
    }

    /// Nothing is left to do in these backends.
    fn settled(&mut self, observed: &Observed) {
        self.pending.retain(|server| !observed.backends.contains_key(&server.backend));
        self.replacing.retain(|server, _| !observed.backends.contains_key(&server.backend));
    }

    /// What failed to reload is not asked for any more.
    fn no_reload_needed(&mut self, info: &Info) {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.fingerprint);
        if self.asked.is_none() && info.fingerprint == wanted {
            self.failed = None;
            self.reload_alarm = None;
            self.renderer.is_proven();
        }
    }
}

fn lines(rendered: &Rendered) -> Known {
    rendered
        .backends
        .iter()
        .map(|(name, backend)| (name.clone(), backend.dynamic.clone()))
        .collect()
}
