//! What operators and service owners wrote: `/etc/paasta`, soa-configs and the location files,
//! parsed at the border into values that cannot be wrong.
//!
//! No network, and no clock but in [`documents::Follower`], which waits for changes: else a caller says
//! when to look again, and this crate says what is there.

pub mod adhoc;
pub mod check;
pub mod chronos;
pub mod container;
pub mod diagnostic;
pub mod documents;
mod fields;
pub mod file;
pub mod hash;
pub mod ids;
pub mod instances;
pub mod json;
pub mod labels;
pub mod load;
pub mod locations;
pub mod marathon;
mod merged;
pub mod names;
pub mod paasta;
pub mod place;
pub mod schedule;
pub mod schema;
pub mod secrets;
pub mod service;
pub mod smartstack;
mod spelling;
pub mod time_variables;
pub mod topology;
pub mod tree;
mod values;
mod watched;
pub mod yaml;

pub use diagnostic::Diagnostic;
pub use file::{FileError, Problem};
pub use instances::InstanceConfig;
pub use names::{Cluster, InvalidName, Namespace};
pub use place::Place;
pub use smartstack::{Balance, Mode, NamespaceConfig, SmartstackFile};
pub use tree::{Snapshot, Tree};
