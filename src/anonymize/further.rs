//! Techniques one after the other: what may be done to a value that another technique has changed already.
//!
//! A row that a rule has anonymized, and whose values are coarsened further, must not look undone to that rule. So the first
//! technique must leave alone whatever the second one makes of its values.

use super::{Generalize, Mask, Technique, Truncate, number};

impl Technique {
    /// What this makes of values that `first` has made is coarser, and `first` would leave it as it is. Constants are
    /// another matter: that depends on the column.
    pub fn rests_under(&self, first: &Self) -> bool {
        use Technique::{BottomCode, Generalize as G, Mask as M, Suppress, TopCode};
        match (first, self) {
            (Suppress, _) => false,
            // no technique makes anything of a null
            (_, Suppress) => true,
            (M(first), M(then)) => first != then && first.keeps_all_of(then),
            (G(Generalize::Bucket(first)), G(Generalize::Bucket(then))) => then > first && divides(*first, *then),
            (G(Generalize::Bucket(size)), TopCode(limit) | BottomCode(limit)) => divides(*size, *limit),
            (G(first), G(then)) if first.dates().is_some() => first.dates() < then.dates(),
            (G(Generalize::IpPrefix { v4, v6 }), G(Generalize::IpPrefix { v4: less4, v6: less6 })) => {
                less4 <= v4 && less6 <= v6 && (v4, v6) != (less4, less6)
            }
            (TopCode(_), G(Generalize::Bucket(_))) => true,
            (BottomCode(limit), G(Generalize::Bucket(size))) => divides(*size, *limit),
            (TopCode(first), TopCode(then)) => then < first,
            (BottomCode(first), BottomCode(then)) => then > first,
            (TopCode(top), BottomCode(bottom)) | (BottomCode(bottom), TopCode(top)) => bottom <= top,
            // a text that was cut off keeps its length under a mask, and loses more when it is cut off again
            (first, M(_)) => first.length_kept().is_some(),
            (first, then) => first.length_kept().zip(then.length_kept()).is_some_and(|(first, then)| then < first),
        }
    }

    /// How many leading characters stay, where the others go.
    fn length_kept(&self) -> Option<u32> {
        match self {
            Self::Truncate(Truncate { length }) | Self::Generalize(Generalize::PostalCode(length)) => Some(*length),
            _ => None,
        }
    }
}

impl Mask {
    fn keeps_all_of(&self, other: &Self) -> bool {
        other.keep_first <= self.keep_first && other.keep_last <= self.keep_last
    }
}

impl Generalize {
    /// The coarser, the greater; for dates alone.
    fn dates(&self) -> Option<u8> {
        match self {
            Self::Month => Some(1),
            Self::Year => Some(2),
            Self::Decade => Some(3),
            _ => None,
        }
    }
}

/// The number is a multiple of the size.
fn divides(size: f64, number: f64) -> bool {
    let number = number::literal(number);
    let floor = number::floor(&number, &number::literal(size));
    floor.and_then(|floor| number::compare(&floor, &number)).is_some_and(std::cmp::Ordering::is_eq)
}
