//! `adhoc-<cluster>.yaml` (cli-and-monitoring.md D1).

use super::key::{CFS_PERIOD, COUNT, Key, MEMORY, POSITIVE, Rule, TEXT_LIST, UNIQUE_MAPS, ulimit};

pub(super) static KEYS: [Key; 17] = [
    Key { name: "cpus", rule: POSITIVE },
    Key { name: "mem", rule: MEMORY },
    Key { name: "disk", rule: POSITIVE },
    Key { name: "gpus", rule: Rule::Whole { least: 1, most: i64::MAX } },
    Key { name: "cmd", rule: Rule::Text },
    Key { name: "args", rule: TEXT_LIST },
    Key { name: "env", rule: Rule::Texts },
    Key { name: "extra_volumes", rule: UNIQUE_MAPS },
    Key { name: "deploy_group", rule: Rule::Text },
    Key { name: "net", rule: Rule::Text },
    Key { name: "ulimit", rule: Rule::Own(ulimit) },
    Key { name: "cap_add", rule: TEXT_LIST },
    Key { name: "cfs_period_us", rule: CFS_PERIOD },
    Key { name: "cpu_burst_pct", rule: COUNT },
    Key { name: "extra_docker_args", rule: Rule::Texts },
    Key { name: "pool", rule: Rule::Text },
    Key { name: "role", rule: Rule::Text },
];
