//! In which places the tasks of a host appear (nerve.md §5.4).

use std::collections::BTreeSet;

use super::{LocationTypes, Mapping, UnknownLocation};
use crate::{NamespaceConfig, Place};

/// Where a task is registered, and what could not be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    pub places: BTreeSet<Place>,
    /// What `extra_advertise` names and the mapping does not know. The original ends with all services
    /// then; here only such a pair is without effect.
    pub unknown: BTreeSet<UnknownLocation>,
}

/// The places in which a task on a host with the places `own` is registered for a namespace.
///
/// The second half of a pair of `extra_advertise` counts in every type of `advertise` that is not
/// wider: naming one habitat does not publish to a whole region.
#[must_use]
pub fn advertised(
    config: &NamespaceConfig,
    own: &[Place],
    types: &LocationTypes,
    mapping: &Mapping,
) -> Advertised {
    let is_own = |place: &Place| own.contains(place);
    let of_types = own.iter().filter(|place| config.advertise.iter().any(|t| t == place.kind()));
    let mut advertised =
        Advertised { places: of_types.cloned().collect(), unknown: BTreeSet::new() };
    for (_, destination) in config.extra_advertise.iter().filter(|(source, _)| is_own(source)) {
        for kind in &config.advertise {
            match converted(destination, kind, types, mapping) {
                Ok(places) => advertised.places.extend(places),
                Err(unknown) => {
                    advertised.unknown.insert(unknown);
                }
            }
        }
    }
    advertised
}

/// The places of a type that is not wider than the destination.
fn converted(
    destination: &Place,
    kind: &str,
    types: &LocationTypes,
    mapping: &Mapping,
) -> Result<Vec<Place>, UnknownLocation> {
    let unknown = || UnknownLocation(destination.to_string());
    if types.compare(destination.kind(), kind).ok_or_else(unknown)?.is_gt() {
        return Ok(Vec::new());
    }
    let locations = mapping.convert(destination, kind, types)?;
    Ok(locations.iter().filter_map(|location| Place::new(kind, location).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::mapping::tests, *};

    /// What the original does on a host in uswest1adevc.
    #[test]
    fn records_appear_where_the_original_puts_them() {
        let own = [
            "ecosystem:dev",
            "superregion:norcal-devc",
            "region:uswest1-devc",
            "habitat:uswest1adevc",
        ];
        let own: Vec<Place> = own.iter().map(|place| place.parse().unwrap()).collect();
        let here = "region:uswest1-devc";
        for (advertise, extra, wanted) in [
            ("region", "", here.to_owned()),
            ("region superregion", "", format!("{here} superregion:norcal-devc")),
            (
                "region",
                "superregion:norcal-devc region:uswest1-prod",
                format!("{here} region:uswest1-prod"),
            ),
            (
                "region",
                "superregion:norcal-devc superregion:norcal-prod",
                format!("{here} region:uswest1-prod region:uswest2-prod"),
            ),
            ("region", "superregion:norcal-devc habitat:useast1aprod", here.to_owned()),
            (
                "habitat",
                "region:uswest1-devc region:uswest2-prod",
                "habitat:uswest1adevc habitat:uswest2aprod".to_owned(),
            ),
            ("region", "region:uswest2-prod region:useast1-prod", here.to_owned()),
            (
                "region superregion",
                "ecosystem:dev superregion:nova-prod",
                format!("region:useast1-prod {here} superregion:norcal-devc superregion:nova-prod"),
            ),
        ] {
            let pair = extra.split_once(' ');
            let config = NamespaceConfig {
                advertise: advertise.split(' ').map(str::to_owned).collect(),
                extra_advertise: pair
                    .map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
                    .into_iter()
                    .collect(),
                ..NamespaceConfig::default()
            };
            let Advertised { places, unknown } =
                advertised(&config, &own, &tests::types(), &tests::mapping());
            assert!(unknown.is_empty(), "{unknown:?}");
            let shown: Vec<&str> = places.iter().map(Place::as_str).collect();
            assert_eq!(shown.join(" "), wanted, "{advertise}, {extra}");
        }
    }

    #[test]
    fn a_pair_that_names_an_unknown_place_is_told_and_the_others_count() {
        let pair = |to: &str| ("region:uswest1-devc".parse().unwrap(), to.parse().unwrap());
        let config = NamespaceConfig {
            advertise: vec!["region".to_owned()],
            extra_advertise: vec![
                pair("superregion:mars"),
                pair("planet:mars"),
                pair("superregion:nova-prod"),
            ],
            ..NamespaceConfig::default()
        };
        let own = ["region:uswest1-devc".parse().unwrap()];
        let advertised = advertised(&config, &own, &tests::types(), &tests::mapping());
        let places: Vec<&str> = advertised.places.iter().map(Place::as_str).collect();
        assert_eq!(places, ["region:useast1-prod", "region:uswest1-devc"]);
        let unknown: Vec<_> = advertised.unknown.iter().map(|u| u.0.as_str()).collect();
        assert_eq!(unknown, ["planet:mars", "superregion:mars"]);
    }
}
