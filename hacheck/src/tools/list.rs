//! `halist`: what a running hacheck was asked about.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, ser::Formatter};

use super::Failure;
use crate::client::{Ask, Client, HttpSettings};

const WITHIN: Duration = Duration::from_secs(3);
/// 10,000 services are the most that hacheck remembers.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// `/recent` (hacheck.md §11).
#[derive(Deserialize)]
struct Recent {
    seen_services: Vec<(String, Value)>,
}

pub(super) fn list(port: u16, out: &mut dyn Write) -> Result<u8, Failure> {
    let url = format!("http://127.0.0.1:{port}/recent");
    let failed = |reason: String| Failure::Failed(format!("cannot get {url}: {reason}"));
    let document = ask(port).map_err(failed)?;
    let mut recent: Recent = serde_json::from_slice(&document)
        .map_err(|error| failed(format!("its answer is not hacheck's: {error}")))?;
    recent.seen_services.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, answer) in recent.seen_services {
        let answer = as_python_writes_it(&answer).map_err(io::Error::from)?;
        writeln!(out, "{name} last_response={answer}")?;
    }
    Ok(0)
}

fn ask(port: u16) -> Result<bytes::Bytes, String> {
    let user_agent = concat!("halist ", env!("CARGO_PKG_VERSION"));
    let settings =
        HttpSettings { connect_timeout: WITHIN, timeout: WITHIN, ..HttpSettings::new(user_agent) };
    let client = Client::new(settings).map_err(|error| error.to_string())?;
    let client = client.with_body_limit(MAX_DOCUMENT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let reply = runtime.block_on(client.exchange("127.0.0.1", port, Ask::Get, "/recent"));
    match reply {
        Ok(reply) if reply.status == 200 => Ok(reply.body),
        Ok(reply) => Err(format!("it answers {}", reply.status)),
        Err(fault) => Err(fault.explained()),
    }
}

/// JSON with the blanks that Python puts in; scripts cut these lines apart.
fn as_python_writes_it(value: &Value) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Python))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

struct Python;

impl Python {
    fn separate<W: ?Sized + Write>(writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
