//! JSON as Python's `json` module reads and writes it.
//!
//! Written text is hashed, so it is equal byte for byte (marathon-sync.md §7): sorted keys, `", "` and
//! `": "`, everything outside of ASCII escaped, numbers as Python prints them.

mod read;
mod write;

pub use self::{
    read::parse,
    write::{Unwritable, canonical, float},
};

#[cfg(test)]
mod tests;
