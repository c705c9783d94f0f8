//! Numbers with bounds. A setting out of bounds fails at start.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A whole number of at least `MIN` and at most `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// For what is counted in memory.
    #[must_use]
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// For numbers that others take as 32 bits.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    #[must_use]
    pub const fn as_seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }

    #[must_use]
    pub const fn as_milliseconds(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        u64::try_from(number)
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("must be {MIN} to {MAX}, not {number}")))
    }
}

/// Seconds, from none to a day.
pub type SecondsOrNone = Bounded<0, 86_400>;
/// Seconds, from one to a day.
pub type Seconds = Bounded<1, 86_400>;
/// Milliseconds, from one to ten minutes.
pub type Milliseconds = Bounded<1, 600_000>;
/// How many there may be of something that takes memory.
pub type Count = Bounded<1, 10_000_000>;
