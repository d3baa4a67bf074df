//! HAProxy: what it should be, what it is, and the way from one to the other.
//!
//! The corridor: catalog → [`model`] → [`template`] → [`render`], which takes the text apart into a
//! skeleton and server lines → [`observed`] (asked by [`runtime`]) → [`apply`] decides →
//! [`execute`] on the socket, or [`reload`], which validates, proves and undoes.
//! [`run`] is the one task that walks it; [`process`] starts HAProxy where no unit does.

pub mod apply;
pub mod carry;
pub mod check;
pub mod execute;
pub mod fingerprint;
pub mod guilty;
pub mod limit;
pub mod line;
pub mod master;
pub mod model;
pub mod observed;
pub mod process;
mod reconcile;
pub mod reload;
pub mod render;
pub mod runtime;
pub mod settings;
pub mod status;
pub mod template;

pub use reconcile::run;
pub use settings::Settings;
pub use status::Status;
