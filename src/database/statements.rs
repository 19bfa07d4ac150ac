//! The statements that plan and run send, made of a [`Work`] and a [`Dialect`]. Pure: no server is asked.

use super::{Change, DependentWork, Dialect, Guard, KeyColumn, Link, Lock, MembersWork, Use, Watched, Work, spelling};
use crate::{
    catalog::{Codec, Column, TableName},
    clock::PointKind,
    sql::{PLACEHOLDER, Sql, Statement, Value},
};

/// The rows of one batch, by where they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// After the first key (from the start without one), up to and including the second (to the end without one).
    Keys { after: Option<Vec<String>>, through: Option<Vec<String>> },
    /// PostgreSQL heap blocks of one leaf table, the end excluded; of their rows those of one stride.
    Blocks { leaf: TableName, from: u64, to: u64, stride: Stride },
}

impl Range {
    /// The table that a statement on these rows names.
    pub fn table<'a>(&'a self, work: &'a Work) -> &'a TableName {
        match self {
            Self::Keys { .. } => &work.table,
            Self::Blocks { leaf, .. } => leaf,
        }
    }
}

/// One of so many shares of a range's rows, told apart by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stride {
    /// A power of two; 1 for all rows at once.
    pub of: u32,
    /// From 0.
    pub nth: u32,
}

/// What a select of keys delivers, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySelection {
    /// Each with `true` where its text must name the value exactly.
    columns: Vec<(KeyColumn, bool)>,
    locator: Vec<usize>,
    key: Vec<usize>,
}

impl KeySelection {
    /// The columns that find a row again, those that name it, and those that its dependents refer to.
    pub fn of(work: &Work) -> Self {
        let mut selection = Self { columns: Vec::new(), locator: Vec::new(), key: Vec::new() };
        selection.locator = work.locator().iter().map(|column| selection.add(column, true)).collect();
        selection.key = work.key.iter().map(|column| selection.add(column, true)).collect();
        for link in work.dependents.iter().filter_map(|dependent| dependent.links.last()) {
            for column in &link.referenced {
                selection.add(column, true);
            }
        }
        for (_, column) in work.recipients.iter().flat_map(|recipient| &recipient.identifiers) {
            selection.add(column, false);
        }
        if let Change::Compute { computed, .. } = &work.change {
            for column in computed {
                selection.add(&column.column, false);
            }
        }
        selection
    }

    /// Only the columns that name a row.
    pub fn names(key: &[KeyColumn]) -> Self {
        Self {
            columns: key.iter().map(|column| (column.clone(), true)).collect(),
            locator: Vec::new(),
            key: (0..key.len()).collect(),
        }
    }

    fn add(&mut self, column: &KeyColumn, exact: bool) -> usize {
        let exact = exact || column.codec.prints_plainly();
        self.find(&column.name, exact).unwrap_or_else(|| {
            self.columns.push((column.clone(), exact));
            self.columns.len() - 1
        })
    }

    fn find(&self, column: &str, exact: bool) -> Option<usize> {
        self.columns.iter().position(|(known, how)| known.name == column && *how == exact)
    }

    /// The position of a column in the delivered rows, as people and recipients read it.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.find(column, false).or_else(|| self.find(column, true))
    }

    /// The position of a column in the delivered rows, as a key.
    pub fn key_position(&self, column: &str) -> Option<usize> {
        self.find(column, true)
    }

    /// The texts that find the row again.
    pub fn locator(&self, row: &[Option<String>]) -> Vec<String> {
        self.locator.iter().map(|&i| row[i].clone().unwrap_or_default()).collect()
    }

    /// The texts of the primary key.
    pub fn key(&self, row: &[Option<String>]) -> Vec<String> {
        self.key.iter().map(|&i| row[i].clone().unwrap_or_default()).collect()
    }

    fn list(&self, dialect: &dyn Dialect, row: &str) -> String {
        self.texts(dialect, row).join(", ")
    }

    /// All rows in one text, where the dialect packs.
    fn packed(&self, dialect: &dyn Dialect, row: &str) -> Option<String> {
        let columns: Vec<_> = self.columns.iter().map(|(column, _)| column.clone()).collect();
        dialect.packed(&self.texts(dialect, row), &columns)
    }

    /// The columns of `row` as texts.
    pub fn texts(&self, dialect: &dyn Dialect, row: &str) -> Vec<String> {
        let text = |(column, exact): &(KeyColumn, bool)| {
            let value = dialect.column(row, &column.name);
            if *exact { dialect.key_text(&value, column) } else { dialect.text(&value, column) }
        };
        self.columns.iter().map(text).collect()
    }
}

impl Work {
    /// The columns by which a row is found: SQLite's row id where there is one, the primary key elsewhere.
    pub fn locator(&self) -> Vec<KeyColumn> {
        match &self.rowid {
            Some(name) => vec![KeyColumn { name: name.clone(), codec: Codec::row_id() }],
            None => self.key.clone(),
        }
    }

    /// The rule governs the row and has not been carried out on it.
    pub fn claimed(&self) -> impl Iterator<Item = &Sql> {
        self.condition.iter().chain(&self.undone)
    }

    /// Due and not yet carried out, held rows included.
    pub fn due_rows(&self) -> Sql {
        Sql::all(std::iter::once(&self.due).chain(self.claimed()))
    }

    /// Due, neither held nor needed by a kept dependent: what a batch may touch.
    pub fn disposable_rows(&self) -> Sql {
        self.without_obstacles(self.due_rows())
    }

    /// Rows on which the rule has been carried out already; none where they are not there any more.
    pub fn done_rows(&self) -> Option<Sql> {
        let undone = self.undone.as_ref()?.clone().negated();
        Some(Sql::all(std::iter::once(&self.due).chain(&self.condition).chain([&undone])))
    }

    /// Whether a row is disposable depends on rows of other tables.
    pub fn asks_others(&self) -> bool {
        self.waiting.is_some()
            || self.point.related
            || self.held.as_ref().is_some_and(|held| held.text.contains("select "))
    }

    /// How batches lock its rows. Whoever asks recipients first, or adds rows up, waits for who has them; all others pass
    /// them over.
    pub fn lock(&self) -> Lock {
        if self.recipients.is_empty() && self.aggregate.is_none() { Lock::AtOnce } else { Lock::Waiting }
    }

    /// The tables whose rows it changes.
    pub fn changed_tables(&self) -> Vec<&TableName> {
        let along = self.dependents.iter().map(|dependent| &dependent.table);
        let mut tables: Vec<_> = std::iter::once(&self.table).chain(&self.leaves).chain(along).collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Rows of this dependent are referenced by others that are changed too.
    pub fn leads_on(&self, dependent: &DependentWork) -> bool {
        self.dependents.iter().any(|other| other.links[1..] == dependent.links)
    }

    /// Holds for every disposable row, and for no other as long as every starting point can be read.
    fn plainly_disposable_rows(&self) -> Option<Sql> {
        let due = self.plainly_due.as_ref()?;
        Some(self.without_obstacles(Sql::all(std::iter::once(due).chain(self.claimed()))))
    }

    /// Rows that a batch has locked and that can still be disposed of at the moment of their change. A starting point in related rows is
    /// not asked for again: they may have gone along a moment ago, and the locked row lets no others come.
    fn still_disposable_rows(&self) -> Sql {
        if self.point.related && !self.dependents.is_empty() {
            self.without_obstacles(Sql::all(self.claimed()))
        } else {
            self.disposable_rows()
        }
    }

    fn without_obstacles(&self, mut sql: Sql) -> Sql {
        for obstacle in [&self.held, &self.waiting].into_iter().flatten() {
            sql.push(" and ").append(&obstacle.clone().negated());
        }
        sql
    }
}

fn select_from(dialect: &dyn Dialect, list: &str, table: &TableName, condition: &Sql) -> Sql {
    let mut sql = Sql::new(format!("select {list} from {} where ", dialect.target(table)));
    sql.append(condition);
    sql
}

/// Selects rows that meet a condition, in the order of the key.
fn select_along_key(dialect: &dyn Dialect, list: &Sql, table: &TableName, condition: &Sql) -> Sql {
    let (target, along) = (dialect.target(table), dialect.along_key());
    let mut sql = Sql::new("select ");
    sql.append(list).push(&format!(" from {target}{along} where ")).append(condition);
    sql
}

/// One row: due, overdue, held, waiting (and not held), oldest starting point; of the overdue rows those held, and the
/// oldest starting point of the others.
pub fn tally(dialect: &dyn Dialect, work: &Work) -> Statement {
    let count = |condition: Option<Sql>| match condition {
        None => Sql::new(dialect.shown("0")),
        Some(condition) => {
            let mut sum = condition;
            sum.text = dialect.shown(&format!("coalesce(sum(case when {} then 1 else 0 end), 0)", sum.text));
            sum
        }
    };
    let waiting = work.waiting.clone().map(|mut waiting| {
        if let Some(held) = &work.held {
            waiting.push(" and ").append(&held.clone().negated());
        }
        waiting
    });
    // texts with different offsets do not sort by time
    let value = match work.point.kind {
        PointKind::IsoTextWithOffset => dialect.told(&work.point.value, work.point.kind),
        _ => work.point.value.clone(),
    };
    let mut oldest = value.clone();
    oldest.text = format!("min({})", oldest.text);
    let oldest = dialect.point_shown(&oldest, work.point.kind);
    let overdue_held = work.overdue.clone().zip(work.held.as_ref()).map(|(mut overdue, held)| {
        overdue.push(" and ").append(&held.clone().nested());
        overdue
    });
    let oldest_overdue = work.overdue.clone().map(|mut overdue| {
        if let Some(held) = &work.held {
            overdue.push(" and ").append(&held.clone().negated());
        }
        let mut oldest = Sql::new("min(case when ");
        oldest.append(&overdue).push(" then ").append(&value).push(" end)");
        dialect.point_shown(&oldest, work.point.kind)
    });
    let columns = [
        Sql::new(dialect.shown("count(*)")),
        count(work.overdue.clone()),
        count(work.held.clone()),
        count(waiting),
        oldest,
        count(overdue_held),
        oldest_overdue.unwrap_or_else(|| Sql::new(dialect.shown("null"))),
    ];
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&columns, ", "));
    sql.push(&format!(" from {} where ", dialect.target(&work.table))).append(&work.due_rows());
    dialect.finish(sql)
}

/// A number for each of these conditions: due and held rows that meet it.
pub fn held_by(dialect: &dyn Dialect, work: &Work, conditions: &[Sql]) -> Statement {
    let held = Sql::all(std::iter::once(&work.due_rows()).chain(&work.held));
    counts(dialect, &work.table, &held, conditions)
}

/// A number for each of these conditions: rows of the table among `rows` that meet it.
pub fn counts(dialect: &dyn Dialect, table: &TableName, rows: &Sql, conditions: &[Sql]) -> Statement {
    let counts: Vec<_> = conditions
        .iter()
        .map(|condition| {
            let mut sum = condition.clone();
            sum.text = dialect.shown(&format!("coalesce(sum(case when {} then 1 else 0 end), 0)", sum.text));
            sum
        })
        .collect();
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&counts, ", ")).push(&format!(" from {} where ", dialect.target(table))).append(rows);
    dialect.finish(sql)
}

/// One number: governed rows whose starting point is not there or cannot be read.
pub fn missing(dialect: &dyn Dialect, work: &Work) -> Option<Statement> {
    work.missing.as_ref().map(|missing| count_claimed(dialect, work, missing))
}

/// Two numbers: governed rows, and those of them without a starting point that can be read.
pub fn starts(dialect: &dyn Dialect, work: &Work) -> Statement {
    let mut without = work.unreadable.clone();
    without.text = dialect.shown(&format!("coalesce(sum(case when {} then 1 else 0 end), 0)", without.text));
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&[Sql::new(dialect.shown("count(*)")), without], ", "));
    sql.push(&format!(" from {} where ", dialect.target(&work.table))).append(&Sql::all(work.claimed()));
    dialect.finish(sql)
}

/// A row when the table has one that meets the condition.
pub fn any_row(dialect: &dyn Dialect, table: &TableName, condition: Option<&Sql>) -> Statement {
    let mut sql = select_from(dialect, &dialect.shown("1"), table, &Sql::all(condition));
    sql.push(" limit 1");
    dialect.finish(sql)
}

/// Up to `limit` different values of a column, as text.
pub fn distinct(dialect: &dyn Dialect, table: &TableName, column: &KeyColumn, limit: usize) -> Statement {
    let text = dialect.text(&dialect.column(&dialect.row(table), &column.name), column);
    let mut sql = select_from(dialect, &format!("distinct {text}"), table, &Sql::all([]));
    sql.push(&format!(" limit {limit}"));
    dialect.finish(sql)
}

/// What a rule says of one row: its starting point, then `1` or `0` for each of: the condition holds, it is not yet
/// carried out, due, overdue, without starting point, held, waiting. No row when there is none with this key.
pub fn verdict(dialect: &dyn Dialect, work: &Work, key: &[String]) -> Statement {
    let row = dialect.row(&work.table);
    let flag = |condition: Option<&Sql>, absent: &str| {
        let mut sql = condition.cloned().unwrap_or_else(|| Sql::new(absent));
        sql.text = dialect.shown(&format!("case when {} then 1 else 0 end", sql.text));
        sql
    };
    let columns = [
        dialect.point_shown(&work.point.value, work.point.kind),
        flag(work.condition.as_ref(), "1 = 1"),
        flag(work.undone.as_ref(), "1 = 1"),
        flag(Some(&work.due), ""),
        flag(work.overdue.as_ref(), "1 = 0"),
        flag(Some(&work.unreadable), ""),
        flag(work.held.as_ref(), "1 = 0"),
        flag(work.waiting.as_ref(), "1 = 0"),
    ];
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&columns, ", ")).push(&format!(" from {} where ", dialect.target(&work.table)));
    sql.append(&dialect.one_of(&row, &work.key, &[key.to_vec()]));
    dialect.finish(sql)
}

/// `1` or `0` for each of these conditions on the row with a key.
pub fn flags(
    dialect: &dyn Dialect,
    table: &TableName,
    (columns, key): (&[KeyColumn], &[String]),
    conditions: &[Sql],
) -> Statement {
    let flags: Vec<_> = conditions
        .iter()
        .map(|condition| condition.clone().inside(|text| dialect.shown(&format!("case when {text} then 1 else 0 end"))))
        .collect();
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&flags, ", ")).push(&format!(" from {} where ", dialect.target(table)));
    sql.append(&dialect.one_of(&dialect.row(table), columns, &[key.to_vec()]));
    dialect.finish(sql)
}

/// The key of a row as the server prints it; no row when there is none.
pub fn find_row(dialect: &dyn Dialect, table: &TableName, key: &[KeyColumn], values: &[String]) -> Statement {
    let row = dialect.row(table);
    let condition = dialect.one_of(&row, key, &[values.to_vec()]);
    dialect.finish(select_from(dialect, &KeySelection::names(key).list(dialect, &row), table, &condition))
}

/// The keys of up to `limit` rows that meet a condition.
pub fn keys_where(
    dialect: &dyn Dialect,
    table: &TableName,
    key: &[KeyColumn],
    condition: &Sql,
    limit: usize,
) -> Statement {
    let list = KeySelection::names(key).list(dialect, &dialect.row(table));
    let mut sql = select_from(dialect, &list, table, condition);
    sql.push(&format!(" limit {limit}"));
    dialect.finish(sql)
}

/// Columns of the row with this key, as [`spelling::shown`] shows them.
pub fn shown_where(
    dialect: &dyn Dialect,
    table: &TableName,
    columns: &[&Column],
    (key, values): (&[KeyColumn], &[String]),
) -> Statement {
    let row = dialect.row(table);
    let list: Vec<_> = columns.iter().map(|column| spelling::shown(dialect, &row, column)).collect();
    let list = if list.is_empty() { dialect.shown("1") } else { list.join(", ") };
    dialect.finish(select_from(dialect, &list, table, &dialect.one_of(&row, key, &[values.to_vec()])))
}

/// Up to `limit` different combinations of what columns have in rows that meet a condition, as [`spelling::shown`] shows them.
pub fn distinct_shown(
    dialect: &dyn Dialect,
    table: &TableName,
    columns: &[&Column],
    condition: &Sql,
    limit: usize,
) -> Statement {
    let row = dialect.row(table);
    let list: Vec<_> = columns.iter().map(|column| spelling::shown_apart(dialect, &row, column)).collect();
    let mut sql = select_from(dialect, &format!("distinct {}", list.join(", ")), table, condition);
    sql.push(&format!(" limit {limit}"));
    dialect.finish(sql)
}

/// Columns of the rows that meet a condition, as recipients read them.
pub fn texts_where(dialect: &dyn Dialect, table: &TableName, columns: &[KeyColumn], condition: &Sql) -> Statement {
    let row = dialect.row(table);
    let list: Vec<_> = columns.iter().map(|column| dialect.text(&dialect.column(&row, &column.name), column)).collect();
    dialect.finish(select_from(dialect, &list.join(", "), table, condition))
}

/// One number: rows that meet a condition.
pub fn count_where(dialect: &dyn Dialect, table: &TableName, condition: &Sql) -> Statement {
    dialect.finish(select_from(dialect, &dialect.shown("count(*)"), table, condition))
}

/// One number: rows without a starting point, as far as an index can tell.
pub fn plainly_missing(dialect: &dyn Dialect, work: &Work) -> Option<Statement> {
    work.plainly_missing.as_ref().map(|missing| count_claimed(dialect, work, missing))
}

fn count_claimed(dialect: &dyn Dialect, work: &Work, condition: &Sql) -> Statement {
    let condition = Sql::all(std::iter::once(condition).chain(work.claimed()));
    count_where(dialect, &work.table, &condition)
}

/// One number: all rows of a table.
pub fn total(dialect: &dyn Dialect, table: &TableName) -> Statement {
    dialect.finish(Sql::new(format!("select {} from {}", dialect.shown("count(*)"), dialect.table(table))))
}

/// A row when a row is governed by both conditions.
pub fn overlap(dialect: &dyn Dialect, table: &TableName, first: &Sql, second: &Sql) -> Statement {
    dialect.finish(some_row(dialect, table, &Sql::all([first, second])))
}

/// A row when a row meets the condition.
pub fn some_row(dialect: &dyn Dialect, table: &TableName, condition: &Sql) -> Sql {
    let mut sql = select_from(dialect, &dialect.shown("1"), table, condition);
    sql.push(" limit 1");
    sql
}

/// The statement whose way through the table tells whether an index serves the rule.
pub fn explain(dialect: &dyn Dialect, work: &Work) -> Statement {
    dialect.explain(&dialect.finish(select_from(dialect, "1", &work.table, &work.due_rows())))
}

/// Columns of up to `limit` disposable rows as text: each column as it is, then each as the change would leave it.
pub fn sample(dialect: &dyn Dialect, work: &Work, columns: &[KeyColumn], limit: u32) -> Statement {
    let row = dialect.row(&work.table);
    let mut list = vec![Sql::new(KeySelection::names(&work.key).list(dialect, &row))];
    list.extend(columns.iter().map(|column| Sql::new(dialect.text(&dialect.column(&row, &column.name), column))));
    for column in columns {
        let after = match &work.change {
            Change::Update(changes) | Change::Compute { sql: changes, .. } => {
                changes.iter().find(|(name, _)| *name == column.name).map(|(_, sql)| sql.clone())
            }
            Change::Erase => None,
        };
        list.push(after.map_or_else(
            || Sql::new(dialect.shown("null")),
            |sql| sql.inside(|sql| dialect.text(&format!("({sql})"), column)),
        ));
    }
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&list, ", ")).push(&format!(" from {} where ", dialect.target(&work.table)));
    sql.append(&work.disposable_rows()).push(&format!(" limit {limit}"));
    dialect.finish(sql)
}

/// The next disposable rows in the order of their locator, not beyond another one; with a lock, kept from changing until
/// the transaction ends.
pub fn select_keys(
    dialect: &dyn Dialect,
    work: &Work,
    selection: &KeySelection,
    after: Option<&[String]>,
    through: Option<&[String]>,
    limit: u64,
    lock: Option<Lock>,
) -> Statement {
    let row = dialect.row(&work.table);
    let locator = work.locator();
    let mut condition = work.disposable_rows();
    if let Some(after) = after {
        condition.push(" and ").append(&dialect.beyond(&row, &locator, after, false));
    }
    if let Some(through) = through {
        condition.push(" and ").append(&dialect.through(&row, &locator, through));
    }
    let order: Vec<_> = locator.iter().map(|column| dialect.column(&row, &column.name)).collect();
    limited(dialect, work, selection, condition, &order.join(", "), limit, lock)
}

/// The next of these rows in the order of their locator; nothing is locked.
pub fn page(
    dialect: &dyn Dialect,
    work: &Work,
    selection: &KeySelection,
    rows: Sql,
    after: Option<&[String]>,
    limit: u64,
) -> Statement {
    let row = dialect.row(&work.table);
    let locator = work.locator();
    let mut condition = rows;
    if let Some(after) = after {
        condition.push(" and ").append(&dialect.beyond(&row, &locator, after, false));
    }
    let order: Vec<_> = locator.iter().map(|column| dialect.column(&row, &column.name)).collect();
    let mut sql = select_from(dialect, &selection.list(dialect, &row), &work.table, &condition);
    sql.push(&format!(" order by {} limit {limit}", order.join(", ")));
    dialect.finish(sql)
}

/// The rows of one table, whatever rules say of them, page by page in the order of their locator.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    pub table: &'a TableName,
    /// As it stands after `from`: the table, or a part of it.
    pub from: String,
    pub locator: &'a [KeyColumn],
    pub key: &'a [KeyColumn],
    /// What is asked of each row.
    pub question: Option<&'a Sql>,
}

impl Sight<'_> {
    /// The next rows after one: the texts of the locator, those of the key, and `1` where the answer is yes.
    pub fn page(&self, dialect: &dyn Dialect, after: Option<&[String]>, limit: u64) -> Statement {
        let row = dialect.row(self.table);
        let text = |column: &KeyColumn| dialect.key_text(&dialect.column(&row, &column.name), column);
        let texts: Vec<_> = self.locator.iter().chain(self.key).map(text).collect();
        let mut answer = self.question.cloned().unwrap_or_else(|| Sql::new("1 = 1"));
        answer.text = dialect.shown(&format!("case when {} then 1 else 0 end", answer.text));
        let mut sql = Sql::new(format!("select {}, ", texts.join(", ")));
        sql.append(&answer).push(&format!(" from {}", self.from));
        if let Some(after) = after {
            sql.push(" where ").append(&dialect.beyond(&row, self.locator, after, false));
        }
        let order: Vec<_> = self.locator.iter().map(|column| dialect.column(&row, &column.name)).collect();
        sql.push(&format!(" order by {} limit {limit}", order.join(", ")));
        dialect.finish(sql)
    }
}

/// The next of those who stay, in the order of the key: the key's columns, then each identifier's.
pub fn members(work: &MembersWork, after: Option<&[String]>, limit: u64) -> Statement {
    let dialect = work.dialect;
    let row = dialect.row(&work.table);
    let text = |(_, column): &(String, KeyColumn)| dialect.text(&dialect.column(&row, &column.name), column);
    let names = KeySelection::names(&work.key).texts(dialect, &row);
    let list: Vec<_> = names.into_iter().chain(work.columns.iter().map(text)).collect();
    let after = after.map(|after| dialect.beyond(&row, &work.key, after, false));
    let condition = Sql::all(work.condition.iter().chain(&after));
    let mut sql = select_along_key(dialect, &Sql::new(list.join(", ")), &work.table, &condition);
    let order: Vec<_> = work.key.iter().map(|column| dialect.column(&row, &column.name)).collect();
    sql.push(&format!(" order by {} limit {limit}", order.join(", ")));
    dialect.finish(sql)
}

/// The next disposable rows in the order of their starting point, from the given one on; with a lock, kept from changing
/// until the transaction ends.
pub fn select_by_point(
    dialect: &dyn Dialect,
    work: &Work,
    point: &KeyColumn,
    selection: &KeySelection,
    from: Option<&str>,
    limit: u64,
    lock: Option<Lock>,
) -> Statement {
    let row = dialect.row(&work.table);
    let mut condition = work.disposable_rows();
    if let Some(from) = from {
        let key = [from.to_owned()];
        condition.push(" and ").append(&dialect.beyond(&row, std::slice::from_ref(point), &key, true));
    }
    limited(dialect, work, selection, condition, &dialect.column(&row, &point.name), limit, lock)
}

fn limited(
    dialect: &dyn Dialect,
    work: &Work,
    selection: &KeySelection,
    condition: Sql,
    order: &str,
    limit: u64,
    lock: Option<Lock>,
) -> Statement {
    let list = selection.list(dialect, &dialect.row(&work.table));
    let mut sql = select_from(dialect, &list, &work.table, &condition);
    sql.push(&format!(" order by {order} limit {PLACEHOLDER}"));
    sql.args.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    dialect.finish(match lock {
        Some(lock) => dialect.locking(sql, lock),
        None => sql,
    })
}

/// Those of the rows with these locators that are disposable; with a lock, kept from changing until the transaction ends.
pub fn select_chosen(
    dialect: &dyn Dialect,
    work: &Work,
    selection: &KeySelection,
    keys: &[Vec<String>],
    lock: Option<Lock>,
) -> Statement {
    let row = dialect.row(&work.table);
    let mut condition = dialect.one_of(&row, &work.locator(), keys);
    condition.push(" and ").append(&work.disposable_rows());
    let sql = select_from(dialect, &selection.list(dialect, &row), &work.table, &condition);
    dialect.finish(match lock {
        Some(lock) => dialect.locking(sql, lock),
        None => sql,
    })
}

/// The disposable rows of a range; nothing is locked.
pub fn select_range(dialect: &dyn Dialect, work: &Work, selection: &KeySelection, range: &Range) -> Statement {
    let table = range.table(work);
    let condition = in_range(dialect, work, range, work.disposable_rows());
    let list = Sql::new(selection.list(dialect, &dialect.row(table)));
    dialect.finish(select_along_key(dialect, &list, table, &condition))
}

/// Columns of all disposable rows as text, in any order.
pub fn disposable_columns(dialect: &dyn Dialect, work: &Work, columns: &[KeyColumn]) -> Statement {
    let row = dialect.row(&work.table);
    let list: Vec<_> = columns.iter().map(|column| dialect.text(&dialect.column(&row, &column.name), column)).collect();
    dialect.finish(select_from(dialect, &list.join(", "), &work.table, &work.disposable_rows()))
}

/// The identifiers of disposable rows that rows of a table have which stay, as texts.
pub fn still_used(dialect: &dyn Dialect, work: &Work, used: &Use) -> Statement {
    let texts = |table: &TableName, columns: &[KeyColumn]| -> Vec<String> {
        let row = dialect.row(table);
        columns.iter().map(|column| dialect.text(&dialect.column(&row, &column.name), column)).collect()
    };
    let comparable =
        |texts: &[String]| texts.iter().map(|text| dialect.as_identifier(text)).collect::<Vec<_>>().join(", ");
    let found = texts(&used.table, &used.columns);
    let mut stays = Sql::new("case ");
    for free in &used.free {
        stays.push("when ").append(free).push(" then 0 ");
    }
    stays.push(&format!("else 1 end = 1 and ({}) in (", comparable(&found)));
    let own = comparable(&texts(&work.table, &used.own));
    stays.append(&select_from(dialect, &own, &work.table, &work.disposable_rows())).push(")");
    dialect.finish(select_from(dialect, &format!("distinct {}", found.join(", ")), &used.table, &stays))
}

/// Columns of one row as text.
pub fn row_columns(dialect: &dyn Dialect, work: &Work, columns: &[KeyColumn], key: &[String]) -> Statement {
    let row = dialect.row(&work.table);
    let list: Vec<_> = columns.iter().map(|column| dialect.text(&dialect.column(&row, &column.name), column)).collect();
    let condition = dialect.one_of(&row, &work.key, &[key.to_vec()]);
    dialect.finish(select_from(dialect, &list.join(", "), &work.table, &condition))
}

/// One number: disposable rows of which another condition holds.
pub fn count_disposable(dialect: &dyn Dialect, work: &Work, condition: &Sql) -> Statement {
    let condition = Sql::all([&work.disposable_rows(), condition]);
    dialect.finish(select_from(dialect, &dialect.shown("count(*)"), &work.table, &condition))
}

/// The locators of those of these rows that are disposable: asked anew once they are locked.
pub fn select_disposable(dialect: &dyn Dialect, work: &Work, keys: &[Vec<String>]) -> Statement {
    let row = dialect.row(&work.table);
    let locator = work.locator();
    let mut condition = dialect.one_of(&row, &locator, keys);
    condition.push(" and ").append(&work.disposable_rows());
    let text = |column: &KeyColumn| dialect.key_text(&dialect.column(&row, &column.name), column);
    let list: Vec<_> = locator.iter().map(text).collect();
    dialect.finish(select_from(dialect, &list.join(", "), &work.table, &condition))
}

/// The locators of these rows, then the watched columns, as texts.
pub fn watched_columns(dialect: &dyn Dialect, work: &Work, watched: &Watched, keys: &[Vec<String>]) -> Statement {
    let row = dialect.row(&work.table);
    let locator = work.locator();
    let text = |column: &KeyColumn| dialect.text(&dialect.column(&row, &column.name), column);
    let list: Vec<_> = locator.iter().chain(&watched.columns).map(text).collect();
    let condition = dialect.one_of(&row, &locator, keys);
    dialect.finish(select_from(dialect, &list.join(", "), &work.table, &condition))
}

/// All rows of a table, or those that meet a condition: key, then columns, each value as the text that names it exactly.
pub fn whole_table(
    dialect: &dyn Dialect,
    table: &TableName,
    key: &[KeyColumn],
    columns: &[KeyColumn],
    only: Option<&Sql>,
) -> Statement {
    let row = dialect.row(table);
    let text = |column: &KeyColumn| dialect.key_text(&dialect.column(&row, &column.name), column);
    let list: Vec<_> = key.iter().chain(columns).map(text).collect();
    let list = if list.is_empty() { dialect.shown("1") } else { list.join(", ") };
    dialect.finish(select_from(dialect, &list, table, &Sql::all(only)))
}

/// Changes those of the rows with these locators that are still disposable.
pub fn change_keys(dialect: &dyn Dialect, work: &Work, keys: &[Vec<String>]) -> Statement {
    let row = dialect.row(&work.table);
    let mut condition = dialect.one_of(&row, &work.locator(), keys);
    condition.push(" and ").append(&work.still_disposable_rows());
    dialect.finish(changing_listed(dialect, &work.table, &work.locator(), &work.change, &condition))
}

/// Writes computed values back: one statement for one row.
pub fn change_one(dialect: &dyn Dialect, work: &Work, key: &[String], values: &[Sql]) -> Statement {
    let Change::Compute { computed, sql } = &work.change else { return change_keys(dialect, work, &[key.to_vec()]) };
    let mut updates = sql.clone();
    updates.extend(computed.iter().zip(values).map(|(column, value)| (column.column.name.clone(), value.clone())));
    let row = dialect.row(&work.table);
    let mut condition = dialect.one_of(&row, &work.locator(), &[key.to_vec()]);
    condition.push(" and ").append(&work.still_disposable_rows());
    dialect.finish(changing_listed(dialect, &work.table, &work.locator(), &Change::Update(updates), &condition))
}

/// The key that ends a range of `rows` rows after a key and not beyond another; no row when fewer are left.
pub fn boundary(
    dialect: &dyn Dialect,
    work: &Work,
    after: Option<&[String]>,
    through: Option<&[String]>,
    rows: u64,
) -> Statement {
    let row = dialect.row(&work.table);
    let locator = work.locator();
    let columns: Vec<_> = locator.iter().map(|column| dialect.column(&row, &column.name)).collect();
    let texts: Vec<_> = locator.iter().zip(&columns).map(|(column, quoted)| dialect.key_text(quoted, column)).collect();
    let after = after.map(|after| dialect.beyond(&row, &locator, after, false));
    let through = through.map(|through| dialect.through(&row, &locator, through));
    let condition = Sql::all(after.iter().chain(&through));
    let mut sql = select_along_key(dialect, &Sql::new(texts.join(", ")), &work.table, &condition);
    sql.push(&format!(" order by {} limit 1 offset {PLACEHOLDER}", columns.join(", ")));
    sql.args.push(Value::Integer(i64::try_from(rows.saturating_sub(1)).unwrap_or(i64::MAX)));
    dialect.finish(sql)
}

/// What changes the disposable rows of a range and tells which they were.
pub enum RangeStatements {
    /// One statement changes the rows; their number is all that anybody wants to know.
    Counted(Statement),
    /// One statement delivers the keys of the rows that it changes.
    Returning(Statement),
    /// The keys are read first, all in one text; the transaction has to [see one moment](super::Connection::begin_still).
    Packed {
        select: Statement,
        change: Statement,
        /// A cheaper statement that changes the same rows, provided that the select's second column tells as many rows
        /// as its first one has keys: it counts those that this statement would change.
        plain: Option<Statement>,
    },
    /// The keys are read first, one row each, which also keeps the rows from changing.
    Locked { select: Statement, change: Statement },
}

/// The statements for a range, in the way that costs this engine least.
pub fn range(dialect: &dyn Dialect, work: &Work, range: &Range, lock: Lock) -> RangeStatements {
    let table = range.table(work);
    let row = dialect.row(table);
    // a range is found again by its bounds: only what names a row is asked for
    let selection = KeySelection::names(&work.key);
    let condition = in_range(dialect, work, range, work.disposable_rows());
    let locator = work.locator();
    let change =
        |condition: &Sql| changing_at(dialect, table, ("", dialect.along_key()), &locator, &work.change, condition);
    // where the server can say later what became of the transaction, recovery needs no keys either
    if !work.evidence.is_rows() && dialect.transaction_id().is_some() {
        return RangeStatements::Counted(dialect.finish(change(&condition)));
    }
    if let Some(packed) = selection.packed(dialect, &row) {
        let (select, plain) = match work.plainly_disposable_rows() {
            None => (select_along_key(dialect, &Sql::new(packed), table, &condition), None),
            Some(plainly) => {
                let mut list = Sql::new(format!("{packed} filter (where "));
                list.append(&work.due).push(&format!("), {}", dialect.shown("count(*)")));
                let plainly = in_range(dialect, work, range, plainly);
                (select_along_key(dialect, &list, table, &plainly), Some(dialect.finish(change(&plainly))))
            }
        };
        return RangeStatements::Packed {
            select: dialect.finish(select),
            change: dialect.finish(change(&condition)),
            plain,
        };
    }
    let list = selection.list(dialect, &row);
    if dialect.returns(matches!(work.change, Change::Erase)) {
        let mut take = change(&condition);
        take.push(&format!(" returning {list}"));
        return RangeStatements::Returning(dialect.finish(take));
    }
    let select = select_along_key(dialect, &Sql::new(list), table, &condition);
    RangeStatements::Locked {
        select: dialect.finish(dialect.locking(select, lock)),
        change: dialect.finish(change(&condition)),
    }
}

/// Those of the `rows` that lie in the range.
pub(super) fn in_range(dialect: &dyn Dialect, work: &Work, range: &Range, rows: Sql) -> Sql {
    let row = dialect.row(&work.table);
    let mut condition = Sql::default();
    match range {
        Range::Keys { after, through } => {
            let locator = work.locator();
            if let Some(after) = after {
                condition.append(&dialect.beyond(&row, &locator, after, false)).push(" and ");
            }
            if let Some(through) = through {
                condition.append(&dialect.through(&row, &locator, through)).push(" and ");
            }
            condition.append(&rows);
        }
        Range::Blocks { from, to, stride, .. } => {
            condition.push(&format!("{row}.ctid >= {PLACEHOLDER}::text::tid and "));
            condition.push(&format!("{row}.ctid < {PLACEHOLDER}::text::tid and "));
            condition.args = vec![Value::Text(format!("({from},0)")), Value::Text(format!("({to},0)"))];
            if let Some(key) = work.key.first().filter(|_| stride.of > 1) {
                condition.append(&dialect.in_stride(&dialect.column(&row, &key.name), key, *stride)).push(" and ");
            }
            condition.append(&dialect.worked_out_once(rows));
        }
    }
    condition
}

/// `key` names a row of the table.
fn changing(dialect: &dyn Dialect, table: &TableName, key: &[KeyColumn], change: &Change, condition: &Sql) -> Sql {
    changing_at(dialect, table, ("", ""), key, change, condition)
}

/// `condition` lists rows by this key.
fn changing_listed(
    dialect: &dyn Dialect,
    table: &TableName,
    key: &[KeyColumn],
    change: &Change,
    condition: &Sql,
) -> Sql {
    changing_at(dialect, table, (&dialect.by_primary_key(table), ""), key, change, condition)
}

/// `hint` stands after the verb, `along` after the table's name.
fn changing_at(
    dialect: &dyn Dialect,
    table: &TableName,
    (hint, along): (&str, &str),
    key: &[KeyColumn],
    change: &Change,
    condition: &Sql,
) -> Sql {
    let mut sql = match change {
        Change::Erase => Sql::new(format!("delete{hint} from {}{along}", dialect.target(table))),
        Change::Update(columns) | Change::Compute { sql: columns, .. } => {
            let mut sql = Sql::new(format!("update{hint} {}{along} set ", dialect.target(table)));
            let assignments: Vec<_> = columns
                .iter()
                .map(|(name, value)| {
                    let mut assignment = Sql::new(format!("{} = ", dialect.quote(name)));
                    assignment.append(value);
                    assignment
                })
                .collect();
            sql.append(&Sql::join(&assignments, ", "));
            sql
        }
    };
    sql.push(" where ").append(&dialect.in_change(table, key, condition));
    sql
}

/// The rows of a dependent that lead to these keys of the rule's table and are still to be changed; packed where the
/// dialect packs.
pub fn select_dependents(
    dialect: &dyn Dialect,
    dependent: &DependentWork,
    keys: &[Vec<String>],
    lock: Lock,
) -> Statement {
    let row = dialect.row(&dependent.table);
    let selection = KeySelection::names(&dependent.key);
    let list = selection.packed(dialect, &row).unwrap_or_else(|| selection.list(dialect, &row));
    let sql =
        select_from(dialect, &list, &dependent.table, &reached_by(dialect, dependent, keys, dependent.undone.as_ref()));
    dialect.finish(dialect.locking(sql, lock))
}

/// The keys of the rows of a dependent that lead to these keys of the rule's table; `undone`: that are still to be changed.
pub fn dependent_keys(
    dialect: &dyn Dialect,
    dependent: &DependentWork,
    keys: &[Vec<String>],
    undone: bool,
) -> Statement {
    let list = KeySelection::names(&dependent.key).list(dialect, &dialect.row(&dependent.table));
    let reached = reached_by(dialect, dependent, keys, dependent.undone.as_ref().filter(|_| undone));
    dialect.finish(select_from(dialect, &list, &dependent.table, &reached))
}

/// Keeps the rows of a dependent that lead to these keys of the rule's table from changing until the transaction ends;
/// one row for each.
pub fn lock_dependents(
    dialect: &dyn Dialect,
    dependent: &DependentWork,
    keys: &[Vec<String>],
    lock: Lock,
) -> Statement {
    let condition = reached_by(dialect, dependent, keys, None);
    let sql = select_from(dialect, &dialect.shown("1"), &dependent.table, &condition);
    dialect.finish(dialect.locking(sql, lock))
}

/// The referenced values of the rows that lead to these keys of the rule's table.
pub fn guarded_keys(dialect: &dyn Dialect, guard: &Guard, columns: &[KeyColumn], keys: &[Vec<String>]) -> Statement {
    let row = dialect.row(&guard.table);
    let list = KeySelection::names(&guard.columns).list(dialect, &row);
    let condition = match guard.links.is_empty() {
        true => dialect.one_of(&row, columns, keys),
        false => chained(dialect, &guard.table, &guard.links, keys),
    };
    dialect.finish(select_from(dialect, &list, &guard.table, &condition))
}

/// Keeps anybody from coming to reference rows with these values, until the transaction ends.
pub fn lock_guarded(dialect: &dyn Dialect, guard: &Guard, values: &[Vec<String>], lock: Lock) -> Statement {
    let row = dialect.row(&guard.table);
    let (one, target, along) = (dialect.shown("1"), dialect.target(&guard.table), dialect.along_index(&guard.index));
    let mut sql = Sql::new(format!("select {one} from {target}{along} where "));
    sql.append(&dialect.one_of(&row, &guard.columns, values));
    dialect.finish(dialect.locking(sql, lock))
}

/// The keys of those rows of a dependent, of these by their own keys, that lead to these keys of the rule's table; `undone`:
/// that are still to be changed. They are kept from changing until the transaction ends.
pub fn lock_named(
    dialect: &dyn Dialect,
    dependent: &DependentWork,
    (names, keys): (&[Vec<String>], &[Vec<String>]),
    undone: bool,
    lock: Lock,
) -> Statement {
    let row = dialect.row(&dependent.table);
    let (list, along) = (KeySelection::names(&dependent.key).list(dialect, &row), dialect.along_primary_key());
    let mut sql = Sql::new(format!("select {list} from {}{along} where ", dialect.target(&dependent.table)));
    sql.append(&dialect.one_of(&row, &dependent.key, names)).push(" and ");
    sql.append(&reached_by(dialect, dependent, keys, dependent.undone.as_ref().filter(|_| undone)));
    dialect.finish(dialect.locking(sql, lock))
}

/// Changes the rows of a dependent with these keys of its own, which are locked.
pub fn change_named(dialect: &dyn Dialect, dependent: &DependentWork, keys: &[Vec<String>]) -> Statement {
    let mut condition = dialect.one_of(&dialect.row(&dependent.table), &dependent.key, keys);
    if let Some(undone) = &dependent.undone {
        condition.push(" and ").append(undone);
    }
    dialect.finish(changing_listed(dialect, &dependent.table, &dependent.key, &dependent.change, &condition))
}

/// Changes these rows of a dependent; delivers their keys where the engine can and the table has one.
pub fn change_dependents(dialect: &dyn Dialect, dependent: &DependentWork, keys: &[Vec<String>]) -> Statement {
    let condition = reached_by(dialect, dependent, keys, dependent.undone.as_ref());
    let mut sql = changing(dialect, &dependent.table, &dependent.key, &dependent.change, &condition);
    if dialect.returns(matches!(dependent.change, Change::Erase)) && !dependent.key.is_empty() {
        let list = KeySelection::names(&dependent.key).list(dialect, &dialect.row(&dependent.table));
        sql.push(&format!(" returning {list}"));
    }
    dialect.finish(sql)
}

/// One number: the rows of the dependent at this place that would be changed together with the disposable rows. Those that
/// others before it erase are gone by then.
pub fn count_dependents(dialect: &dyn Dialect, work: &Work, place: usize) -> Statement {
    let dependent = &work.dependents[place];
    let erased = work.dependents[..place].iter().filter(|other| {
        other.table == dependent.table && matches!(other.change, Change::Erase) && other.links != dependent.links
    });
    let mut condition = leading_to_disposable(dialect, work, dependent);
    for other in erased {
        condition.push(" and ").append(&leading_to_disposable(dialect, work, other).negated());
    }
    if let Some(undone) = &dependent.undone {
        condition.push(" and ").append(undone);
    }
    dialect.finish(select_from(dialect, &dialect.shown("count(*)"), &dependent.table, &condition))
}

/// The rows of a dependent that lead to disposable rows.
fn leading_to_disposable(dialect: &dyn Dialect, work: &Work, dependent: &DependentWork) -> Sql {
    let last = &dependent.links[dependent.links.len() - 1];
    let row = dialect.row(&work.table);
    let mut innermost = Sql::new(format!("select {} from ", columns(dialect, &row, &last.referenced)));
    innermost.push(&dialect.target(&work.table)).push(" where ").append(&work.disposable_rows());
    // inside, the name of the rule's rows hides the dependent's, which is never meant there
    linked(dialect, &dependent.links, &dialect.row(&dependent.table), &mut |columns| {
        let mut sql = Sql::new(format!("{columns} in ("));
        sql.append(&innermost).push(")");
        sql
    })
}

/// The rows of a dependent that lead to these keys of the rule's table, as far as `also` holds for them.
fn reached_by(dialect: &dyn Dialect, dependent: &DependentWork, keys: &[Vec<String>], also: Option<&Sql>) -> Sql {
    let mut condition = chained(dialect, &dependent.table, &dependent.links, keys);
    if let Some(also) = also {
        condition.push(" and ").append(also);
    }
    condition
}

/// The rows of `table` from which a chain leads to these keys.
fn chained(dialect: &dyn Dialect, table: &TableName, links: &[Link], keys: &[Vec<String>]) -> Sql {
    let row = dialect.row(table);
    let last = &links[links.len() - 1];
    let alias = if links.len() == 1 { row.clone() } else { format!("d{}", links.len() - 1) };
    linked(dialect, links, &row, &mut |_: &str| dialect.refers_to_one_of(&alias, &last.columns, &last.referenced, keys))
}

/// `links[0].columns in (select … from links[0].to as d1 where links[1].columns in (…))`; `innermost` closes the chain
/// with a condition on the last link's columns.
fn linked(dialect: &dyn Dialect, links: &[Link], row: &str, innermost: &mut dyn FnMut(&str) -> Sql) -> Sql {
    let level: usize = row.strip_prefix('d').and_then(|n| n.parse().ok()).unwrap_or(0) + 1;
    let here: Vec<_> = links[0]
        .columns
        .iter()
        .zip(&links[0].referenced)
        .map(|(column, other)| dialect.referring(&dialect.column(row, &column.name), &column.codec, &other.codec))
        .collect();
    let here = here.join(", ");
    let here = if links[0].columns.len() == 1 { here } else { format!("({here})") };
    if links.len() == 1 {
        return innermost(&here);
    }
    let alias = format!("d{level}");
    let mut sql = Sql::new(format!(
        "{here} in (select {} from {} as {alias} where ",
        columns(dialect, &alias, &links[0].referenced),
        dialect.table(&links[0].to)
    ));
    sql.append(&linked(dialect, &links[1..], &alias, innermost)).push(")");
    sql
}

fn columns(dialect: &dyn Dialect, row: &str, columns: &[KeyColumn]) -> String {
    let names: Vec<_> = columns.iter().map(|column| dialect.column(row, &column.name)).collect();
    names.join(", ")
}

/// A name for rows inside a subquery that speaks of rows of `table` too, which MySQL calls by the table's own name.
pub fn alias(table: &TableName, name: impl Into<String>) -> String {
    let name = name.into();
    if table.name.eq_ignore_ascii_case(&name) { name + "_" } else { name }
}

/// A row of the chain's first table leads to the row that the statement is about, and `extra` holds for it (it may
/// call that first row `alias(table, "k0")`).
pub fn exists_dependent(dialect: &dyn Dialect, table: &TableName, links: &[Link], extra: Option<&Sql>) -> Sql {
    let name = |level: usize| alias(table, format!("k{level}"));
    let mut sql = Sql::new(format!("exists (select 1 from {} as {}", dialect.table(&links[0].from), name(0)));
    for (i, pair) in links.windows(2).enumerate() {
        let (lower, upper) = (name(i), name(i + 1));
        let on = dialect.refers(&lower, &pair[0].columns, &upper, &pair[0].referenced);
        sql.push(&format!(" join {} as {upper} on {on}", dialect.table(&pair[0].to)));
    }
    let last = &links[links.len() - 1];
    let on = dialect.refers(&name(links.len() - 1), &last.columns, &dialect.row(table), &last.referenced);
    sql.push(&format!(" where {on}"));
    if let Some(extra) = extra {
        sql.push(" and ").append(extra);
    }
    sql.push(")");
    sql
}

/// The columns that lead from a row to its related rows.
pub struct Way {
    pub theirs: Vec<KeyColumn>,
    pub ours: Vec<KeyColumn>,
    /// The related rows refer to this one, and not it to them.
    pub down: bool,
}

impl Way {
    /// Each of their columns with one of ours.
    pub fn pairs(self) -> Vec<(KeyColumn, KeyColumn)> {
        self.theirs.into_iter().zip(self.ours).collect()
    }
}

/// The latest or earliest time of the related rows, which `told` tells of a row called `row`; null where it tells none.
/// With `latest`, no time at all unless each of them tells one.
pub fn related_point(
    dialect: &dyn Dialect,
    table: &TableName,
    related: &TableName,
    row: &str,
    way: &Way,
    told: &Sql,
    latest: bool,
) -> Sql {
    let ours = dialect.row(table);
    let on = match way.down {
        true => dialect.refers(row, &way.theirs, &ours, &way.ours),
        false => dialect.refers(&ours, &way.ours, row, &way.theirs),
    };
    let mut sql = Sql::new("(select ");
    if latest {
        sql.push("case when count(*) = count(").append(told).push(") then max(").append(told).push(") end");
    } else {
        sql.push("min(").append(told).push(")");
    }
    sql.push(&format!(" from {} as {row} where {on})", dialect.table(related)));
    sql
}

/// Of a column that counts time from 1970 its greatest value, its least, and its least above 0; as text.
pub fn epoch_bounds(dialect: &dyn Dialect, table: &TableName, column: &str, kind: PointKind) -> Statement {
    let row = dialect.row(table);
    let value = dialect.column(&row, column);
    let readable = dialect.readable(&Sql::new(value.as_str()), kind);
    let bounds: Vec<_> = [("max", ""), ("min", ""), ("min", " and {} > 0")]
        .iter()
        .map(|(which, more)| {
            let mut sql = Sql::new(format!(
                "(select {} from {} where ",
                dialect.shown(&format!("{which}({value})")),
                dialect.target(table)
            ));
            sql.append(&readable).push(&more.replace("{}", &value)).push(")");
            sql
        })
        .collect();
    let mut sql = Sql::new("select ");
    sql.append(&Sql::join(&bounds, ", "));
    dialect.finish(sql)
}

/// Asks for nothing: a session that is used now and then is not taken for dead.
pub fn nothing() -> Statement {
    Statement::new("select '1'")
}
