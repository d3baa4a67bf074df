//! Whole numbers of any size, as Python has them.

use std::{cmp::Ordering, fmt};

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
            // Each further digit costs as much as there are limbs.
            if number.0.len() > MAX_DIGITS.div_ceil(9) {
                return None;
            }
        }
        number.signed(negative)
    }

    /// The number that a float without a fraction is.
    pub(super) fn of_whole(float: f64) -> Self {
        let text = format!("{float:.0}");
        // What is too large is as Rust prints it, and negative zero is zero.
        text.parse().map_or_else(|_| Self::Big(text.into()), Self::Small)
    }

    /// The double that a large number is, if it is one.
    pub(super) fn exactly(&self) -> Option<f64> {
        let Self::Big(_) = self else { return None };
        self.to_f64().filter(|float| Self::of_whole(*float) == *self)
    }

    /// The exact order, which a conversion to a double would blur. Everything is before NaN.
    #[must_use]
    pub fn order_to(&self, float: f64) -> Ordering {
        if !float.is_finite() {
            return 0.0.partial_cmp(&float).unwrap_or(Ordering::Less);
        }
        let fraction = 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal);
        self.cmp(&Self::of_whole(float.trunc())).then(fraction)
    }

    /// Whether it is negative, and its digits.
    fn parts(&self) -> (bool, String) {
        let text = self.to_string();
        match text.strip_prefix('-') {
            Some(digits) => (true, digits.to_owned()),
            None => (false, text),
        }
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

impl Ord for Int {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Self::Small(a), Self::Small(b)) = (self, other) {
            return a.cmp(b);
        }
        let ((a_negative, a), (b_negative, b)) = (self.parts(), other.parts());
        let sizes = a.len().cmp(&b.len()).then_with(|| a.cmp(&b));
        match (a_negative, b_negative) {
            (false, false) => sizes,
            (true, true) => sizes.reverse(),
            (a_negative, _) => {
                if a_negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }
}

impl PartialOrd for Int {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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
        // Several digits at once: a shift costs as much as there are limbs.
        let at_once = if radix > 10 { 7 } else { 9 };
        let mut digits = digits.chars().peekable();
        while digits.peek().is_some() {
            let (mut factor, mut more) = (1, 0);
            for digit in digits.by_ref().take(at_once) {
                factor *= radix;
                more = more * radix + digit.to_digit(radix)?;
            }
            number.shift(factor, more);
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
