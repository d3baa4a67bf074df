//! One mark, and the text that answers for it.

use std::fmt::Write as _;

use super::{MarkKey, UnixTime};

/// Someone's word that a host, service or instance is down.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// What is down.
    pub key: MarkKey,
    /// Why; free text of whoever set it, possibly empty or of several lines.
    pub reason: String,
    /// When it ends by itself; without it somebody has to remove the mark.
    pub expiration: Option<UnixTime>,
    /// Since when it is down; unknown for a file that a person wrote by hand.
    pub creation: Option<UnixTime>,
}

/// What a mark file says, whatever its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) reason: String,
    pub(crate) expiration: Option<UnixTime>,
    pub(crate) creation: Option<UnixTime>,
}

/// The wish to hold something down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// Why. Cut to [`Wish::MAX_REASON`] bytes, so that the file stays readable by its size.
    pub reason: String,
    /// When the mark ends by itself; `None`: never.
    pub expiration: Option<UnixTime>,
    /// Since when; `None`: since the mark it renews, or now.
    pub creation: Option<UnixTime>,
}

impl Wish {
    /// Longest reason in bytes. HAProxy reads no more than the first 16 kB of an answer.
    pub const MAX_REASON: usize = 4096;

    /// The mark that carries out this wish where `present` is.
    #[must_use]
    pub fn over(self, present: Option<&Mark>, key: MarkKey, now: UnixTime) -> Mark {
        Mark::of(key, self.renewing(present.map(Mark::content).as_ref(), now))
    }

    /// What the file is to say where `present` stands in it.
    ///
    /// A mark that is renewed for the identical reason keeps its creation: PaaSTA renews marks in
    /// every run and kills the task only when the mark is old enough (hacheck.md §9, §14.1).
    pub(crate) fn renewing(mut self, present: Option<&Content>, now: UnixTime) -> Content {
        self.reason.truncate(self.reason.floor_char_boundary(Self::MAX_REASON));
        let renewed = present.filter(|mark| !mark.is_expired(now) && mark.reason == self.reason);
        let kept = renewed.and_then(|mark| mark.creation);
        let creation = self.creation.or(kept).or(Some(now));
        Content { reason: self.reason, expiration: self.expiration, creation }
    }
}

impl Content {
    /// Whether the mark is void; at the very moment of its expiration it still holds.
    pub(crate) fn is_expired(&self, now: UnixTime) -> bool {
        self.expiration.is_some_and(|expiration| expiration < now)
    }
}

impl Mark {
    pub(super) fn of(key: MarkKey, content: Content) -> Self {
        let Content { reason, expiration, creation } = content;
        Self { key, reason, expiration, creation }
    }

    pub(super) fn content(&self) -> Content {
        let Self { reason, expiration, creation, .. } = self;
        Content { reason: reason.clone(), expiration: *expiration, creation: *creation }
    }

    /// Whether the mark is void; at the very moment of its expiration it still holds.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expiration.is_some_and(|expiration| expiration < now)
    }

    /// The body of the 503: `Service SVC in down state since CREATION until EXPIRATION: REASON`.
    ///
    /// PaaSTA kills a task at once if it cannot parse this text, so it is one line, and a time that
    /// cannot be written in digits is left out (hacheck.md §9, §14.1).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("Service {} in down state", self.key.shown());
        for (word, time) in [("since", self.creation), ("until", self.expiration)] {
            if let Some(seconds) = time.map(UnixTime::seconds).filter(|s| s.is_sign_positive()) {
                // Writing to a `String` does not fail.
                let _ = write!(text, " {word} {seconds:.6}");
            }
        }
        let reason = self.reason.replace(breaks_the_line, " ");
        if !reason.trim_end().is_empty() {
            text.push_str(": ");
            text.push_str(reason.trim_end());
        }
        text
    }
}

fn breaks_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(name: &str, reason: &str, creation: Option<f64>, expiration: Option<f64>) -> Mark {
        let time = |seconds: Option<f64>| seconds.and_then(UnixTime::new);
        Mark {
            key: name.parse().unwrap(),
            reason: reason.into(),
            creation: time(creation),
            expiration: time(expiration),
        }
    }

    /// A hand-written reading of the grammar in hacheck.md §14.1:
    /// `Service NAME in STATE state[ since [0-9.]+][ until [0-9.]+][: REASON]`.
    pub(in crate::marks) fn parses(text: &str) -> bool {
        fn time<'a>(rest: &'a str, word: &str) -> Option<&'a str> {
            let Some(digits) = rest.strip_prefix(word) else { return Some(rest) };
            let after = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            (after.len() < digits.len()).then_some(after)
        }
        let after_name = text.strip_prefix("Service ").and_then(|rest| rest.split_once(" in "));
        let Some((name, rest)) = after_name else { return false };
        let rest = rest.strip_prefix("down state").and_then(|rest| time(rest, " since "));
        let Some(rest) = rest.and_then(|rest| time(rest, " until ")) else { return false };
        let reason = rest.is_empty() || rest.starts_with(": ");
        !name.is_empty() && reason && !text.contains('\n')
    }

    #[test]
    fn the_text_is_the_one_that_paasta_reads() {
        let (since, until) = (Some(1_571_234_000.123_456), Some(1_571_234_567.25));
        let cases = [
            (mark("svc.main", "", None, None), "Service svc.main in down state"),
            (
                mark("svc.main:1", "plain text reason", None, None),
                "Service svc.main in down state: plain text reason",
            ),
            (
                mark("all", "kernel upgrade", since, None),
                "Service all in down state since 1571234000.123456: kernel upgrade",
            ),
            (
                mark("svc.main:10.1.2.3:80", "Drained by Paasta", since, until),
                "Service svc.main in down state since 1571234000.123456 until 1571234567.250000: \
                 Drained by Paasta",
            ),
            (mark("svc", "why\r\nnot\n", Some(-1.0), None), "Service svc in down state: why  not"),
            (mark("svc", "\n", Some(-0.0), None), "Service svc in down state"),
        ];
        for (mark, text) in cases {
            assert_eq!(mark.text(), text);
            assert!(parses(text), "{text}");
        }
        assert!(!parses("Service svc in down state since -1.0"));
        assert!(!parses("Service svc in down state since inf: x"));
        assert!(!parses("Service svc in down state until 1 since 2"));
    }

    #[test]
    fn a_mark_holds_up_to_its_expiration() {
        let now = |seconds: f64| UnixTime::new(seconds).unwrap();
        let mark = mark("svc", "", None, Some(100.0));
        assert!(!mark.is_expired(now(99.0)));
        assert!(!mark.is_expired(now(100.0)));
        assert!(mark.is_expired(now(100.000_001)));
    }

    #[test]
    fn only_a_renewal_for_the_same_reason_keeps_the_creation() {
        let now = UnixTime::new(50.0).unwrap();
        let old = mark("svc", "drain", Some(10.0), Some(60.0));
        let expired = mark("svc", "drain", Some(10.0), Some(40.0));
        let unknown = mark("svc", "drain", None, None);
        let cases = [
            (None, "drain", None, 50.0),
            (Some(&old), "drain", None, 10.0),
            (Some(&old), "other", None, 50.0),
            (Some(&old), "drain", Some(20.0), 20.0),
            (Some(&expired), "drain", None, 50.0),
            (Some(&unknown), "drain", None, 50.0),
        ];
        for (present, reason, creation, expected) in cases {
            let creation = creation.and_then(UnixTime::new);
            let wish = Wish { reason: reason.into(), expiration: None, creation };
            let mark = wish.over(present, MarkKey::All, now);
            assert_eq!(mark.creation, UnixTime::new(expected), "{present:?} {reason} {creation:?}");
            assert_eq!(mark.expiration, None);
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters_and_still_renews() {
        let wish = || Wish { reason: "\u{20ac}".repeat(2000), ..Wish::default() };
        let first = wish().over(None, MarkKey::All, UnixTime::new(10.0).unwrap());
        assert_eq!(first.reason.len(), 4095);
        let second = wish().over(Some(&first), MarkKey::All, UnixTime::new(20.0).unwrap());
        assert_eq!(second.creation, UnixTime::new(10.0));
    }

    proptest! {
        #[test]
        fn every_mark_has_a_text_in_the_grammar(
            reason in any::<String>(),
            creation in prop::option::of(any::<f64>()),
            expiration in prop::option::of(any::<f64>()),
        ) {
            let text = mark("svc.main", &reason, creation, expiration).text();
            prop_assert!(parses(&text), "{}", text);
        }
    }
}
