//! The ports that a line of a configuration opens.

/// The TCP ports of a `bind` line; nothing for any other line.
pub(super) fn ports(line: &str) -> Vec<u16> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("bind") {
        return Vec::new();
    }
    let addresses = words.next().unwrap_or_default().split(',');
    addresses.filter_map(port_range).flatten().collect()
}

/// `ADDRESS:PORT` or `ADDRESS:FIRST-LAST`; the built-in template writes the address as it is, an
/// operator's may quote it.
fn port_range(address: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let address = address.trim_matches(['"', '\'']);
    if address.contains('/') {
        return None;
    }
    let (_, ports) = address.rsplit_once(':')?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_a_bind_line_are_read_in_all_its_forms() {
        for (line, expected) in [
            ("\tbind 127.0.0.1:80 name x:1", &[80][..]),
            ("bind :80,ipv6@::1:81 accept-proxy", &[80, 81]),
            ("bind \"*:80-82\"", &[80, 81, 82]),
            ("bind /var/run/a:80.sock", &[]),
            ("bind unix@/run/a.sock", &[]),
            ("bind fd@3", &[]),
            ("bind", &[]),
            ("bind-process 1:2", &[]),
            ("server a 127.0.0.1:80", &[]),
            ("bind 127.0.0.1:99999", &[]),
        ] {
            assert_eq!(ports(line), expected, "{line}");
        }
    }
}
