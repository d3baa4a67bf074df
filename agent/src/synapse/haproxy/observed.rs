//! What HAProxy says about itself, as types (synapse.md §13.6).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{fingerprint::Fingerprint, model::Ids, status::ServerStatus};

/// A reply that is not what HAProxy 2.6 answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("haproxy's answer to `{command}` makes no sense: {reason}")]
pub struct Unreadable {
    pub command: &'static str,
    pub reason: String,
}

fn unreadable(command: &'static str, reason: impl Into<String>) -> Unreadable {
    Unreadable { command, reason: reason.into() }
}

/// From `show info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub version: String,
    /// Of the worker.
    pub pid: u32,
    /// The skeleton that runs; `None` if this configuration is not the agent's.
    pub fingerprint: Option<Fingerprint>,
    /// An old worker that only finishes its connections.
    pub stopping: bool,
}

impl Info {
    /// # Errors
    /// When the version or the pid is missing.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::trim)
        };
        let fail = || unreadable("show info", "no version or no pid");
        Ok(Self {
            version: value("Version").ok_or_else(fail)?.to_owned(),
            pid: value("Pid").and_then(|pid| pid.parse().ok()).ok_or_else(fail)?,
            fingerprint: value("description").and_then(Fingerprint::from_description),
            stopping: value("Stopping") != Some("0"),
        })
    }
}

/// What HAProxy was seen to be. Backends that were not asked for are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub info: Info,
    pub backends: BTreeMap<String, Backend>,
}

impl Observed {
    /// The numbers of all servers seen.
    #[must_use]
    pub fn ids(&self) -> Ids {
        let ids = |backend: &Backend| {
            backend.servers.iter().map(|(name, server)| (name.clone(), server.id)).collect()
        };
        self.backends.iter().map(|(name, backend)| (name.clone(), ids(backend))).collect()
    }
}

/// One backend as it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// HAProxy's number for it; `None` while it has no servers.
    pub id: Option<u32>,
    pub servers: BTreeMap<String, Server>,
}

/// One server as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub id: u32,
    /// `None` while a host name is not resolved.
    pub address: Option<SocketAddr>,
    pub weight: u16,
    /// 0: none.
    pub check_port: u16,
    pub admin: Admin,
}

/// `srv_admin_state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admin(pub u8);

impl Admin {
    /// In maintenance: forced, inherited or for want of an address. Bit 0x04 is history only
    /// (synapse.md §17.19).
    #[must_use]
    pub fn in_maintenance(self) -> bool {
        self.0 & 0x23 != 0
    }

    /// Put into maintenance or drain by a command or the file, so a command can take it out.
    #[must_use]
    pub fn is_forced(self) -> bool {
        self.0 & 0x09 != 0
    }

    /// Takes new requests, as far as administration goes.
    #[must_use]
    pub fn takes_requests(self) -> bool {
        self.0 & 0x3b == 0
    }
}

/// Reads `show servers state [backend]`.
///
/// # Errors
/// When the version of the format is not 1, or a row lacks a column or a number.
pub fn servers_state(text: &str) -> Result<BTreeMap<String, Backend>, Unreadable> {
    let fail = |reason: String| unreadable("show servers state", reason);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("1") {
        let shown: String = text.chars().take(80).collect();
        return Err(fail(format!("`{}`", shown.escape_debug())));
    }
    let header = lines.next().and_then(|line| line.strip_prefix('#'));
    let header: Vec<_> = header.unwrap_or_default().split_ascii_whitespace().collect();
    if !header.contains(&"be_name") {
        return Err(fail("no header".to_owned()));
    }
    let mut backends = BTreeMap::<String, Backend>::new();
    for line in lines {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let row = Row { header: &header, words: &words };
        let server = row.server().ok_or_else(|| fail(format!("`{}`", line.escape_debug())))?;
        let (Some(backend), Some(name)) = (row.get("be_name"), row.get("srv_name")) else {
            return Err(fail("a row without names".to_owned()));
        };
        let backend = backends.entry(backend.to_owned()).or_default();
        backend.id = row.number("be_id");
        backend.servers.insert(name.to_owned(), server);
    }
    Ok(backends)
}

struct Row<'a> {
    header: &'a [&'a str],
    words: &'a [&'a str],
}

impl<'a> Row<'a> {
    fn get(&self, column: &str) -> Option<&'a str> {
        let at = self.header.iter().position(|name| *name == column)?;
        self.words.get(at).copied()
    }

    fn number<N: std::str::FromStr>(&self, column: &str) -> Option<N> {
        self.get(column)?.parse().ok()
    }

    fn server(&self) -> Option<Server> {
        let address = self.get("srv_addr")?.parse::<IpAddr>().ok();
        let port = self.number("srv_port")?;
        Some(Server {
            id: self.number("srv_id")?,
            address: address.map(|address| SocketAddr::new(address, port)),
            weight: self.number("srv_uweight")?,
            check_port: self.number("srv_check_port")?,
            admin: Admin(self.number("srv_admin_state")?),
        })
    }
}

/// Reads the server rows of `show stat`.
///
/// # Errors
/// When there is no header or a row has no name.
pub fn stat(text: &str) -> Result<Vec<(String, ServerStatus)>, Unreadable> {
    let fail = |reason: &str| unreadable("show stat", reason);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let header = csv(header.ok_or_else(|| fail("no header"))?);
    let column = |name: &str| header.iter().position(|column| column == name);
    let (Some(backend), Some(server)) = (column("pxname"), column("svname")) else {
        return Err(fail("no names"));
    };
    let mut rows = Vec::new();
    for line in lines {
        let fields = csv(line);
        let field = |at: Option<usize>| at.and_then(|at| fields.get(at)).cloned();
        let named = |name: &str| field(column(name));
        let (Some(backend), Some(name)) = (field(Some(backend)), field(Some(server))) else {
            return Err(fail("a short row"));
        };
        if matches!(name.as_str(), "FRONTEND" | "BACKEND") {
            continue;
        }
        let number = |name| named(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        rows.push((
            backend,
            ServerStatus {
                name,
                address: named("addr").unwrap_or_default(),
                status: named("status").unwrap_or_default(),
                check: named("check_status").unwrap_or_default(),
                sessions: number("scur"),
                last_change_s: number("lastchg"),
            },
        ));
    }
    Ok(rows)
}

/// One line of HAProxy's CSV: a field with a comma or a quote stands in quotes, doubled inside.
fn csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let field = fields.len() - 1;
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields[field].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields[field].push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
4 a.main 3 h_127.0.0.1:1 127.0.0.1 0 0 12 1 335 8 2 0 6 0 0 1 - 1 - 0 6666 - - 6666
4 a.main 9 h_::1:2 ::1 0 12 1 1 333 8 2 0 6 0 0 1 - 2 - 0 0 - - 0
5 b.main 1 web - 2 32 1 1 0 1 0 2 6 0 0 1 web.example 80 - 0 80 - - 0

";

    #[test]
    fn the_state_of_servers_is_read() {
        let backends = servers_state(STATE).unwrap();
        let a = &backends["a.main"];
        assert_eq!(a.id, Some(4));
        let first = &a.servers["h_127.0.0.1:1"];
        assert_eq!(first.address, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!((first.id, first.weight, first.check_port), (3, 12, 6666));
        assert_eq!(a.servers["h_::1:2"].address, Some("[::1]:2".parse().unwrap()));
        assert_eq!(backends["b.main"].servers["web"].address, None);
    }

    #[test]
    fn a_state_that_is_not_understood_is_an_error_and_not_an_empty_backend() {
        let cut = STATE.replace(" 0 12 1 1 333 8 2 0 6 0 0 1 - 2 - 0 0 - - 0", "");
        for text in ["", "2\n# x", "Can't find backend.", "1\n4 a.main 3 x", cut.as_str()] {
            assert!(servers_state(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn admin_bit_four_is_not_maintenance() {
        for (bits, maintenance, requests) in [
            (0, false, true),
            (4, false, true),
            (1, true, false),
            (5, true, false),
            (2, true, false),
            (32, true, false),
            (8, false, false),
            (12, false, false),
            (16, false, false),
        ] {
            let admin = Admin(bits);
            assert_eq!(admin.in_maintenance(), maintenance, "{bits}");
            assert_eq!(admin.takes_requests(), requests, "{bits}");
        }
    }

    #[test]
    fn info_tells_whose_configuration_runs() {
        let text = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 18043\nnode: vm\n\
                    description: smartstack-00000000000000ab\nStopping: 0\n";
        let info = Info::parse(text).unwrap();
        assert_eq!((info.pid, info.stopping), (18043, false));
        assert_eq!(info.fingerprint.unwrap().value(), 0xab);
        let foreign = text.replace("smartstack-00000000000000ab", "edge");
        assert_eq!(Info::parse(&foreign).unwrap().fingerprint, None);
        assert!(Info::parse("Permission denied").is_err());
    }

    #[test]
    fn statistics_are_read_by_column_name_and_quotes_are_undone() {
        let text = "# pxname,svname,scur,status,lastchg,check_status,addr,last_chk,\n\
                    a.main,FRONTEND,7,OPEN,,,,,\n\
                    a.main,h_127.0.0.1:1,3,UP 1/2,17,L7OK,127.0.0.1:1,\"a, \"\"b\"\"\",\n\
                    a.main,BACKEND,3,UP,17,,,,\n";
        let rows = stat(text).unwrap();
        assert_eq!(rows.len(), 1);
        let (backend, server) = &rows[0];
        assert_eq!((backend.as_str(), server.status.as_str()), ("a.main", "UP 1/2"));
        assert_eq!((server.sessions, server.last_change_s), (3, 17));
        assert_eq!(csv("x,\"a, \"\"b\"\"\",")[1], "a, \"b\"");
        assert!(stat("No such proxy.").is_err());
    }
}
