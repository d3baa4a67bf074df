//! One `server` line of a configuration, as the template wrote it.
//!
//! The runtime command that adds a server is derived from this line, so that file and process
//! cannot say different things.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _, net::SocketAddr, sync::Arc};

/// Words that one runtime command may have; HAProxy drops the rest silently (synapse.md §13.1).
const MAX_WORDS: usize = 64;

/// Keywords that `add server` takes, sorted, and how many words follow (synapse.md §13.2).
///
/// Left out although taken: `enabled` (the server would get no requests), `track` (the tracked
/// server could not be deleted), `source` (a varying number of words) and those that name files,
/// which have to be loaded before.
const KEYWORDS: &[(&str, usize)] = &[
    ("addr", 1),
    ("agent-addr", 1),
    ("agent-check", 0),
    ("agent-inter", 1),
    ("agent-port", 1),
    ("agent-send", 1),
    ("allow-0rtt", 0),
    ("alpn", 1),
    ("backup", 0),
    ("check", 0),
    ("check-alpn", 1),
    ("check-proto", 1),
    ("check-send-proxy", 0),
    ("check-sni", 1),
    ("check-ssl", 0),
    ("disabled", 0),
    ("downinter", 1),
    ("error-limit", 1),
    ("fall", 1),
    ("fastinter", 1),
    ("id", 1),
    ("inter", 1),
    ("maxconn", 1),
    ("maxqueue", 1),
    ("minconn", 1),
    ("observe", 1),
    ("on-error", 1),
    ("on-marked-down", 1),
    ("on-marked-up", 1),
    ("pool-low-conn", 1),
    ("pool-max-conn", 1),
    ("pool-purge-delay", 1),
    ("port", 1),
    ("proto", 1),
    ("rise", 1),
    ("send-proxy", 0),
    ("send-proxy-v2", 0),
    ("slowstart", 1),
    ("sni", 1),
    ("ssl", 0),
    ("tfo", 0),
    ("verify", 1),
    ("weight", 1),
    ("ws", 1),
];

/// A `server` line. A large host has tens of thousands of these, so what most say alike is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLine {
    pub name: Arc<str>,
    /// `None` if it is not an IP address and port.
    pub address: Option<SocketAddr>,
    /// `disabled` stands in the line: the server takes no requests.
    pub leaving: bool,
    /// The value of `weight`; HAProxy's default is 1.
    pub weight: u16,
    /// The number after `id`; `None`: HAProxy chooses.
    pub id: Option<u32>,
    /// `add server` takes it.
    dynamic: bool,
    /// Everything after the address but `disabled`, `weight N` and `id N`, one blank between two words.
    /// What is not an IP address and port stands in front.
    options: Arc<str>,
    /// The line without its indentation; `None`: as [`Self::own_text`] writes it.
    text: Option<Box<str>>,
}

impl ServerLine {
    /// Reads a line without its indentation; `None` if it is no `server` line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text, &mut Options::default())
    }

    /// The same, with what other lines said in `options`.
    pub(super) fn read(text: &str, options: &mut Options) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some("server") {
            return None;
        }
        let name = words.next()?.into();
        let address = words.next()?;
        let mut line = Self {
            name,
            address: address.parse().ok(),
            leaving: false,
            weight: 1,
            id: None,
            dynamic: false,
            options: Arc::default(),
            text: None,
        };
        let mut rest = Vec::new();
        if line.address.is_none() {
            rest.push(address);
        }
        line.read_options(&mut words, &mut rest);
        let (shared, takes_dynamic) = options.shared(&rest.join(" "));
        line.options = shared;
        line.dynamic = takes_dynamic && line.address.is_some() && is_plain(&line.name);
        let text = text.trim_end();
        line.text = (line.own_text() != text).then(|| text.into());
        Some(line)
    }

    fn read_options<'a>(
        &mut self,
        words: &mut impl Iterator<Item = &'a str>,
        options: &mut Vec<&'a str>,
    ) {
        while let Some(word) = words.next() {
            match word {
                "disabled" => self.leaving = true,
                "weight" => match words.next().map(str::parse) {
                    Some(Ok(weight)) => self.weight = weight,
                    // Not ours to judge: `haproxy -c` will.
                    _ => options.push(word),
                },
                "id" => match words.next().map(str::parse) {
                    Some(Ok(id)) => self.id = Some(id),
                    _ => options.push(word),
                },
                _ => options.push(word),
            }
        }
    }

    /// Whether `add server` would take it: plain words, not too many, none that it refuses.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    fn options(&self) -> impl Iterator<Item = &str> {
        self.options.split_ascii_whitespace()
    }

    /// Whether both mean the same but for weight and `disabled`, which can be changed in place, and
    /// for the number, which means nothing to traffic.
    #[must_use]
    pub fn same_options(&self, other: &Self) -> bool {
        self.address == other.address && self.options == other.options
    }

    /// Whether the server has health checks of the given kind: `check` or `agent-check`.
    #[must_use]
    pub fn has(&self, keyword: &str) -> bool {
        self.options().any(|word| word == keyword)
    }

    /// The number after `port`, where the checks go.
    #[must_use]
    pub fn check_port(&self) -> Option<u16> {
        self.value_of("port")?.parse().ok()
    }

    fn value_of(&self, keyword: &str) -> Option<&str> {
        let mut options = self.options();
        options.find(|word| *word == keyword)?;
        options.next()
    }

    /// The arguments of `add server`: `<backend>/<name> <address> …`. The server is added in
    /// maintenance whatever the line says.
    #[must_use]
    pub fn add_arguments(&self, backend: &str) -> String {
        format!("{backend}/{}", self.words())
    }

    /// The line without indentation.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.text.as_deref().map_or_else(|| self.own_text().into(), Cow::from)
    }

    /// The same line with or without `disabled`.
    pub(super) fn with_leaving(&self, leaving: bool) -> Self {
        if leaving == self.leaving {
            return self.clone();
        }
        Self { leaving, text: None, ..self.clone() }
    }

    /// The line as the built-in template writes it.
    fn own_text(&self) -> String {
        let mut text = self.enabled_text();
        if self.leaving {
            text.push_str(" disabled");
        }
        text
    }

    /// The line without `disabled`, in a fixed order of words.
    pub(super) fn enabled_text(&self) -> String {
        format!("server {}", self.words())
    }

    fn words(&self) -> String {
        let Self { name, weight, options, .. } = self;
        let mut words = name.to_string();
        if let Some(address) = self.address {
            let _ = write!(words, " {address}");
        }
        if !options.is_empty() {
            let _ = write!(words, " {options}");
        }
        if let Some(id) = self.id {
            let _ = write!(words, " id {id}");
        }
        let _ = write!(words, " weight {weight}");
        words
    }
}

/// What lines say after the address, once each, and whether `add server` takes that.
#[derive(Debug, Default)]
pub(super) struct Options(HashMap<Arc<str>, bool>);

impl Options {
    fn shared(&mut self, options: &str) -> (Arc<str>, bool) {
        if let Some((known, takes)) = self.0.get_key_value(options) {
            return (Arc::clone(known), *takes);
        }
        // `add server B/N`, the address, the options, `id N weight N`.
        let few = options.split_ascii_whitespace().count() + 8 <= MAX_WORDS;
        let takes = few && is_plain(options) && takes_only_dynamic_keywords(options);
        let options = Arc::<str>::from(options);
        self.0.insert(Arc::clone(&options), takes);
        (options, takes)
    }
}

/// Quotes, escapes, variables and comments are read by the file's parser only; `;` by the socket's only.
fn is_plain(text: &str) -> bool {
    text.is_ascii() && !text.contains(['"', '\'', '\\', '#', '$', ';'])
}

fn takes_only_dynamic_keywords(options: &str) -> bool {
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let Ok(at) = KEYWORDS.binary_search_by_key(&word, |(known, _)| known) else {
            return false;
        };
        let values = KEYWORDS.get(at).map_or(0, |(_, values)| *values);
        if (0..values).any(|_| words.next().is_none()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> ServerLine {
        ServerLine::parse(text).unwrap()
    }

    #[test]
    fn the_add_command_says_what_the_line_says() {
        let line = line(
            "server web1_10.0.0.1:80 10.0.0.1:80 id 3 check port 6666 weight 12 backup disabled",
        );
        assert_eq!(
            line.add_arguments("web.main"),
            "web.main/web1_10.0.0.1:80 10.0.0.1:80 check port 6666 backup id 3 weight 12"
        );
        assert!(line.leaving && line.is_dynamic());
        assert_eq!((line.id, line.check_port(), line.weight), (Some(3), Some(6666), 12));
    }

    #[test]
    fn weight_and_disabled_are_no_other_options() {
        let plain = line("server a 10.0.0.1:80 id 3 check");
        assert!(plain.same_options(&line("server a 10.0.0.1:80 weight 9 id 3 check disabled")));
        assert!(!plain.same_options(&line("server a 10.0.0.1:80 id 3 check backup")));
    }

    #[test]
    fn what_add_server_refuses_or_misreads_is_not_dynamic() {
        for text in [
            "server a 10.0.0.1:80 cookie x",
            "server a 10.0.0.1:80 check enabled",
            "server a 10.0.0.1:80 check inter",
            "server a 10.0.0.1:80 check # slow",
            "server a 10.0.0.1:80 sni \"str(x)\"",
            "server a $ADDRESS:80 check",
            "server a example.com:80 check",
            "server a unix@/run/a.sock",
            "server a 10.0.0.1:80 check resolvers dns",
            "server a 10.0.0.1:80 track b/c",
            "server a 10.0.0.1:80 check;disabled",
        ] {
            assert!(!line(text).is_dynamic(), "{text}");
        }
        assert!(line("server a [::1]:80 check ssl verify none").is_dynamic());
    }

    #[test]
    fn the_keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted_by_key(|(keyword, _)| keyword));
    }

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        for text in [
            "server a 10.0.0.1:80 check port 6666 id 3 weight 1",
            "server a 10.0.0.1:80 check id 3 weight 1 disabled",
            "server a 10.0.0.1:80  weight 1 check",
            "server a [0:0:0:0:0:0:0:1]:80 check weight 1",
            "server a example.com:80 check weight 1",
        ] {
            assert_eq!(line(text).text(), text);
        }
        assert!(line("server a 10.0.0.1:80 id 3 weight 1").text.is_none());
    }

    #[test]
    fn a_command_of_more_than_64_words_is_not_dynamic() {
        let with =
            |count: usize| line(&format!("server a 10.0.0.1:80 id 1{}", " check".repeat(count)));
        let dynamic = with(56);
        assert!(dynamic.is_dynamic());
        let command = format!("add server {}", dynamic.add_arguments("b.main"));
        assert_eq!(command.split(' ').count(), MAX_WORDS);
        assert!(!with(57).is_dynamic());
    }

    #[test]
    fn other_lines_are_no_server_lines() {
        for text in ["", "server", "server a", "# server a b:1", "servers a b", "backend a"] {
            assert_eq!(ServerLine::parse(text), None, "{text}");
        }
    }
}
