//! URLs with placeholders, as Python's `str.format` fills them in: those of the drain method `http` and
//! of HAProxy's statistics (marathon-sync.md §1.2 and §13).

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Host,
    /// The first port of a task.
    Port,
    Service,
    Instance,
    Namespace,
}

impl Field {
    /// All of a task.
    pub const ALL: [Self; 5] =
        [Self::Host, Self::Port, Self::Service, Self::Instance, Self::Namespace];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Port => "port",
            Self::Service => "service",
            Self::Instance => "instance",
            Self::Namespace => "nerve_ns",
        }
    }

    /// `{port:d}` and `{host:s}` are allowed, the other way round is not.
    fn fits(self, format: &str) -> bool {
        format.is_empty() || format == if self == Self::Port { "d" } else { "s" }
    }
}

/// What is filled in.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    pub host: &'v str,
    /// `None` for a task without ports.
    pub port: Option<u16>,
    pub service: &'v str,
    pub instance: &'v str,
    pub namespace: &'v str,
}

/// A URL whose placeholders are known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// Why a text is no URL with placeholders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    #[error("{{{0}}} is no placeholder; expected {1}")]
    Unknown(String, String),
    #[error("a brace of {0:?} has no partner")]
    Brace(String),
}

/// Why there is no URL for a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfillable {
    #[error("the task has no port")]
    NoPort,
    #[error("{0:?} is no name or address of a host")]
    Host(String),
}

impl UrlFormat {
    /// # Errors
    /// When a brace has no partner, or a placeholder is none of `known`.
    pub fn parse(text: &str, known: &[Field]) -> Result<Self, InvalidFormat> {
        let brace = || InvalidFormat::Brace(text.to_owned());
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, found) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = found.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = found.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let inner = found.strip_prefix('{').ok_or_else(brace)?;
                let (inner, after) = inner.split_once('}').ok_or_else(brace)?;
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Field(field(inner, known)?));
                rest = after;
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The URL for a task.
    ///
    /// # Errors
    /// When the task has no port and one is asked for, or its host could change more of the URL than
    /// the host.
    pub fn fill(&self, values: &Values<'_>) -> Result<String, Unfillable> {
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if values.host.is_empty() || !values.host.bytes().all(is_host) {
            return Err(Unfillable::Host(values.host.to_owned()));
        }
        let mut url = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Field(Field::Host) => url.push_str(values.host),
                Part::Field(Field::Port) => {
                    url.push_str(&values.port.ok_or(Unfillable::NoPort)?.to_string());
                }
                Part::Field(Field::Service) => url.push_str(values.service),
                Part::Field(Field::Instance) => url.push_str(values.instance),
                Part::Field(Field::Namespace) => url.push_str(values.namespace),
            }
        }
        Ok(url)
    }
}

fn field(inner: &str, known: &[Field]) -> Result<Field, InvalidFormat> {
    let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
    let field = known.iter().find(|field| field.as_str() == name && field.fits(format));
    field.copied().ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|field| field.as_str()).collect();
        InvalidFormat::Unknown(inner.to_owned(), known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Values<'_> = Values {
        host: "h1.example.net",
        port: Some(31000),
        service: "web",
        instance: "main",
        namespace: "ns",
    };

    fn filled(text: &str) -> String {
        UrlFormat::parse(text, &Field::ALL).unwrap().fill(&TASK).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in_as_python_does() {
        assert_eq!(
            filled("http://{host:s}:{port:d}/;csv;norefresh"),
            "http://h1.example.net:31000/;csv;norefresh"
        );
        assert_eq!(filled("{service}/{instance}.{nerve_ns}/{{x}}"), "web/main.ns/{x}");
    }

    #[test]
    fn what_python_would_stumble_over_is_refused_when_it_is_read() {
        for text in ["{task}", "{}", "{port:s}", "{host:d}", "{host!r}"] {
            let fault = UrlFormat::parse(text, &Field::ALL).unwrap_err();
            assert!(matches!(fault, InvalidFormat::Unknown(..)), "{text:?}");
        }
        for text in ["{", "}", "a{host"] {
            let fault = UrlFormat::parse(text, &Field::ALL).unwrap_err();
            assert!(matches!(fault, InvalidFormat::Brace(_)), "{text:?}");
        }
        assert!(UrlFormat::parse("{service}", &[Field::Host, Field::Port]).is_err());
    }

    #[test]
    fn a_host_changes_nothing_but_the_host() {
        let format = UrlFormat::parse("http://{host}:{port}/", &Field::ALL).unwrap();
        for host in ["", "a/b", "a@b", "a?b", "a#b", "a b", "a\r\nX: y"] {
            let refused = format.fill(&Values { host, ..TASK });
            assert_eq!(refused, Err(Unfillable::Host(host.to_owned())));
        }
        assert_eq!(format.fill(&Values { port: None, ..TASK }), Err(Unfillable::NoPort));
    }
}
