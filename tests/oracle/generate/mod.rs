//! Makes cases: the same one for the same engine, seed and number.

mod rows;
mod rules;
mod tables;

pub use tables::NAMES;

use super::{
    calendar::{self, Day, Zone},
    language::{As, Held, Hold, Source},
    schema::{Case, Edit, Night},
    value::{Engine, Kind},
};
use crate::support::random::Random;

/// What cases may contain. Each part can be left out, to find what a difference comes from.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Holds on rows that others reference, which these others share.
    pub holds_spread: bool,
    /// Several keys of one table that lead to rows that are disposed of.
    pub by_key: bool,
    /// Zero in a column of seconds.
    pub epoch_zero: bool,
    /// Texts with hours and minutes only.
    pub short_texts: bool,
    /// Related rows whose column tells no time although it is not null.
    pub related_hostile: bool,
    /// Rules that may be refused together.
    pub conflicts: bool,
    /// Kinds of keys and columns that not every version can compare.
    pub hostile_kinds: bool,
    /// Dates of conditions on columns of dates.
    pub dates_in_conditions: bool,
    pub kills: bool,
    /// Transactions of others while the program runs.
    pub rivals: bool,
    /// Rows that reference their own table.
    pub self_references: bool,
    /// Texts that are no time in a column of texts with offsets, on MariaDB.
    pub unreadable_offsets: bool,
    pub partitions: bool,
    /// Columns of the type `uuid`, which MySQL lacks.
    pub uuids: bool,
    /// Only what means the same on every engine.
    pub portable: bool,
}

pub const ALL: Features = Features {
    holds_spread: true,
    by_key: true,
    epoch_zero: true,
    short_texts: true,
    related_hostile: true,
    conflicts: true,
    hostile_kinds: true,
    dates_in_conditions: true,
    kills: true,
    rivals: true,
    self_references: true,
    unreadable_offsets: true,
    partitions: true,
    uuids: true,
    portable: false,
};

/// Numbers that look random, and choices that are made with them.
pub struct Dice(Random);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.below(limit as u64)).unwrap()
    }

    pub fn range(&mut self, from: i64, through: i64) -> i64 {
        from + i64::try_from(self.0.below(u64::try_from(through - from + 1).unwrap())).unwrap()
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    pub fn shuffled<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place + 1));
        }
        list
    }
}

/// What the generator knows of a table beside its columns.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Columns that tell time, and how they are read.
    pub times: Vec<(usize, Option<As>)>,
    /// Columns that conditions look at.
    pub conditions: Vec<usize>,
    /// Columns that rules change.
    pub changed: Vec<usize>,
}

/// Days that are near something: leap days, ends of months and of fiscal years, changes of clocks.
const PRESENTS: [(i64, i64, i64); 10] = [
    (2026, 11, 22),
    (2024, 2, 29),
    (2024, 3, 1),
    (2025, 2, 28),
    (2025, 3, 1),
    (2026, 3, 31),
    (2026, 4, 1),
    (2026, 6, 1),
    (2026, 10, 25),
    (2026, 10, 31),
];

pub fn case(engine: Engine, number: u64, features: Features) -> Case {
    let salt = number.wrapping_mul(0xA24B_AED4_963E_E407) ^ ((engine as u64 + 1) << 60);
    let mut dice = Dice(Random::new(salt));
    let zone = dice.one_of(&[Zone::Tokyo, Zone::Tokyo, Zone::Utc, Zone::Paris]);
    let nights = dice.one_of(&[1, 1, 1, 2, 2, 3]);
    let first = dice.one_of(&PRESENTS);
    let mut now = calendar::day(first.0, first.1, first.2);
    let last = calendar::day(2026, 11, 25);
    let mut case = Case {
        engine,
        zone,
        tables: Vec::new(),
        rows: Vec::new(),
        rules: Vec::new(),
        holds: Vec::new(),
        nights: Vec::new(),
        files: dice.one_of(&[1, 1, 2, 3]),
        backwards: dice.chance(30),
        workers: dice.one_of(&[1, 1, 1, 4]),
    };
    for _ in 0..nights {
        case.nights.push(Night { now, edits: Vec::new(), killed_after: None, rival: None });
        now = (now + dice.one_of(&[1, 1, 2, 30, 366])).min(last);
    }
    let roles = tables::make(&mut case, features, &mut dice);
    rules::make(&mut case, &roles, features, &mut dice);
    rows::make(&mut case, &roles, features, &mut dice);
    holds(&mut case, &roles, features, &mut dice);
    for night in 1..case.nights.len() {
        case.nights[night].edits = rows::edits(&case, &roles, features, &mut dice);
    }
    if features.kills && dice.chance(6) {
        case.nights[0].killed_after = Some(dice.one_of(&[15, 30, 45, 60, 80, 110]));
    } else if features.rivals && dice.chance(35) {
        let last = case.nights.len() - 1;
        case.nights[last].rival = rows::rival(&case, &roles, features, &mut dice);
    }
    case
}

fn holds(case: &mut Case, roles: &[Roles], features: Features, dice: &mut Dice) {
    let related = |table: usize| {
        case.rules.iter().any(|rule| matches!(rule.start.source, Source::Related { table: other, .. } if other == table || rule.table == table))
    };
    let alone = |table: usize| case.keys_to(table).is_empty() && !related(table);
    let tables: Vec<usize> = (0..case.tables.len()).filter(|&table| features.holds_spread || alone(table)).collect();
    if tables.is_empty() || !dice.chance(40) {
        return;
    }
    for _ in 0..dice.one_of(&[1, 1, 2, 3]) {
        let table = dice.one_of(&tables);
        let marks: Vec<i64> = case.rows[table].keys().copied().collect();
        let night = dice.below(case.nights.len());
        let own = &case.tables[table];
        let bytes = own.key.iter().any(|&column| own.columns[column].kind == Kind::Bytes);
        let what = if !roles[table].conditions.is_empty() && dice.chance(30) {
            let column = dice.one_of(&roles[table].conditions);
            Held::Condition(rules::expression(case, table, column, features, dice))
        } else if !marks.is_empty() && (!bytes || case.engine != Engine::Sqlite) {
            // Mostly one to which others belong.
            let is_referenced = |mark: &&i64| {
                let row = &case.rows[table][mark];
                case.keys_to(table)
                    .iter()
                    .any(|key| case.rows[key.table].values().any(|from| case.references(*key, from, row)))
            };
            let referenced: Vec<i64> = marks.iter().filter(is_referenced).copied().collect();
            let any = referenced.is_empty() || dice.chance(30);
            Held::Row(dice.one_of(if any { &marks } else { &referenced }))
        } else {
            continue;
        };
        case.holds.push(Hold { table, what, night });
    }
}

/// The last day from which a period is over at `now`, as far as there is one in the last hundred years.
pub fn boundary(is_over: impl Fn(Day) -> bool, now: Day) -> Option<Day> {
    (0..36_600).map(|back| now + 400 - back).find(|&day| is_over(day))
}

pub type Edits = Vec<Edit>;
