//! The real servers that tests run against, and what can go wrong between us and them.

pub mod docker;
pub mod host;
pub mod ports;
pub mod relay;
pub mod scene;
pub mod wait;
pub mod web;
pub mod zookeeper;

pub use docker::{Docker, Service};
pub use host::Host;
pub use relay::Relay;
pub use scene::Scene;
pub use wait::eventually;
pub use zookeeper::ZooKeeper;
