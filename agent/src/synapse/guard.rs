//! Blindness is not emptiness: a sudden loss is believed only when it is seen twice (design
//! invariant 1).
//!
//! Pure. The registry's listing of a namespace goes through [`judge`] before the catalog takes it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use soa_configs::{NamespaceConfig, smartstack::Share};

use crate::registry::{Listing, Record, SeenRecord};

/// What counts as sudden, and how long a loss must last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// A share of servers lost at once above this is doubted. Default 0.5.
    pub share: f64,
    /// A doubted loss is believed when another read at least this much later shows it too.
    /// Default 1 s.
    pub hold: Duration,
    /// The same when the registry itself may have lost something: the loss was read in another session
    /// than the servers, or it is a [panic](Self::panic). Hosts need this long to register again.
    /// Default 30 s.
    pub long_hold: Duration,
    /// So many namespaces at once, as a share of those with servers and at least two, cannot all mean
    /// it. Default 0.5.
    pub panic: f64,
    /// `use_previous_backends`, unless there are `default_servers`: a loss of everything is never
    /// believed.
    pub keeps_last: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            share: 0.5,
            hold: Duration::from_secs(1),
            long_hold: Duration::from_secs(30),
            panic: 0.5,
            keeps_last: false,
        }
    }
}

impl Policy {
    /// With what a namespace says of itself.
    #[must_use]
    pub fn of(self, config: &NamespaceConfig) -> Self {
        Self {
            share: config.guard.share.map_or(self.share, Share::value),
            hold: config.guard.hold.unwrap_or(self.hold),
            keeps_last: config.use_previous_backends && config.default_servers.is_empty(),
            ..self
        }
    }

    /// Whether so many of the namespaces with servers have lost theirs that none is believed.
    #[must_use]
    pub fn is_panic(&self, doubted: usize, namespaces: usize) -> bool {
        doubted >= 2 && doubted as f64 > self.panic * namespaces as f64
    }

    /// In a panic.
    #[must_use]
    pub fn panicking(self) -> Self {
        Self { hold: self.hold.max(self.long_hold), ..self }
    }
}

/// A loss that waits for its second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The read that showed the loss first.
    pub generation: u64,
    /// How long ago that was.
    pub age: Duration,
}

/// What to do with a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Believe,
    /// Keep the servers of before, at least until the doubt is `hold` old. With `reread`, ask the
    /// registry to look again now.
    Hold {
        reread: bool,
        hold: Duration,
    },
    /// Keep the servers of before, whatever else is read.
    Keep,
}

/// Judges `seen` against the listing that is `accepted` now.
///
/// Only records that are `near`, of the place this host uses, count. `departing` knows the servers of
/// this host that are on their way out: that they go is no surprise.
#[must_use]
pub fn judge(
    policy: Policy,
    accepted: Option<&Listing>,
    seen: &Listing,
    doubt: Option<&Doubt>,
    near: impl Fn(&SeenRecord) -> bool,
    departing: impl Fn(&Record) -> bool,
) -> Judgement {
    let Some(accepted) = accepted else { return Judgement::Believe };
    let stay = accepted.records.iter().filter(|seen| near(seen) && !departing(&seen.record));
    let before: BTreeSet<_> = stay.map(|seen| server(&seen.record)).collect();
    let now: BTreeSet<_> =
        seen.records.iter().filter(|seen| near(seen)).map(|seen| server(&seen.record)).collect();
    if !is_sudden_loss(policy.share, &before, &now) {
        return Judgement::Believe;
    }
    if policy.keeps_last && now.is_empty() {
        return Judgement::Keep;
    }
    let other_session = accepted.session != seen.session;
    let hold = if other_session { policy.hold.max(policy.long_hold) } else { policy.hold };
    match doubt {
        None => Judgement::Hold { reread: false, hold },
        Some(doubt) if doubt.age < hold => Judgement::Hold { reread: false, hold },
        Some(doubt) if seen.generation > doubt.generation => Judgement::Believe,
        Some(_) => Judgement::Hold { reread: true, hold },
    }
}

fn is_sudden_loss(share: f64, before: &BTreeSet<Server<'_>>, now: &BTreeSet<Server<'_>>) -> bool {
    if before.is_subset(now) {
        return false;
    }
    // Replacements count: a bounce that swaps all servers for as many new ones is no loss.
    let shrunk_by = before.len().saturating_sub(now.len());
    now.is_empty() || shrunk_by as f64 > share * before.len() as f64
}

type Server<'a> = (IpAddr, u16, &'a str);

/// Two records with the same host, port and name are one server (synapse.md §3).
fn server(record: &Record) -> Server<'_> {
    (record.host, record.port, &record.name)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use soa_configs::smartstack::Guard;

    use super::*;

    fn everywhere(_: &SeenRecord) -> bool {
        true
    }

    fn hold(reread: bool, seconds: u64) -> Judgement {
        Judgement::Hold { reread, hold: Duration::from_secs(seconds) }
    }

    fn nobody(_: &Record) -> bool {
        false
    }

    fn listing(generation: u64, ports: impl IntoIterator<Item = u16>) -> Listing {
        let record = |port| {
            let record = Record {
                host: [10, 0, 0, 1].into(),
                port,
                name: "host".to_owned(),
                weight: None,
                haproxy_server_options: None,
                labels: None,
            };
            SeenRecord::new(format!("host_{port:010}"), record)
        };
        let records = Arc::new(ports.into_iter().map(record).collect());
        Listing {
            records,
            refused: Vec::new(),
            generation,
            session: 1,
            read_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn growth_small_losses_and_replacements_are_believed_at_once() {
        let policy = Policy::default();
        let ten = listing(1, 1..=10);
        assert_eq!(
            judge(policy, None, &listing(1, []), None, everywhere, nobody),
            Judgement::Believe
        );
        for ports in [1..=12, 1..=10, 1..=9, 1..=5, 21..=30] {
            assert_eq!(
                judge(policy, Some(&ten), &listing(2, ports), None, everywhere, nobody),
                Judgement::Believe
            );
        }
    }

    #[test]
    fn a_sudden_loss_is_believed_only_by_a_second_read_after_the_hold() {
        let policy = Policy::default();
        let ten = listing(1, 1..=10);
        let doubt = |generation, ms| Doubt { generation, age: Duration::from_millis(ms) };
        for ports in [vec![], vec![1], (1..=4).collect()] {
            let judge = |seen, doubt: Option<Doubt>| {
                judge(
                    policy,
                    Some(&ten),
                    &listing(seen, ports.clone()),
                    doubt.as_ref(),
                    everywhere,
                    nobody,
                )
            };
            assert_eq!(judge(2, None), hold(false, 1));
            assert_eq!(judge(3, Some(doubt(2, 10))), hold(false, 1));
            assert_eq!(judge(2, Some(doubt(2, 1000))), hold(true, 1));
            assert_eq!(judge(3, Some(doubt(2, 1000))), Judgement::Believe);
        }
    }

    #[test]
    fn the_last_server_of_a_pool_of_one_is_a_drop_to_nothing_too() {
        let one = listing(1, [1]);
        assert_eq!(
            judge(Policy::default(), Some(&one), &listing(2, []), None, everywhere, nobody),
            hold(false, 1)
        );
    }

    #[test]
    fn the_loss_of_all_that_is_near_is_sudden_however_much_is_left_elsewhere() {
        let near = |seen: &SeenRecord| seen.record.port < 3;
        let judge = |ports| {
            judge(
                Policy::default(),
                Some(&listing(1, 1..=10)),
                &listing(2, ports),
                None,
                near,
                nobody,
            )
        };
        assert_eq!(judge(3..=10), hold(false, 1));
        assert_eq!(judge(1..=2), Judgement::Believe);
    }

    #[test]
    fn a_loss_that_this_host_caused_is_no_surprise() {
        let two = listing(1, [1, 2]);
        let judge = |gone: u16| {
            judge(Policy::default(), Some(&two), &listing(2, []), None, everywhere, |r| {
                r.port <= gone
            })
        };
        assert_eq!(judge(2), Judgement::Believe);
        assert_eq!(judge(1), hold(false, 1));
    }

    #[test]
    fn a_loss_in_another_session_is_held_for_longer() {
        let ten = listing(1, 1..=10);
        let elsewhere = |generation, ports: &[u16]| Listing {
            session: 2,
            ..listing(generation, ports.iter().copied())
        };
        let judge = |seen: &Listing, age| {
            let doubt = Doubt { generation: 2, age: Duration::from_secs(age) };
            judge(Policy::default(), Some(&ten), seen, Some(&doubt), everywhere, nobody)
        };
        assert_eq!(judge(&elsewhere(3, &[]), 29), hold(false, 30));
        assert_eq!(judge(&elsewhere(2, &[1]), 30), hold(true, 30));
        assert_eq!(judge(&elsewhere(3, &[]), 30), Judgement::Believe);
        assert_eq!(judge(&elsewhere(3, &[1, 2, 3, 4, 5, 6]), 0), Judgement::Believe);
    }

    #[test]
    fn many_namespaces_at_once_are_a_panic_and_two_at_least() {
        let policy = Policy::default();
        for (doubted, namespaces, panic) in
            [(0, 0, false), (1, 1, false), (2, 2, true), (5, 10, false), (6, 10, true)]
        {
            assert_eq!(policy.is_panic(doubted, namespaces), panic, "{doubted} of {namespaces}");
        }
        assert_eq!(policy.panicking().hold, policy.long_hold);
    }

    #[test]
    fn a_namespace_may_say_for_itself_what_is_sudden_and_that_the_last_servers_stay() {
        let policy = Policy::default();
        let config = NamespaceConfig { use_previous_backends: true, ..NamespaceConfig::default() };
        let judge = |policy, ports: &[u16]| {
            let seen = listing(9, ports.iter().copied());
            let doubt = Doubt { generation: 1, age: Duration::from_secs(3600) };
            judge(policy, Some(&listing(1, 1..=10)), &seen, Some(&doubt), everywhere, nobody)
        };
        assert_eq!(judge(policy.of(&config), &[]), Judgement::Keep);
        assert_eq!(judge(policy.of(&config), &[1]), Judgement::Believe);
        let guard = Guard { share: Share::of_thousand(950), hold: None };
        let config = NamespaceConfig { guard, ..NamespaceConfig::default() };
        assert_eq!(policy.of(&config).share, 0.95);
    }
}
