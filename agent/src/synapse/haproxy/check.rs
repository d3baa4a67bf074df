//! `haproxy -c`: no text becomes the configuration before HAProxy itself has accepted it.

use std::{io, process::Stdio, sync::Arc};

use tokio::{io::AsyncReadExt as _, process::Command, time};

use super::{carry, settings::Settings};
use crate::atomic_file::{self, Staged};

/// Of what HAProxy prints; a thousand broken lines need no more.
const MAX_OUTPUT_BYTES: u64 = 256 * 1024;
/// Findings that are reported.
const MAX_FINDINGS: usize = 5;

/// Why a text cannot become the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] atomic_file::Error),
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{program} -c did not end within {after:?}")]
    Timeout { program: String, after: std::time::Duration },
    /// With HAProxy's words and the lines they are about.
    #[error("haproxy refuses the configuration: {0}")]
    Refused(String),
    #[error("the task that writes was cut off")]
    Cancelled,
}

/// Writes `text` beside the configuration file and has HAProxy check it. What is returned can be
/// put in place by [`put_in_place`].
///
/// # Errors
/// When it cannot be written or checked, or HAProxy refuses it.
pub async fn check(settings: &Settings, text: &str) -> Result<Staged, Error> {
    let (path, bytes) = (settings.config_file.clone(), Arc::<[u8]>::from(text.as_bytes()));
    let (sockets, state) = (settings.sockets_dir.clone(), carry::file(settings));
    let stage = move || {
        carry::prepare(&state);
        // HAProxy does not make the directory its sockets stand in.
        if let Some(directory) = sockets {
            let _ = std::fs::create_dir_all(directory);
        }
        Staged::new(&path, &bytes)
    };
    let staged = tokio::task::spawn_blocking(stage).await.map_err(|_| Error::Cancelled)??;
    let program = settings.program.display().to_string();
    let run = time::timeout(settings.check_timeout, run(settings, &staged)).await;
    let timeout = || Error::Timeout { program: program.clone(), after: settings.check_timeout };
    let outcome = run.map_err(|_| timeout())?;
    let (accepted, output) =
        outcome.map_err(|source| Error::Run { program: program.clone(), source })?;
    if accepted {
        return Ok(staged);
    }
    // The name is another one each time, and the same fault must read the same.
    let [staged, file] = [staged.path(), &settings.config_file].map(|p| p.display().to_string());
    Err(Error::Refused(findings(&output.replace(&staged, &file), text)))
}

/// Makes a checked text the configuration.
///
/// # Errors
/// When the rename fails; the old configuration is then still there.
pub async fn put_in_place(staged: Staged) -> Result<(), Error> {
    let commit = tokio::task::spawn_blocking(move || staged.commit());
    Ok(commit.await.map_err(|_| Error::Cancelled)??)
}

async fn run(settings: &Settings, staged: &Staged) -> io::Result<(bool, String)> {
    let mut child = Command::new(&settings.program)
        .arg("-c")
        .arg("-f")
        .arg(staged.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is for the agent; a check that it ends would look like a refusal.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MAX_OUTPUT_BYTES).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), String::from_utf8_lossy(&output).into_owned()))
}

/// The alerts in HAProxy's output, each with the line of the text it names.
fn findings(output: &str, text: &str) -> String {
    let alerts = output.lines().filter(|line| line.contains("[ALERT]"));
    let said: Vec<_> = alerts.filter_map(|line| finding(line, text)).take(MAX_FINDINGS).collect();
    if said.is_empty() { output.trim().to_owned() } else { said.join("; ") }
}

/// `[ALERT] (pid) : config : parsing [file:12] : message` as `line 12 (the line): message`.
fn finding(alert: &str, text: &str) -> Option<String> {
    let (_, message) = alert.split_once(" : ")?;
    let message = message.strip_prefix("config : ").unwrap_or(message);
    let Some((place, said)) =
        message.strip_prefix("parsing [").and_then(|rest| rest.split_once("] : "))
    else {
        let summary = message.starts_with("Error(s) found") || message.starts_with("Fatal errors");
        return (!summary).then(|| message.to_owned());
    };
    let number: usize = place.rsplit(':').next()?.parse().ok()?;
    let line: String = text.lines().nth(number.checked_sub(1)?)?.trim().chars().take(200).collect();
    Some(format!("line {number} (`{line}`): {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &tempfile::TempDir, program: &str) -> Settings {
        Settings {
            config_file: dir.path().join("haproxy.cfg"),
            sockets_dir: None,
            program: program.into(),
            check_timeout: std::time::Duration::from_secs(10),
            ..Settings::default()
        }
    }

    #[test]
    fn a_finding_names_the_line_and_shows_it() {
        let output = "[NOTICE]   (1) : haproxy version is 2.6.12\n\
            [ALERT]    (1) : config : parsing [/x/.a.tmp:2] : unknown keyword 'foo' in 'global'\n\
            [ALERT]    (1) : config : Error(s) found in configuration file : /x/.a.tmp\n";
        assert_eq!(
            findings(output, "global\n\tfoo bar\n"),
            "line 2 (`foo bar`): unknown keyword 'foo' in 'global'"
        );
    }

    #[tokio::test]
    async fn a_refused_text_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let error = check(&settings(&dir, "haproxy"), "global\n\tnonsense\n").await.unwrap_err();
        assert!(error.to_string().contains("line 2 (`nonsense`)"), "{error}");
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [carry::file(&settings(&dir, "haproxy"))], "which HAProxy reads");
    }

    #[tokio::test]
    async fn the_same_fault_reads_the_same_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let text = "backend a\nbackend a\n";
        let settings = settings(&dir, "haproxy");
        let [one, two] = [check(&settings, text).await, check(&settings, text).await];
        let [one, two] = [one, two].map(|outcome| outcome.unwrap_err().to_string());
        assert!(one.contains(&format!("{}:1", settings.config_file.display())), "{one}");
        assert_eq!(one, two);
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_hangs_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let missing = check(&settings(&dir, "/nowhere/haproxy"), "").await.unwrap_err();
        assert!(matches!(missing, Error::Run { .. }), "{missing}");
        let script = dir.path().join("hangs");
        atomic_file::write(&script, b"#!/bin/sh\nexec sleep 60\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, executable).unwrap();
        let short = std::time::Duration::from_millis(200);
        let hanging = settings(&dir, &script.display().to_string());
        let hanging = Settings { check_timeout: short, ..hanging };
        let hangs = check(&hanging, "").await.unwrap_err();
        assert!(matches!(hangs, Error::Timeout { .. }), "{hangs}");
    }
}
