//! The numbers as a table or as JSON.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    arguments::Measurement,
    conditions::Conditions,
    figures::Figures,
    floor::{Floor, Floors},
    load::Tally,
    usage::Usage,
};

/// What the worst case should stay below, beyond the service's own start time.
pub(crate) struct Aim;

impl Aim {
    pub(crate) const START: Duration = Duration::from_millis(150);
    pub(crate) const DRAIN: Duration = Duration::from_millis(100);
    pub(crate) const ZNODE: Duration = Duration::from_millis(20);
}

/// One number that was measured again and again.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    measurement: Measurement,
    what: &'static str,
    figures: Figures,
    aim: Option<Duration>,
    floor: Option<Floor>,
    load: Option<Tally>,
}

impl Line {
    pub(crate) fn new(measurement: Measurement, what: &'static str, figures: Figures) -> Self {
        Self { measurement, what, figures, aim: None, floor: None, load: None }
    }

    /// The worst should be below `aim`; shown beside it, never asserted.
    pub(crate) fn with_aim(self, aim: Duration) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// To be compared with the parts it is made of.
    pub(crate) fn over(self, floor: Floor) -> Self {
        Self { floor: Some(floor), ..self }
    }

    /// The requests among which it was measured.
    pub(crate) fn under(self, load: Tally) -> Self {
        Self { load: Some(load), ..self }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) conditions: Conditions,
    pub(crate) floor: Floors,
    /// How late timers were while all of it ran.
    pub(crate) timer: Figures,
    pub(crate) lines: Vec<Line>,
    pub(crate) usage: Usage,
}

impl Report {
    /// One document; all times are milliseconds.
    pub(crate) fn json(&self) -> String {
        let usage = &self.usage;
        let document = json!({
            "conditions": self.conditions,
            "measurements": self.lines.iter().map(|line| self.line(line)).collect::<Vec<_>>(),
            "floor": {
                "request_through_haproxy": figures(&self.floor.request),
                "zookeeper_create": figures(&self.floor.create),
                "haproxy_add_server": figures(&self.floor.add_server),
                "timer_lateness": figures(&self.timer),
            },
            "agent": {
                "cpu_s": usage.cpu.as_secs_f64(), "wall_s": usage.wall.as_secs_f64(),
                "resident_kib": usage.resident_kib, "most_resident_kib": usage.most_resident_kib,
            },
        });
        format!("{document:#}\n")
    }

    fn line(&self, line: &Line) -> Value {
        let mut value = figures(&line.figures);
        value["measurement"] = line.measurement.name().into();
        value["what"] = line.what.into();
        value["aim_ms"] = line.aim.map(ms).into();
        value["times_floor"] = self.times_floor(line).into();
        value["requests"] = line.load.map(|load| load.requests).into();
        value["failed_requests"] = line.load.map(|load| load.failed).into();
        value
    }

    /// Median of a line over the median of its floor.
    fn times_floor(&self, line: &Line) -> Option<f64> {
        let floor = self.floor.of(line.floor?);
        Some(line.figures.median.as_secs_f64() / floor.as_secs_f64())
    }

    /// A table.
    pub(crate) fn text(&self) -> String {
        let mut text = self.head();
        let mut last = None;
        for line in &self.lines {
            if last.replace(line.measurement) != Some(line.measurement) {
                let _ = writeln!(text, "{}", line.measurement.title());
            }
            let aim = line.aim.map(|aim| format!("< {}", aim.as_millis())).unwrap_or_default();
            let times = self.times_floor(line).map(|times| format!("{times:.1}"));
            row(&mut text, line.what, &line.figures, &aim, &times.unwrap_or_default());
            if let Some(Tally { requests, failed, per_second }) = line.load {
                let _ =
                    writeln!(text, "    {failed} of {requests} requests failed, {per_second}/s");
            }
        }
        let _ = writeln!(text, "floor: the parts alone");
        row(&mut text, "one request through haproxy", &self.floor.request, "", "");
        row(&mut text, "one zookeeper create", &self.floor.create, "", "");
        row(&mut text, "one add server by hand", &self.floor.add_server, "", "");
        row(&mut text, "a timer of 5 ms is late, all the while", &self.timer, "", "");
        let Usage { cpu, wall, resident_kib, most_resident_kib, .. } = self.usage;
        let _ = writeln!(
            text,
            "agent: {:.1} s of CPU in {:.0} s; {:.1} MiB resident, {:.1} MiB at most",
            cpu.as_secs_f64(),
            wall.as_secs_f64(),
            mib(resident_kib),
            mib(most_resident_kib)
        );
        text
    }

    fn head(&self) -> String {
        let c = &self.conditions;
        format!(
            "{} CPUs {}, Linux {}, {} build\nZooKeeper {} (forceSync=no), HAProxy {}, Docker Engine \
             {}\nload average {} before, {} after\n\n{:58} {:>8} {:>8} {:>8} {:>5} {:>6} {:>7}\n",
            c.cpus,
            c.cpu_model,
            c.kernel,
            c.profile,
            c.zookeeper,
            c.haproxy,
            c.docker,
            c.load_before,
            c.load_after,
            "milliseconds",
            "median",
            "p90",
            "worst",
            "runs",
            "aim",
            "x floor"
        )
    }
}

fn row(text: &mut String, what: &str, figures: &Figures, aim: &str, times: &str) {
    let Figures { median, p90, worst, runs } = *figures;
    let (median, p90, worst) = (ms(median), ms(p90), ms(worst));
    let row =
        format!("  {what:56} {median:8.2} {p90:8.2} {worst:8.2} {runs:5} {aim:>6} {times:>7}");
    let _ = writeln!(text, "{}", row.trim_end());
}

fn figures(figures: &Figures) -> Value {
    let Figures { median, p90, worst, runs } = *figures;
    json!({ "median_ms": ms(median), "p90_ms": ms(p90), "worst_ms": ms(worst), "runs": runs })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
