//! `smartstack up`, `smartstack down`, and `updown_service` of old (nerve.md §6).

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::bail;
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use hacheck::tools::Caller;
use http_body_util::Empty;
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};

use super::{
    EXIT_FAILED,
    client::Client,
    output::{print, tell},
};
use crate::api::{
    encode,
    standing::{Standing, Wanted},
};

/// Between two looks. The agent answers from memory.
const PACE: Duration = Duration::from_millis(200);
/// Limit of one plain request to a service.
const REQUEST_LIMIT: Duration = Duration::from_secs(1);
/// Proxies of other hosts follow, and requests end, in this time.
pub const SETTLE_S: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    Up,
    Down,
}

/// What to do and how long to wait for it.
#[derive(Debug)]
pub struct Order {
    /// `SERVICE.NAMESPACE[:PORT]`
    pub target: String,
    pub direction: Direction,
    /// Do not touch the mark.
    pub wait_only: bool,
    pub wait: bool,
    /// Seconds; `None`: what the namespace says.
    pub timeout: Option<u32>,
    /// Seconds to wait when the state is reached.
    pub settle: u32,
    pub reason: String,
}

/// The arguments of `updown_service`.
#[derive(Debug, Parser)]
#[command(
    name = "updown_service",
    version,
    about = "Take a service of this host out of service, or back, and wait until HAProxy shows it"
)]
pub struct OldArgs {
    /// SERVICE.NAMESPACE or SERVICE.NAMESPACE:PORT
    service: String,
    #[arg(value_enum)]
    state: Direction,
    /// Seconds to wait for the state [default: updown_timeout_s of the namespace, else 300]
    #[arg(short, long)]
    timeout: Option<u32>,
    /// Seconds to wait when the state is reached, so that other hosts follow
    #[arg(short, long, default_value_t = SETTLE_S)]
    wait: u32,
    /// Only wait; change nothing
    #[arg(short = 'x', long)]
    wait_only: bool,
}

impl From<OldArgs> for Order {
    fn from(args: OldArgs) -> Self {
        Self {
            target: args.service,
            direction: args.state,
            wait_only: args.wait_only,
            wait: true,
            timeout: args.timeout,
            settle: args.wait,
            reason: String::new(),
        }
    }
}

/// Carries an order out. Exit code: 0 done (or nobody should wait for it), 1 not reached.
///
/// # Errors
/// When the agent cannot be asked, or the target is none.
pub async fn run(client: &Client, order: &Order) -> anyhow::Result<ExitCode> {
    if let Err(reason) = Wanted::parse(&order.target) {
        bail!("`{}` is no SERVICE.NAMESPACE[:PORT]: {reason}", order.target.escape_debug());
    }
    let now = look(client, order).await?;
    if let Some(reason) = &now.unmanaged {
        print(&format!("{} is not managed here: {reason}\n", order.target))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !order.wait_only {
        mark(client, order).await?;
    }
    if !order.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = order.timeout.map_or(now.timeout_s, f64::from);
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let looked = async || look(client, order).await;
    Ok(match reached(order, limit, looked, serves).await? {
        Ok(()) => {
            time::sleep(Duration::from_secs(order.settle.into())).await;
            print(&format!("{} is {}\n", order.target, word(order.direction)))?;
            ExitCode::SUCCESS
        }
        Err(why) => {
            tell(&format!("{} is not {}: {why}", order.target, word(order.direction)))?;
            ExitCode::from(EXIT_FAILED)
        }
    })
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

async fn look(client: &Client, order: &Order) -> anyhow::Result<Standing> {
    let body = client.get(&format!("/standing?target={}", encode(&order.target))).await?;
    Ok(serde_json::from_slice(&body)?)
}

async fn mark(client: &Client, order: &Order) -> anyhow::Result<()> {
    let reason = if order.reason.is_empty() {
        Caller::of_this_process().names.into_iter().next().unwrap_or_default()
    } else {
        order.reason.clone()
    };
    let (word, target) = (word(order.direction), encode(&order.target));
    let path = format!("/{word}?target={target}&reason={}", encode(&reason));
    client.post(&path, Duration::ZERO).await?;
    Ok(())
}

/// Looks again and again. The inner error says what is missing: the state cannot be or was not reached.
async fn reached<S: Future<Output = bool>>(
    order: &Order,
    limit: Duration,
    look: impl AsyncFn() -> anyhow::Result<Standing>,
    serves: impl Fn(u16, String) -> S,
) -> anyhow::Result<Result<(), String>> {
    let end = Instant::now().checked_add(limit);
    let mut told = String::new();
    loop {
        // An agent that is restarted meanwhile answers again.
        let missing = match look().await {
            Ok(now) if now.reachable && !now.known => {
                return Ok(Err("HAProxy has no backend of this name".to_owned()));
            }
            Ok(now) => match (order.direction, missing(order.direction, &now)) {
                (_, None) => return Ok(Ok(())),
                (Direction::Up, Some(_)) if serves_while_host_is_down(&now, &serves).await => {
                    return Ok(Ok(()));
                }
                (_, Some(missing)) => missing,
            },
            Err(error) => error.to_string(),
        };
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(Err(format!("{missing}; given up after {} s", limit.as_secs())));
        }
        if told != missing {
            tell(&format!("waiting: {missing}"))?;
            told = missing;
        }
        time::sleep(PACE).await;
    }
}

/// What speaks against the state; `None`: it is reached.
fn missing(direction: Direction, now: &Standing) -> Option<String> {
    if !now.reachable {
        return Some("HAProxy does not answer".to_owned());
    }
    let shown = |s: &crate::api::standing::Server| format!("{} {}", s.name, s.status);
    let servers: Vec<String> = now.servers.iter().map(shown).collect();
    match direction {
        Direction::Up if now.up => None,
        Direction::Up if now.tasks.is_empty() => Some("no task of it runs here".to_owned()),
        Direction::Up if servers.is_empty() => {
            Some("HAProxy has no server of this host".to_owned())
        }
        Direction::Down if now.down => None,
        Direction::Down if !now.up => Some("its record is still in the registry".to_owned()),
        Direction::Up | Direction::Down => Some(format!("HAProxy shows {}", servers.join(", "))),
    }
}

/// On a host that is down as a whole nothing gets up in HAProxy; a service that answers is good enough.
async fn serves_while_host_is_down<S: Future<Output = bool>>(
    now: &Standing,
    serves: &impl Fn(u16, String) -> S,
) -> bool {
    if now.host_down.is_none() {
        return false;
    }
    for (port, uri) in now.tasks.iter().filter_map(|task| task.check.clone()) {
        if serves(port, uri).await {
            return true;
        }
    }
    false
}

/// Whether a plain request is answered well.
async fn serves(port: u16, uri: String) -> bool {
    let ask = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(connection);
        let request = Request::get(uri)
            .header(header::HOST, format!("127.0.0.1:{port}"))
            .body(Empty::<Bytes>::new())
            .ok()?;
        let status = sender.send_request(request).await.ok().map(|answer| answer.status());
        connection.abort();
        status
    };
    time::timeout(REQUEST_LIMIT, ask).await.ok().flatten().is_some_and(|s| s.is_success())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::api::standing::{Server, Task};

    fn order(direction: Direction) -> Order {
        Order {
            target: "web.main".to_owned(),
            direction,
            wait_only: false,
            wait: true,
            timeout: None,
            settle: 0,
            reason: String::new(),
        }
    }

    fn standing(status: &str, registered: bool) -> Standing {
        let server = Server { name: "h_1".to_owned(), status: status.to_owned() };
        let check = Some((1, "/status".to_owned()));
        let up = status.starts_with("UP");
        Standing {
            namespace: "web.main".to_owned(),
            port: None,
            unmanaged: None,
            timeout_s: 300.0,
            host_down: None,
            reachable: true,
            known: true,
            servers: vec![server],
            tasks: vec![Task { title: "web".to_owned(), port: 1, registered, check }],
            up,
            down: !up && !registered,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_the_state_and_gives_up_with_what_is_missing() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            Ok(standing(if looks.get() < 10 { "MAINT" } else { "UP" }, true))
        };
        let never = |_, _| async { false };
        let limit = Duration::from_secs(300);
        let found = reached(&order(Direction::Up), limit, look, never).await.unwrap();
        assert_eq!((found, looks.get()), (Ok(()), 10));
        let still = async || Ok(standing("MAINT", true));
        let found = reached(&order(Direction::Down), limit, still, never).await.unwrap();
        let why = found.unwrap_err();
        assert_eq!(why, "its record is still in the registry; given up after 300 s");
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_host_that_is_down_a_service_that_answers_is_up() {
        let down =
            async || Ok(Standing { host_down: Some("x".into()), ..standing("MAINT", false) });
        let answers = |port, uri| async move { (port, uri) == (1, "/status".to_owned()) };
        let limit = Duration::from_secs(1);
        let up = reached(&order(Direction::Up), limit, down, answers).await.unwrap();
        assert_eq!(up, Ok(()));
        let in_service = async || Ok(standing("MAINT", false));
        let not = reached(&order(Direction::Up), limit, in_service, answers).await.unwrap();
        assert!(not.is_err(), "it has to be in HAProxy then");
    }

    #[tokio::test(start_paused = true)]
    async fn what_haproxy_does_not_know_is_not_waited_for() {
        let unknown = async || Ok(Standing { known: false, ..standing("MAINT", false) });
        let never = |_, _| async { false };
        let limit = Duration::from_secs(300);
        let found = reached(&order(Direction::Down), limit, unknown, never).await.unwrap();
        assert_eq!(found.unwrap_err(), "HAProxy has no backend of this name");
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_away_for_a_moment_ends_nothing() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            if looks.get() < 3 { bail!("cannot reach the agent") } else { Ok(standing("UP", true)) }
        };
        let never = |_, _| async { false };
        let found = reached(&order(Direction::Up), Duration::from_secs(9), look, never).await;
        assert_eq!(found.unwrap(), Ok(()));
    }
}
