//! The payload of a record, byte for byte as nerve writes it (nerve.md §4.2).

use std::net::IpAddr;

use indexmap::IndexMap;

/// One healthy task in one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub host: IpAddr,
    /// Never 0.
    pub port: u16,
    /// The instance id of the writing host. Only `A-Z a-z 0-9 _ . : -`: it feeds HAProxy server names.
    pub name: String,
    pub weight: Option<u32>,
    pub haproxy_server_options: Option<String>,
    /// In the order in which they stand in the payload.
    pub labels: Option<IndexMap<String, String>>,
}
