//! Whole numbers of any size, as Python has them.

use std::fmt;

/// Python refuses to print or read more decimal digits than this.
const MAX_DIGITS: usize = 4300;

/// A whole number. One value has one form, so that equal numbers are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Int {
    Small(i64),
    /// One that does not fit, in decimal digits with its sign.
    Big(Box<str>),
}

impl Int {
    /// The digits of a number in `radix`, without a sign. `None`: there is none, another character, or
    /// more digits than Python takes.
    #[must_use]
    pub fn parse(negative: bool, digits: &str, radix: u32) -> Option<Self> {
        Magnitude::parse(digits, radix)?.signed(negative)
    }

    /// Base-60 digits, the highest first, each in decimal.
    #[must_use]
    pub fn sexagesimal<'a>(
        negative: bool,
        digits: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let mut digits = digits.into_iter();
        let mut number = Magnitude::parse(digits.next()?, 10)?;
        for digit in digits {
            number.shift(60, digit.parse().ok()?);
        }
        number.signed(negative)
    }

    /// The number that a float without a fraction is.
    pub(super) fn of_whole(float: f64) -> Self {
        let text = format!("{float:.0}");
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.as_str()),
        };
        // The largest double has 309 digits.
        Self::parse(negative, digits, 10).unwrap_or(Self::Small(0))
    }

    /// The number, if it fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Small(number) => Some(*number),
            Self::Big(_) => None,
        }
    }

    /// The nearest double; `None` where Python's `float` overflows.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        let float: f64 = self.to_string().parse().ok()?;
        float.is_finite().then_some(float)
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(number) => number.fmt(f),
            Self::Big(digits) => f.write_str(digits),
        }
    }
}

/// A number without a sign: limbs of nine decimal digits, the lowest first.
struct Magnitude(Vec<u32>);

const LIMB: u64 = 1_000_000_000;

impl Magnitude {
    fn parse(digits: &str, radix: u32) -> Option<Self> {
        if digits.is_empty() || digits.len() > MAX_DIGITS * 4 {
            return None;
        }
        let mut number = Self(Vec::new());
        for digit in digits.chars() {
            number.shift(radix, digit.to_digit(radix)?);
        }
        Some(number)
    }

    /// Multiplies by `factor` and adds `more`.
    fn shift(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = u32::try_from(carry % LIMB).unwrap_or_default();
            carry /= LIMB;
        }
        while carry > 0 {
            self.0.push(u32::try_from(carry % LIMB).unwrap_or_default());
            carry /= LIMB;
        }
    }

    fn signed(&self, negative: bool) -> Option<Int> {
        let mut text = String::new();
        if negative {
            text.push('-');
        }
        let mut limbs = self.0.iter().rev();
        text.push_str(&limbs.next().map_or_else(|| "0".to_owned(), ToString::to_string));
        for limb in limbs {
            text.push_str(&format!("{limb:09}"));
        }
        if text.len() - usize::from(negative) > MAX_DIGITS {
            return None;
        }
        Some(text.parse().map_or_else(|_| Int::Big(text.into()), Int::Small))
    }
}
