//! Who holds a service down, for those who give no reason (hacheck.md §12).

use std::{fs, path::PathBuf};

use nix::unistd::{User, geteuid};

/// Whoever runs a tool.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `SUDO_USER`, `SSH_USER` and the effective user, in this order; the first that is there counts.
    pub names: Vec<String>,
    /// Users who stand for no person, one on each line, `#` for comments.
    pub nonhumans: PathBuf,
}

/// The caller's name says nothing about who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("please use --reason option to tell us who you REALLY are")]
pub struct Anonymous;

impl Caller {
    /// Whoever has started this process; `/etc/nonhumans` lists those who are no persons.
    #[must_use]
    pub fn of_this_process() -> Self {
        let variables = ["SUDO_USER", "SSH_USER"].map(|name| std::env::var(name).ok());
        let user = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
        // A user without a name in the system still has a number.
        let user = user.unwrap_or_else(|| geteuid().to_string());
        let names = variables.into_iter().flatten().filter(|name| !name.is_empty());
        Self { names: names.chain([user]).collect(), nonhumans: "/etc/nonhumans".into() }
    }

    /// The reason of a mark for which nobody has given another.
    ///
    /// # Errors
    /// When the name is listed as no person's.
    pub fn reason(&self) -> Result<String, Anonymous> {
        let name = self.names.first().cloned().unwrap_or_default();
        let listed = fs::read_to_string(&self.nonhumans).unwrap_or_default();
        let mut nonhumans = listed.lines().map(|line| match line.split_once('#') {
            Some((before, _)) => before.trim(),
            None => line.trim(),
        });
        if nonhumans.any(|nonhuman| nonhuman == name) { Err(Anonymous) } else { Ok(name) }
    }
}
