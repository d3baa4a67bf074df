//! A simulator of Chronos 2.5: what it lists, takes and refuses, with jobs whose schedules really fire on a
//! clock that may run faster, and whose runs follow a script. There is no package of the real one; the rules
//! are those of chronos-sync.md §13 and of the published sources.
//!
//! [`Machine`] is the state, stepped by a given time and without I/O. [`Chronos`] puts a server in front of
//! it and steps it by the clock.

mod clock;
mod cron;
mod definition;
mod event;
mod faults;
mod follower;
mod machine;
mod refusal;
mod routes;
mod schedule;
mod script;
mod server;
mod settings;
mod show;
mod simulator;

pub use event::Event;
pub use faults::Fault;
pub use machine::{Job, Machine};
pub use refusal::Refusal;
pub use script::{Behaviour, Script};
pub use settings::Settings;
pub use simulator::{Call, Chronos};

pub use crate::marathon::Harm;
