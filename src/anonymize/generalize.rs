//! Generalization: dates to their month, numbers to their range, addresses to their network.

mod address;
mod bucket;
mod dates;

use super::{Family, Generalize, truncate::Truncation};

pub(super) fn family(generalize: &Generalize) -> Box<dyn Family + '_> {
    match *generalize {
        Generalize::Month => Box::new(dates::Unit::Month),
        Generalize::Year => Box::new(dates::Unit::Year),
        Generalize::Decade => Box::new(dates::Unit::Decade),
        Generalize::Bucket(size) => Box::new(bucket::Bucket(size)),
        Generalize::IpPrefix { v4, v6 } => Box::new(address::Prefix { v4, v6 }),
        Generalize::PostalCode(length) => Box::new(Truncation { length, of: " of the postal code" }),
    }
}
