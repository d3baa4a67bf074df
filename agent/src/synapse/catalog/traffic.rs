//! How requests are divided among servers: canaries, and the wider place that helps a near one.

use soa_configs::smartstack::{Canary, Joined, Share, Spillover};

use super::pool::{Reach, Server};
use crate::registry::Record;

/// HAProxy's largest weight.
const LARGEST: f64 = 256.0;

pub(super) fn is_canary(canary: &Canary, record: &Record) -> bool {
    let label = record.labels.as_ref().and_then(|labels| labels.get(&canary.label));
    label.is_some_and(|label| canary.value.as_ref().is_none_or(|value| value == label))
}

/// Gives the servers of a group together this share of the requests, by weights as fine as HAProxy has
/// them. Weights stay as they are when either side has nobody who takes requests.
pub(super) fn divide(servers: &mut [Server], share: Share, is_in: impl Fn(&Server) -> bool) {
    let takes = |server: &&Server| !server.leaving && !server.backup;
    let (group, rest): (Vec<_>, Vec<_>) = servers.iter().filter(takes).partition(|s| is_in(s));
    let (group, rest) = (group.len() as f64, rest.len() as f64);
    if group == 0.0 || rest == 0.0 {
        return;
    }
    let share = share.value();
    // Of one server in the group to one of the rest.
    let ratio = share * rest / ((1.0 - share) * group);
    let (inside, outside) =
        if ratio <= 1.0 { (LARGEST * ratio, LARGEST) } else { (LARGEST, LARGEST / ratio) };
    // A share that is asked for is never rounded to nothing.
    let weight = |exact: f64, part: f64| {
        if part <= 0.0 { 0 } else { whole(exact).clamp(1, 256) }
    };
    let (inside, outside) = (weight(inside, share), weight(outside, 1.0 - share));
    for server in servers {
        server.weight = Some(if is_in(server) { inside } else { outside });
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 256")]
fn whole(weight: f64) -> u16 {
    weight.round().clamp(0.0, LARGEST) as u16
}

/// Lets the servers of the next wider place join where clients look first, if too few are left there;
/// once joined (`spilled`), until there are enough. Returns whether they have joined.
pub(super) fn spill(reaches: &mut [Reach], spillover: Spillover, spilled: bool) -> bool {
    let Some(at) = reaches.iter().position(|reach| reach.is_discovered) else { return false };
    let (near, wider) = reaches.split_at_mut(at + 1);
    let (Some(near), Some(wider)) = (near.last_mut(), wider.first()) else { return false };
    let enough = usize::from(if spilled { spillover.until } else { spillover.below });
    let takes = |server: &&Server| !server.leaving && !server.backup;
    if near.servers.iter().filter(takes).count() >= enough {
        return false;
    }
    let is_near = |server: &Server| near.servers.iter().any(|near| near.name == server.name);
    let mut joined: Vec<_> = wider.servers.iter().filter(|s| !is_near(s)).cloned().collect();
    if spillover.joined == Joined::Backup {
        joined.iter_mut().for_each(|server| server.backup = true);
    }
    let names: Vec<_> = joined.iter().map(|server| server.name.clone()).collect();
    near.servers.append(&mut joined);
    near.servers.sort_by(|a, b| a.name.cmp(&b.name));
    if let Joined::Weighted(share) = spillover.joined {
        divide(&mut near.servers, share, |server| names.contains(&server.name));
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(place: &str, port: u16) -> Server {
        let address = ([10, 0, 0, 1], port).into();
        Server {
            name: format!("{place}_{address}"),
            address,
            weight: None,
            backup: false,
            leaving: false,
        }
    }

    fn servers(place: &str, count: u16) -> Vec<Server> {
        (1..=count).map(|port| server(place, port)).collect()
    }

    fn share(part: u16) -> Share {
        Share::of_thousand(part).unwrap()
    }

    fn reaches(near: u16, wider: u16) -> Vec<Reach> {
        let reach = |place: &str, is_discovered, servers| Reach {
            place: place.parse().unwrap(),
            is_discovered,
            servers,
        };
        // Who is near is in the wider place as well.
        let all = [servers("near", near), servers("far", wider)].concat();
        vec![
            reach("zone:z", false, vec![]),
            reach("habitat:h", true, servers("near", near)),
            reach("region:r", false, all),
        ]
    }

    #[test]
    fn a_wider_place_joins_below_the_threshold_and_leaves_only_when_there_are_enough() {
        let spillover = Spillover { below: 2, until: 4, joined: Joined::Backup };
        let after = |near, spilled| {
            let mut reaches = reaches(near, 3);
            let spilled = spill(&mut reaches, spillover, spilled);
            let backups = reaches[1].servers.iter().filter(|server| server.backup).count();
            (spilled, reaches[1].servers.len(), backups)
        };
        assert_eq!(after(2, false), (false, 2, 0));
        assert_eq!(after(1, false), (true, 4, 3));
        assert_eq!(after(3, true), (true, 6, 3));
        assert_eq!(after(4, true), (false, 4, 0));
        assert_eq!(after(3, false), (false, 3, 0));
        assert!(!spill(&mut reaches(0, 3)[..2], spillover, true), "there is no wider place");
    }

    #[test]
    fn those_who_join_by_weight_get_their_share() {
        let joined = Joined::Weighted(share(250));
        let mut reaches = reaches(1, 3);
        assert!(spill(&mut reaches, Spillover { below: 2, until: 2, joined }, false));
        let weights = |place: &str| -> Vec<_> {
            let of = reaches[1].servers.iter().filter(|server| server.name.starts_with(place));
            of.map(|server| server.weight).collect()
        };
        assert_eq!((weights("near"), weights("far")), (vec![Some(256)], vec![Some(28); 3]));
    }

    #[test]
    fn canaries_are_known_by_their_label() {
        let record = |labels: &str| {
            let payload = format!(r#"{{"host":"10.0.0.1","port":1,"name":"h","labels":{labels}}}"#);
            Record::decode(payload.as_bytes()).unwrap()
        };
        let canary = |value: Option<&str>| Canary {
            label: "canary".to_owned(),
            value: value.map(str::to_owned),
            share: share(50),
        };
        let labelled = record(r#"{"canary":"v2"}"#);
        assert!(is_canary(&canary(None), &labelled) && is_canary(&canary(Some("v2")), &labelled));
        assert!(!is_canary(&canary(Some("v3")), &labelled));
        assert!(!is_canary(&canary(None), &record("{}")));
    }

    proptest! {
        #[test]
        fn a_group_gets_its_share_as_near_as_weights_can_say_it(
            part in 0_u16..=1000, group in 1_u16..20, rest in 1_u16..20,
        ) {
            let mut all = [servers("group", group), servers("rest", rest)].concat();
            divide(&mut all, share(part), |server| server.name.starts_with("group"));
            let weight = |place: &str| -> f64 {
                let of = all.iter().filter(|server| server.name.starts_with(place));
                of.map(|server| f64::from(server.weight.unwrap())).sum()
            };
            let (inside, outside) = (weight("group"), weight("rest"));
            let got = inside / (inside + outside);
            let wanted = f64::from(part) / 1000.0;
            prop_assert_eq!(inside == 0.0, part == 0);
            prop_assert_eq!(outside == 0.0, part == 1000);
            // A weight is whole, and 256 at most.
            let finest = f64::from(group + rest) / (256.0 * f64::from(group.min(rest)));
            prop_assert!((got - wanted).abs() <= finest, "{} instead of {}", got, wanted);
        }
    }
}
