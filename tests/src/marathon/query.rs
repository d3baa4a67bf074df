//! What stands behind the question mark.

use super::{machine::App, refusal::Refusal};

/// Names and values, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

/// What is told of an app beyond its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Embed {
    pub(super) tasks: bool,
    pub(super) counts: bool,
    pub(super) deployments: bool,
    pub(super) last_failure: bool,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// In any case, as Java reads it: whatever is not true is false.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn has_embed(&self, what: &str) -> bool {
        self.all("embed").any(|embed| embed == what)
    }

    /// Counts and deployments are always told.
    pub(super) fn embed(&self) -> Embed {
        let mut told = Embed { counts: true, deployments: true, ..Embed::default() };
        for embed in self.all("embed") {
            let prefixes = ["group.apps.", "apps.", "app."];
            let name = prefixes.iter().find_map(|prefix| embed.strip_prefix(prefix));
            match name.unwrap_or(embed) {
                "tasks" => told.tasks = true,
                "lastTaskFailure" => told.last_failure = true,
                "failures" => (told.tasks, told.last_failure) = (true, true),
                _ => {}
            }
        }
        told
    }

    /// Whether an app passes the filters `cmd`, `id` and `label`.
    pub(super) fn lets_through(&self, app: &App) -> Result<bool, Refusal> {
        let has = |text: &str, part: Option<&str>| {
            part.is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
        };
        let fields = &app.definition.fields;
        let cmd = fields.get("cmd").and_then(|cmd| cmd.as_str()).unwrap_or_default();
        let mut passes =
            has(cmd, self.get("cmd")) && has(app.definition.id.as_str(), self.get("id"));
        for selector in self.get("label").map(selectors).transpose()?.unwrap_or_default() {
            let label =
                fields.get("labels").and_then(|labels| labels.get(&selector.name)?.as_str());
            passes &= selector.matches(label);
        }
        Ok(passes)
    }
}

/// `name`, `name==value`, `name!=value`, `name in (a, b)`, `name notin (a, b)`.
#[derive(Debug)]
struct Selector {
    name: String,
    /// None: whatever it is.
    values: Option<Vec<String>>,
    is_negated: bool,
}

impl Selector {
    fn matches(&self, label: Option<&str>) -> bool {
        match (&self.values, label) {
            (None, label) => label.is_some(),
            (Some(_), None) => false,
            (Some(values), Some(label)) => values.iter().any(|v| v == label) != self.is_negated,
        }
    }
}

fn selectors(text: &str) -> Result<Vec<Selector>, Refusal> {
    let mut depth = 0;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let unreadable = || Refusal::bad_request(format!("'{text}' is not a label selector"));
    parts.map(|part| selector(part.trim()).ok_or_else(unreadable)).collect()
}

fn selector(text: &str) -> Option<Selector> {
    let one = |name: &str, value: &str, is_negated| {
        let values = Some(vec![value.trim().to_owned()]);
        Some(Selector { name: name.trim().to_owned(), values, is_negated })
    };
    if let Some((name, value)) = text.split_once("==") {
        return one(name, value, false);
    }
    if let Some((name, value)) = text.split_once("!=") {
        return one(name, value, true);
    }
    if let Some((head, set)) = text.split_once('(') {
        let (name, operator) = head.trim().rsplit_once(' ')?;
        let is_negated = match operator {
            "in" => false,
            "notin" => true,
            _ => return None,
        };
        let values = set.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned());
        let values = Some(values.collect());
        return Some(Selector { name: name.trim().to_owned(), values, is_negated });
    }
    let is_name = !text.is_empty() && !text.contains([' ', '=', '!', ')']);
    is_name.then(|| Selector { name: text.to_owned(), values: None, is_negated: false })
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let code = std::str::from_utf8(&digits).ok();
                decoded.push(code.and_then(|c| u8::from_str_radix(c, 16).ok()).unwrap_or(b'%'));
            }
            byte => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_without_regard_to_case() {
        let query = Query::parse("force=True&scale=TRUE&wipe=false&x=1&empty=");
        assert!(query.flag("force", false) && query.flag("scale", false));
        assert!(!query.flag("wipe", true) && !query.flag("x", true));
        assert!(query.flag("empty", true) && query.flag("absent", true));
    }

    #[test]
    fn all_prefixes_of_embed_are_taken() {
        for embed in ["app.tasks", "apps.tasks", "group.apps.tasks", "tasks", "apps%2Etasks"] {
            assert!(Query::parse(&format!("embed={embed}")).embed().tasks, "{embed}");
        }
        assert!(!Query::parse("embed=app.task").embed().tasks);
        let both = Query::parse("embed=app.tasks&embed=app.lastTaskFailure").embed();
        assert!(both.tasks && both.last_failure);
    }

    #[test]
    fn labels_are_selected_in_five_ways() {
        for (text, label, matches) in [
            ("a", Some("x"), true),
            ("a", None, false),
            ("a==x", Some("x"), true),
            ("a==x", Some("y"), false),
            ("a!=x", Some("y"), true),
            ("a!=x", Some("x"), false),
            ("a in (x, y)", Some("y"), true),
            ("a notin (x, y)", Some("y"), false),
            ("a notin (x,y)", Some("z"), true),
        ] {
            let selectors = selectors(text).unwrap();
            assert_eq!(selectors.len(), 1, "{text}");
            assert_eq!(selectors[0].matches(label), matches, "{text} {label:?}");
        }
        assert_eq!(selectors("a==x,b in (y, z),c").unwrap().len(), 3);
        for broken in ["", "a b", "a like (x)", "a in (x"] {
            assert_eq!(selectors(broken).unwrap_err().status, 400, "{broken}");
        }
    }
}
