//! `drain_method_params` as service owners write them.

use serde::Deserialize;

/// Parameters of the drain method (hacheck.md §14.1). Read from a map, absent ones are these
/// defaults and unknown ones are left alone, as in PaaSTA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Seconds that a task must be down before it may be stopped; 240 in a map that does not say.
    pub delay: f64,
    /// Where the hacheck of each host listens; 6666.
    pub hacheck_port: u16,
    /// Seconds after which a mark lapses that nobody renews; 0: ten times the delay. With a delay of 0
    /// as well, marks are void at once.
    pub expiration: f64,
}

/// Why parameters cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` of the drain method is {value}; it must be a finite number of seconds from 0 up")]
pub struct InvalidParameters {
    name: &'static str,
    value: f64,
}

#[derive(Deserialize)]
struct Written {
    delay: Option<f64>,
    hacheck_port: Option<u16>,
    expiration: Option<f64>,
}

impl Parameters {
    /// Parameters of a caller that has none from anybody: PaaSTA gives SmartStack services 60 s.
    #[must_use]
    pub fn with_delay(delay: f64) -> Self {
        Self { delay, hacheck_port: 6666, expiration: 0.0 }
    }

    /// Checks that the times make sense.
    ///
    /// # Errors
    /// Times that are negative or not finite: the answer to "is it safe?" would always be the same.
    pub fn checked(self) -> Result<Self, InvalidParameters> {
        for (name, value) in [("delay", self.delay), ("expiration", self.expiration)] {
            if !value.is_finite() || value < 0.0 {
                return Err(InvalidParameters { name, value });
            }
        }
        Ok(self)
    }

    /// Seconds that a mark lasts.
    pub(super) fn expires_after(&self) -> f64 {
        if self.expiration == 0.0 { 10.0 * self.delay } else { self.expiration }
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let defaults = Self::with_delay(240.0);
        let parameters = Self {
            delay: written.delay.unwrap_or(defaults.delay),
            hacheck_port: written.hacheck_port.unwrap_or(defaults.hacheck_port),
            expiration: written.expiration.unwrap_or(defaults.expiration),
        };
        parameters.checked().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(f64, u16, f64), String> {
        let read: Result<Parameters, _> = serde_json::from_str(json);
        read.map(|p| (p.delay, p.hacheck_port, p.expires_after())).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_given_is_as_in_paasta() {
        let cases = [
            ("{}", (240.0, 6666, 2400.0)),
            (r#"{"delay": 10}"#, (10.0, 6666, 100.0)),
            (r#"{"delay": 0.5, "hacheck_port": 7777}"#, (0.5, 7777, 5.0)),
            (r#"{"expiration": 30}"#, (240.0, 6666, 30.0)),
            (r#"{"expiration": 0, "delay": 60}"#, (60.0, 6666, 600.0)),
            (r#"{"expiration": null, "unheard_of": [1]}"#, (240.0, 6666, 2400.0)),
        ];
        for (json, expected) in cases {
            assert_eq!(read(json), Ok(expected), "{json}");
        }
        assert_eq!(Parameters::with_delay(60.0).expires_after(), 600.0);
    }

    #[test]
    fn times_without_sense_are_refused() {
        for json in [r#"{"delay": -1}"#, r#"{"expiration": -0.5}"#] {
            assert!(read(json).unwrap_err().contains("from 0 up"), "{json}");
        }
        assert!(Parameters::with_delay(f64::NAN).checked().is_err());
        for json in [r#"{"delay": "60"}"#, r#"{"hacheck_port": 66666}"#] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
