//! A rule's aggregate against the live schema, and how many groups a run would keep.

use super::find::{find_column, find_table};
use crate::{
    catalog::{Column, ColumnKind, Engine, Table, TableKind, TableName},
    clock::{
        PointKind,
        starting_point::{Encoding, Source},
    },
    database::{AddedUp, AggregateWork, Arithmetic, Connection, Dialect, Error, KeyColumn, Work, aggregate},
    diagnostic::{Code, Diagnostic, Place},
    plan::resolver::Resolver,
    rules::{Aggregate, GroupedBy, Total},
    sql::Sql,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where rows are added up before they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAggregate {
    pub into: TableName,
    /// Columns of that table, with what they are of a row.
    pub by: BTreeMap<String, String>,
    /// Columns of that table, with what is added.
    pub totals: BTreeMap<String, String>,
    /// The column that tells persons apart.
    pub persons: String,
    pub at_least: u64,
    pub counted_in: String,
    pub groups: Groups,
}

/// The groups of the disposable rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// Those that have a row in the target, or will have one.
    pub kept: u64,
    /// Those of too few persons.
    pub suppressed: u64,
    /// Rows of suppressed groups, and of none.
    pub rows_left_out: u64,
}

/// Counts the groups; nothing is written.
///
/// # Errors
/// The database fails.
pub async fn groups(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    aggregate: &AggregateWork,
) -> Result<Groups, Error> {
    let row = connection.fetch(&aggregate::tally(dialect, work, aggregate)).await?.into_iter().next();
    let numbers: Vec<u64> =
        row.into_iter().flatten().map(|number| number.and_then(|number| number.parse().ok()).unwrap_or(0)).collect();
    let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
    Ok(Groups { kept: number(0), suppressed: number(1), rows_left_out: number(2) })
}

/// Why no row may go: some have a value that no total can take. Empty where all have what can be added.
///
/// # Errors
/// The database fails.
pub async fn doubts(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    work: &Work,
    aggregate: &AggregateWork,
) -> Result<Vec<String>, Error> {
    let Some(statement) = aggregate::doubtful(dialect, work, aggregate) else { return Ok(Vec::new()) };
    let row = connection.fetch(&statement).await?.into_iter().next().unwrap_or_default();
    let counts = row.into_iter().map(|count| count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(1));
    let words = counts.zip(&aggregate.totals).filter(|(rows, _)| *rows > 0).map(|(rows, total)| {
        let column = total.summed.as_ref().map_or("", |column| column.name.as_str());
        format!("`{column}` of {rows} rows holds no number that `{}` could take exactly", total.into)
    });
    Ok(words.collect())
}

/// What the plan tells of it.
pub(super) async fn planned(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    rule: &Aggregate,
    work: &Work,
    due: bool,
) -> Result<Option<PlannedAggregate>, Error> {
    let Some(aggregate) = &work.aggregate else { return Ok(None) };
    let groups = if due { groups(connection, dialect, work, aggregate).await? } else { Groups::default() };
    Ok(Some(PlannedAggregate {
        into: aggregate.into.clone(),
        by: rule.by.iter().map(|(column, by)| (column.clone(), by.to_string())).collect(),
        totals: rule.totals.iter().map(|(column, total)| (column.clone(), total.to_string())).collect(),
        persons: aggregate.persons.clone(),
        at_least: aggregate.at_least,
        counted_in: aggregate.counted_in.clone(),
        groups,
    }))
}

impl Resolver<'_, '_> {
    /// What is to be added up; nothing where the rule says nothing of it, or what does not fit.
    pub(super) fn aggregate(&mut self, table: &Table, row: &str) -> Option<AggregateWork> {
        let around = self.around;
        let rule: &Aggregate = self.rule.aggregate.as_ref()?;
        let target = self.keep(find_table(around.catalog, &rule.into, rule.place.key("into")))?;
        self.check_target(rule, table, target);
        let by = rule.by.iter().map(|(name, by)| self.group(rule, table, target, row, name, by)).collect::<Vec<_>>();
        let totals = rule.totals.iter().map(|(name, total)| self.total(rule, table, target, name, total));
        let totals = totals.collect::<Vec<_>>();
        let place = rule.place.key("smallest_group");
        let persons = self.keep(find_column(table, &rule.smallest_group.persons, place.key("persons")));
        if let Some(column) = persons.filter(|column| !can_be_compared(column)) {
            self.misfit(place.key("persons"), column, "tells nobody apart", "name the column of a person's number");
        }
        let counted_in = self.keep(find_column(target, &rule.smallest_group.counted_in, place.key("counted_in")));
        if let Some(column) = counted_in.filter(|column| !is_whole(column, around.catalog.engine)) {
            self.misfit(place.key("counted_in"), column, "holds no number of persons", "take an integer");
        }
        Some(AggregateWork {
            into: target.name.clone(),
            by: by.into_iter().collect::<Option<_>>()?,
            totals: totals.into_iter().collect::<Option<_>>()?,
            persons: persons?.name.clone(),
            at_least: rule.smallest_group.at_least,
            counted_in: counted_in?.name.clone(),
        })
    }

    fn misfit(&mut self, place: Place, column: &Column, problem: &str, help: &str) {
        let message = format!("`{}` {problem}: it has the type {}", column.name, column.sql_type);
        self.found.push(Diagnostic::error(Code::AggregateType, place, message).help(help));
    }

    fn check_target(&mut self, rule: &Aggregate, table: &Table, target: &Table) {
        let place = rule.place.key("into");
        let mut error = |code, place, message: String, help: &str| {
            self.found.push(Diagnostic::error(code, place, message).help(help));
        };
        if target.kind == TableKind::View {
            let message = format!("`{}` is a view or foreign table", rule.into);
            return error(Code::NotATable, place, message, "name a table that can hold rows");
        }
        if target.name == table.name || target.partition_of.as_ref() == Some(&table.name) {
            let message = "rows cannot be added up in the table that they are erased from".to_owned();
            return error(Code::BadAggregate, place, message, "name a table of its own");
        }
        if let Some(obstacle) = &target.obstacle {
            let message = format!("rows cannot be added up in `{}`: {obstacle}", rule.into);
            error(Code::UnsuitedTable, place.clone(), message, "make it an ordinary InnoDB table");
        }
        if target.row_security {
            let message = format!("row security hides rows of `{}` from this database user", rule.into);
            let help = "give the user BYPASSRLS: a group that is not seen cannot be added to";
            error(Code::RowSecurity, place.clone(), message, help);
        }
        let named: Vec<_> = rule.columns().collect();
        let all_there = named.iter().all(|(name, _)| target.column(name).is_some());
        if all_there {
            let by: Vec<_> = rule.by.iter().map(|(name, _)| name.clone()).collect();
            let same = |key: &[String]| key.len() == by.len() && by.iter().all(|name| key.contains(name));
            let unique = |index: &&crate::catalog::Index| index.unique && !index.partial && same(&index.columns);
            if !same(&target.primary_key) && !target.indexes.iter().any(|index| unique(&index)) {
                let message = format!("no primary or unique key of `{}` is exactly ({})", rule.into, by.join(", "));
                let help =
                    format!("let its owner add one: `unique ({})`; it keeps one row for each group", by.join(", "));
                error(Code::AggregateKey, rule.place.key("by").name(), message, &help);
            }
        }
        for (name, place) in &named {
            match target.column(name) {
                Some(column) if column.generated => {
                    let message = format!("`{name}` of `{}` is generated by the database", rule.into);
                    error(Code::GeneratedColumn, place.clone(), message, "take a column that holds values of its own");
                }
                Some(column)
                    if column.nullable
                        && rule.by.iter().any(|(by, _)| by == name)
                        && !target.primary_key.contains(&column.name) =>
                {
                    let message = format!("`{name}` of `{}` may be null, which no key tells apart", rule.into);
                    error(Code::AggregateKey, place.clone(), message, "let its owner declare it `not null`");
                }
                _ => {}
            }
        }
        let is_named = |column: &Column| named.iter().any(|(name, _)| *name == column.name);
        let required = |column: &&Column| !column.nullable && !column.has_default && !column.generated;
        // one of these may be what was meant by a name that is not there
        for column in target.columns.iter().filter(required).filter(|column| all_there && !is_named(column)) {
            let message = format!("`{}` of `{}` gets no value and has no default", column.name, rule.into);
            let help = "give it a default, or let it be null: a new group gets a value in the columns of `by`, `totals` and \
                        `counted_in` alone";
            error(Code::AggregateColumn, place.clone(), message, help);
        }
    }

    fn group(
        &mut self,
        rule: &Aggregate,
        table: &Table,
        target: &Table,
        row: &str,
        name: &str,
        by: &GroupedBy,
    ) -> Option<(String, Sql)> {
        let around = self.around;
        let place = rule.place.key("by").key(name);
        let from = match by {
            GroupedBy::Column(_) => place.clone(),
            GroupedBy::Calendar(unit, _) => place.key(unit.word()),
        };
        let column = self.keep(find_column(table, by.column(), from.clone()));
        let into = self.keep(find_column(target, name, place.name()));
        let (column, into) = (column?, into?);
        let value = around.dialect.column(row, &column.name);
        let engine = around.catalog.engine;
        match by {
            GroupedBy::Column(_) => {
                if !can_be_compared(column) {
                    self.misfit(from, column, "tells no groups apart", "group by a date, a number or a code");
                    return None;
                }
                if into.kind != column.kind || !self.keeps_apart(into, column) {
                    let problem = format!("does not hold what `{}` does, which is {}", column.name, column.sql_type);
                    self.misfit(place.name(), into, &problem, "let both have the same type");
                    return None;
                }
                Some((name.to_owned(), Sql::new(value)))
            }
            GroupedBy::Calendar(unit, _) => {
                let day = self
                    .time(column)
                    .and_then(|kind| around.dialect.first_day(&value, kind, *unit, &around.settings.time_zone));
                let Some(day) = day else {
                    self.misfit(from, column, "holds no date", "take a date or a timestamp");
                    return None;
                };
                let holds_day = match engine {
                    Engine::Sqlite => {
                        matches!(into.kind, ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Text)
                    }
                    Engine::Postgres | Engine::Mysql => into.kind == ColumnKind::Date,
                };
                if !holds_day {
                    self.misfit(place.name(), into, "does not hold a day", "let it be a date");
                    return None;
                }
                Some((name.to_owned(), day))
            }
        }
    }

    /// Values keep what tells them apart: what the target rounds would find no group again.
    fn keeps_apart(&self, into: &Column, column: &Column) -> bool {
        let engine = self.around.catalog.engine;
        match column.kind {
            ColumnKind::Enumeration if engine == Engine::Postgres => into.sql_type == column.sql_type,
            ColumnKind::Decimal => holds(into, column, engine) || engine == Engine::Sqlite,
            ColumnKind::DateTime | ColumnKind::Instant | ColumnKind::Time => {
                engine == Engine::Sqlite || fraction(&into.sql_type, engine) >= fraction(&column.sql_type, engine)
            }
            _ => true,
        }
    }

    /// How a column holds time, where its type tells.
    fn time(&self, column: &Column) -> Option<PointKind> {
        let start = &self.rule.starting_point;
        let starts_here = matches!(&start.source, Source::Column(name) if *name == column.name);
        // SQLite has no types for time: what the rule says of the column counts
        let otherwise = start.encoding.filter(|encoding| starts_here && *encoding != Encoding::IsoText);
        match (self.around.catalog.engine, column.kind) {
            (Engine::Sqlite, _) if otherwise.is_some() => None,
            (Engine::Sqlite, ColumnKind::Date | ColumnKind::DateTime) => Some(PointKind::IsoText),
            (Engine::Sqlite, ColumnKind::Text) if starts_here && start.encoding.is_some() => Some(PointKind::IsoText),
            (Engine::Sqlite, _) => None,
            (_, ColumnKind::Date) => Some(PointKind::Date),
            (_, ColumnKind::DateTime) => Some(PointKind::DateTime),
            (_, ColumnKind::Instant) => Some(PointKind::Instant),
            _ => None,
        }
    }

    fn total(&mut self, rule: &Aggregate, table: &Table, target: &Table, name: &str, total: &Total) -> Option<AddedUp> {
        let engine = self.around.catalog.engine;
        let place = rule.place.key("totals").key(name);
        let into = self.keep(find_column(target, name, place.name()));
        let Total::Sum(summed) = total else {
            let into = into?;
            if !is_whole(into, engine) {
                self.misfit(place.name(), into, "holds no number of rows", "take an integer");
            }
            let arithmetic = if engine == Engine::Sqlite { Arithmetic::Whole } else { Arithmetic::Server };
            return Some(AddedUp { into: name.to_owned(), summed: None, arithmetic });
        };
        let column = self.keep(find_column(table, summed, place.key("sum")));
        let (column, into) = (column?, into?);
        let arithmetic = arithmetic(into, column, engine);
        if !is_number(column) || column.sql_type == "oid" {
            self.misfit(place.key("sum"), column, "cannot be added up", "name a column of numbers");
        } else if !is_number(into) {
            self.misfit(place.name(), into, "holds no sum", "take a number");
        } else if engine == Engine::Sqlite && column.kind == ColumnKind::Decimal && arithmetic.is_none() {
            let help = "declare how many places it has, such as `numeric(12,2)` (up to 15): SQLite adds decimals up as \
                        floating-point numbers, and Sunset as whole numbers of the last place";
            self.misfit(place.key("sum"), column, "has no exact sum", help);
        } else if !holds(into, column, engine) {
            let problem = format!("would round what is added of `{}`, which is {}", column.name, column.sql_type);
            let help = match column.kind {
                ColumnKind::Integer => "take an integer, or a decimal without a negative scale",
                ColumnKind::Float => "take a column of double precision",
                _ => "take a decimal with at least as many places (of a domain nobody knows how many it has)",
            };
            self.misfit(place.name(), into, &problem, help);
        } else if column.kind == ColumnKind::Float {
            let message = format!("`{}` holds floating-point numbers, whose sum depends on their order", column.name);
            let warning = Diagnostic::warning(Code::AggregateType, place.key("sum"), message);
            self.found.push(warning.help("make it a decimal column where the total has to be exact"));
        }
        let arithmetic = arithmetic?;
        Some(AddedUp { into: name.to_owned(), summed: Some(KeyColumn::from(column)), arithmetic })
    }
}

fn can_be_compared(column: &Column) -> bool {
    !matches!(column.kind, ColumnKind::Json | ColumnKind::Bytes | ColumnKind::Float | ColumnKind::Other)
}

fn is_number(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float)
}

fn is_whole(column: &Column, engine: Engine) -> bool {
    match column.kind {
        ColumnKind::Integer => true,
        ColumnKind::Decimal => matches!(places(column, engine), Places::Any | Places::Known(0..)),
        _ => false,
    }
}

/// Digits after the point that a decimal column keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    /// As many as a value has.
    Any,
    /// Less than none: it keeps tens or hundreds.
    Known(i32),
    /// It is a domain's secret.
    Unknown,
}

fn places(column: &Column, engine: Engine) -> Places {
    let sql_type = column.sql_type.to_ascii_lowercase();
    let named = ["numeric", "decimal"].iter().any(|name| sql_type.starts_with(name)) || engine != Engine::Postgres;
    match sql_type.split_once('(') {
        _ if !named => Places::Unknown,
        None => Places::Any,
        Some((_, arguments)) => {
            let arguments = arguments.split(')').next().unwrap_or_default();
            let digits = arguments.split_once(',').map_or("0", |(_, digits)| digits);
            digits.trim().parse().map_or(Places::Unknown, Places::Known)
        }
    }
}

/// Sums come in parts, one for each batch: if each is rounded, nobody knows what they come to.
fn holds(into: &Column, summed: &Column, engine: Engine) -> bool {
    match (summed.kind, into.kind) {
        (ColumnKind::Integer, _) => is_whole(into, engine),
        (ColumnKind::Decimal, ColumnKind::Decimal) => match (places(into, engine), places(summed, engine)) {
            (Places::Any, _) => true,
            (Places::Known(into), Places::Known(summed)) => into >= summed,
            _ => false,
        },
        (ColumnKind::Float, ColumnKind::Float) => {
            engine == Engine::Sqlite || into.sql_type.to_ascii_lowercase().starts_with("double")
        }
        _ => false,
    }
}

/// How a column is added up; `None` where nobody can do it exactly.
fn arithmetic(into: &Column, summed: &Column, engine: Engine) -> Option<Arithmetic> {
    match (engine, summed.kind) {
        (Engine::Postgres, ColumnKind::Decimal | ColumnKind::Float) => Some(Arithmetic::Finite),
        (Engine::Postgres | Engine::Mysql, _) => Some(Arithmetic::Server),
        (Engine::Sqlite, ColumnKind::Decimal) => {
            let Places::Known(own) = places(summed, engine) else { return None };
            // the target may have been filled by others, with all its places
            let all = if let Places::Known(more) = places(into, engine) { own.max(more) } else { own };
            let all = u32::try_from(all.max(0)).ok()?;
            (all <= aggregate::MOST_PLACES).then_some(Arithmetic::Decimal(all))
        }
        (Engine::Sqlite, ColumnKind::Float) => Some(Arithmetic::Double),
        (Engine::Sqlite, _) => Some(Arithmetic::Whole),
    }
}

/// Digits of a second that a type keeps.
fn fraction(sql_type: &str, engine: Engine) -> u32 {
    let default = if engine == Engine::Postgres { 6 } else { 0 };
    let digits = sql_type.split_once('(').and_then(|(_, rest)| rest.split(')').next()?.trim().parse().ok());
    digits.unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind, sql_type: &str) -> Column {
        Column {
            name: "c".into(),
            sql_type: sql_type.into(),
            kind,
            nullable: true,
            generated: false,
            touched: false,
            has_default: false,
            max_length: None,
            words: Vec::new(),
            comment: String::new(),
            codec: crate::catalog::Codec::of(crate::catalog::Values::Other, ""),
        }
    }

    #[test]
    fn a_target_keeps_all_places_or_is_refused() {
        use ColumnKind::{Decimal, Float, Integer};
        let fits = |engine, summed, into| {
            let of = |(kind, sql_type)| column(kind, sql_type);
            holds(&of(into), &of(summed), engine)
        };
        let postgres = |summed, into| fits(Engine::Postgres, summed, into);
        assert!(postgres((Decimal, "numeric(5,2)"), (Decimal, "numeric")));
        assert!(postgres((Decimal, "numeric(5,2)"), (Decimal, "numeric(14,2)")));
        assert!(postgres((Decimal, "numeric(5,-2)"), (Decimal, "numeric(14,-2)")));
        assert!(!postgres((Decimal, "numeric(5,2)"), (Decimal, "numeric(8,-2)")));
        assert!(!postgres((Decimal, "numeric(5,2)"), (Decimal, "numeric(14,1)")));
        assert!(!postgres((Decimal, "numeric"), (Decimal, "numeric(30,10)")));
        assert!(!postgres((Decimal, "numeric(5,2)"), (Decimal, "public.amount")));
        assert!(postgres((Decimal, "public.amount"), (Decimal, "numeric")));
        assert!(!postgres((Decimal, "public.amount"), (Decimal, "numeric(14,2)")));
        assert!(
            !postgres((Integer, "bigint"), (Decimal, "numeric(8,-2)"))
                && postgres((Integer, "bigint"), (Decimal, "numeric(38)"))
        );
        assert!(!postgres((Integer, "bigint"), (Float, "double precision")));
        assert!(!postgres((Decimal, "numeric(5,2)"), (Float, "double precision")));
        assert!(!postgres((Decimal, "numeric(5,2)"), (Integer, "bigint")));
        assert!(postgres((Float, "real"), (Float, "double precision")) && !postgres((Float, "real"), (Float, "real")));
        let mysql = |summed, into| fits(Engine::Mysql, summed, into);
        assert!(mysql((Decimal, "decimal(10,2) unsigned"), (Decimal, "decimal(12,2)")));
        assert!(
            !mysql((Decimal, "decimal(10,2)"), (Decimal, "decimal(12,0)"))
                && !mysql((Float, "float"), (Float, "float"))
        );
        let sqlite = |summed, into| {
            let of = |(kind, sql_type)| column(kind, sql_type);
            arithmetic(&of(into), &of(summed), Engine::Sqlite)
        };
        assert_eq!(sqlite((Decimal, "DECIMAL(12, 2)"), (Decimal, "numeric(14,3)")), Some(Arithmetic::Decimal(3)));
        assert_eq!(sqlite((Decimal, "decimal(12,2)"), (Decimal, "NUMERIC")), Some(Arithmetic::Decimal(2)));
        assert_eq!(sqlite((Decimal, "numeric"), (Decimal, "numeric(14,3)")), None);
    }
}
