//! The hash that stands in a Marathon app's id and in a Chronos job's description.

use crate::{
    json::{self, Unwritable},
    yaml::Node,
};

/// `config` and eight hexadecimal digits: MD5 over the canonical JSON of `definition`, followed by the
/// token of `force_bounce` (marathon-sync.md §7, chronos-sync.md §7).
///
/// MD5 because the tools that are replaced use it: with another hash both would bounce each other's
/// apps for ever. It protects nothing.
///
/// # Errors
/// When the definition holds something that JSON cannot express.
pub fn config_hash(definition: &Node, force_bounce: Option<&str>) -> Result<String, Unwritable> {
    let mut text = json::canonical(definition)?;
    text.push_str(force_bounce.unwrap_or_default());
    let digits = format!("{:x}", md5::compute(text));
    Ok(format!("config{}", &digits[..8]))
}
