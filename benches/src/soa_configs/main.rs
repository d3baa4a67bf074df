//! How long it takes to know a large tree of soa-configs, beside PyYAML's C loader on the same files in
//! the same run.

#![allow(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use soa_configs::{
    Cluster, Tree,
    check::{self, Severity},
    documents::{Documents, Follower},
    load::{self, Kind},
    marathon::MarathonConfig,
};

const SERVICES: usize = 2000;
const FILES: usize = 4 * SERVICES;
const INSTANCES: usize = 3;
/// Of each measurement the best of so many counts: the others were disturbed.
const RUNS: usize = 5;

/// Loads every file once, as the tools that are replaced do.
const PYYAML: &str = "
import sys, time, pathlib, resource
try:
    import yaml
    loader = yaml.CSafeLoader
except (ImportError, AttributeError):
    sys.exit(3)
files = sorted(pathlib.Path(sys.argv[1]).glob('*/*.yaml'))
start = time.perf_counter()
known = {}
for file in files:
    with open(file) as text:
        known[file] = yaml.load(text, Loader=loader)
took = time.perf_counter() - start
print(len(known), took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
";

fn main() -> io::Result<()> {
    let dir = std::env::temp_dir().join(format!("soa-configs-bench-{}", std::process::id()));
    let measured = make_tree(&dir).and_then(|()| measure(&dir));
    fs::remove_dir_all(&dir)?;
    measured
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    fs::File::create(file)?.write_all(text.as_bytes())
}

/// Files as fleets have them: with anchors, merge keys, comments and lists.
fn make_tree(dir: &Path) -> io::Result<()> {
    for number in 0..SERVICES {
        let service = dir.join(format!("service{number}"));
        fs::create_dir_all(&service)?;
        write(
            &service.join("service.yaml"),
            &format!(
                "---\ndescription: number {number}\ngit_url: git@git:services/s{number}.git\n"
            ),
        )?;
        write(
            &service.join("monitoring.yaml"),
            "---\nteam: a\npage: false\nrunbook: y/rb\nirc_channels: ['#a', '#b']\nalert_after: 5m\n",
        )?;
        write(
            &service.join("smartstack.yaml"),
            &format!(
                "---\nmain:\n  proxy_port: {}\n  mode: http\n  advertise: [region, superregion]\n  \
                 timeout_connect_ms: 500\n  timeout_server_ms: 2000\n  extra_headers: {{X-Mode: ro}}\n",
                10_000 + number
            ),
        )?;
        write(&service.join("marathon-c1.yaml"), &marathon())?;
    }
    Ok(())
}

fn marathon() -> String {
    let mut text =
        "---\nmain: &main\n  cpus: .5\n  mem: 512\n  instances: 3\n  env: {A: '1', B: two}\n"
            .to_owned();
    for number in 1..INSTANCES {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# another one\nother{number}:\n  <<: *main\n  registrations: [service0.main]\n  \
             args: [--workers, '{number}', --log, info]\n  healthcheck_timeout_seconds: 1.5\n  \
             extra_volumes:\n  - {{containerPath: /a, hostPath: /b, mode: RO}}\n  \
             deploy_group: 'prod.{{cluster}}'\n"
        );
    }
    text
}

/// The shortest of several runs.
fn best<T>(mut run: impl FnMut() -> io::Result<T>) -> io::Result<(Duration, T)> {
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        let value = run()?;
        let took = start.elapsed();
        if best.as_ref().is_none_or(|(least, _)| took < *least) {
            best = Some((took, value));
        }
    }
    best.ok_or_else(|| io::Error::other("nothing was run"))
}

fn line(what: &str, took: Duration, limit: Option<Duration>) {
    let millis = took.as_secs_f64() * 1000.0;
    let limit = limit.map_or_else(String::new, |limit| {
        let share = took.as_secs_f64() / limit.as_secs_f64() * 100.0;
        format!("   {share:.0} % of the limit of {} ms", limit.as_millis())
    });
    println!("{what:<52}{millis:>10.2} ms{limit}");
}

fn measure(dir: &Path) -> io::Result<()> {
    println!(
        "{SERVICES} services, {FILES} files, {} instances; best of {RUNS}\n",
        SERVICES * INSTANCES
    );
    let before = resident_kib()?;
    let mut known = Documents::new(dir);
    let start = Instant::now();
    known.refresh().map_err(io::Error::other)?;
    let first = start.elapsed();
    let memory = resident_kib()?.saturating_sub(before);
    line("all documents, nothing known before (first run)", first, Some(Duration::from_secs(1)));
    let (cold, _) = best(|| Documents::new(dir).refresh().map_err(io::Error::other))?;
    line("all documents, nothing known before", cold, Some(Duration::from_secs(1)));
    let cluster: Cluster = "c1".parse().map_err(io::Error::other)?;
    let (tree, _) = best(|| {
        let mut tree = Tree::new(dir);
        tree.set_cluster(Some(cluster.clone()));
        Ok(tree.refresh().files_read)
    })?;
    line("what an agent needs, nothing known before", tree, None);
    let (read, count) = best(|| Ok(read_instances(&known, &cluster)))?;
    line(&format!("{count} instances merged and read"), read, None);
    changes(dir, &mut known)?;
    followed(dir)?;
    let now = "2018-03-14T09:05:07[UTC]".parse().map_err(io::Error::other)?;
    let (checked, errors) = best(|| Ok(check::check(&known, None, &now).count(Severity::Error)))?;
    line(&format!("the whole tree checked ({errors} errors)"), checked, None);
    println!("\nmemory for all documents{:>38} MiB", memory / 1024);
    python(dir, cold)
}

fn read_instances(known: &Documents, cluster: &Cluster) -> usize {
    let mut count = 0;
    for (service, files) in known.services() {
        for name in load::names(files, Kind::Marathon, cluster) {
            let instance = load::instance(files, Kind::Marathon, service, name, cluster);
            count +=
                usize::from(instance.is_ok_and(|instance| MarathonConfig::read(&instance).is_ok()));
        }
    }
    count
}

/// One file changes: how long until it is known, with a hint of whose it is, and without.
fn changes(dir: &Path, known: &mut Documents) -> io::Result<()> {
    let mut number = 0;
    let mut change = |known: &mut Documents, hint: bool| -> io::Result<Duration> {
        number += 1;
        let service = format!("service{number}");
        let file = dir.join(&service).join("service.yaml");
        let beside = file.with_extension("new");
        write(&beside, &format!("description: changed {number}\n"))?;
        fs::rename(beside, file)?;
        let start = Instant::now();
        let read = if hint {
            known.refresh_service(&service).files_read
        } else {
            known.refresh().map_err(io::Error::other)?.files_read
        };
        let took = start.elapsed();
        if read != 1 {
            return Err(io::Error::other(format!("{read} files were read for one change")));
        }
        Ok(took)
    };
    let mut least = |hint| -> io::Result<Duration> {
        let mut all = Vec::new();
        for _ in 0..RUNS {
            all.push(change(known, hint)?);
        }
        all.into_iter().min().ok_or_else(|| io::Error::other("nothing was run"))
    };
    line(
        "one changed file, by a hint of its service",
        least(true)?,
        Some(Duration::from_millis(10)),
    );
    line("one changed file, by a look at everything", least(false)?, None);
    Ok(())
}

/// One file changes, and inotify says so: from the end of the write until it is known.
fn followed(dir: &Path) -> io::Result<()> {
    let mut follower = Follower::new(dir, Duration::from_secs(3600));
    follower.next(Duration::from_secs(60)).map_err(io::Error::other)?;
    let mut number = SERVICES / 2;
    let (took, ()) = best(|| {
        number += 1;
        let service = format!("service{number}");
        let text = format!("description: followed {number}\n");
        write(&dir.join(&service).join("service.yaml"), &text)?;
        let is_known = |known: &Documents| {
            let files = known.service(&service);
            files
                .and_then(|files| files.get("service.yaml"))
                .is_some_and(|file| *file.text == *text)
        };
        while !is_known(follower.documents()) {
            let look = follower.next(Duration::from_secs(10)).map_err(io::Error::other)?;
            look.ok_or_else(|| io::Error::other("inotify said nothing for 10 s"))?;
        }
        Ok(())
    })?;
    line("one changed file, written, noticed and read", took, Some(Duration::from_millis(10)));
    Ok(())
}

/// Of this process, in KiB.
fn resident_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("VmRSS is not in /proc/self/status"))
}

fn python(dir: &Path, ours: Duration) -> io::Result<()> {
    let output = match Command::new("python3").arg("-c").arg(PYYAML).arg(dir).output() {
        Ok(output) if output.status.success() => output,
        _ => {
            println!("\nPyYAML with its C loader is not installed: nothing to compare with");
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let (Some(files), Some(seconds), Some(kib)) = (words.next(), words.next(), words.next()) else {
        return Err(io::Error::other(format!("PyYAML answered {text:?}")));
    };
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let kib: u64 = kib.parse().map_err(io::Error::other)?;
    println!(
        "\nPyYAML's C loader, the same {files} files: {:.2} ms, {:.1} times as long; its process {} MiB",
        seconds * 1000.0,
        seconds / ours.as_secs_f64(),
        kib / 1024
    );
    Ok(())
}
