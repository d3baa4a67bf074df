//! A simulator of Marathon 1.4: what it lists, changes, refuses and locks, with tasks that follow a
//! script or really answer HTTP. There is no package of the real one; the rules are those of
//! marathon-sync.md §22 and of Marathon's published types.
//!
//! [`Machine`] is the state, stepped by a given time and without I/O. [`Marathon`] puts a server in
//! front of it and steps it by the clock. Several shards are several of them.
//!
//! On purpose it is stricter than the real one in one thing: a field that the published types do not
//! know is refused, where the real one reads past it.

mod check;
mod definition;
mod deployment;
mod event;
mod faults;
mod follower;
mod hosts;
mod ids;
mod machine;
mod moment;
mod pattern;
mod placement;
mod probe;
mod query;
mod real;
mod refusal;
mod routes;
mod script;
mod server;
mod settings;
mod show;
mod simulator;
mod task;

pub use event::Event;
pub use faults::{Fault, Harm};
pub use follower::Follower;
pub use hosts::Host;
pub use ids::{AppId, TaskId};
pub use machine::{Adopted, Machine};
pub use moment::Moment;
pub(crate) use pattern::is_like;
pub use real::{End, Ending, HttpTasks, Placed, Runner};
pub use refusal::Refusal;
pub use routes::{Reply, Request, answer};
pub use script::{Behaviour, Health, Script};
pub use settings::Settings;
pub(crate) use simulator::is_known;
pub use simulator::{Call, Marathon};
pub use task::{Phase, Results, Task};
