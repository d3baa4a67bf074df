//! The refs of a repository, and which of its tags mean something.

use std::fmt;

/// A commit: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sha(String);

impl Sha {
    /// `None` if it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && matches!(text.len(), 40 | 64)).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in a repository, and the commit it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    pub name: String,
    pub sha: Sha,
}

/// A line that is no ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the answer is no ref: `{text}`")]
pub struct Unreadable {
    line: usize,
    text: String,
}

/// Reads what `git ls-remote` prints.
///
/// # Errors
/// The first line that is not a commit, a tab and a name: what is understood in part could undeploy.
pub fn parse(text: &str) -> Result<Vec<Ref>, Unreadable> {
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| {
            let parts = line.split_once('\t');
            let read = parts
                .and_then(|(sha, name)| Some(Ref { sha: Sha::new(sha)?, name: name.to_owned() }));
            read.ok_or_else(|| Unreadable {
                line: at + 1,
                text: line.chars().take(120).collect::<String>().escape_debug().to_string(),
            })
        })
        .collect()
}

/// The commit that was deployed last to a group: that of the greatest time, the first one of two alike.
pub(super) fn deployed<'r>(refs: &'r [Ref], group: &str) -> Option<&'r Sha> {
    let mut latest: Option<(&str, &Sha)> = None;
    for Ref { name, sha } in refs {
        let Some(time) = time_of_deploy(name, group) else { continue };
        if latest.is_none_or(|(other, _)| time > other) {
            latest = Some((time, sha));
        }
    }
    latest.map(|(_, sha)| sha)
}

/// `refs/tags/paasta-<group>-<time>-deploy`.
fn time_of_deploy<'n>(name: &'n str, group: &str) -> Option<&'n str> {
    let rest = after(name.strip_prefix("refs/tags/paasta-")?, group)?;
    let time = rest.strip_prefix('-')?.strip_suffix("-deploy")?;
    is_time(time).then_some(time)
}

/// Eight digits, `T`, six digits.
fn is_time(text: &str) -> bool {
    let digit = |at: usize, b: u8| if at == 8 { b == b'T' } else { b.is_ascii_digit() };
    text.len() == 15 && text.bytes().enumerate().all(|(at, b)| digit(at, b))
}

/// What follows a name, in which a `.` stands for any character: PaaSTA takes names for patterns.
fn after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = text.chars();
    name.chars()
        .all(|c| rest.next().is_some_and(|found| c == '.' || c == found))
        .then_some(rest.as_str())
}

/// What the last tag for an instance asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control<'r> {
    Unasked,
    Start(&'r str),
    Stop(&'r str),
}

impl<'r> Control<'r> {
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Unasked | Self::Start(_) => "start",
            Self::Stop(_) => "stop",
        }
    }

    /// What makes the hash of its configuration another one.
    pub(super) fn token(self) -> Option<&'r str> {
        match self {
            Self::Unasked => None,
            Self::Start(token) | Self::Stop(token) => Some(token),
        }
    }
}

/// Only tags at the deployed commit count: a new deployment ends a stop.
pub(super) fn control<'r>(refs: &'r [Ref], branch: &str, sha: &Sha) -> Control<'r> {
    let mut latest = Control::Unasked;
    for found in refs.iter().filter(|found| found.sha == *sha) {
        let asked = prefixes(&found.name).find_map(|name| control_of(name, branch));
        if let Some(asked) = asked
            && asked.token() >= latest.token()
        {
            latest = asked;
        }
    }
    latest
}

/// The name behind no, one or two times `paasta-`, as many as there are.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    let tag = name.strip_prefix("refs/tags/");
    let one = tag.and_then(|tag| tag.strip_prefix("paasta-"));
    let two = one.and_then(|tag| tag.strip_prefix("paasta-"));
    [two, one, tag].into_iter().flatten()
}

/// `<cluster.instance>-<token>-start` or `-stop`; a token has no `-`.
fn control_of<'n>(name: &'n str, branch: &str) -> Option<Control<'n>> {
    let rest = after(name, branch)?.strip_prefix('-')?;
    let (token, state) = rest.split_once('-')?;
    match state {
        "start" if !token.is_empty() => Some(Control::Start(token)),
        "stop" if !token.is_empty() => Some(Control::Stop(token)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(names: &[(&str, char)]) -> Vec<Ref> {
        let sha = |digit: char| Sha::new(&digit.to_string().repeat(40)).unwrap();
        names
            .iter()
            .map(|(name, d)| Ref { name: format!("refs/tags/{name}"), sha: sha(*d) })
            .collect()
    }

    #[test]
    fn what_git_prints_is_read_and_nothing_else() {
        let sha = "a".repeat(40);
        let read = parse(&format!("{sha}\tHEAD\n{sha}\trefs/tags/x^{{}}\n")).unwrap();
        assert_eq!(read[1].name, "refs/tags/x^{}");
        for text in ["a\tHEAD\n", "warning: x\n", &format!("{sha} HEAD"), &format!("{sha}g\tx")] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_latest_deployment_of_a_group_counts_and_no_other_tag() {
        let refs = refs(&[
            ("paasta-a.b-20180101T000000-deploy", '1'),
            ("paasta-a.b-20180102T000000-deploy", '2'),
            ("paasta-a.b-20180102T000000-deployed", '3'),
            ("paasta-a.b-2018x103T000000-deploy", '4'),
            ("paasta-a.b.c-20180104T000000-deploy", '5'),
            ("paasta-paasta-a.b-20180105T000000-deploy", '6'),
        ]);
        assert!(deployed(&refs, "a.b").unwrap().as_str().starts_with('2'));
        assert_eq!(deployed(&refs, "a.x"), None);
    }

    #[test]
    fn the_last_word_on_an_instance_counts_if_it_is_said_of_the_deployed_commit() {
        let refs = refs(&[
            ("paasta-c.i-20180102T000000-stop", '1'),
            ("c.i-20180103T000000-start", '1'),
            ("paasta-paasta-c.i-20180101T000000-stop", '1'),
            ("paasta-c.i-20180109T000000-stop", '2'),
            ("paasta-c.i-a-b-stop", '1'),
            ("paasta-c.i--stop", '1'),
        ]);
        let sha = |digit: char| Sha::new(&digit.to_string().repeat(40)).unwrap();
        assert_eq!(control(&refs, "c.i", &sha('1')), Control::Start("20180103T000000"));
        assert_eq!(control(&refs, "c.i", &sha('2')), Control::Stop("20180109T000000"));
        assert_eq!(control(&refs, "c.j", &sha('1')), Control::Unasked);
    }
}
