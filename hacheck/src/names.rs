//! Names at the border: services as paths and mark files write them, and hosts as seen from here.

mod host;
mod local;
mod service;

pub(crate) use self::service::is_service_byte;
pub use self::{
    host::Host,
    local::{LocalAddresses, LocalAddressesTask},
    service::{InvalidServiceName, ServiceName},
};
