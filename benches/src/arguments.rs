//! The command line.

use std::num::NonZeroUsize;

use clap::{Parser, ValueEnum};

/// Measures SmartStack's main job on a real ZooKeeper, HAProxy and Docker Engine.
///
/// Starts an agent, a HAProxy and a ZooKeeper of its own on free ports of 127.0.0.1, makes
/// containers and removes them again. Prints median, 90th percentile and worst of each measurement,
/// with the conditions and, beside them, the cost of the parts that no agent can go below.
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// What to measure; default: everything. The floor is always measured.
    #[arg(value_enum)]
    only: Vec<Measurement>,
    /// Runs of each measurement; fewer when its time is over.
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) runs: NonZeroUsize,
    /// One JSON document instead of a table; all times are milliseconds.
    #[arg(long)]
    pub(crate) json: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// A container starts, and its service answers at once.
    Start,
    /// A container starts, and its service takes 0.7 s until it answers.
    SlowStart,
    /// A drain call on the admin interface.
    Drain,
    /// A mark set on hacheck, as PaaSTA's drain methods do.
    Spool,
    /// A record of another host comes and goes.
    Znode,
}

impl Measurement {
    /// Headline of its lines.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Start => "start: a container whose service answers at once",
            Self::SlowStart => "slow-start: a container whose service takes 0.7 s to answer",
            Self::Drain => "drain: POST /drain on the admin interface",
            Self::Spool => "spool: a mark set on hacheck",
            Self::Znode => "znode: a record of another host",
        }
    }

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::SlowStart => "slow-start",
            Self::Drain => "drain",
            Self::Spool => "spool",
            Self::Znode => "znode",
        }
    }
}

impl Arguments {
    /// What to measure, in the order of the table.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        let all = Measurement::value_variants().iter().copied();
        all.filter(|one| self.only.is_empty() || self.only.contains(one)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str]) -> Vec<Measurement> {
        let arguments = ["bench"].iter().chain(arguments);
        Arguments::try_parse_from(arguments).unwrap().measurements()
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        assert_eq!(chosen(&[]).len(), 5);
        assert_eq!(chosen(&["znode", "start"]), [Measurement::Start, Measurement::Znode]);
    }

    #[test]
    fn a_measurement_without_runs_is_refused() {
        assert!(Arguments::try_parse_from(["bench", "--runs", "0"]).is_err());
        assert!(Arguments::try_parse_from(["bench", "nonsense"]).is_err());
    }
}
