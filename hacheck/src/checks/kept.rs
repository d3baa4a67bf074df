//! Connections to services that allow them to be used again.
//!
//! Only a service that says so in its answer (`Connection: keep-alive` or `Keep-Alive`) has its
//! connection kept: one that serves a connection at a time and merely does not close it would serve
//! nobody else meanwhile. A connection is closed after [`AT_MOST`] however busy it is, because a
//! check over an old connection does not show that the service still accepts new ones.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use hyper::header::{self, HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::time::{self, Instant};

/// How old a connection may become.
const AT_MOST: Duration = Duration::from_secs(10);
/// How long one is kept without use if the service does not say.
const IDLE: Duration = Duration::from_secs(5);
/// The service may close a little earlier than it says, and our request takes its time.
const MARGIN: Duration = Duration::from_secs(1);
/// How often connections that nobody used in time are closed.
const SWEEP: Duration = Duration::from_secs(1);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Whether a connection that rests has neither ended nor said anything.
pub(super) trait Rests {
    fn rests(&self) -> bool;
}

/// The connections of one kind that rest, at most one for each address.
#[derive(Debug)]
pub(super) struct Kept<S> {
    limit: usize,
    state: Mutex<State<S>>,
}

#[derive(Debug)]
struct State<S> {
    resting: HashMap<SocketAddr, Resting<S>>,
    swept: bool,
}

#[derive(Debug)]
struct Resting<S> {
    connection: Connection<S>,
    until: Instant,
}

/// An open connection and its age.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stream: S,
    pub(super) opened: Instant,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, opened: Instant::now() }
    }
}

impl<S: Rests + Send + 'static> Kept<S> {
    /// Keeps up to `limit` connections; with 0 none.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let state = State { resting: HashMap::new(), swept: false };
        Arc::new(Self { limit, state: Mutex::new(state) })
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.limit > 0
    }

    /// How many rest.
    pub(super) fn len(&self) -> usize {
        self.state.lock().resting.len()
    }

    /// The connection to `address` that rests, if it still does.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Connection<S>> {
        let resting = self.state.lock().resting.remove(&address)?;
        let usable = resting.until > Instant::now() && resting.connection.stream.rests();
        usable.then_some(resting.connection)
    }

    /// Keeps a connection for as long as is `allowed`.
    pub(super) fn keep(
        self: &Arc<Self>,
        address: SocketAddr,
        connection: Connection<S>,
        allowed: Duration,
    ) {
        let until = (Instant::now() + allowed).min(connection.opened + AT_MOST);
        let mut state = self.state.lock();
        if state.resting.len() < self.limit || state.resting.contains_key(&address) {
            state.resting.insert(address, Resting { connection, until });
            if !std::mem::replace(&mut state.swept, true) {
                tokio::spawn(sweep(Arc::clone(self)));
            }
        }
    }
}

/// Closes what nobody used in time; ends when nothing rests.
async fn sweep<S>(kept: Arc<Kept<S>>) {
    loop {
        time::sleep(SWEEP).await;
        let mut state = kept.state.lock();
        let now = Instant::now();
        state.resting.retain(|_, resting| resting.until > now);
        if state.resting.is_empty() {
            state.swept = false;
            return;
        }
    }
}

/// How long the service lets a connection rest, by the head of its answer; `None`: not at all.
pub(super) fn allowed(answer: &HeaderMap) -> Option<Duration> {
    let says = |name: &HeaderName, word: &str| {
        let values = answer.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    if says(&header::CONNECTION, "close") {
        return None;
    }
    let Some(terms) = answer.get(KEEP_ALIVE) else {
        return says(&header::CONNECTION, "keep-alive").then_some(IDLE);
    };
    let seconds = terms.to_str().ok().and_then(|terms| {
        let timeout = |term: &str| term.trim().strip_prefix("timeout=")?.trim().parse().ok();
        terms.split(',').find_map(timeout)
    });
    let allowed = seconds.map_or(IDLE, |seconds: u32| Duration::from_secs(seconds.into()));
    let allowed = allowed.checked_sub(MARGIN)?;
    (!allowed.is_zero()).then_some(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    impl Rests for bool {
        fn rests(&self) -> bool {
            *self
        }
    }

    fn head(lines: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| Some((name.parse().ok()?, value.parse().ok()?));
        lines.iter().map(|line| header(line).unwrap()).collect()
    }

    #[test]
    fn only_a_service_that_says_so_has_its_connection_kept() {
        type Lines<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Lines<'_>, Option<u64>); 10] = [
            (&[], None),
            (&[("connection", "keep-alive")], Some(5)),
            (&[("connection", "Foo, Keep-Alive")], Some(5)),
            (&[("connection", "close"), ("keep-alive", "timeout=5")], None),
            (&[("keep-alive", "timeout=60, max=100")], Some(59)),
            (&[("keep-alive", "max=100, timeout=3")], Some(2)),
            (&[("keep-alive", "timeout=1")], None),
            (&[("keep-alive", "timeout=0")], None),
            (&[("keep-alive", "timeout=soon")], Some(4)),
            (&[("keep-alive", "")], Some(4)),
        ];
        for (lines, seconds) in cases {
            assert_eq!(allowed(&head(lines)), seconds.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_used_again_until_it_is_too_old() {
        let kept = Kept::new(2);
        let address = "127.0.0.1:80".parse().unwrap();
        kept.keep(address, Connection::new(true), MINUTE);
        for _ in 0..9 {
            time::advance(Duration::from_secs(1)).await;
            let connection = kept.take(address).expect("it rests");
            assert!(kept.take(address).is_none(), "it is in use");
            kept.keep(address, connection, MINUTE);
        }
        time::sleep(Duration::from_secs(3)).await;
        assert_eq!(kept.len(), 0, "closed though nobody asked");
        assert!(!kept.state.lock().swept, "and nobody sweeps for nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ended_while_it_rested_is_not_used_and_their_number_is_bounded() {
        let kept = Kept::new(2);
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        kept.keep(address(1), Connection::new(false), MINUTE);
        assert!(kept.take(address(1)).is_none());
        for port in 1..=3 {
            kept.keep(address(port), Connection::new(true), MINUTE);
        }
        assert_eq!(kept.len(), 2);
        assert!(kept.take(address(3)).is_none());
        kept.keep(address(2), Connection::new(true), MINUTE);
        assert_eq!(kept.len(), 2, "a newer one takes the place of its own");
    }
}
