//! Keys of this house that the old programs do not know: how requests are divided.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    fields::{self, Fields, Input},
    values,
    yaml::{Fault, Value},
};

/// A part of all requests, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    /// `None` above 1000.
    #[must_use]
    pub fn of_thousand(part: u16) -> Option<Self> {
        (part <= 1000).then_some(Self(part))
    }

    /// From 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// `canary`: servers whose records bear a label get together this share of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The key of the label.
    pub label: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
    pub share: Share,
}

/// `spillover`: the servers of the next wider place join when the near place has too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spillover {
    /// They join when the near place has fewer servers than this.
    pub below: u16,
    /// They leave again when it has at least so many. Default: one more than `below`.
    pub until: u16,
    pub joined: Joined,
}

/// What the servers of a wider place are while they help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Used when no near one is left.
    Backup,
    /// Together they get this share of the requests.
    Weighted(Share),
}

/// `guard`: what of a sudden loss of servers is doubted; what is absent is as on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// A larger share lost at once is doubted.
    pub share: Option<Share>,
    /// How long it must last.
    pub hold: Option<Duration>,
}

/// One of `default_servers`: it is used when nobody is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultServer {
    /// Only letters, digits, `-` and `.`; may be empty.
    pub name: String,
    pub address: SocketAddr,
}

pub(super) fn guard(input: Input<'_>) -> Result<Guard, Fault> {
    let mut fields = Fields::new(input)?;
    let (share, hold) = (fields.read("share", share), fields.read("hold_s", values::seconds));
    fields.finish()?;
    Ok(Guard { share, hold })
}

pub(super) fn default_servers(input: Input<'_>) -> Result<Vec<DefaultServer>, Fault> {
    fields::list(input, |input| {
        let mut fields = Fields::new(input)?;
        let host: Option<IpAddr> = fields.read("host", |input| {
            values::parsed(input, |text| {
                text.parse().map_err(|_| format!("{text:?} is no address"))
            })
        });
        let port = fields.read("port", values::port);
        let name = fields.read("name", Input::text).unwrap_or_default();
        fields.finish()?;
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
        match (host, port) {
            (Some(host), Some(port)) if is_name && name.len() <= 200 => {
                Ok(DefaultServer { name, address: SocketAddr::new(host, port.get()) })
            }
            _ => Err(input.expected("a server as {name: web1, host: 10.0.0.1, port: 80}")),
        }
    })
}

pub(super) fn canary(input: Input<'_>) -> Result<Canary, Fault> {
    let mut fields = Fields::new(input)?;
    let label = fields.read("label", Input::text).filter(|label| !label.is_empty());
    let (value, share) = (fields.read("value", Input::text), fields.read("share", share));
    fields.finish()?;
    match (label, share) {
        (Some(label), Some(share)) => Ok(Canary { label, value, share }),
        _ => Err(input.expected("`label` and `share`, as in {label: canary, share: 0.05}")),
    }
}

pub(super) fn spillover(input: Input<'_>) -> Result<Spillover, Fault> {
    let mut fields = Fields::new(input)?;
    let below = fields.read("below", values::count).filter(|below| *below > 0);
    let until = fields.read("until", values::count);
    let (kind, share) = (fields.read("as", Input::text), fields.read("share", share));
    fields.finish()?;
    let joined = match (kind.as_deref(), share) {
        (None | Some("backup"), None) => Some(Joined::Backup),
        (Some("weighted"), Some(share)) => Some(Joined::Weighted(share)),
        _ => None,
    };
    let (Some(below), Some(joined)) = (below, joined) else {
        let forms = "`below` above 0, as in {below: 2} or {below: 2, as: weighted, share: 0.25}";
        return Err(input.expected(forms));
    };
    let until = until.unwrap_or_else(|| below.saturating_add(1));
    if until < below {
        return Err(input.expected("`until` not smaller than `below`"));
    }
    Ok(Spillover { below, until, joined })
}

/// A number from 0 to 1.
fn share(input: Input<'_>) -> Result<Share, Fault> {
    let number = match &input.node.value {
        Value::Int(int) => int.to_f64(),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    let number = number.filter(|share| (0.0..=1.0).contains(share));
    let Some(number) = number else { return Err(input.expected("a share from 0 to 1")) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 1000"
    )]
    Ok(Share((number * 1000.0).round() as u16))
}
