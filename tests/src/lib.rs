//! The real servers that tests run against, and what can go wrong between us and them.

pub mod relay;
pub mod zookeeper;

pub use relay::Relay;
pub use zookeeper::ZooKeeper;
