//! `NAME.yaml`: the endpoints of a backend, for an Envoy on this host that subscribes to the file.
//!
//! Envoy refuses a file with more than one assignment, so each backend has a file of its own, also
//! those of one namespace.

use std::net::IpAddr;

use serde::Serialize;

use crate::synapse::catalog::{Reach, Server, Variant};

const KIND: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

#[derive(Serialize)]
struct Response<'a> {
    resources: [Assignment<'a>; 1],
}

#[derive(Serialize)]
struct Assignment<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    cluster_name: &'a str,
    endpoints: Vec<Group<'a>>,
}

/// Endpoints of one priority; Envoy turns to a higher number when those of the lower ones are ill.
#[derive(Serialize)]
struct Group<'a> {
    locality: Locality<'a>,
    priority: u32,
    lb_endpoints: Vec<Member>,
}

/// Envoy's words for places.
#[derive(Clone, Default, Serialize)]
struct Locality<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
}

impl<'a> Locality<'a> {
    fn of(reach: &'a Reach) -> Self {
        let location = Some(reach.place.location());
        match reach.place.kind() {
            "region" => Self { region: location, zone: None },
            "habitat" => Self { region: None, zone: location },
            _ => Self::default(),
        }
    }
}

#[derive(Serialize)]
struct Member {
    endpoint: Endpoint,
    load_balancing_weight: u16,
}

#[derive(Serialize)]
struct Endpoint {
    address: Address,
}

#[derive(Serialize)]
struct Address {
    socket_address: SocketAddress,
}

#[derive(Serialize)]
struct SocketAddress {
    address: IpAddr,
    port_value: u16,
}

impl From<&Server> for Member {
    fn from(server: &Server) -> Self {
        let (address, port_value) = (server.address.ip(), server.address.port());
        let socket_address = SocketAddress { address, port_value };
        Self {
            endpoint: Endpoint { address: Address { socket_address } },
            load_balancing_weight: server.weight.unwrap_or(1),
        }
    }
}

/// What the file of a backend says.
///
/// A server that is leaving is missing, and so is one of weight 0, which Envoy does not know: in a panic
/// Envoy would send to what is only called unhealthy.
pub(super) fn text(variant: &Variant<'_>) -> Result<String, serde_yaml::ser::Error> {
    let serving = |server: &&Server| !server.leaving && server.weight != Some(0);
    let servers = || variant.reach.servers.iter().filter(serving);
    let groups = [false, true].map(|backup| servers().filter(move |s| s.backup == backup));
    let groups = groups.map(|members| members.map(Member::from).collect::<Vec<_>>());
    // Priorities begin with 0, be it that all are backups.
    let groups = groups.into_iter().filter(|members| !members.is_empty()).zip(0..);
    let locality = Locality::of(variant.reach);
    let group =
        |(lb_endpoints, priority)| Group { locality: locality.clone(), priority, lb_endpoints };
    let endpoints = groups.map(group).collect();
    let assignment = Assignment { kind: KIND, cluster_name: &variant.name, endpoints };
    // Readers of YAML differ in what an unquoted word is.
    let options = serde_yaml::ser_options! { quote_all: true };
    serde_yaml::to_string_with_options(&Response { resources: [assignment] }, options)
}

#[cfg(test)]
mod tests;
