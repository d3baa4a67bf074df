//! Keys of the system configuration that the deploying daemon reads (marathon-sync.md §1.2, §18).

use std::{num::NonZeroU16, time::Duration};

use crate::{
    fields::{self, Fields, Input},
    values,
    yaml::{Fault, Value},
};

/// How the daemon that deploys Marathon instances works.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployd {
    /// `deployd_number_workers`: bounces under way at once. Default 4.
    pub workers: NonZeroU16,
    /// `deployd_big_bounce_rate`: instances a minute when very many are to be bounced. Default 0.1.
    pub big_bounce_rate: f64,
    /// `deployd_startup_bounce_rate`: instances a minute after a start. Default 0.1.
    pub startup_bounce_rate: f64,
    /// `deployd_worker_failure_backoff_factor`: seconds that an instance waits after a failure, for
    /// each failure so far. Default 30.
    pub failure_backoff_factor: u16,
    /// `deployd_maintenance_polling_frequency`: between two looks at hosts in maintenance. Default
    /// 30 s.
    pub maintenance_polling: Duration,
    /// `deployd_startup_oracle_enabled`: whether a start bounces first what has changed. Default true.
    pub startup_oracle: bool,
    /// `deployd_log_level`. Default `INFO`.
    pub log_level: String,
    /// `deployd_metrics_provider`, else `metrics_provider`. `None`: nothing is measured.
    pub metrics_provider: Option<String>,
    /// `disabled_watchers`: names of classes. Default none.
    pub disabled_watchers: Vec<String>,
}

impl Deployd {
    pub(super) fn of(fields: &mut Fields<'_>) -> Self {
        let mut rate = |key: &str| fields.read(key, rate).unwrap_or(0.1);
        let (big_bounce_rate, startup_bounce_rate) =
            (rate("deployd_big_bounce_rate"), rate("deployd_startup_bounce_rate"));
        let provider = fields.read("deployd_metrics_provider", |input| input.text());
        Self {
            workers: fields
                .read("deployd_number_workers", values::port)
                .or(NonZeroU16::new(4))
                .unwrap_or(NonZeroU16::MIN),
            big_bounce_rate,
            startup_bounce_rate,
            failure_backoff_factor: fields
                .read("deployd_worker_failure_backoff_factor", values::count)
                .unwrap_or(30),
            maintenance_polling: fields
                .read("deployd_maintenance_polling_frequency", values::seconds)
                .unwrap_or(Duration::from_secs(30)),
            startup_oracle: fields
                .read("deployd_startup_oracle_enabled", Input::boolean)
                .unwrap_or(true),
            log_level: fields
                .read("deployd_log_level", |input| input.text())
                .unwrap_or_else(|| "INFO".to_owned()),
            metrics_provider: provider
                .or_else(|| fields.read("metrics_provider", |input| input.text())),
            disabled_watchers: fields
                .read("disabled_watchers", |input| fields::list(input, |input| input.text()))
                .unwrap_or_default(),
        }
    }
}

/// A number of bounces a minute; none would never bounce anything.
fn rate(input: Input<'_>) -> Result<f64, Fault> {
    let rate = match &input.node.value {
        Value::Float(rate) => Some(*rate),
        Value::Int(_) => {
            values::int(input).ok().and_then(|rate| u32::try_from(rate).ok()).map(f64::from)
        }
        _ => None,
    };
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| input.expected("a number above 0"))
}
