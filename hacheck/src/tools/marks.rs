//! The tools that work on the spool directory.

use std::{fmt::Display, fs, path::Path};

use nix::unistd::{AccessFlags, eaccess};

use super::{FAILED, Failure, Output, args::Args};
use crate::{
    marks::{Content, Fault, Files, MarkKey, UnixTime, Wish},
    names::Host,
};

/// Tells what does not keep the rest from being done.
pub(super) struct Teller<'a, 'o> {
    pub(super) tool: &'static str,
    pub(super) output: &'a mut Output<'o>,
}

impl Teller<'_, '_> {
    fn warn(&mut self, text: impl Display) {
        // Whoever has closed standard error does not want to know.
        let _ = writeln!(self.output.err, "{}: {text}", self.tool);
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.output.out, "{line}")?)
    }
}

pub(super) fn up(args: &Args, teller: &mut Teller<'_, '_>) -> Result<u8, Failure> {
    let mut files = open(&args.spool_root, AccessFlags::R_OK | AccessFlags::W_OK)?;
    each(args, teller, |name, _| {
        let removed = files.remove(name);
        removed.map_err(|error| format!("cannot remove {}: {error}", files.path(name).display()))
    })
}

pub(super) fn down(args: &Args, reason: &str, teller: &mut Teller<'_, '_>) -> Result<u8, Failure> {
    let mut files = open(&args.spool_root, AccessFlags::R_OK | AccessFlags::W_OK)?;
    each(args, teller, |name, teller| {
        if name.parse::<MarkKey>().is_err() {
            teller.warn(format_args!("nothing asks about a service called {name:?}"));
        }
        let wish = Wish { reason: reason.to_owned(), expiration: args.expiration, creation: None };
        let written = files.down(name, wish, UnixTime::now());
        written.map_err(|error| format!("cannot write {}: {error}", files.path(name).display()))
    })
}

pub(super) fn status(args: &Args, teller: &mut Teller<'_, '_>) -> Result<u8, Failure> {
    let mut files = open(&args.spool_root, AccessFlags::R_OK)?;
    let mut code = 0;
    for (service, name) in file_names(args)? {
        match find(&mut files, &name, teller) {
            Some(mark) => {
                let (host, port) = (args.service_host.as_deref(), args.service_port);
                let shown = shown(service, host, port.map(|port| port.to_string()).as_deref());
                teller.line(&down_line(&shown, &mark))?;
                code = FAILED;
            }
            None => teller.line(&format!("UP\t{service}"))?,
        }
    }
    Ok(code)
}

pub(super) fn status_downed(args: &Args, teller: &mut Teller<'_, '_>) -> Result<u8, Failure> {
    let mut files = open(&args.spool_root, AccessFlags::R_OK)?;
    let names = files.names().map_err(|error| {
        Failure::Failed(format!("cannot read {}: {error}", args.spool_root.display()))
    })?;
    let mut code = 0;
    for name in names {
        let name = name.to_string_lossy();
        let Some(shown) = taken_apart(&name) else {
            teller.warn(format_args!("{name:?} is no mark: {}", Fault::Name));
            code = FAILED;
            continue;
        };
        if let Some(mark) = find(&mut files, &name, teller) {
            teller.line(&down_line(&shown, &mark))?;
        }
    }
    Ok(code)
}

/// The mark in this file. One that cannot be read does not hold for hacheck either.
fn find(files: &mut Files, name: &str, teller: &mut Teller<'_, '_>) -> Option<Content> {
    files.get(name, UnixTime::now()).unwrap_or_else(|fault| {
        teller.warn(format_args!("{}: {fault}", files.path(name).display()));
        None
    })
}

/// Does something to the mark of each service; one that fails does not keep the others waiting.
fn each(
    args: &Args,
    teller: &mut Teller<'_, '_>,
    mut change: impl FnMut(&str, &mut Teller<'_, '_>) -> Result<(), String>,
) -> Result<u8, Failure> {
    let mut code = 0;
    for (_, name) in file_names(args)? {
        if let Err(error) = change(&name, teller) {
            teller.warn(error);
            code = FAILED;
        }
    }
    Ok(code)
}

/// Each service with the name of its file. Names are not checked further than that they stay in
/// the directory.
fn file_names(args: &Args) -> Result<Vec<(&str, String)>, Failure> {
    let file_name = |service: &'_ str| match (&args.service_host, args.service_port) {
        (Some(host), Some(port)) => format!("{service}:{host}:{port}"),
        (_, Some(port)) => format!("{service}:{port}"),
        (_, None) => service.to_owned(),
    };
    let named = args.names.iter().map(|service| {
        let name = file_name(service);
        let leaves = name.contains('/') || matches!(name.as_str(), "" | "." | "..");
        if leaves || service.is_empty() {
            return Err(Failure::Failed(format!("{name:?} cannot be the name of a mark")));
        }
        Ok((service.as_str(), name))
    });
    named.collect()
}

fn open(directory: &Path, access: AccessFlags) -> Result<Files, Failure> {
    let failed = |error: &dyn Display| {
        Failure::Failed(format!("cannot use {} for marks: {error}", directory.display()))
    };
    let files = Files::open(directory).map_err(|error| failed(&error))?;
    eaccess(directory, access | AccessFlags::X_OK).map_err(|error| failed(&error.desc()))?;
    if !fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(failed(&"it is no directory"));
    }
    Ok(files)
}

/// `DOWN<TAB>inf<TAB>svc.main<TAB>reason`, always one line: `echo why > FILE` ends in a newline.
fn down_line(shown: &str, mark: &Content) -> String {
    let until = match mark.expiration {
        Some(expiration) => format!("{:.6}", expiration.seconds()),
        None => "inf".to_owned(),
    };
    let reason = mark.reason.trim_end_matches(['\r', '\n']).replace(char::is_control, " ");
    format!("DOWN\t{until}\t{shown}\t{reason}")
}

fn shown(service: &str, host: Option<&str>, port: Option<&str>) -> String {
    match port {
        Some(port) => format!("{service}:{}:{port}", host.unwrap_or_default()),
        None => service.to_owned(),
    }
}

/// A file's name as it is shown; `None` if it can be no mark's.
fn taken_apart(name: &str) -> Option<String> {
    match name.parse() {
        Ok(MarkKey::Instance(service, Host::Local, port)) => {
            return Some(shown(service.as_str(), None, Some(&port.to_string())));
        }
        Ok(_) => return Some(name.to_owned()),
        Err(_) => {}
    }
    // Made by an older tool, which takes any name; at most two parts come from the right.
    let mut parts = name.rsplitn(3, ':');
    let last = parts.next()?;
    let (host, service) = match (parts.next(), parts.next()) {
        (None, _) => return Some(last.to_owned()),
        (Some(service), None) => (None, service),
        (Some(host), Some(service)) => (Some(host), service),
    };
    let port: u64 = last.parse().ok()?;
    Some(shown(service, host, Some(&port.to_string())))
}
