//! The driver `syslog`: a datagram for each line to the socket of the host's log, which under systemd is
//! journald's.
//!
//! A log that is full must not hold anybody up: what it does not take at once is lost to it, and told.

use std::{os::unix::net::UnixDatagram, process};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use soa_configs::yaml::{Map, Node};

use super::{Error, LogLine};

const SOCKET: &str = "/dev/log";
/// How the lines are found again, as in `journalctl -t paasta`.
const NAME: &str = "paasta";
/// `user`; the severity comes on top of it.
const FACILITY: u8 = 1 << 3;
const INFO: u8 = 6;
const DEBUG: u8 = 7;

pub(super) struct Writer<'o> {
    socket: &'o str,
}

impl<'o> Writer<'o> {
    pub(super) fn of(options: &'o Map) -> Result<Self, Error> {
        let socket = options.get("socket").map_or(Some(SOCKET), Node::as_text);
        let wrong = Error::Option {
            driver: "syslog",
            option: "socket",
            expected: "the path of a datagram socket, such as /dev/log",
        };
        socket.map(|socket| Self { socket }).ok_or(wrong)
    }

    pub(super) fn write(&self, line: &LogLine<'_>) -> Result<(), Error> {
        let now = Timestamp::now().to_zoned(TimeZone::system());
        let message = message(line, &now, process::id());
        let send = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.send_to(message.as_bytes(), self.socket)
        };
        send().map(drop).map_err(|error| line.lost(self.socket, &error))
    }
}

/// As the C library writes it: priority, local time, name and process.
fn message(line: &LogLine<'_>, now: &Zoned, process: u32) -> String {
    let severity = if line.level == "debug" { DEBUG } else { INFO };
    let (priority, time) = (FACILITY + severity, now.strftime("%b %e %H:%M:%S"));
    format!("<{priority}>{time} {NAME}[{process}]: {}", line.json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_line_behind_what_every_log_understands() {
        let now: Timestamp = "2018-01-03T19:24:26Z".parse().unwrap();
        let line = LogLine::of_deploy("c1", "web", "main", "gone", now);
        let zoned = now.to_zoned(TimeZone::UTC);
        let head = "<14>Jan  3 19:24:26 paasta[7]: {\"cluster\": \"c1\", ";
        assert!(message(&line, &zoned, 7).starts_with(head), "{}", message(&line, &zoned, 7));
        let line = LogLine::of_monitoring("c1", "web", "main", "gone", now);
        assert!(message(&line, &zoned, 7).starts_with("<15>"));
    }
}
