//! Changes on their way.

use std::collections::BTreeSet;

use super::{
    definition::Definition,
    ids::{AppId, TaskId},
    moment::Moment,
};

/// What is done to an app, in Marathon's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Scale,
    Restart,
    Stop,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "StartApplication",
            Self::Scale => "ScaleApplication",
            Self::Restart => "RestartApplication",
            Self::Stop => "StopApplication",
        }
    }
}

/// One app's part.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) app: AppId,
    pub(super) action: Action,
    /// What was there before, for a roll-back.
    pub(super) before: Option<Definition>,
    /// Tasks that must be gone.
    pub(super) kills: BTreeSet<TaskId>,
}

/// It locks its apps until it is over or overridden.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) version: Moment,
    pub(super) changes: Vec<Change>,
}

impl Deployment {
    pub(super) fn affects(&self, app: &AppId) -> bool {
        self.changes.iter().any(|change| change.app == *app)
    }
}

/// What a change is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Started {
    pub(super) id: String,
    pub(super) version: Moment,
}
