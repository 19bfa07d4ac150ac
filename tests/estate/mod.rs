//! An invented company on three databases: a rental of mobile Wi-Fi routers in Japan, with ten years of customers.
//!
//! The same seed gives the same rows. What it makes is meant to be hard on a retention job: activity is skewed, values are
//! missing, rows belong to nobody any more, starting points are not there, and for each night that is named
//! ([`Company::nights`]) every rule of the pack finds rows on the day before its cut-off, on the day itself and on the day
//! after.

pub mod calendar;
mod contracts;
#[expect(dead_code, reason = "the demo uses more of them")]
#[path = "../../src/demo/names.rs"]
mod names;
#[path = "../../src/demo/random.rs"]
mod random;
pub mod sink;
mod support;
mod web;

use calendar::{Period, last_due, next};
use jiff::{
    ToSpan,
    civil::{Date, DateTime},
};
use names::{Address, Person};
use random::Random;
use std::collections::BTreeMap;

/// What is made.
#[derive(Clone, Debug)]
pub struct Company {
    pub seed: u64,
    /// Customers, but for those who are there for the sake of a night.
    pub customers: u32,
    /// The day up to which things have happened.
    pub today: Date,
    /// The day up to which things will happen: for a simulation, rows have their dates already. `today` for none.
    pub until: Date,
    /// Nights whose cut-offs have rows on both sides.
    pub nights: Vec<Date>,
    /// Those of them whose cut-offs also have rows that vendors are asked about, who answer at their own pace.
    pub asked_nights: Vec<Date>,
    pub fiscal_year_end: (i8, i8),
    /// A contract is billed every so many months.
    pub billed_every: i32,
    /// Days of usage detail and of web activity, back from today.
    pub days_of_usage: u32,
    /// Connections of a line on each of these days, on the average.
    pub connections_a_day: u32,
}

impl Company {
    /// A company as big as it says, as of a day.
    pub fn new(seed: u64, customers: u32, today: Date) -> Self {
        Self {
            seed,
            customers,
            today,
            until: today,
            nights: vec![today],
            asked_nights: vec![today],
            fiscal_year_end: (3, 31),
            billed_every: 1,
            days_of_usage: 200,
            connections_a_day: 1,
        }
    }
}

/// Where the three databases are.
#[derive(Clone, Debug)]
pub struct Places {
    /// PostgreSQL.
    pub contracts: String,
    /// MariaDB.
    pub web: String,
    /// SQLite.
    pub support: String,
}

/// Creates all tables in empty databases and fills them; rows by database and table.
pub async fn found(company: &Company, places: &Places) -> sqlx::Result<BTreeMap<String, u64>> {
    let mut rows = BTreeMap::new();
    for (database, tables) in [
        ("contracts", contracts::fill(company, &places.contracts).await?),
        ("web", web::fill(company, &places.web).await?),
        ("support", support::fill(company, &places.support).await?),
    ] {
        rows.extend(tables.into_iter().map(|(table, count)| (format!("{database}.{table}"), count)));
    }
    Ok(rows)
}

/// Somebody, the same in all databases.
struct Somebody {
    person: Person,
    family: String,
    given: String,
    family_kana: String,
    given_kana: String,
    email: String,
    phone: String,
    address: Address,
    birth_date: Date,
    member_hash: String,
}

impl Somebody {
    fn new(seed: u64, number: u32) -> Self {
        let random = &mut Random::new(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)));
        let person = names::person(random);
        let address = names::address(random);
        let pair = |text: &str| -> (String, String) {
            let (family, given) = text.split_once(' ').unwrap();
            (family.to_owned(), given.to_owned())
        };
        let ((family, given), (family_kana, given_kana)) = (pair(&person.full_name), pair(&person.kana));
        Self {
            email: person.email(number, random),
            phone: if random.percent(85) { names::mobile(random) } else { address.landline(random) },
            birth_date: Date::constant(1950, 1, 1) + i64::from(random.below(56 * 365)).days(),
            member_hash: format!("{:08x}{:08x}{number:08x}", random.below(u32::MAX), random.below(u32::MAX)),
            person,
            family,
            given,
            family_kana,
            given_kana,
            address,
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.family, self.given)
    }
}

impl Company {
    fn random(&self, salt: u64) -> Random {
        Random::new(self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(salt))
    }

    /// For each night, the day before the cut-off, the cut-off, and the day after, of periods that end before it.
    fn around(nights: &[Date], period: Period) -> impl Iterator<Item = Date> {
        nights.iter().flat_map(move |&night| {
            let last = last_due(night, period);
            [last.yesterday().unwrap(), last, next(last)]
        })
    }

    /// The same for times: the first and the last moment of the cut-off, and the first after it.
    fn moments_around(nights: &[Date], period: Period) -> impl Iterator<Item = DateTime> {
        nights.iter().flat_map(move |&night| {
            let last = last_due(night, period);
            [last.at(0, 0, 0, 0), last.at(23, 59, 59, 0), next(last).at(0, 0, 0, 0)]
        })
    }

    /// A day from `first` through `last`.
    fn day(random: &mut Random, first: Date, last: Date) -> Date {
        let days = u32::try_from((last - first).get_days()).unwrap_or(0);
        first + i64::from(random.below(days + 1)).days()
    }

    /// A time on a day, more often in the evening.
    fn time(random: &mut Random, day: Date) -> DateTime {
        let hour = if random.percent(60) { random.between(17, 23) } else { random.below(24) };
        let part = |number: u32| i8::try_from(number).unwrap();
        day.at(part(hour), part(random.below(60)), part(random.below(60)), 0)
    }
}
