//! How a simulator is set up.

use jiff::Timestamp;

use super::script::Script;

/// All there is to choose. The default: the clock of this machine, every run succeeds at once, no password.
#[derive(Clone, Debug)]
pub struct Settings {
    pub script: Script,
    /// User and password that every request must bring.
    pub login: Option<(String, String)>,
    /// What its clock says at first; if none, what that of this machine says.
    pub from: Option<Timestamp>,
    /// So many seconds of its clock pass in one.
    pub speed: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { script: Script::default(), login: None, from: None, speed: 1 }
    }
}
