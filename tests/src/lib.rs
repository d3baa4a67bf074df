//! The real servers that tests run against, and what can go wrong between us and them.

pub mod crowd;
pub mod docker;
pub mod dockerd;
pub mod hacheck;
pub mod host;
pub mod machine;
pub mod mesos;
mod network;
pub mod ports;
pub mod process;
pub mod processes;
pub mod records;
pub mod relay;
pub mod scene;
pub mod service_manager;
pub mod traffic;
pub mod wait;
pub mod web;
pub mod znodes;
pub mod zookeeper;

pub use crowd::{Churned, Crowd, Network};
pub use docker::{Docker, Service};
pub use dockerd::Dockerd;
pub use hacheck::Hacheck;
pub use host::Host;
pub use machine::Machine;
pub use mesos::MesosAgent;
pub use process::LocalProcess;
pub use relay::Relay;
pub use scene::Scene;
pub use service_manager::ServiceManager;
pub use traffic::Traffic;
pub use wait::eventually;
pub use znodes::Deletions;
pub use zookeeper::{ZooKeeper, quorum::Quorum, secured::Secured};
