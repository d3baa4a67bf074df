//! What the agent itself takes of the machine.

use std::time::Duration;

use end_to_end::processes;
use tokio::time::Instant;

use crate::{Failure, scene::Scene};

/// CPU time and memory of the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Over which the CPU time was taken.
    pub(crate) wall: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) most_resident_kib: u64,
    at: Instant,
}

impl Usage {
    /// As of now, over the life of the process.
    pub(crate) fn of(scene: &Scene) -> Result<Self, Failure> {
        let pid = scene.host.agent_pid().ok_or("the agent does not run")?;
        let memory = processes::memory(pid).ok_or("the kernel shows no memory")?;
        Ok(Self {
            cpu: processes::cpu_time(pid).ok_or("the kernel shows no CPU time")?,
            wall: Duration::ZERO,
            resident_kib: memory.now_kib,
            most_resident_kib: memory.most_kib,
            at: Instant::now(),
        })
    }

    /// The CPU time taken since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        let (cpu, wall) = (self.cpu.saturating_sub(before.cpu), self.at - before.at);
        Self { cpu, wall, ..self }
    }
}
