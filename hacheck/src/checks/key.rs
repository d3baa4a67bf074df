//! What makes two checks the same.
//!
//! A key is a row of bytes: the questions of HTTP requests are put into a buffer that is used again
//! and again, and looked up without a copy.

use std::{borrow::Borrow, net::IpAddr};

use hyper::header::HeaderName;

use super::Kind;
use crate::{names::Host, target::Target};

/// Questions with the same key have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckKey(Box<[u8]>);

/// Writes the key of one question.
#[derive(Debug)]
pub(crate) struct KeyWriter<'a> {
    bytes: &'a mut Vec<u8>,
}

impl CheckKey {
    /// Roughly what it holds of the memory.
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl Borrow<[u8]> for CheckKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for CheckKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// Ends a path and a header. Neither of them can contain it.
const END: u8 = b'\n';

impl<'a> KeyWriter<'a> {
    /// Starts over in `bytes`.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, kind: Kind, target: Target) -> Self {
        bytes.clear();
        bytes.push(kind as u8);
        match target.host {
            Host::Local => bytes.push(0),
            Host::Other(IpAddr::V4(address)) => {
                bytes.push(4);
                bytes.extend(address.octets());
            }
            Host::Other(IpAddr::V6(address)) => {
                bytes.push(6);
                bytes.extend(address.octets());
            }
        }
        bytes.extend(target.port.to_be_bytes());
        Self { bytes }
    }

    /// What is asked for, in pieces.
    pub(crate) fn path(&mut self, pieces: &[&str]) {
        pieces.iter().for_each(|piece| self.bytes.extend(piece.as_bytes()));
        self.bytes.push(END);
    }

    /// A header that the service sees, with its values in pieces: it may answer by it (hacheck.md
    /// §16.3).
    pub(crate) fn header<'v>(
        &mut self,
        name: &HeaderName,
        values: impl IntoIterator<Item = &'v [u8]>,
    ) {
        self.bytes.extend(name.as_str().as_bytes());
        for (place, value) in values.into_iter().enumerate() {
            self.bytes.push(if place == 0 { b':' } else { b',' });
            self.bytes.extend(value);
        }
        self.bytes.push(END);
    }
}
