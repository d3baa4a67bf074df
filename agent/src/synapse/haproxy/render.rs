//! A configuration taken apart: the skeleton, which only a reload can change, and the server lines,
//! which the runtime socket can change.

mod bind;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use indexmap::IndexMap;

use super::{
    fingerprint::Fingerprint,
    line::{Options, ServerLine},
    model::Ids,
};

/// Server lines of one backend by name, in the order of the file.
pub type Lines = IndexMap<Arc<str>, ServerLine>;

/// The server lines of one managed backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// Can be added and removed at run time.
    pub dynamic: Lines,
    /// Part of the skeleton: a static balance algorithm, or keywords that `add server` refuses.
    /// Only `disabled` can be followed without a reload.
    pub fixed: Lines,
}

impl Backend {
    /// The line of the server called `name`.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<&ServerLine> {
        self.dynamic.get(name).or_else(|| self.fixed.get(name))
    }

    fn with_servers_of(&self, wanted: &Self) -> Self {
        // A line that only a reload can bring stays out until then, and so does one that would take
        // the name of a fixed line.
        let usable = |(name, _): &(&Arc<str>, &ServerLine)| !self.fixed.contains_key(*name);
        let line = |(name, line): (&Arc<str>, &ServerLine)| (Arc::clone(name), line.clone());
        let fixed = |(name, line): (&Arc<str>, &ServerLine)| {
            let leaving = wanted.line(name).is_none_or(|line| line.leaving);
            (Arc::clone(name), line.with_leaving(leaving))
        };
        Self {
            dynamic: wanted.dynamic.iter().filter(usable).map(line).collect(),
            fixed: self.fixed.iter().map(fixed).collect(),
        }
    }

    fn has_fixed_of(&self, other: &Self) -> bool {
        let same = |(name, line): (&Arc<str>, &ServerLine)| {
            other.fixed.get(name).is_some_and(|other| other.enabled_text() == line.enabled_text())
        };
        self.fixed.len() == other.fixed.len() && self.fixed.iter().all(same)
    }
}

/// A configuration and what the agent has to know of it. Cheap to clone and to compare: what did not
/// change is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Of everything but the dynamic server lines, comments and blank lines.
    pub fingerprint: Fingerprint,
    /// The backends whose servers the agent looks after.
    pub backends: BTreeMap<String, Arc<Backend>>,
    skeleton: Arc<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Lines, without the end of the last.
    Text(String),
    Fixed {
        backend: String,
        name: Arc<str>,
    },
    /// The dynamic servers of a backend.
    Servers(String),
}

impl Rendered {
    /// Takes a configuration apart. Only backends in `managed` are looked after; whatever operators
    /// wrote into other sections is theirs (synapse.md §17.26).
    #[must_use]
    pub fn parse(text: &str, managed: &BTreeSet<&str>) -> Self {
        let (skeleton, backends) = Scan::new(managed).run(without_description(text));
        let fingerprint = fingerprint(&skeleton, &backends);
        let backends = backends.into_iter().map(|(name, backend)| (name, Arc::new(backend)));
        Self { fingerprint, backends: backends.collect(), skeleton: Arc::new(skeleton) }
    }

    /// The same skeleton with the servers of `other`, where both have the backend: what a process
    /// that still runs this skeleton can be brought to without a reload.
    #[must_use]
    pub fn with_servers_of(&self, other: &Self) -> Self {
        let mut next = self.clone();
        for (name, wanted) in &other.backends {
            if let Some(backend) = next.backends.get_mut(name)
                && backend != wanted
            {
                *backend = Arc::new(backend.with_servers_of(wanted));
            }
        }
        next
    }

    /// Whether [`Self::with_servers_of`] would take over everything that `other` says about its
    /// backends.
    #[must_use]
    pub fn can_take_servers_of(&self, other: &Self) -> bool {
        let same = |(name, wanted): (&String, &Arc<Backend>)| {
            self.backends.get(name).is_some_and(|backend| backend.has_fixed_of(wanted))
        };
        other.backends.iter().all(same)
    }

    /// The whole file; its last section names the fingerprint.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for piece in self.skeleton.iter() {
            match piece {
                Piece::Text(lines) => push(&mut text, ["", lines]),
                Piece::Fixed { backend, name } => {
                    if let Some(line) = self.backends.get(backend).and_then(|b| b.fixed.get(name)) {
                        push(&mut text, ["\t", &line.text()]);
                    }
                }
                Piece::Servers(backend) => {
                    let backend = self.backends.get(backend);
                    for line in backend.into_iter().flat_map(|backend| backend.dynamic.values()) {
                        push(&mut text, ["\t", &line.text()]);
                    }
                }
            }
        }
        // HAProxy merges `global` sections and shows the description in `show info`: so the process
        // itself says which skeleton it runs.
        push(&mut text, [DESCRIPTION, &self.fingerprint.to_string()]);
        text
    }

    /// The numbers of all servers, to render the next text with.
    #[must_use]
    pub fn ids(&self) -> Ids {
        let ids = |backend: &Arc<Backend>| {
            let lines = backend.dynamic.values().chain(backend.fixed.values());
            lines.filter_map(|line| Some((line.name.to_string(), line.id?))).collect()
        };
        self.backends.iter().map(|(name, backend)| (name.clone(), ids(backend))).collect()
    }

    /// The TCP ports on which a HAProxy with this skeleton listens.
    #[must_use]
    pub fn ports(&self) -> BTreeSet<u16> {
        let lines = self.skeleton.iter().filter_map(|piece| match piece {
            Piece::Text(lines) => Some(lines.lines()),
            Piece::Fixed { .. } | Piece::Servers(_) => None,
        });
        lines.flatten().flat_map(bind::ports).collect()
    }

    /// Takes a file apart that an earlier life of the agent wrote: its own last section says which
    /// reading of it is right.
    #[must_use]
    pub fn recover(text: &str, managed: &BTreeSet<&str>) -> Option<Self> {
        let (_, description) = text.rsplit_once(DESCRIPTION)?;
        let written = Fingerprint::from_description(description.trim_end())?;
        let all: BTreeSet<_> =
            text.lines().filter_map(|line| line.strip_prefix("backend ")).map(str::trim).collect();
        let readings = [managed, &(managed | &all)];
        readings
            .into_iter()
            .map(|names| Self::parse(text, names))
            .find(|r| r.fingerprint == written)
    }
}

const DESCRIPTION: &str = "\nglobal\n\tdescription ";

fn push(text: &mut String, line: [&str; 2]) {
    text.extend(line);
    text.push('\n');
}

/// The text without the section that [`Rendered::text`] added to it.
fn without_description(text: &str) -> &str {
    let Some((before, after)) = text.rsplit_once(DESCRIPTION) else { return text };
    let ours = Fingerprint::from_description(after.trim_end()).is_some();
    if ours { before } else { text }
}

fn fingerprint(skeleton: &[Piece], backends: &BTreeMap<String, Backend>) -> Fingerprint {
    let mut fingerprint = Fingerprint::EMPTY;
    for piece in skeleton {
        match piece {
            Piece::Text(lines) => {
                for line in lines.lines() {
                    fingerprint = fingerprint.add_line(line.trim());
                }
            }
            Piece::Fixed { backend, name } => {
                let line = backends.get(backend).and_then(|b| b.fixed.get(name));
                let line = line.map(ServerLine::enabled_text).unwrap_or_default();
                fingerprint = fingerprint.add_line(&line);
            }
            Piece::Servers(_) => {}
        }
    }
    fingerprint
}

/// The first words that begin a section.
const SECTIONS: &[&str] = &[
    "backend",
    "cache",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "userlist",
];

struct Scan<'a> {
    managed: &'a BTreeSet<&'a str>,
    skeleton: Vec<Piece>,
    backends: BTreeMap<String, Backend>,
    /// Of the last `defaults` section.
    default_balance: Balance,
    options: Options,
}

impl<'a> Scan<'a> {
    fn new(managed: &'a BTreeSet<&'a str>) -> Self {
        Self {
            managed,
            skeleton: Vec::new(),
            backends: BTreeMap::new(),
            default_balance: Balance::default(),
            options: Options::default(),
        }
    }

    fn run(mut self, text: &str) -> (Vec<Piece>, BTreeMap<String, Backend>) {
        let lines: Vec<_> = text.lines().collect();
        let starts = |line: &&str| {
            let word = line.split_ascii_whitespace().next();
            word.is_some_and(|word| SECTIONS.contains(&word))
        };
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let length = 1 + rest[1..].iter().take_while(|line| !starts(line)).count();
            let (section, after) = rest.split_at(length);
            self.section(section);
            rest = after;
        }
        (self.skeleton, self.backends)
    }

    fn section(&mut self, lines: &[&str]) {
        let mut words = lines[0].split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("backend"), Some(name)) if self.managed.contains(name) => {
                self.backend(name, lines);
            }
            (Some("defaults"), _) => {
                self.default_balance = Balance::default().read(lines);
                self.keep(lines);
            }
            _ => self.keep(lines),
        }
    }

    fn keep(&mut self, lines: &[&str]) {
        for line in lines {
            self.keep_line(line);
        }
    }

    fn keep_line(&mut self, line: &str) {
        if let Some(Piece::Text(text)) = self.skeleton.last_mut() {
            text.extend(["\n", line]);
        } else {
            self.skeleton.push(Piece::Text(line.to_owned()));
        }
    }

    fn backend(&mut self, name: &str, lines: &[&str]) {
        // Blank lines and comments at the end belong to the section that follows.
        let blank = |line: &&&str| line.trim().is_empty() || line.trim().starts_with('#');
        let body = lines.len() - lines.iter().rev().take_while(blank).count();
        let (body, tail) = lines.split_at(body);
        let dynamic = self.default_balance.read(body).is_dynamic()
            && !body.iter().any(|line| line.trim().starts_with("use-server"));
        let mut backend = self.backends.remove(name).unwrap_or_default();
        for line in body {
            let Some(server) = ServerLine::read(line.trim(), &mut self.options) else {
                self.keep_line(line);
                continue;
            };
            let key = Arc::clone(&server.name);
            if dynamic && server.is_dynamic() {
                backend.dynamic.insert(key, server);
            } else {
                self.skeleton
                    .push(Piece::Fixed { backend: name.to_owned(), name: Arc::clone(&key) });
                backend.fixed.insert(key, server);
            }
        }
        self.backends.insert(name.to_owned(), backend);
        self.skeleton.push(Piece::Servers(name.to_owned()));
        self.keep(tail);
    }
}

/// What decides whether servers may come and go (synapse.md §13.2).
#[derive(Clone, Copy, Default)]
struct Balance {
    static_algorithm: bool,
    consistent: bool,
}

impl Balance {
    fn read(mut self, lines: &[&str]) -> Self {
        for line in lines {
            let words: Vec<_> = line.split_ascii_whitespace().take(2).collect();
            match words[..] {
                ["balance", algorithm] => {
                    let name = algorithm.split('(').next().unwrap_or(algorithm);
                    self.static_algorithm =
                        !matches!(name, "roundrobin" | "leastconn" | "first" | "random");
                }
                ["hash-type", method] => self.consistent = method == "consistent",
                _ => {}
            }
        }
        self
    }

    fn is_dynamic(self) -> bool {
        !self.static_algorithm || self.consistent
    }
}

#[cfg(test)]
mod tests;
