//! How long certificates are valid, as an operator writes it: `90d`, `6mo`, `1y`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{HumanDuration, duration};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// The units of a duration and two more, which have a length here that does not depend on the calendar.
const UNITS: [(&str, u64); 8] = [
    ("y", 365 * DAY_MILLIS),
    ("mo", 30 * DAY_MILLIS),
    ("w", 7 * DAY_MILLIS),
    ("d", DAY_MILLIS),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// How long certificates are valid; a year has 365 days and a month 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity(HumanDuration);

/// The text is not a length of validity.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "expected a validity: whole numbers with the units y, mo, w, d, h, m, s or ms, such as \"90d\", \"6mo\" or \"1y\""
)]
pub struct InvalidValidity;

impl Validity {
    /// Takes whole days.
    pub const fn days(days: u64) -> Self {
        Self(HumanDuration::days(days))
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0.get()
    }
}

impl FromStr for Validity {
    type Err = InvalidValidity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        duration::parse(text, &UNITS).map(Self).map_err(|_| InvalidValidity)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Validity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Validity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Validity {
    fn schema_name() -> Cow<'static, str> {
        "Validity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Whole numbers with the units y (365 days), mo (30 days), w, d, h, m, s or ms, such as \"90d\", \"6mo\" or \"1y\".",
            "pattern": "^\\s*([0-9]+(y|mo|w|d|h|m|s|ms)\\s*)+\\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_and_months_have_a_fixed_length() {
        let days = |text: &str| text.parse::<Validity>().map(|it| it.get().as_secs() / 86_400);
        assert_eq!(days("90d"), Ok(90));
        assert_eq!(days("6mo"), Ok(180));
        assert_eq!(days("1y"), Ok(365));
        assert_eq!(days("395d"), Ok(395));
        assert_eq!(days("1y 1mo"), Ok(395));
        assert_eq!(days("1"), Err(InvalidValidity));
        assert_eq!(days("1yr"), Err(InvalidValidity));
    }

    #[test]
    fn a_validity_survives_its_text() {
        let validity: Validity = "1y 1h".parse().unwrap();
        assert_eq!(validity.to_string(), "365d 1h");
        assert_eq!(validity.to_string().parse(), Ok(validity));
    }
}
