//! What the rules of a case mean for each of its rows, on one night.
//!
//! Each rule looks at the rows as they are when the night begins. A row is due if it meets the rule's condition, is not
//! yet what the rule would make of it, and its time is over. A due row stays if it is held, or if something that would
//! have to change along with it is; it waits while a row is left that references it and is kept.

use super::{
    calendar::Day,
    language::{Action, As, CountedFrom, Disposition, Held, KeyOf, Missing, Rule, Source, Start, Technique, Through},
    refusal,
    schema::{Case, Mark, Row, State},
    techniques,
    value::{Kind, Value},
};
use crate::oracle::calendar::{self, DAY, Period, SECOND, Told};
use std::collections::{BTreeMap, BTreeSet};

/// A row: its table and its mark.
pub type Place = (usize, Mark);

/// A mistake that is put into the interpreter, to see that the comparison finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mutant {
    DueOneDayEarly,
    DueOneDayLate,
    UnknownIsTrue,
    HoldsAreIgnored,
    HoldsDoNotSpread,
    KeptDependentsAreIgnored,
    DependentsStay,
    NoStartIsDue,
    RelatedWithoutValueIsIgnored,
    ConditionIsIgnored,
    TechniqueKeepsOneMore,
}

pub struct Meaning<'a> {
    pub case: &'a Case,
    pub mutant: Option<Mutant>,
}

/// One row's part in one rule.
#[derive(Clone, Debug)]
pub struct Fate {
    pub held: bool,
    /// Something that would go along is held, or cannot go for another reason that lasts.
    pub blocked: bool,
    /// Kept rows that reference it or what goes along, with the key over which they do.
    pub waits_for: Vec<(Place, KeyOf)>,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Erase(Place),
    Set(Place, usize, Value),
}

/// Of one rule: the rows that are due, and those that have no starting point.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    pub due: BTreeMap<Mark, Fate>,
    pub without_start: BTreeSet<Mark>,
}

impl Fate {
    pub fn stays(&self) -> bool {
        self.held || self.blocked
    }

    /// Whether all that it waits for would go along with it by another key. Whether it waits then, nothing says.
    pub fn waits_only_for_its_own(&self) -> bool {
        let along = |place: &Place| self.changes.iter().any(|change| change.erased() == Some(*place));
        self.waits_for.iter().all(|(place, _)| along(place))
    }
}

impl Meaning<'_> {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What each rule has to do.
    pub fn of_night(&self, state: &State, night: usize) -> Vec<Outlook> {
        let held = self.held(state, night);
        let now = self.case.nights[night].now;
        let mut outlooks: Vec<Outlook> =
            self.case.rules.iter().map(|rule| self.of_rule(rule, state, now, &held)).collect();
        // A rule leaves rows alone that another one erases and for that needs what it would change.
        for (place, rule) in self.case.rules.iter().enumerate() {
            for (other_place, other) in self.case.rules.iter().enumerate() {
                let needs = refusal::writes(self.case, rule).intersection(&refusal::reads(other)).next().is_some();
                let erases = matches!(other.disposition, Disposition::Erase);
                if place == other_place || rule.table != other.table || !needs || !erases {
                    continue;
                }
                let claimed: Vec<Mark> = outlooks[other_place].due.keys().copied().collect();
                for mark in claimed {
                    outlooks[place].due.remove(&mark);
                    outlooks[place].without_start.remove(&mark);
                }
            }
        }
        outlooks
    }

    fn of_rule(&self, rule: &Rule, state: &State, now: Day, held: &BTreeSet<Place>) -> Outlook {
        let mut outlook = Outlook::default();
        for (&mark, row) in &state[rule.table] {
            let table = &self.case.tables[rule.table];
            let truth = rule.condition.holds(table, row, self.case.engine);
            let meant = truth == Some(true)
                || truth.is_none() && self.is(Mutant::UnknownIsTrue)
                || self.is(Mutant::ConditionIsIgnored);
            if !meant || !self.is_left_to_do(rule, row) {
                continue;
            }
            let over = match self.start_day(rule, row, state) {
                Some(day) => {
                    let shift = i64::from(self.is(Mutant::DueOneDayLate)) - i64::from(self.is(Mutant::DueOneDayEarly));
                    rule.period.over(counted(&rule.start, day)) + shift <= now
                }
                None => {
                    outlook.without_start.insert(mark);
                    rule.start.missing == Missing::Due || self.is(Mutant::NoStartIsDue)
                }
            };
            if over {
                outlook.due.insert(mark, self.fate(rule, (rule.table, mark), state, held));
            }
        }
        outlook
    }

    /// Whether the rule would change anything of this row.
    fn is_left_to_do(&self, rule: &Rule, row: &Row) -> bool {
        match &rule.disposition {
            Disposition::Erase => true,
            Disposition::Anonymize(columns) => {
                let key = self.key(rule.table, row);
                columns.iter().any(|(column, technique)| self.applied(technique, &row[*column], &key) != row[*column])
            }
            Disposition::Unlink(columns) => columns.iter().any(|column| row[*column] != Value::Null),
        }
    }

    fn applied(&self, technique: &Technique, value: &Value, key: &str) -> Value {
        let technique = match technique {
            Technique::Truncate(letters) if self.is(Mutant::TechniqueKeepsOneMore) => Technique::Truncate(letters + 1),
            Technique::Mask { first, last } if self.is(Mutant::TechniqueKeepsOneMore) => {
                Technique::Mask { first: first + 1, last: *last }
            }
            other => other.clone(),
        };
        techniques::applied(&technique, value, key, self.case.zone)
    }

    /// The primary key as one text. Of several parts none can be mistaken for two.
    fn key(&self, table: usize, row: &Row) -> String {
        let part = |column: &usize| match &row[*column] {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            // No rule of the generator writes such a key.
            other => format!("{other:?}"),
        };
        match self.case.tables[table].key.as_slice() {
            [column] => part(column),
            several => {
                let parts = several.iter().map(|column| part(column).replace('~', "~0").replace('-', "~1"));
                parts.collect::<Vec<String>>().join("-")
            }
        }
    }

    /// The day on which the row's time begins, in the job's zone.
    fn start_day(&self, rule: &Rule, row: &Row, state: &State) -> Option<Day> {
        match rule.start.source {
            Source::Column(column) => {
                self.told(&rule.start, self.case.tables[rule.table].columns[column].kind, &row[column])
            }
            Source::Related { table, column, through, latest } => {
                let kind = self.case.tables[table].columns[column].kind;
                let mut days = Vec::new();
                for other in state[table].values() {
                    if !self.is_related(rule.table, row, table, other, through) {
                        continue;
                    }
                    match self.told(&rule.start, kind, &other[column]) {
                        Some(day) => days.push(day),
                        // One that runs still: the time has not begun.
                        None if latest && !self.is(Mutant::RelatedWithoutValueIsIgnored) => return None,
                        None => {}
                    }
                }
                if latest { days.into_iter().max() } else { days.into_iter().min() }
            }
        }
    }

    fn is_related(&self, table: usize, row: &Row, other_table: usize, other: &Row, through: Through) -> bool {
        let (holder, holder_row, through, referenced, referenced_row) = match through {
            Through::Theirs(column) => (other_table, other, column, table, row),
            Through::Ours(column) => (table, row, column, other_table, other),
        };
        // The column leads where its foreign key does, or else to the primary key.
        let foreign = self.case.tables[holder].foreign.iter();
        let to = foreign
            .filter(|foreign| foreign.columns == [through] && foreign.table == referenced)
            .map(|foreign| foreign.to[0])
            .next();
        let to = to.unwrap_or(self.case.tables[referenced].key[0]);
        let kind = self.case.tables[referenced].columns[to].kind;
        kind.alike(self.case.engine, &holder_row[through], &referenced_row[to])
    }

    /// The day that a value tells, in the job's zone. What tells no time, or says "never", is nothing.
    fn told(&self, start: &Start, kind: Kind, value: &Value) -> Option<Day> {
        let job = self.case.zone;
        let zone = start.zone.unwrap_or(job);
        let of_told = |told| match told {
            // A day alone means its midnight on the zone's clocks; a column of days has no clock.
            Told::Day(day) if kind != Kind::Date => job.day_of(zone.moment_of(day * DAY)),
            Told::Day(day) => day,
            Told::Wall(moment) => job.day_of(zone.moment_of(moment)),
            Told::Instant(moment) => job.day_of(moment),
        };
        match (value, start.reading) {
            (Value::Day(day), _) => Some(*day),
            (Value::Wall(moment), _) => Some(of_told(Told::Wall(*moment))),
            (Value::Instant(moment), _) => Some(of_told(Told::Instant(*moment))),
            (Value::Int(0), Some(As::EpochSeconds | As::EpochMilliseconds)) => None,
            (Value::Int(number), Some(As::EpochSeconds)) => Some(epoch(*number, SECOND, job)?),
            (Value::Int(number), Some(As::EpochMilliseconds)) => Some(epoch(*number, 1000, job)?),
            (Value::Text(text), Some(As::IsoTextWithOffset)) => calendar::read(text, true).map(of_told),
            (Value::Text(text), Some(As::IsoText)) => calendar::read(text, false).map(of_told),
            // SQLite keeps dates as texts.
            (Value::Text(text), None) if matches!(kind, Kind::Date | Kind::Wall | Kind::Instant) => {
                calendar::read(text, false).map(of_told)
            }
            _ => None,
        }
    }

    // --- holds ---------------------------------------------------------------------------------------------------

    /// Every row under a hold on this night: those that holds name, and whatever references a held row.
    fn held(&self, state: &State, night: usize) -> BTreeSet<Place> {
        let mut held = BTreeSet::new();
        if self.is(Mutant::HoldsAreIgnored) {
            return held;
        }
        for hold in self.case.holds.iter().filter(|hold| hold.night <= night) {
            for (&mark, row) in &state[hold.table] {
                let named = match &hold.what {
                    Held::Row(of) => *of == mark,
                    Held::Condition(condition) => {
                        condition.holds(&self.case.tables[hold.table], row, self.case.engine) == Some(true)
                    }
                };
                if named {
                    held.insert((hold.table, mark));
                }
            }
        }
        while !self.is(Mutant::HoldsDoNotSpread) {
            let mut more = Vec::new();
            for (table, rows) in state.iter().enumerate() {
                for (&mark, row) in rows {
                    let belongs = |held: &Place| self.belongs(table, row, held.0, &state[held.0][&held.1]);
                    if !held.contains(&(table, mark)) && held.iter().any(belongs) {
                        more.push((table, mark));
                    }
                }
            }
            if more.is_empty() {
                break;
            }
            held.extend(more);
        }
        held
    }

    /// Whether a row references another one by a foreign key or by what a rule calls `through`.
    fn belongs(&self, table: usize, row: &Row, to_table: usize, to: &Row) -> bool {
        let by_key = self.case.keys_to(to_table).into_iter().filter(|key| key.table == table);
        if by_key.into_iter().any(|key| self.case.references(key, row, to)) {
            return true;
        }
        self.case.rules.iter().any(|rule| match rule.start.source {
            Source::Related { table: other, through: through @ Through::Theirs(_), .. } => {
                other == table && rule.table == to_table && self.is_related(to_table, to, table, row, through)
            }
            Source::Related { table: other, through: through @ Through::Ours(_), .. } => {
                other == to_table && rule.table == table && self.is_related(table, row, to_table, to, through)
            }
            Source::Column(_) => false,
        })
    }

    // --- dependents ----------------------------------------------------------------------------------------------

    fn fate(&self, rule: &Rule, place: Place, state: &State, held: &BTreeSet<Place>) -> Fate {
        let mut fate = Fate { held: held.contains(&place), blocked: false, waits_for: Vec::new(), changes: Vec::new() };
        let row = &state[place.0][&place.1];
        let erases = matches!(rule.disposition, Disposition::Erase);
        match &rule.disposition {
            Disposition::Erase => fate.changes.push(Change::Erase(place)),
            Disposition::Anonymize(columns) => self.anonymize(place, row, columns, &mut fate),
            Disposition::Unlink(columns) => {
                fate.changes.extend(columns.iter().map(|column| Change::Set(place, *column, Value::Null)));
            }
        }
        self.dependents(rule, place, erases, state, held, &mut fate, &mut vec![place]);
        fate
    }

    fn anonymize(&self, place: Place, row: &Row, columns: &[(usize, Technique)], fate: &mut Fate) {
        let key = self.key(place.0, row);
        for (column, technique) in columns {
            let value = self.applied(technique, &row[*column], &key);
            if value != row[*column] {
                fate.changes.push(Change::Set(place, *column, value));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the walk hands on all of what it knows")]
    fn dependents(
        &self,
        rule: &Rule,
        place: Place,
        erased: bool,
        state: &State,
        held: &BTreeSet<Place>,
        fate: &mut Fate,
        way: &mut Vec<Place>,
    ) {
        if self.is(Mutant::DependentsStay) {
            return;
        }
        for key in self.case.keys_to(place.0) {
            let Some((_, action)) = rule.dependents.iter().find(|(named, _)| *named == key) else { continue };
            for (&mark, child) in &state[key.table] {
                let child_place = (key.table, mark);
                if !self.case.references(key, child, &state[place.0][&place.1]) {
                    continue;
                }
                if child_place == place {
                    // A due row never waits for itself. Whether one that goes along does, nothing says.
                    if way.len() > 1 && erased && matches!(action, Action::Keep) {
                        fate.waits_for.push((child_place, key));
                    }
                    continue;
                }
                fate.blocked |= held.contains(&child_place) && !matches!(action, Action::Keep);
                match action {
                    Action::Keep if erased && !self.is(Mutant::KeptDependentsAreIgnored) => {
                        fate.waits_for.push((child_place, key));
                    }
                    Action::Keep => {}
                    Action::Erase if way.contains(&child_place) => {}
                    Action::Erase => {
                        fate.changes.push(Change::Erase(child_place));
                        way.push(child_place);
                        self.dependents(rule, child_place, true, state, held, fate, way);
                    }
                    Action::Unlink => {
                        let columns = &self.case.foreign(key).columns;
                        fate.changes
                            .extend(columns.iter().map(|column| Change::Set(child_place, *column, Value::Null)));
                    }
                    Action::Anonymize(columns) => self.anonymize(child_place, child, columns, fate),
                }
            }
        }
    }
}

impl Change {
    pub fn erased(&self) -> Option<Place> {
        match self {
            Change::Erase(place) => Some(*place),
            Change::Set(..) => None,
        }
    }
}

fn epoch(number: i128, unit: i64, zone: calendar::Zone) -> Option<Day> {
    let moment = i64::try_from(number).ok()?.checked_mul(unit)?;
    // Nobody's calendar goes further.
    (moment.abs() < 2_900_000 * DAY).then(|| zone.day_of(moment))
}

/// The day from which the period counts.
pub fn counted(start: &Start, day: Day) -> Day {
    let (year, month, _) = calendar::date(day);
    match start.counted_from {
        None => day,
        Some(CountedFrom::MonthEnd) => calendar::day(year, month, calendar::length(year, month)),
        Some(CountedFrom::CalendarYearEnd) => calendar::day(year, 12, 31),
        Some(CountedFrom::FiscalYearEnd { month, day: of_month, plus }) => {
            let mut end_year = year;
            loop {
                let of_month = if month == 2 && of_month >= 28 { calendar::length(end_year, 2) } else { of_month };
                let end = calendar::day(end_year, month, of_month);
                if end >= day {
                    return plus.map_or(end, |plus: Period| plus.over(end) - 1);
                }
                end_year += 1;
            }
        }
    }
}
