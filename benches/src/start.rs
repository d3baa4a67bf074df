//! From a container's start to its first request through HAProxy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use end_to_end::{
    Service,
    docker::{Recipe, unique},
    ports::Port,
    web,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{self, Instant},
};

use crate::{
    Failure,
    arguments::Measurement,
    figures::{Figures, Pace},
    floor::Floor,
    load::who,
    report::{Aim, Line},
    scene::{Pool, Scene, with},
};

/// Between two looks at a port. Timers are no finer.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Of one question to a port.
const ONE_LOOK: Duration = Duration::from_millis(100);
/// Nothing takes so long; something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a container runs before its service.
const AT_ONCE: &str = ": > /marks/begun";
const SLOWLY: &str = "sleep 0.7; : > /marks/begun";

/// Moments of one run.
struct Run {
    /// `docker start` is called.
    called: Instant,
    /// The published port answers for the first time.
    answers: Instant,
    /// A client of Docker hears of the start.
    told: Instant,
    /// HAProxy answers with this container.
    served: Instant,
}

/// One container that is started and killed again and again.
struct Subject {
    service: Arc<Service>,
    events: Events,
    /// Where it is published: fixed, so that it is known before the container runs.
    port: Port,
    /// The container makes this file when its service is about to begin. To ask the port earlier
    /// would disturb what is measured: Docker's relay, asked before the container's network is up,
    /// makes the kernel wait for a second before it looks for the container again.
    begun: PathBuf,
}

/// Starts a container until `pace` says that it is enough.
pub(crate) async fn measure(
    scene: &Scene,
    measurement: Measurement,
    pace: Pace,
) -> Result<Vec<Line>, Failure> {
    let pool = scene.pool(measurement)?;
    let mut subject = Subject::new(scene, measurement, &pool)?;
    let mut runs = Vec::new();
    while pace.goes_on(runs.len()) {
        scene.empty(&pool).await;
        runs.push(time::timeout(PATIENCE, subject.run(pool.port)).await??);
        scene.settled(&pool, 1).await;
        with(&subject.service, |service| service.kill("KILL")).await?;
    }
    Ok(lines(measurement, &runs))
}

impl Subject {
    fn new(scene: &Scene, measurement: Measurement, pool: &Pool) -> Result<Self, Failure> {
        let (port, name) = (Port::free()?, unique("bench"));
        let marks = scene.host.path(&name);
        fs::create_dir(&marks)?;
        let labels =
            [("smartstack.namespace", pool.namespace.as_str()), ("smartstack.port", "8888")];
        let published = format!("127.0.0.1:{}:8888", port.number);
        let mount = format!("{}:/marks", marks.display());
        let before = if measurement == Measurement::SlowStart { SLOWLY } else { AT_ONCE };
        let options = ["-p", &published, "-v", &mount];
        let recipe = Recipe { labels: &labels, options: &options, before, ..Recipe::default() };
        let service = scene.docker.create(&name, &recipe)?;
        let events = Events::of(&service)?;
        Ok(Self { service: Arc::new(service), events, port, begun: marks.join("begun") })
    }

    async fn run(&mut self, proxy: u16) -> Result<Run, Failure> {
        forget(&self.begun)?;
        let called = Instant::now();
        let name = &self.service.name;
        let answers = async {
            while !self.begun.exists() {
                time::sleep(LOOK_EVERY).await;
            }
            first_answer(self.port.number, name).await
        };
        let ((), answers, told, served) = tokio::try_join!(
            with(&self.service, Service::start),
            answers,
            self.events.next(),
            first_answer(proxy, name),
        )?;
        Ok(Run { called, answers, told, served })
    }
}

fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// When `port` first answers as `name`.
async fn first_answer(port: u16, name: &str) -> Result<Instant, Failure> {
    loop {
        if let Ok(Ok(answer)) = time::timeout(ONE_LOOK, web::get(port, "/")).await
            && who(answer).as_deref() == Some(name)
        {
            return Ok(Instant::now());
        }
        time::sleep(LOOK_EVERY).await;
    }
}

fn lines(measurement: Measurement, runs: &[Run]) -> Vec<Line> {
    let of = |span: fn(&Run) -> Duration| Figures::of(runs.iter().map(span).collect());
    let line = |what, figures| Line::new(measurement, what, figures);
    vec![
        line(
            "service answers -> first request through haproxy",
            of(|run| run.served - run.answers),
        )
        .with_aim(Aim::START)
        .over(Floor::Server),
        line("of these: until docker tells of the start", of(|run| run.told - run.answers)),
        line(
            "docker start called -> first request through haproxy",
            of(|run| run.served - run.called),
        ),
        line("of these: until the service answers", of(|run| run.answers - run.called)),
    ]
}

/// The starts of a container as Docker tells them to any client.
struct Events {
    lines: Lines<BufReader<ChildStdout>>,
    _client: Child,
}

impl Events {
    fn of(service: &Service) -> Result<Self, Failure> {
        let filter = format!("container={}", service.id);
        let mut client = Command::new("docker")
            .args(["events", "--filter", &filter, "--filter", "event=start"])
            .args(["--format", "{{.Status}}"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = client.stdout.take().ok_or("docker events has no output")?;
        Ok(Self { lines: BufReader::new(output).lines(), _client: client })
    }

    async fn next(&mut self) -> Result<Instant, Failure> {
        self.lines.next_line().await?.ok_or("docker events has ended")?;
        Ok(Instant::now())
    }
}
