//! Replacing an app by its new version: which tasks go, and when the new app is made
//! (marathon-sync.md §10.2 and §11).
//!
//! Nothing here asks or changes anything. The number of tasks that serve depends on these few lines.

pub mod happy;
pub mod proxies;
pub mod standing;

use soa_configs::yaml::Node;

/// The share of the wanted tasks that serve at least: above 0, up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin(f64);

/// How an app is replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Everything old goes at once, and the new app is made at once.
    Brutal,
    /// The old tasks stay until all new ones are happy.
    Upthendown,
    /// Each new task that is happy takes the place of an old one.
    Crossover(Margin),
    /// The new app is made when no old task is left that does not drain.
    Downthenup,
    /// Everything old goes and nothing comes; for the emergency drain only.
    Down,
}

/// Why a bounce cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    #[error("bounce_method not recognized: {0}. Must be one of ({list})", list = NAMES.join(", "))]
    Method(String),
    #[error("bounce_margin_factor: expected a number above 0 and up to 1")]
    Margin,
}

/// In PaaSTA's order.
const NAMES: [&str; 5] = ["brutal", "upthendown", "crossover", "downthenup", "down"];

impl Margin {
    /// # Errors
    /// When it is not above 0, or above 1.
    pub fn new(margin: f64) -> Result<Self, Invalid> {
        if margin > 0.0 && margin <= 1.0 { Ok(Self(margin)) } else { Err(Invalid::Margin) }
    }

    /// How many of `want` tasks serve at least.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 up to `want`"
    )]
    pub fn of(self, want: u32) -> usize {
        // In double precision, as there: of 20, 0.35 are 7.
        (f64::from(want) * self.0).ceil() as usize
    }
}

impl Method {
    /// Reads `bounce_method` and, where it counts, `bounce_margin_factor`.
    ///
    /// # Errors
    /// When there is no such method, or the margin makes no sense.
    pub fn parse(name: &str, margin: &Node) -> Result<Self, Invalid> {
        match name {
            "brutal" => Ok(Self::Brutal),
            "upthendown" => Ok(Self::Upthendown),
            "crossover" => {
                margin.as_f64().ok_or(Invalid::Margin).and_then(Margin::new).map(Self::Crossover)
            }
            "downthenup" => Ok(Self::Downthenup),
            "down" => Ok(Self::Down),
            other => Err(Invalid::Method(other.to_owned())),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brutal => "brutal",
            Self::Upthendown => "upthendown",
            Self::Crossover(_) => "crossover",
            Self::Downthenup => "downthenup",
            Self::Down => "down",
        }
    }
}

/// How far a bounce is.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'t, T> {
    /// Tasks that there are to be.
    pub want: u32,
    /// Marathon knows the new app, whether or not it has tasks.
    pub new_app_exists: bool,
    /// New tasks that serve, see [`happy`].
    pub happy_new: usize,
    /// Old tasks that do not drain yet, the best ones first, see [`standing::Standing::candidates`].
    pub old: &'t [T],
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'t, T> {
    pub create_app: bool,
    /// A part of [`Situation::old`].
    pub drain: &'t [T],
}

/// Decides the next step of a bounce.
#[must_use]
pub fn decide<'t, T>(method: Method, situation: &Situation<'t, T>) -> Decision<'t, T> {
    let Situation { want, new_app_exists, happy_new, old } = *situation;
    let create_app = match method {
        Method::Brutal | Method::Upthendown | Method::Crossover(_) => !new_app_exists,
        Method::Downthenup => old.is_empty() && !new_app_exists,
        Method::Down => false,
    };
    let kept = match method {
        Method::Upthendown if !(new_app_exists && happy_new == want as usize) => old.len(),
        Method::Crossover(margin) => margin.of(want).saturating_sub(happy_new),
        _ => 0,
    };
    Decision { create_app, drain: old.get(kept..).unwrap_or_default() }
}
