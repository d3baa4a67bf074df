//! Small pieces of the file with their own grammar.

use std::{str::FromStr, time::Duration};

/// A duration as people write it: `500ms`, `2s`, `10m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{}` is no duration; write 500ms, 2s, 10m or 1h", text.escape_debug());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let ms = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(ms).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let ms = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis());
        assert_eq!((ms("500ms"), ms("2s"), ms("10m")), (Ok(500), Ok(2_000), Ok(600_000)));
        for wrong in ["", "5", "s", "-1s", "1.5s", "1 s", "99999999999999999999h", "1d"] {
            assert!(ms(wrong).unwrap_err().contains("500ms"), "{wrong}");
        }
    }
}
