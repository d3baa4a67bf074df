//! The template: the built-in one or an operator's, and the filters that keep foreign text in its word.

use std::{fmt::Write as _, io::ErrorKind, path::PathBuf};

use tera::{Context, Kwargs, State, Tera};

use super::{model::Model, settings::Settings};

const NAME: &str = "haproxy.cfg.tera";
const BUILT_IN: &str = include_str!("../../../../templates/haproxy.cfg.tera");

/// Why there is no text. The message has the file, the line and the place in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("cannot read the template {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0}")]
    Broken(String),
}

/// A template that has been parsed.
#[derive(Debug)]
pub struct Template {
    tera: Tera,
    source: String,
}

impl Template {
    /// # Errors
    /// When `source` is no template; `file` is what the message calls it.
    pub fn parse(file: &str, source: String) -> Result<Self, Error> {
        let mut tera = Tera::new();
        tera.register_filter("quote", |text: &str, _: Kwargs, _: &State<'_>| quote(text));
        tera.register_filter("format", |text: &str, _: Kwargs, _: &State<'_>| log_format(text));
        tera.register_filter("line", |text: &str, _: Kwargs, _: &State<'_>| line(text));
        tera.add_raw_template(file, &source).map_err(|error| broken(&error))?;
        Ok(Self { tera, source })
    }

    /// # Errors
    /// When the template asks for something that is not there, or a value has control characters.
    pub fn render(&self, model: &Model) -> Result<String, Error> {
        let context = Context::from_serialize(model).map_err(|error| broken(&error))?;
        let name = self.tera.get_template_names().next().unwrap_or(NAME);
        let mut text = self.tera.render(name, &context).map_err(|error| broken(&error))?;
        // HAProxy refuses a file whose last line has no end (synapse.md §12).
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }

    /// Whether this was parsed from `source`.
    #[must_use]
    pub fn is_from(&self, source: &str) -> bool {
        self.source == source
    }
}

/// A template as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What messages call it.
    pub file: String,
    pub text: String,
}

/// The template that comes with the agent.
#[must_use]
pub fn built_in() -> Source {
    Source { file: format!("{NAME} (built-in)"), text: BUILT_IN.to_owned() }
}

/// The template that the operator wants: the file in the directory of `settings`, or the built-in one
/// if there is no such file. Blocks on the disk.
///
/// # Errors
/// When the file is there and cannot be read, or the directory is not there.
pub fn source(settings: &Settings) -> Result<Source, Error> {
    let Some(directory) = &settings.templates else { return Ok(built_in()) };
    let path = directory.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Source { file: path.display().to_string(), text }),
        // A directory that is missing is a mistake or not mounted yet, and no wish.
        Err(error) if error.kind() == ErrorKind::NotFound && directory.is_dir() => Ok(built_in()),
        Err(error) => Err(Error::Unreadable { path, reason: error.to_string() }),
    }
}

fn broken(error: &tera::Error) -> Error {
    Error::Broken(error.to_string())
}

/// A word for HAProxy in which nothing is special: `"` around it, escapes inside.
fn quote(text: &str) -> tera::TeraResult<String> {
    let text = line(text)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// The same for a word that HAProxy reads as a log-format string, where `%` is special too.
fn log_format(text: &str) -> tera::TeraResult<String> {
    quote(&text.replace('%', "%%"))
}

/// The text as it is, if it cannot end its line.
fn line(text: &str) -> tera::TeraResult<String> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(text.to_owned()),
        Some(c) => {
            let mut message = format!("control character {} in ", c.escape_debug());
            let _ = write!(message, "`{}`", text.escape_debug());
            Err(tera::Error::message(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn quoting_disarms_what_haproxy_would_read() {
        assert_eq!(quote(r#"a "b" \ $HOME # x"#).unwrap(), r#""a \"b\" \\ \$HOME # x""#);
        assert_eq!(log_format("50%o").unwrap(), r#""50%%o""#);
        assert!(quote("a\nb").is_err());
        assert!(log_format("a\rb").is_err());
        assert!(line("a\0b").is_err());
    }

    #[test]
    fn a_file_that_is_not_there_means_the_built_in_one_but_a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let of = |directory: &Path| {
            source(&Settings { templates: Some(directory.to_owned()), ..Settings::default() })
        };
        assert_eq!(of(dir.path()), Ok(built_in()));
        assert!(of(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
        let file = dir.path().join(NAME);
        crate::atomic_file::write(&file, b"own").unwrap();
        let own = Source { file: file.display().to_string(), text: "own".to_owned() };
        assert_eq!(of(dir.path()), Ok(own));
    }

    #[test]
    fn a_broken_template_is_reported_with_file_and_line() {
        let error = Template::parse("/etc/t/haproxy.cfg.tera", "global\n{% if %}\n".to_owned());
        let message = error.unwrap_err().to_string();
        assert!(message.contains("/etc/t/haproxy.cfg.tera:2:"), "{message}");
    }
}
