//! From the catalog to the wanted configuration, by the template in force.

use std::{collections::BTreeSet, sync::Arc};

use soa_configs::Namespace;
use tracing::{info, warn};

use super::super::{
    check,
    model::{self, Accepted, Ids, Model, Refused},
    render::Rendered,
    settings::Settings,
    template::{self, Template},
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
            refused: Vec::new(),
            template_alarm: None,
            render_alarm: None,
            failures: 0,
        }
    }

    /// The wanted configuration; `None`: it cannot be rendered, the last one stands.
    pub(super) fn render(&mut self, catalog: &Catalog, ids: &Ids) -> Option<Rendered> {
        let template = self.template.as_ref()?;
        let built = model::build(&self.settings, catalog, ids, &self.accepted);
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
            let model = model::build(&self.settings, catalog, ids, &self.accepted).model;
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
