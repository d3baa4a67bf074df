//! The hosts on which tasks are placed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    ops::RangeInclusive,
};

/// One agent of Mesos.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name, as tasks say it. The default is its address.
    pub name: String,
    pub address: Ipv4Addr,
    /// As constraints see them; `hostname` is always known.
    pub attributes: BTreeMap<String, String>,
    pub ports: RangeInclusive<u16>,
    /// Where in the range the next search begins, so that ports are not used again at once.
    next: u16,
}

impl Host {
    /// With pool `default` and Mesos' usual ports, as far as they are below those that the kernel
    /// gives to clients.
    #[must_use]
    pub fn at(address: Ipv4Addr) -> Self {
        let attributes = BTreeMap::from([("pool".to_owned(), "default".to_owned())]);
        Self { name: address.to_string(), address, attributes, ports: 31_000..=32_000, next: 0 }
    }

    /// So many hosts of 127.0.0.0/8, of a network of their own as good as surely.
    #[must_use]
    pub fn some(count: u8) -> Vec<Self> {
        use std::hash::{BuildHasher, RandomState};
        let [a, b, ..] = RandomState::new().hash_one(count).to_ne_bytes();
        let (a, b) = (a.clamp(1, 254), b.clamp(1, 254));
        (1..=count).map(|host| Self::at(Ipv4Addr::new(127, a, b, host))).collect()
    }

    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Its value of a constraint's field.
    #[must_use]
    pub fn attribute(&self, field: &str) -> Option<&str> {
        match field {
            "hostname" => Some(&self.name),
            field => self.attributes.get(field).map(String::as_str),
        }
    }

    /// Its id in Mesos.
    #[must_use]
    pub fn slave_id(&self) -> String {
        format!("20180123-120000-{}-S{}", u32::from(self.address), self.address.octets()[3])
    }

    /// Ports for a task: the given one, or any that is free for `None`. None at all when one is taken.
    pub(super) fn take(
        &mut self,
        wishes: &[Option<u16>],
        taken: &BTreeSet<u16>,
    ) -> Option<Vec<u16>> {
        let mut given: Vec<u16> = Vec::new();
        for wish in wishes {
            let port = match wish {
                Some(port) => Some(*port).filter(|port| !taken.contains(port)),
                None => self.any(taken, &given),
            };
            given.push(port.filter(|port| !given.contains(port))?);
        }
        Some(given)
    }

    fn any(&mut self, taken: &BTreeSet<u16>, given: &[u16]) -> Option<u16> {
        let from = self.next.clamp(*self.ports.start(), *self.ports.end());
        let mut ports = (from..=*self.ports.end()).chain(*self.ports.start()..from);
        let port = ports.find(|port| !taken.contains(port) && !given.contains(port))?;
        self.next = if port == *self.ports.end() { *self.ports.start() } else { port + 1 };
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_go_round_and_end() {
        let mut host = Host::at(Ipv4Addr::LOCALHOST);
        host.ports = 10..=12;
        let nothing = BTreeSet::new();
        assert_eq!(host.take(&[None, None], &nothing), Some(vec![10, 11]));
        assert_eq!(host.take(&[None, None], &nothing), Some(vec![12, 10]));
        assert_eq!(host.take(&[Some(80), None], &nothing), Some(vec![80, 11]));
        assert_eq!(host.take(&[Some(80)], &[80].into()), None);
        assert_eq!(host.take(&[Some(80), Some(80)], &nothing), None);
        assert_eq!(host.take(&[None], &[10, 11, 12].into()), None);
    }
}
