//! Which locations lie in which: `location_types.json` and `location_mapping.json`.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    Place,
    file::{self, FileError},
    json,
    yaml::{Map, Node},
};

/// All location types of a fleet, widest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationTypes(Vec<String>);

impl LocationTypes {
    /// Of names in order, widest first; one that is named twice counts at its first place.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let mut types = Vec::with_capacity(names.len());
        for name in names {
            if !types.contains(&name) {
                types.push(name);
            }
        }
        Self(types)
    }

    /// The names, widest first.
    #[must_use]
    pub fn into_names(self) -> Vec<String> {
        self.0
    }

    /// [`Ordering::Less`]: `a` is wider than `b`. `None`: one of them is no type.
    #[must_use]
    pub fn compare(&self, a: &str, b: &str) -> Option<Ordering> {
        let index = |name: &str| self.0.iter().position(|known| known == name);
        Some(index(a)?.cmp(&index(b)?))
    }
}

/// How locations are nested. A location is written `<location>_<type>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    inside: BTreeMap<String, BTreeSet<String>>,
    around: BTreeMap<String, BTreeSet<String>>,
}

/// A location that the mapping or the list of types does not know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{0} is not in the location mapping")]
pub struct UnknownLocation(pub String);

impl Mapping {
    /// Reads `location_mapping.json`: nested objects whose keys are `<location>_<type>`.
    ///
    /// # Errors
    /// When it cannot be read or holds anything but objects.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        Self::parse(file, &file::read(file)?)
    }

    /// Parses the text of such a file; `file` is for the messages.
    ///
    /// # Errors
    /// As [`Mapping::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, FileError> {
        json::parse(text)
            .and_then(|node| Self::of(&node))
            .map_err(|fault| FileError::fault(file, text, &fault))
    }

    fn of(node: &Node) -> Result<Self, crate::yaml::Fault> {
        let mut mapping = Self::default();
        mapping.add(None, node)?;
        Ok(mapping)
    }

    fn add(&mut self, around: Option<&str>, node: &Node) -> Result<(), crate::yaml::Fault> {
        let map: &Map = node.as_map().ok_or_else(|| {
            crate::yaml::Fault::new(
                node.span,
                format!("expected an object, found {}", node.value.kind()),
            )
        })?;
        for (name, entry) in map.texts() {
            self.inside.entry(name.to_owned()).or_default();
            if let Some(around) = around {
                self.inside.entry(around.to_owned()).or_default().insert(name.to_owned());
                self.around.entry(name.to_owned()).or_default().insert(around.to_owned());
            }
            self.add(Some(name), &entry.value)?;
        }
        Ok(())
    }

    /// The locations of type `to` that a place lies in, if `to` is wider, or that lie in it, sorted.
    ///
    /// # Errors
    /// When the place or a type is not known. The original ends with all services then; here it is up
    /// to the caller.
    pub fn convert(
        &self,
        place: &Place,
        to: &str,
        types: &LocationTypes,
    ) -> Result<Vec<String>, UnknownLocation> {
        if place.kind() == to {
            return Ok(vec![place.location().to_owned()]);
        }
        let unknown = || UnknownLocation(place.to_string());
        let start = format!("{}_{}", place.location(), place.kind());
        if !self.inside.contains_key(&start) {
            return Err(unknown());
        }
        let next = match types.compare(to, place.kind()).ok_or_else(unknown)? {
            Ordering::Less => &self.around,
            Ordering::Equal | Ordering::Greater => &self.inside,
        };
        let found = reachable(next, start);
        let of_type = found.iter().filter_map(|name| name.rsplit_once('_'));
        Ok(of_type.filter(|(_, kind)| *kind == to).map(|(name, _)| name.to_owned()).collect())
    }
}

/// Everything that can be reached, the start included.
fn reachable(next: &BTreeMap<String, BTreeSet<String>>, start: String) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        if found.contains(&name) {
            continue;
        }
        open.extend(next.get(&name).into_iter().flatten().cloned());
        found.insert(name);
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::locations) const MAPPING: &str = r#"
{"dev_ecosystem": {"norcal-devc_superregion": {"uswest1-devc_region": {
    "uswest1adevc_habitat": {}, "uswest1bdevc_habitat": {}}}},
 "prod_ecosystem": {
    "norcal-prod_superregion": {"uswest1-prod_region": {"uswest1aprod_habitat": {}},
                                "uswest2-prod_region": {"uswest2aprod_habitat": {}}},
    "nova-prod_superregion": {"useast1-prod_region": {"useast1aprod_habitat": {}}}}}"#;

    pub(in crate::locations) fn mapping() -> Mapping {
        Mapping::of(&json::parse(MAPPING).unwrap()).unwrap()
    }

    pub(in crate::locations) fn types() -> LocationTypes {
        let names = ["ecosystem", "superregion", "region", "habitat", "region"];
        LocationTypes::new(names.map(str::to_owned).to_vec())
    }

    fn converted(place: &str, to: &str) -> Result<Vec<String>, UnknownLocation> {
        mapping().convert(&place.parse().unwrap(), to, &types())
    }

    #[test]
    fn places_are_converted_up_and_down() {
        for (place, to, wanted) in [
            ("habitat:uswest1adevc", "superregion", &["norcal-devc"][..]),
            ("habitat:uswest1adevc", "ecosystem", &["dev"]),
            ("superregion:norcal-prod", "habitat", &["uswest1aprod", "uswest2aprod"]),
            ("ecosystem:prod", "superregion", &["norcal-prod", "nova-prod"]),
            ("region:anything", "region", &["anything"]),
        ] {
            assert_eq!(converted(place, to).unwrap(), wanted, "{place} to {to}");
        }
        for (place, to) in [("region:mars", "habitat"), ("region:uswest1-prod", "planet")] {
            assert_eq!(converted(place, to), Err(UnknownLocation(place.to_owned())));
        }
    }

    #[test]
    fn types_are_compared_by_their_width() {
        let types = types();
        assert_eq!(types.compare("ecosystem", "region"), Some(Ordering::Less));
        assert_eq!(types.compare("habitat", "region"), Some(Ordering::Greater));
        assert_eq!(types.compare("region", "region"), Some(Ordering::Equal));
        assert_eq!(types.compare("region", "planet"), None);
    }
}
