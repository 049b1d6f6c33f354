//! Protocol generations and how one is agreed upon.

use serde::{Deserialize, Serialize};

/// A wire generation of the protocol that this gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Generation {
    /// The generation of January 2026.
    V3,
    /// The generation of September 2026.
    V4,
}

impl Generation {
    /// The oldest generation spoken.
    pub const OLDEST: Self = Self::V3;
    /// The newest generation spoken.
    pub const NEWEST: Self = Self::V4;

    /// The number that frames carry.
    pub const fn number(self) -> u32 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// Picks the newest generation inside the client's inclusive range, or `None` without overlap.
    pub const fn negotiate(min: u32, max: u32) -> Option<Self> {
        if min > max {
            return None;
        }
        if min <= 4 && max >= 4 {
            Some(Self::V4)
        } else if min <= 3 && max >= 3 {
            Some(Self::V3)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_that_overlaps_is_accepted_and_no_other() {
        for min in 0..8 {
            for max in 0..8 {
                let overlap = (3..=4).rev().find(|n| min <= *n && *n <= max);
                assert_eq!(
                    Generation::negotiate(min, max).map(Generation::number),
                    overlap,
                    "{min}..={max}"
                );
            }
        }
    }
}
