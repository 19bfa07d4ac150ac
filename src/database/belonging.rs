//! Which rows are held, and which belong to held ones, as SQL that is asked of each row anew.
//!
//! A row belongs to the row that it references, to the one that this references, and so on. Where foreign keys form no
//! circle that is a chain of `exists`, each level served by the key that is referenced. Tables whose keys lead back to
//! themselves are gone through from the held rows down, in a recursive query that is worked out once for a statement.

use super::{Dialect, KeyColumn, Link, Spelled};
use crate::{
    catalog::{Engine, Table, TableName},
    rules::condition::Expression,
    sql::Sql,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// More levels of `exists` than this in one statement are written as one recursive query instead: tables that reach the
/// held one over many ways would make a statement without end. MariaDB finds levels cheaper than recursion.
const MOST_LEVELS: usize = 40;
const MOST_LEVELS_RATHER_THAN_JOINS: usize = 300;

/// Rows of one table that one hold is about.
#[derive(Clone, Debug)]
pub struct HeldRows {
    pub rows: Rows,
    /// What belongs to them is not held with them.
    pub alone: bool,
}

/// How they are told.
#[derive(Clone, Debug)]
pub enum Rows {
    Keys(Vec<KeyColumn>, Vec<Vec<String>>),
    /// What somebody wrote, and the columns that have another name since.
    Condition(Expression, BTreeMap<String, String>),
    /// Each of these columns has the value of a person, however it is spelled.
    Spelled(Vec<Spelled>),
}

impl Rows {
    /// It is one of them. Keys are hidden from plans.
    pub fn sql(&self, dialect: &dyn Dialect, row: &str) -> Sql {
        match self {
            Self::Keys(columns, keys) => dialect.one_of(row, columns, keys).hidden(),
            Self::Condition(expression, renamed) => {
                let quote = |name: &str| dialect.quote(renamed.get(name).map_or(name, String::as_str));
                let literal = |text: &str| dialect.literal(text);
                Sql::new(format!("coalesce({}, false)", expression.render(&quote, &literal, row)))
            }
            Self::Spelled(columns) => {
                let columns: Vec<_> = columns.iter().map(|column| column.sql(dialect, row)).collect();
                Sql::all(&columns).nested()
            }
        }
    }

    /// Takes other rows in, where that is one list and says the same.
    pub fn join(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(columns, keys), Self::Keys(others, more)) if columns == others => {
                keys.extend(more.iter().cloned());
                true
            }
            // values of several columns belong together
            (Self::Spelled(own), Self::Spelled(others)) if own.len() == others.len() && is_of_one_column(own) => {
                let is_same = |(a, b): (&Spelled, &Spelled)| a.column == b.column && a.spelling == b.spelling;
                let fits = own.iter().zip(others).all(is_same);
                for (spelled, more) in own.iter_mut().zip(others).filter(|_| fits) {
                    spelled.texts.extend(more.texts.iter().cloned());
                    spelled.values.extend(more.values.iter().cloned());
                }
                fits
            }
            _ => false,
        }
    }

    /// The columns that tell them, as they are called now.
    pub fn columns(&self) -> Vec<String> {
        match self {
            Self::Keys(columns, _) => columns.iter().map(|column| column.name.clone()).collect(),
            Self::Condition(expression, renamed) => {
                let now = |name: &String| renamed.get(name).unwrap_or(name).clone();
                expression.columns().iter().map(|column| now(&column.name)).collect()
            }
            Self::Spelled(columns) => columns.iter().map(|spelled| spelled.column.name.clone()).collect(),
        }
    }
}

fn is_of_one_column(spelled: &[Spelled]) -> bool {
    spelled.iter().all(|one| one.column == spelled[0].column)
}

/// How a server takes a recursive query with several ways to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    /// It may name itself once, and what it goes on with may look at that row.
    Lateral,
    /// It may name itself in each of several terms.
    Terms,
    /// Several terms take memory without end (MariaDB): all ways stand in one term, as outer joins.
    Joined,
}

/// From rows that are found to those that belong to them.
struct Step {
    /// The tables' places: of what belongs, and of what it belongs to.
    place: usize,
    upper: usize,
    /// What is selected.
    list: String,
    from: String,
    below: String,
    to: String,
    above: String,
    /// The one references the other.
    on: String,
    /// The latter is the row that was found.
    same: String,
    /// Both at once, where rows are found again by what they are referenced by.
    direct: Option<String>,
}

impl Step {
    fn term(&self, query: &str, found: &str) -> String {
        let Self { upper, list, from, below, to, above, on, same, .. } = self;
        format!(
            " union select {list} from {query} as {found} join {to} as {above} on {same} join {from} as {below} on {on} \
             where {found}.place = {upper}"
        )
    }

    fn within(&self, found: &str) -> String {
        let Self { upper, list, from, below, to, above, on, same, .. } = self;
        format!(
            "select {list} from {to} as {above} join {from} as {below} on {on} where {found}.place = {upper} and {same}"
        )
    }
}

/// All steps in one term: a number for each, and the rows of that step, whose columns stand where its place has them.
fn joined(
    steps: &[Step],
    query: &str,
    found: &str,
    numbers: &str,
    places: &[(usize, &KeyColumn)],
    key: &dyn Fn(usize, &str) -> Vec<String>,
) -> String {
    // a join has room for 61 tables; where there are more ways, those to the same table share one
    let mut groups: Vec<(usize, Vec<&Step>)> = Vec::new();
    for step in steps {
        let is_shared = steps.len() > MOST_JOINS;
        match groups.iter_mut().find(|(place, _)| is_shared && *place == step.place) {
            Some((_, group)) => group.push(step),
            None => groups.push((step.place, vec![step])),
        }
    }
    let mut joins = String::new();
    for (number, (_, group)) in groups.iter().enumerate() {
        let name = &group[0].below;
        let ways: Vec<_> = group
            .iter()
            .map(|step| {
                let through = || {
                    format!("exists (select 1 from {} as {} where {} and {})", step.to, step.above, step.same, step.on)
                };
                let on = step.direct.clone().unwrap_or_else(through);
                let on = on.replace(&format!("{}.", step.below), &format!("{name}."));
                format!("({found}.place = {} and {on})", step.upper)
            })
            .collect();
        let ways = ways.join(" or ");
        joins += &format!(" left join {} as {name} on {numbers}.n = {number} and ({ways})", group[0].from);
    }
    let mut number = BTreeMap::new();
    let columns: Vec<_> = places
        .iter()
        .map(|(place, _)| {
            let position = number.entry(*place).and_modify(|position| *position += 1).or_insert(0_usize);
            let of = groups.iter().filter(|(of, _)| of == place);
            let values: Vec<_> = of.map(|(_, group)| key(*place, &group[0].below)[*position].clone()).collect();
            match values.as_slice() {
                [] => "null".to_owned(),
                [one] => one.clone(),
                several => format!("coalesce({})", several.join(", ")),
            }
        })
        .collect();
    let list: Vec<_> = (0..groups.len()).map(|number| format!("select {number} as n")).collect();
    let place: String =
        groups.iter().enumerate().map(|(number, (place, _))| format!(" when {number} then {place}")).collect();
    let there: Vec<_> =
        groups.iter().map(|(place, group)| format!("{} is not null", key(*place, &group[0].below)[0])).collect();
    format!(
        " union select case {numbers}.n{place} end, {} from {query} as {found} join ({}) as {numbers}{joins} where {}",
        columns.join(", "),
        list.join(" union all "),
        there.join(" or ")
    )
}

/// What MariaDB can join, with room for the query itself.
const MOST_JOINS: usize = 50;

/// A set of holds, and how rows belong to each other.
pub struct Belonging<'a> {
    dialect: &'a dyn Dialect,
    held: BTreeMap<&'a TableName, Vec<&'a HeldRows>>,
    /// From what belongs to what it belongs to, by the former.
    links: BTreeMap<&'a TableName, Vec<&'a Link>>,
    /// Tables with rows to which others can belong and be held for that.
    live: BTreeSet<&'a TableName>,
    /// What no table's name begins with.
    prefix: String,
    count: Cell<usize>,
    /// Tables that are gone through in one recursive query, in spite of having no circle.
    gathered: Cell<bool>,
    /// Primary keys.
    keys: BTreeMap<&'a TableName, Vec<KeyColumn>>,
    /// By table, those that its links lead to, over others too.
    above: RefCell<BTreeMap<&'a TableName, Rc<BTreeSet<&'a TableName>>>>,
}

impl<'a> Belonging<'a> {
    /// `tables` are all that a statement could name.
    pub fn new(
        dialect: &'a dyn Dialect,
        held: impl IntoIterator<Item = (&'a TableName, &'a HeldRows)>,
        links: impl IntoIterator<Item = &'a Link>,
        tables: &'a [Table],
    ) -> Self {
        let mut by_table: BTreeMap<&TableName, Vec<&HeldRows>> = BTreeMap::new();
        for (table, rows) in held {
            by_table.entry(table).or_default().push(rows);
        }
        let mut prefix = "held".to_owned();
        while tables.iter().any(|table| table.name.name.to_lowercase().starts_with(&prefix)) {
            prefix.push('_');
        }
        let keys =
            tables.iter().map(|table| (&table.name, table.key_columns().map(KeyColumn::from).collect())).collect();
        let all: Vec<_> = links.into_iter().collect();
        let shared = by_table.iter().filter(|(_, rows)| rows.iter().any(|rows| !rows.alone));
        let mut live: BTreeSet<_> = shared.map(|(table, _)| *table).collect();
        let mut fresh = true;
        while fresh {
            let reached = all.iter().filter(|link| live.contains(&link.to)).map(|link| &link.from);
            let before = live.len();
            live.extend(reached.collect::<Vec<_>>());
            fresh = live.len() > before;
        }
        let mut links: BTreeMap<&TableName, Vec<&Link>> = BTreeMap::new();
        for link in all.into_iter().filter(|link| live.contains(&link.to)) {
            links.entry(&link.from).or_default().push(link);
        }
        let (count, gathered, above) = (Cell::new(0), Cell::new(false), RefCell::default());
        Self { dialect, held: by_table, links, live, prefix, count, gathered, keys, above }
    }

    /// A hold concerns the row of `table` called `row`, or one that it belongs to. `None` where none can.
    pub fn stays(&self, table: &'a TableName, row: &str) -> Option<Sql> {
        self.stays_but(table, row, None)
    }

    /// A hold concerns the row, as in [`Self::stays`]. What the row references over the link `but` is left out: the caller asks
    /// about that elsewhere.
    pub fn stays_but(&self, table: &'a TableName, row: &str, but: Option<&Link>) -> Option<Sql> {
        let most = match self.dialect.recursion() {
            Recursion::Joined => MOST_LEVELS_RATHER_THAN_JOINS,
            Recursion::Lateral | Recursion::Terms => MOST_LEVELS,
        };
        self.gathered.set(self.levels(table, &mut BTreeMap::new()) > most);
        let own = self.held.get(table).into_iter().flatten().map(|held| held.rows.sql(self.dialect, row));
        let through: Vec<_> = self.upwards(table).filter(|link| Some(*link) != but).collect();
        let pieces: Vec<_> = own.chain(through.into_iter().map(|link| self.through(link, row))).collect();
        (!pieces.is_empty()).then(|| Sql::join(&pieces, " or ").nested())
    }

    /// A hold is on the row itself.
    pub fn names(&self, table: &TableName, row: &str) -> Option<Sql> {
        let own: Vec<_> = self.held.get(table)?.iter().map(|held| held.rows.sql(self.dialect, row)).collect();
        (!own.is_empty()).then(|| Sql::join(&own, " or ").nested())
    }

    /// Links from `table` that can lead to a held row.
    pub fn upwards(&self, table: &TableName) -> impl Iterator<Item = &'a Link> + use<'a, '_> {
        self.links.get(table).into_iter().flatten().copied()
    }

    /// All links over which rows of `table` can come to be held.
    pub fn reach(&self, table: &'a TableName) -> Vec<&'a Link> {
        let above = self.above(table);
        std::iter::once(table)
            .chain(above.iter().copied().filter(|other| *other != table))
            .flat_map(|table| self.upwards(table))
            .collect()
    }

    /// The table's rows are gone through from the held ones down.
    pub fn leads_back(&self, table: &'a TableName) -> bool {
        self.gathered.get() || self.above(table).contains(table)
    }

    /// Tables that have rows to which others can belong and be held for that, or have such rows.
    pub fn tables(&self) -> BTreeSet<&'a TableName> {
        self.live.iter().copied().chain(self.held.keys().copied()).collect()
    }

    /// The link lies on a circle: what it leads to can belong to what it comes from.
    pub fn is_circular(&self, link: &'a Link) -> bool {
        link.from == link.to || self.above(&link.to).contains(&link.from)
    }

    fn above(&self, table: &'a TableName) -> Rc<BTreeSet<&'a TableName>> {
        if let Some(known) = self.above.borrow().get(table) {
            return Rc::clone(known);
        }
        let (mut open, mut seen) = (vec![table], BTreeSet::new());
        while let Some(table) = open.pop() {
            open.extend(self.upwards(table).map(|link| &link.to).filter(|to| seen.insert(*to)));
        }
        let above = Rc::new(seen);
        self.above.borrow_mut().insert(table, Rc::clone(&above));
        above
    }

    /// How many levels of `exists` the table's predicate has.
    fn levels(&self, table: &'a TableName, known: &mut BTreeMap<&'a TableName, usize>) -> usize {
        if let Some(levels) = known.get(table) {
            return *levels;
        }
        let mut levels = 0_usize;
        for link in self.upwards(table) {
            let below = if self.above(&link.to).contains(&link.to) { 0 } else { self.levels(&link.to, known) };
            levels = levels.saturating_add(below).saturating_add(1);
        }
        known.insert(table, levels);
        levels
    }

    /// Tables that are gone through together with this one: those on a circle with it.
    fn circle(&self, table: &'a TableName) -> Vec<&'a TableName> {
        let above = self.above(table);
        if self.gathered.get() {
            return above.iter().copied().filter(|other| *other != table).chain([table]).collect();
        }
        above.iter().copied().filter(|other| self.above(other).contains(table)).collect()
    }

    fn name(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("{}{}", self.prefix, self.count.get())
    }

    /// The row called `row` references a row that is held with what belongs to it.
    fn through(&self, link: &'a Link, row: &str) -> Sql {
        // MySQL takes the table that a statement changes inside of what it has to work out first, and nowhere else; its
        // foreign keys compare as their columns do
        let circle = if self.dialect.engine() == Engine::Mysql { self.circle(&link.to) } else { Vec::new() };
        if !circle.is_empty() && self.handle(&link.to) == link.referenced {
            return self.among(&circle, &link.to, row, &link.columns);
        }
        let name = self.name();
        let on = self.dialect.refers(row, &link.columns, &name, &link.referenced);
        let mut sql = Sql::new(format!("exists (select 1 from {} as {name} where {on} and ", self.table(&link.to)));
        sql.append(&self.shares(&link.to, &name)).push(")");
        sql
    }

    /// What belongs to the row called `row` is held for its sake.
    fn shares(&self, table: &'a TableName, row: &str) -> Sql {
        let circle = self.circle(table);
        if !circle.is_empty() {
            return self.among(&circle, table, row, &self.handle(table));
        }
        let mut pieces = self.own(table, row);
        let upwards: Vec<_> = self.upwards(table).collect();
        pieces.extend(upwards.into_iter().map(|link| self.through(link, row)));
        Sql::join(&pieces, " or ").nested()
    }

    /// Holds on the row itself that others share.
    fn own(&self, table: &TableName, row: &str) -> Vec<Sql> {
        let shared = self.held.get(table).into_iter().flatten().filter(|held| !held.alone);
        shared.map(|held| held.rows.sql(self.dialect, row)).collect()
    }

    /// These columns of the row are a key of those that a recursive query finds from the held rows down.
    fn among(&self, circle: &[&'a TableName], table: &TableName, row: &str, key_columns: &[KeyColumn]) -> Sql {
        let query = self.name();
        let mut places = Vec::new();
        let keys: Vec<_> = circle.iter().map(|table| self.handle(table)).collect();
        for (place, key) in keys.iter().enumerate() {
            places.extend(key.iter().map(|column| (place, column)));
        }
        let columns = |place: usize, prefix: &str| -> Vec<String> {
            let numbers = places.iter().enumerate().filter(|(_, (of, _))| *of == place);
            numbers.map(|(number, _)| format!("{prefix}k{number}")).collect()
        };
        // A column of another table has no value; it must have that column's type all the same.
        let list = |place: usize, row: &str| -> String {
            let values: Vec<_> = places
                .iter()
                .map(|(of, column)| match *of == place {
                    true => self.dialect.column(row, &column.name),
                    false => {
                        let none = self.dialect.quote(&column.name);
                        format!("(select {none} from {} where 1 = 0)", self.table(circle[*of]))
                    }
                })
                .collect();
            format!("{place}, {}", values.join(", "))
        };
        let same = |place: usize, row: &str, found: &str| -> String {
            let pairs = keys[place].iter().zip(columns(place, found));
            let pairs = pairs.map(|(column, found)| format!("{} = {found}", self.dialect.column(row, &column.name)));
            pairs.collect::<Vec<_>>().join(" and ")
        };
        let position = |table: &TableName| circle.iter().position(|other| *other == table);

        let (mut anchors, mut steps) = (Vec::new(), Vec::new());
        let found = self.name();
        for (place, from) in circle.iter().enumerate() {
            let below = self.name();
            for held in self.own(from, &below) {
                let mut anchor =
                    Sql::new(format!("select {} from {} as {below} where ", list(place, &below), self.table(from)));
                anchor.append(&held);
                anchors.push(anchor);
            }
            for link in self.upwards(from) {
                let (below, above) = (self.name(), self.name());
                let on = self.dialect.refers(&below, &link.columns, &above, &link.referenced);
                let (to, list) = (self.table(&link.to), list(place, &below));
                match position(&link.to) {
                    None => {
                        let from = self.table(from);
                        let mut anchor = Sql::new(format!(
                            "select {list} from {to} as {above} join {from} as {below} on {on} where "
                        ));
                        anchor.append(&self.shares(&link.to, &above));
                        anchors.push(anchor);
                    }
                    Some(upper) => {
                        let here = format!("{found}.");
                        let same = same(upper, &above, &here);
                        let direct = (keys[upper] == link.referenced).then(|| {
                            let pairs = columns(upper, &here).into_iter().zip(&link.columns);
                            let pairs = pairs.map(|(found, column)| {
                                format!("{found} = {}", self.dialect.column(&below, &column.name))
                            });
                            pairs.collect::<Vec<_>>().join(" and ")
                        });
                        steps.push(Step {
                            place,
                            upper,
                            list,
                            from: self.table(from),
                            below,
                            to,
                            above,
                            on,
                            same,
                            direct,
                        });
                    }
                }
            }
        }
        let names: Vec<_> = (0..places.len()).map(|number| format!("k{number}")).collect();
        let mut recursive = Sql::new(format!("with recursive {query} (place, {}) as (", names.join(", ")));
        recursive.append(&Sql::join(&anchors, " union "));
        let key = |place: usize, row: &str| -> Vec<String> {
            keys[place].iter().map(|column| self.dialect.column(row, &column.name)).collect()
        };
        recursive.push(&match (steps.as_slice(), self.dialect.recursion()) {
            ([], _) => String::new(),
            ([_], _) | (_, Recursion::Terms) => steps.iter().map(|step| step.term(&query, &found)).collect(),
            (_, Recursion::Lateral) => {
                let all = self.name();
                let terms: Vec<_> = steps.iter().map(|step| step.within(&found)).collect();
                format!(
                    " union select {all}.* from {query} as {found} cross join lateral ({}) as {all} (place, {})",
                    terms.join(" union all "),
                    names.join(", ")
                )
            }
            (_, Recursion::Joined) => joined(&steps, &query, &found, &self.name(), &places, &key),
        });
        let place = position(table).unwrap_or_default();
        recursive.push(&format!(") select {} from {query} where place = {place}", columns(place, "").join(", ")));
        let here: Vec<_> = key_columns.iter().map(|column| self.dialect.column(row, &column.name)).collect();
        let here = if here.len() == 1 { here.join("") } else { format!("({})", here.join(", ")) };
        let mut sql = Sql::new(format!("{here} in ("));
        sql.append(&recursive).push(")");
        sql
    }

    /// Columns by which a row that is referenced is found again: its primary key, or else what it is referenced by.
    fn handle(&self, table: &TableName) -> Vec<KeyColumn> {
        let key = self.keys.get(table).filter(|key| !key.is_empty()).cloned();
        let links = || self.links.values().flatten();
        let referenced = || links().find(|link| link.to == *table).map(|link| link.referenced.clone());
        key.or_else(referenced).unwrap_or_default()
    }

    fn table(&self, table: &TableName) -> String {
        self.dialect.table(table)
    }
}
