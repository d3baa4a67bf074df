//! The synapse wing: from records to a running HAProxy.

pub mod catalog;
pub mod haproxy;
