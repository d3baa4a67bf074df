//! `paasta-master run`, with simulated Marathon, Chronos and Mesos and a real ZooKeeper.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "run/apps.rs"]
mod apps;
#[path = "run/jobs.rs"]
mod jobs;
#[path = "run/scene.rs"]
mod scene;
