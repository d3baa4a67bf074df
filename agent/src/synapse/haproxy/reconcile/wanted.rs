//! From the catalog to the wanted configuration, by the template in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::TcpListener,
    sync::Arc,
};

use soa_configs::Namespace;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    super::{
        check,
        model::{self, Accepted, Built, Ids, Model, Refused},
        render::Rendered,
        settings::Settings,
        template::{self, Template},
    },
    AFTER_FAILURE,
};
use crate::synapse::catalog::Catalog;

/// Renders, and keeps what worked last: a template or a value that breaks stops nothing.
#[derive(Debug)]
pub(super) struct Renderer {
    settings: Arc<Settings>,
    template: Option<Template>,
    /// A source that was found broken, so that it is not tried again and again.
    rejected: Option<String>,
    accepted: Accepted,
    /// The settings that the running HAProxy was proven to have; `None`: not known yet.
    in_force: Option<Accepted>,
    /// Ports on which another process was found to listen, and when.
    taken: BTreeMap<u16, Instant>,
    /// What of the catalog was not used the last time.
    pub(super) refused: Vec<Refused>,
    /// Why the newest template is not in force.
    pub(super) template_alarm: Option<String>,
    /// Why the newest catalog is not rendered.
    pub(super) render_alarm: Option<String>,
    pub(super) failures: u64,
}

impl Renderer {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            template: None,
            rejected: None,
            accepted: Accepted::new(),
            in_force: None,
            taken: BTreeMap::new(),
            refused: Vec::new(),
            template_alarm: None,
            render_alarm: None,
            failures: 0,
        }
    }

    /// The wanted configuration; `None`: it cannot be rendered, the last one stands.
    pub(super) fn render(&mut self, catalog: &Catalog, ids: &Ids) -> Option<Rendered> {
        self.recheck_taken_ports();
        let built = self.build(catalog, ids);
        let template = self.template.as_ref()?;
        match template.render(&built.model) {
            Ok(text) => {
                self.accepted = built.accepted;
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
        let taken = self.taken.keys().copied().collect();
        model::build(&self.settings, catalog, ids, &self.accepted, &taken)
    }

    /// HAProxy runs what was rendered last, so its ports are its own.
    pub(super) fn is_in_force(&mut self) {
        self.in_force = Some(self.accepted.clone());
    }

    /// After HAProxy could not start: which of the ports that it does not hold yet are not free?
    /// Their namespaces are left out until they are, so that they stop nobody else.
    pub(super) fn look_for_taken_ports(&mut self) {
        let ports = |accepted: &Accepted| -> BTreeSet<u16> {
            accepted.values().filter_map(|config| Some(config.proxy_port?.get())).collect()
        };
        // Before that is known, a HAProxy that is to be taken over may hold any of them.
        let Some(in_force) = &self.in_force else { return };
        for port in ports(&self.accepted).difference(&ports(in_force)) {
            if self.is_taken(*port) {
                warn!(port, "another process listens there");
                self.taken.insert(*port, Instant::now());
            }
        }
    }

    fn is_taken(&self, port: u16) -> bool {
        let listen = TcpListener::bind((self.settings.bind_address, port));
        listen.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    }

    /// Looks once a minute whether a port that was taken has become free.
    fn recheck_taken_ports(&mut self) {
        let due = |found: &Instant| found.elapsed() >= AFTER_FAILURE;
        let (due, mut taken): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.taken).into_iter().partition(|(_, found)| due(found));
        let still = due.into_keys().filter(|port| self.is_taken(*port));
        taken.extend(still.map(|port| (port, Instant::now())));
        self.taken = taken;
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
    /// that HAProxy accepts; the first one needs only to be readable.
    pub(super) async fn refresh(&mut self, catalog: &Catalog, ids: &Ids) {
        let settings = Arc::clone(&self.settings);
        let read = tokio::task::spawn_blocking(move || template::source(&settings));
        let (file, source) = match read.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.reject(error.to_string()),
            Err(_) => return,
        };
        if self.template.as_ref().is_some_and(|template| template.is_from(&source)) {
            self.rejected = None;
            self.template_alarm = None;
            return;
        }
        if self.rejected.as_ref() == Some(&source) {
            return;
        }
        match self.try_out(&file, source.clone(), catalog, ids).await {
            Ok(template) => {
                info!(%file, "template in force");
                self.template = Some(template);
                self.rejected = None;
                self.template_alarm = None;
            }
            Err(reason) => {
                self.reject(reason);
                self.rejected = Some(source);
            }
        }
    }

    fn reject(&mut self, reason: String) {
        self.failures += u64::from(raise(&mut self.template_alarm, reason));
    }

    async fn try_out(
        &self,
        file: &str,
        source: String,
        catalog: &Catalog,
        ids: &Ids,
    ) -> Result<Template, String> {
        let template = Template::parse(file, source).map_err(|error| error.to_string())?;
        if self.template.is_some() {
            let model = self.build(catalog, ids).model;
            let text = template.render(&model).map_err(|error| error.to_string())?;
            let text = Rendered::parse(&text, &managed(&model)).text();
            let checked = check::check(&self.settings, &text).await;
            checked.map_err(|error| format!("{file}: {error}"))?;
        }
        Ok(template)
    }
}

/// Returns whether the alarm is new.
fn raise(alarm: &mut Option<String>, reason: String) -> bool {
    let new = alarm.as_ref() != Some(&reason);
    if new {
        warn!(reason, "the last good template and configuration stay");
    }
    *alarm = Some(reason);
    new
}

fn managed(model: &Model) -> BTreeSet<&str> {
    model.namespaces.iter().map(|section| section.name.as_str()).collect()
}
