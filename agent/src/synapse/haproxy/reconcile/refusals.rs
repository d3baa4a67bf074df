//! Tells in the log what of the catalog is refused: once when it appears, and when it is over.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::super::model::Refused;

pub(super) fn tell(before: &[Refused], now: &[Refused]) {
    let Changes { appeared, over } = changes(before, now);
    for Refused { what, reason } in appeared {
        warn!(what, reason, "haproxy is not given this");
    }
    for what in over {
        info!(what, "no longer refused");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Changes<'a> {
    /// New, or for another reason than before.
    appeared: Vec<&'a Refused>,
    /// What is not refused any more, for no reason.
    over: BTreeSet<&'a str>,
}

fn changes<'a>(before: &'a [Refused], now: &'a [Refused]) -> Changes<'a> {
    let told: BTreeSet<_> = before.iter().collect();
    let names = |refused: &'a [Refused]| -> BTreeSet<&str> {
        refused.iter().map(|refused| refused.what.as_str()).collect()
    };
    Changes {
        appeared: now.iter().filter(|refused| !told.contains(refused)).collect(),
        over: names(before).difference(&names(now)).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(what: &str, reason: &str) -> Refused {
        Refused { what: what.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn a_refusal_is_told_once_and_again_when_its_reason_changes_or_it_is_over() {
        let [port, header] = [refused("a.main", "port"), refused("a.main", "header")];
        let other = refused("b.main", "port");
        let told = |before: &[Refused], now: &[Refused]| {
            let Changes { appeared, over } = changes(before, now);
            let appeared: Vec<_> = appeared.into_iter().map(|r| r.reason.clone()).collect();
            (appeared.join(" "), over.into_iter().collect::<Vec<_>>().join(" "))
        };
        let expect = |appeared: &str, over: &str| (appeared.to_owned(), over.to_owned());
        assert_eq!(told(&[], std::slice::from_ref(&port)), expect("port", ""));
        let same = [port.clone(), other.clone()];
        assert_eq!(told(&same, &[other.clone(), port.clone()]), expect("", ""));
        assert_eq!(told(std::slice::from_ref(&port), &[header]), expect("header", ""));
        assert_eq!(told(&[port, other.clone()], &[other]), expect("", "a.main"));
    }
}
