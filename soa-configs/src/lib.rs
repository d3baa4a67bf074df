//! What operators and service owners wrote: `/etc/paasta`, soa-configs and the location files,
//! parsed at the border into values that cannot be wrong.
//!
//! No network and no clock: a caller says when to look again, this crate says what is there.

pub mod names;
pub mod place;
pub mod smartstack;

pub use names::{InvalidName, Namespace};
pub use place::Place;
pub use smartstack::{Mode, NamespaceConfig};
