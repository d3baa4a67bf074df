//! From the catalog to the wanted configuration, by the template in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use soa_configs::Namespace;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    super::{
        check,
        guilty::{HeldBack, Search},
        model::{self, Accepted, Built, Ids, Model, Refused},
        render::Rendered,
        settings::Settings,
        template::{self, Source, Template},
    },
    AFTER_FAILURE,
    ports::Ports,
    refusals,
};
use crate::synapse::catalog::Catalog;

/// Renders, and keeps what worked last: a template or a value that breaks stops nothing.
#[derive(Debug)]
pub(super) struct Renderer {
    settings: Arc<Settings>,
    template: Option<Template>,
    /// The template is the built-in one in the place of an operator's that is broken.
    stands_in: bool,
    /// A source that was found broken, and when, so that it is not tried again and again.
    rejected: Option<(String, Instant)>,
    accepted: Accepted,
    /// What ran last.
    proven: Accepted,
    /// Whom HAProxy would not take.
    held_back: HeldBack,
    pub(super) ports: Ports,
    /// What of the catalog was not used the last time.
    pub(super) refused: Vec<Refused>,
    /// Why the newest template is not in force.
    pub(super) template_alarm: Option<String>,
    /// Why the newest catalog is not rendered.
    pub(super) render_alarm: Option<String>,
    pub(super) failures: u64,
    /// Something but the catalog has changed since the last rendering.
    stale: bool,
}

impl Renderer {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            ports: Ports::new(settings.bind_address),
            settings,
            template: None,
            stands_in: false,
            rejected: None,
            accepted: Accepted::new(),
            proven: Accepted::new(),
            held_back: HeldBack::new(),
            refused: Vec::new(),
            template_alarm: None,
            render_alarm: None,
            failures: 0,
            stale: false,
        }
    }

    /// The wanted configuration; `None`: it cannot be rendered, the last one stands.
    pub(super) fn render(&mut self, catalog: &Catalog, ids: &Ids) -> Option<Rendered> {
        self.stale = false;
        // Who has other settings by now is tried again.
        let config = |name: &Namespace| catalog.pools.get(name).map(|pool| &pool.config);
        self.held_back.retain(|name, held| config(name) == Some(&held.config));
        let built = self.build(catalog, ids);
        let template = self.template.as_ref()?;
        match template.render(&built.model) {
            Ok(text) => {
                self.accepted = built.accepted;
                refusals::tell(&self.refused, &built.refused);
                self.refused = built.refused;
                self.render_alarm = None;
                Some(Rendered::parse(&text, &managed(&built.model)))
            }
            Err(error) => {
                let reason = error.to_string();
                self.failures += u64::from(raise(&mut self.render_alarm, reason));
                None
            }
        }
    }

    fn build(&self, catalog: &Catalog, ids: &Ids) -> Built {
        let taken = self.ports.taken();
        model::build(&self.settings, catalog, ids, &self.accepted, &self.held_back, &taken)
    }

    /// Whether the same catalog may be rendered to something else now.
    pub(super) fn is_stale(&mut self) -> bool {
        let taken = self.ports.taken();
        self.ports.look_again();
        self.stale || self.ports.taken() != taken
    }

    /// HAProxy runs what was rendered last.
    pub(super) fn is_proven(&mut self) {
        if self.proven != self.accepted {
            self.proven = self.accepted.clone();
        }
    }

    /// HAProxy refused what was rendered last. Finds the namespaces at fault among those that are new
    /// or have changed, and holds them back; returns whether there are any.
    pub(super) async fn hold_back_guilty(&mut self, catalog: &Catalog, ids: &Ids) -> bool {
        let mut search = Search::new(&self.accepted, &self.proven);
        while let Some(trial) = search.next() {
            let Some(text) = self.text_of(catalog, &trial, ids) else { return false };
            match check::check(&self.settings, &text).await {
                Ok(_) => search.answered(None),
                Err(check::Error::Refused(reason)) => {
                    search.answered(Some(format!("haproxy refuses it: {reason}")));
                }
                Err(_) => return false,
            }
        }
        let found = search.found(&self.proven);
        for (namespace, held) in &found {
            warn!(%namespace, reason = held.reason, "held back, so that all others go on");
        }
        let is_new = found.iter().any(|(name, held)| self.held_back.get(name) != Some(held));
        self.held_back.extend(found);
        self.stale |= is_new;
        is_new
    }

    fn text_of(&self, catalog: &Catalog, these: &Accepted, ids: &Ids) -> Option<String> {
        let model = model::of_these(&self.settings, catalog, these, ids);
        let text = self.template.as_ref()?.render(&model).ok()?;
        Some(Rendered::parse(&text, &managed(&model)).text())
    }

    /// After HAProxy could not start: namespaces whose ports another process holds are left out
    /// until these are free, so that they stop nobody else.
    pub(super) fn look_for_taken_ports(&mut self) {
        self.stale = true;
        let wanted = self.accepted.values().filter_map(|config| Some(config.proxy_port?.get()));
        self.ports.look(&wanted.collect());
    }

    /// Where the running HAProxy takes connections for each namespace.
    pub(super) fn served(&self) -> BTreeMap<String, u16> {
        let ports = self.accepted.iter().filter_map(|(name, config)| {
            let port = config.proxy_port?.get();
            self.ports.is_held(port).then(|| (name.to_string(), port))
        });
        ports.collect()
    }

    /// The wanted configuration after only the servers of `names` changed; `None`: render all of it.
    ///
    /// Rendering everything takes 0.1 s on a host with 10,000 servers; this follows a change there
    /// within milliseconds, and the next full pass renders everything anyway.
    pub(super) fn render_servers(
        &self,
        catalog: &Catalog,
        names: &BTreeSet<Namespace>,
        ids: &Ids,
        before: &Rendered,
    ) -> Option<Rendered> {
        let model = model::servers_of(&self.settings, catalog, names, ids, &self.accepted);
        let text = self.template.as_ref()?.render(&model).ok()?;
        let part = Rendered::parse(&text, &managed(&model));
        before.can_take_servers_of(&part).then(|| before.with_servers_of(&part))
    }

    /// Looks at the template again. A new one is taken when it renders this catalog to something
    /// that HAProxy accepts. The built-in one is taken without a trial when there is none yet, also
    /// in the place of an operator's that is broken.
    pub(super) async fn refresh(&mut self, catalog: &Catalog, ids: &Ids) {
        let settings = Arc::clone(&self.settings);
        match tokio::task::spawn_blocking(move || template::source(&settings)).await {
            Ok(Ok(source)) => self.consider(source, catalog, ids).await,
            Ok(Err(error)) => self.reject(&error.to_string()),
            Err(_) => {}
        }
    }

    async fn consider(&mut self, source: Source, catalog: &Catalog, ids: &Ids) {
        if self.template.as_ref().is_some_and(|template| template.is_from(&source.text)) {
            return self.is_as_asked();
        }
        let known_bad =
            |(text, at): &(String, Instant)| *text == source.text && at.elapsed() < AFTER_FAILURE;
        if self.rejected.as_ref().is_some_and(known_bad) {
            return;
        }
        match self.try_out(&source, catalog, ids).await {
            Ok(template) => {
                info!(file = source.file, "template in force");
                // What the last one could not say, this one may.
                self.held_back.clear();
                self.stale = true;
                self.template = Some(template);
                self.is_as_asked();
            }
            Err(Objection::Fault(reason)) => {
                self.rejected = Some((source.text, Instant::now()));
                self.reject(&reason);
            }
            // It may be good. With none in force the trial is soon repeated.
            Err(Objection::Untested(reason)) => {
                self.failures += u64::from(raise(&mut self.template_alarm, reason));
            }
        }
    }

    /// The template in force is the one that the operator wants.
    fn is_as_asked(&mut self) {
        self.stands_in = false;
        self.rejected = None;
        self.template_alarm = None;
    }

    fn reject(&mut self, reason: &str) {
        if self.template.is_none() {
            let Source { file, text } = template::built_in();
            self.template = Template::parse(&file, text).ok();
            self.stands_in = true;
        }
        let instead = if self.stands_in { "built-in" } else { "last good" };
        let reason = format!("{reason}; the {instead} template is used");
        self.failures += u64::from(raise(&mut self.template_alarm, reason));
    }

    async fn try_out(
        &self,
        source: &Source,
        catalog: &Catalog,
        ids: &Ids,
    ) -> Result<Template, Objection> {
        let fault = |error: template::Error| Objection::Fault(error.to_string());
        let template = Template::parse(&source.file, source.text.clone()).map_err(fault)?;
        if self.template.is_none() && *source == template::built_in() {
            return Ok(template);
        }
        let model = self.build(catalog, ids).model;
        let text = template.render(&model).map_err(fault)?;
        let text = Rendered::parse(&text, &managed(&model)).text();
        match check::check(&self.settings, &text).await {
            Ok(_) => Ok(template),
            Err(error @ check::Error::Refused(_)) => {
                Err(Objection::Fault(format!("{}: {error}", source.file)))
            }
            Err(error) => Err(Objection::Untested(format!("{}: {error}", source.file))),
        }
    }
}

/// Why a template is not taken.
enum Objection {
    Fault(String),
    /// HAProxy could not be asked.
    Untested(String),
}

/// Returns whether the alarm is new.
fn raise(alarm: &mut Option<String>, reason: String) -> bool {
    let new = alarm.as_ref() != Some(&reason);
    if new {
        warn!(reason, "the configuration cannot be rendered as wanted");
    }
    *alarm = Some(reason);
    new
}

fn managed(model: &Model) -> BTreeSet<&str> {
    let backends = model.namespaces.iter().flat_map(|section| &section.backends);
    backends.map(|backend| backend.name.as_str()).collect()
}
