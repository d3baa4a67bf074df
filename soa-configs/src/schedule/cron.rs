//! Cron expressions, as PaaSTA's check takes them.

/// Five fields, or a nickname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cron {
    /// Minute, hour, day of the month, month, day of the week.
    Fields(Box<Fields>),
    /// `@daily` and the like. PaaSTA takes them; Yelp's Chronos does not.
    Nickname,
}

/// The five fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub minute: Field,
    pub hour: Field,
    pub day: Field,
    pub month: Field,
    /// 0 and 7 are Sunday.
    pub weekday: Field,
    /// Holds `<` or `>`, which only PaaSTA's check knows.
    only_here: bool,
}

/// What one field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bit n: the value n.
    bits: u64,
    /// It is a lone `*`.
    pub is_star: bool,
    /// It begins with `*`: for cron itself, it does not restrict the days.
    begins_with_star: bool,
    /// PaaSTA's iterator stumbles over `*` in a list, over a range whose end is before its start, and over
    /// `<` and `>`.
    pub is_iterable: bool,
}

const NICKNAMES: [&str; 8] =
    ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What may stand in a field.
struct Range {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTE: Range = Range { least: 0, most: 59, names: &[] };
const HOUR: Range = Range { least: 0, most: 23, names: &[] };
const DAY: Range = Range { least: 1, most: 31, names: &[] };
const MONTH: Range = Range { least: 1, most: 12, names: &MONTHS };
const WEEKDAY: Range = Range { least: 0, most: 6, names: &WEEKDAYS };

impl Cron {
    /// `None`: this is no cron expression.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if NICKNAMES.contains(&text) {
            return Some(Self::Nickname);
        }
        let fields: Vec<&str> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return None };
        Some(Self::Fields(Box::new(Fields {
            minute: Field::parse(minute, &MINUTE)?,
            hour: Field::parse(hour, &HOUR)?,
            day: Field::parse(day, &DAY)?,
            month: Field::parse(month, &MONTH)?,
            weekday: Field::parse(weekday, &WEEKDAY)?,
            only_here: text.contains(['<', '>']),
        })))
    }

    pub(super) fn never_fires(&self) -> Option<&'static str> {
        let Self::Fields(fields) = self else { return None };
        let Fields { minute, hour, day, month, weekday, .. } = &**fields;
        if [minute, hour, day, month, weekday].into_iter().any(|field| field.bits == 0) {
            return Some("a range whose end is before its start allows nothing");
        }
        // A day of the week that is named counts beside the day of the month, as in cron itself.
        let longest = |month: u32| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let exists =
            (1..=12).filter(|m| month.allows(*m)).any(|m| (1..=longest(m)).any(|d| day.allows(d)));
        (weekday.begins_with_star && !exists).then_some("no month it names has such a day")
    }

    pub(super) fn refused_by_chronos(&self) -> Option<&'static str> {
        match self {
            Self::Nickname => Some("Chronos takes five fields, no nicknames"),
            Self::Fields(fields) if fields.only_here => Some("Chronos knows no `<` and `>`"),
            Self::Fields(_) => None,
        }
    }
}

impl Field {
    /// Whether it allows a value.
    #[must_use]
    pub fn allows(self, value: u32) -> bool {
        value < 64 && self.bits & 1 << value != 0
    }

    fn parse(text: &str, range: &Range) -> Option<Self> {
        let mut bits = 0;
        for part in text.split(',') {
            bits |= range.part(part)?;
        }
        if range.most == 6 && bits & 1 << 7 != 0 {
            bits |= 1;
        }
        let parts = || text.split(',');
        let is_star = parts().all(|part| part == "*");
        let is_known =
            |part: &str| part != "*" && !part.contains(['<', '>']) && range.part(part) != Some(0);
        let is_iterable = is_star || parts().all(is_known);
        let begins_with_star = text.starts_with('*');
        Some(Self { bits, is_star, begins_with_star, is_iterable })
    }
}

impl Range {
    /// One element of a list, as bits.
    fn part(&self, text: &str) -> Option<u64> {
        let is_range = text == "*" || text.contains(['/', '-']);
        if !is_range {
            return Some(1 << self.value(text)?);
        }
        let (bounds, step) = match text.split_once('/') {
            Some((bounds, step)) => (bounds, self.step(step)?),
            None => (text, 1),
        };
        let (from, to) = if bounds == "*" {
            (self.least, self.most)
        } else {
            let (from, to) = bounds.split_once('-')?;
            (self.value(from)?, self.value(to)?)
        };
        Some((from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    /// A step has to be less than the largest value, but 7 passes for a day of the week.
    fn step(&self, text: &str) -> Option<usize> {
        let step = digits(text)?;
        let fits = step >= 1 && step < self.most || self.most == 6 && step == 7;
        fits.then_some(usize::try_from(step).ok()?)
    }

    /// A number, a name, or the least or largest value.
    fn value(&self, text: &str) -> Option<u32> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return u32::try_from(index).ok().map(|index| index + self.least);
        }
        let value = match text {
            "<" => self.least,
            ">" => self.most,
            _ => digits(text)?,
        };
        let most = if self.most == 6 { 7 } else { self.most };
        (self.least..=most).contains(&value).then_some(value)
    }
}

fn digits(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
