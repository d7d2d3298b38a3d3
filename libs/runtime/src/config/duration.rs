//! Lengths of time as an operator writes them: `2s`, `1h 30m`, `90d`.
//!
//! Written here and not taken from a library because the ones there are accept months and years, whose length
//! nobody agrees on and which have no place in a certificate's validity.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The units, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// A length of time in milliseconds; read from and written as text such as `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(Duration);

/// The text is not a length of time.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "expected a duration: whole numbers with the units w, d, h, m, s or ms, such as \"90d\", \"1h 30m\" or \"0\""
)]
pub struct InvalidDuration;

impl HumanDuration {
    /// No time at all; switches off what can be switched off.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Takes whole days.
    pub const fn days(days: u64) -> Self {
        Self::hours(days.saturating_mul(24))
    }

    /// Takes whole hours.
    pub const fn hours(hours: u64) -> Self {
        Self::seconds(hours.saturating_mul(60 * 60))
    }

    /// Takes whole minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// Takes whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "0" { Ok(Self::ZERO) } else { parse(text, &UNITS) }
    }
}

/// Adds up numbers with units.
pub(super) fn parse(text: &str, units: &[(&str, u64)]) -> Result<HumanDuration, InvalidDuration> {
    let mut rest = text.trim();
    let mut millis = None;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest, units)?;
        let total: u64 = millis.unwrap_or(0);
        millis = Some(total.checked_add(part).ok_or(InvalidDuration)?);
        rest = after.trim_start();
    }
    millis.map(Duration::from_millis).map(HumanDuration).ok_or(InvalidDuration)
}

/// Takes one number with its unit off the front of the text; answers its milliseconds and what follows it.
fn parse_part<'a>(text: &'a str, units: &[(&str, u64)]) -> Result<(u64, &'a str), InvalidDuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidDuration)?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
    let (_, millis) = units.iter().find(|(name, _)| *name == unit).ok_or(InvalidDuration)?;
    Ok((number.checked_mul(*millis).ok_or(InvalidDuration)?, rest))
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0");
        }
        let mut separator = "";
        // Weeks are read but not written: nobody says "12w 6d" for a certificate of 90 days.
        for (unit, length) in UNITS.into_iter().skip(1) {
            if millis >= length {
                write!(f, "{separator}{}{unit}", millis / length)?;
                millis %= length;
                separator = " ";
            }
        }
        Ok(())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Whole numbers with the units w, d, h, m, s or ms, such as \"90d\", \"1h 30m\" or \"0\".",
            "pattern": "^\\s*(0|([0-9]+(w|d|h|m|s|ms)\\s*)+)\\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u128> {
        text.parse::<HumanDuration>().ok().map(|duration| duration.get().as_millis())
    }

    #[test]
    fn every_unit_is_read() {
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("2s"), Some(2_000));
        assert_eq!(millis("1h 30m"), Some(5_400_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("90d"), Some(7_776_000_000));
        assert_eq!(millis("2w"), Some(1_209_600_000));
        assert_eq!(millis("0"), Some(0));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", " ", "5", "s", "-1s", "1.5h", "1y", "6mo", "1S", "18446744073709551615w"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_survives_its_text() {
        for text in ["0", "2s", "1h 30m", "90d", "1d 2h 3m 4s 5ms"] {
            assert_eq!(text.parse::<HumanDuration>().map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }
}
