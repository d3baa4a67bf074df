//! What hacheck says about a mark, taken apart (hacheck.md §14.1).

use super::http::Reply;

/// Bytes of an answer that an error shows.
const SHOWN: usize = 200;

/// Whether a registration of a task is held down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Nobody holds it down.
    Up,
    /// Somebody does, since this Unix time; `None` if hacheck does not know since when.
    Down {
        /// Seconds since 1970.
        since: Option<f64>,
    },
}

/// An answer that does not say what hacheck says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hacheck answers {status} with something that is no state of a service: {shown:?}")]
pub struct Unreadable {
    status: u16,
    shown: String,
}

impl State {
    /// Reads the answer to `GET /spool/…`: 200 is up, else the body says it.
    pub(super) fn read(reply: &Reply) -> Result<Self, Unreadable> {
        if reply.status == 200 {
            return Ok(Self::Up);
        }
        let text = std::str::from_utf8(&reply.body).ok();
        text.and_then(parse).ok_or_else(|| Unreadable::of(reply))
    }
}

impl Unreadable {
    fn of(reply: &Reply) -> Self {
        Self { status: reply.status, shown: shown(&reply.body) }
    }
}

/// The beginning of a body, for an error.
pub(super) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body)).into_owned()
}

/// `Service NAME in STATE state[ since [0-9.]+][ until [0-9.]+][: REASON]`, and nothing else.
///
/// Name and state are single words here. PaaSTA's own expression takes as much as it can for the
/// name, so that the words ` in up state` in a reason make a service that is down look up.
fn parse(text: &str) -> Option<State> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.contains('\n') {
        return None;
    }
    let (name, rest) = line.strip_prefix("Service ")?.split_once(' ')?;
    let (state, rest) = rest.strip_prefix("in ")?.split_once(' ')?;
    let rest = rest.strip_prefix("state")?;
    let (since, rest) = time(rest, " since ")?;
    let (_until, rest) = time(rest, " until ")?;
    let complete = rest.is_empty() || rest.starts_with(": ");
    if name.is_empty() || state.is_empty() || !complete {
        return None;
    }
    Some(if state == "up" { State::Up } else { State::Down { since } })
}

/// The time after `word`, if that is what `rest` begins with, and what follows.
fn time<'a>(rest: &'a str, word: &str) -> Option<(Option<f64>, &'a str)> {
    let Some(digits) = rest.strip_prefix(word) else { return Some((None, rest)) };
    let after = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let seconds: f64 = digits[..digits.len() - after.len()].parse().ok()?;
    seconds.is_finite().then_some((Some(seconds), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::marks::{Mark, UnixTime};

    fn read(status: u16, body: &[u8]) -> Option<State> {
        State::read(&Reply { status, body: body.to_vec().into() }).ok()
    }

    fn down(since: f64) -> Option<State> {
        Some(State::Down { since: Some(since) })
    }

    const UNKNOWN: Option<State> = Some(State::Down { since: None });

    #[test]
    fn an_answer_is_read_as_paasta_reads_it() {
        let cases: [(u16, &str, Option<State>); 12] = [
            (200, "", Some(State::Up)),
            (200, "whatever", Some(State::Up)),
            (503, "Service a.b in down state", UNKNOWN),
            (503, "Service a.b in down state\n", UNKNOWN),
            (503, "Service all in down state: kernel upgrade", UNKNOWN),
            (503, "Service a.b in down state: ", UNKNOWN),
            (503, "Service a.b in down state since 7.500000", down(7.5)),
            (503, "Service a.b in down state since 7 until 9.25: Drained by Paasta", down(7.0)),
            (503, "Service a.b in down state until 9.25: why: not", UNKNOWN),
            (404, "Service a.b in down state since .5", down(0.5)),
            (503, "Service a.b in up state", Some(State::Up)),
            (503, "Service a.b in down state: Service c in up state", UNKNOWN),
        ];
        for (status, body, expected) in cases {
            assert_eq!(read(status, body.as_bytes()), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        let large = format!("Service a in down state since {}", "9".repeat(400));
        let cases = [
            "",
            "<html><title>404: Not Found</title><body>404: Not Found</body></html>",
            "Service a.b in down state since inf",
            "Service a.b in down state since -1.0",
            "Service a.b in down state since 1e9",
            "Service a.b in down state since 1.2.3",
            "Service a.b in down state since .",
            "Service a.b in down state since ",
            "Service a.b in down state until 2 since 1",
            "Service a.b in down state since 7 and more",
            "Service a.b in down state:no blank",
            "Service a.b in down state: two\nlines",
            "Service a.b in down state\n\n",
            " Service a.b in down state",
            "Service  in down state",
            "Service a.b in  state",
            "service a.b in down state",
            &large,
        ];
        for body in cases {
            assert_eq!(read(503, body.as_bytes()), None, "{body:?}");
        }
        assert_eq!(read(503, b"Service a.b in down state: \xff"), None);
        let page = Reply { status: 502, body: vec![b'x'; 5000].into() };
        assert!(State::read(&page).unwrap_err().to_string().len() < 400);
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(body in prop::collection::vec(any::<u8>(), 0..200)) {
            read(503, &body);
        }

        #[test]
        fn every_mark_that_we_serve_is_down_for_our_client(
            reason in any::<String>(),
            creation in prop::option::of(0.0..1e12),
            expiration in prop::option::of(any::<f64>()),
        ) {
            let time = |seconds: Option<f64>| seconds.and_then(UnixTime::new);
            let key = "svc.main:80".parse().unwrap();
            let (creation, expiration) = (time(creation), time(expiration));
            let text = Mark { key, reason, expiration, creation }.text();
            let Some(State::Down { since }) = read(503, text.as_bytes()) else {
                return Err(TestCaseError::fail(text));
            };
            let near = match (since, creation) {
                (Some(since), Some(creation)) => (since - creation.seconds()).abs() < 1e-3,
                (since, creation) => since.is_none() && creation.is_none(),
            };
            prop_assert!(near, "{} {:?}", text, creation);
        }
    }
}
