//! What a database user must be allowed to do for a set of rules, and nothing else.

use super::{
    access::{self, Walk},
    assertion::Task,
    resolve::Resolved,
};
use crate::{
    catalog::{Catalog, Engine, Owner, TableName},
    database::{Change, DependentWork, KeyColumn, MembersWork, Privilege, Work, marks, partition},
    rules::{After, Partitions, Rule},
};
use std::collections::{BTreeMap, BTreeSet};

/// A privilege and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub privilege: Privilege,
    /// In words, for example `find what is due`.
    pub why: &'static str,
    /// The ids of the rules that need it.
    pub rules: BTreeSet<String>,
}

/// Everything that these rules, all of one database, need there, and what is needed to read who stays with these
/// recipients, each with the rules that name it, for assertions, and to look up the persons of holds. A job whose batches are small walks another way than
/// one whose batches are large, and needs other rights.
pub fn privileges(
    catalog: &Catalog,
    rules: &[(&Rule, Resolved)],
    members: &[(&MembersWork, BTreeSet<String>)],
    assertions: &[&Task],
    persons: &[(TableName, Vec<String>)],
    batch_rows: u32,
) -> Vec<Need> {
    let mut needs = Needs::default();
    // the persons of holds and requests are looked up for whatever rule runs
    for (table, columns) in persons {
        let uses = needs.table(table);
        for column in columns {
            uses.select_columns.entry(column.clone()).or_default().insert("holds".to_owned());
        }
    }
    for task in assertions {
        for (table, columns) in task.reads() {
            let uses = needs.table(&table);
            for column in columns {
                uses.select_columns.entry(column).or_default().insert(task.assertion.id.clone());
            }
        }
    }
    for (work, rules) in members {
        let uses = needs.table(&work.table);
        let columns = work.key.iter().chain(work.columns.iter().map(|(_, column)| column)).map(|column| &column.name);
        for column in columns.chain(&work.looked_at) {
            uses.select_columns.entry(column.clone()).or_default().extend(rules.iter().cloned());
        }
    }
    for (rule, resolved) in rules {
        needs.take(catalog, &rule.id, resolved, batch_rows);
    }
    let mut list = needs.list();
    for (privilege, rules) in adding_up(catalog, rules) {
        list.push(Need { privilege, why: "add rows up before they go", rules });
    }
    for (privilege, rules) in whole_partitions(catalog, rules) {
        list.push(Need { privilege, why: "let whole partitions go", rules });
    }
    for (privilege, rules) in maintenance(catalog, rules) {
        list.push(Need { privilege, why: "clean up after the rows", rules });
    }
    list
}

/// Why somebody may write the table of batches.
pub const NOTING: &str = "note in each batch's transaction that it was committed";

/// What it takes to note batches in a table of the database.
pub fn noting_batches(table: &TableName, rules: &BTreeSet<String>) -> Vec<Need> {
    let columns: BTreeSet<_> = marks::COLUMNS.into_iter().map(str::to_owned).collect();
    let privileges = [
        Privilege::Schema(table.schema.clone()),
        Privilege::Select(table.clone()),
        Privilege::Insert(table.clone(), columns.clone()),
        Privilege::Update(table.clone(), columns),
        Privilege::Delete(table.clone()),
    ];
    privileges.into_iter().map(|privilege| Need { privilege, why: NOTING, rules: rules.clone() }).collect()
}

/// What it takes to write groups; they are read like any table. For an insert that may meet a row which is there already,
/// MariaDB asks for the right to update every column that it names.
fn adding_up(catalog: &Catalog, rules: &[(&Rule, Resolved)]) -> BTreeMap<Privilege, Rules> {
    let mut needs: BTreeMap<Privilege, Rules> = BTreeMap::new();
    for (rule, resolved) in rules {
        let Some(aggregate) = &resolved.work.aggregate else { continue };
        let by = aggregate.by.iter().map(|(column, _)| column.clone());
        let raised = aggregate.totals.iter().map(|total| &total.into).chain([&aggregate.counted_in]).cloned();
        let raised: BTreeSet<_> = raised.collect();
        let all: BTreeSet<_> = by.chain(raised.iter().cloned()).collect();
        let raised = if catalog.engine == Engine::Mysql { all.clone() } else { raised };
        for privilege in
            [Privilege::Insert(aggregate.into.clone(), all), Privilege::Update(aggregate.into.clone(), raised)]
        {
            needs.entry(privilege).or_default().insert(rule.id.clone());
        }
    }
    needs
}

/// What it takes that partitions go whole.
fn whole_partitions(catalog: &Catalog, rules: &[(&Rule, Resolved)]) -> BTreeMap<Privilege, Rules> {
    let mut needs: BTreeMap<Privilege, Rules> = BTreeMap::new();
    let mut need = |privilege, rule: &Rule| {
        needs.entry(privilege).or_default().insert(rule.id.clone());
    };
    for (rule, resolved) in rules.iter().filter(|(rule, _)| rule.partitions != Partitions::Rows) {
        let table = &resolved.work.table;
        let parts = || catalog.tables.iter().filter(|part| part.partition_of.as_ref() == Some(table));
        match (catalog.engine, rule.partitions) {
            (Engine::Postgres, Partitions::Truncate) => {
                parts().for_each(|part| need(Privilege::Truncate(part.name.clone()), rule));
            }
            (Engine::Postgres, _) => {
                for Owner { name, superuser } in parts().filter_map(|part| part.owner.clone()) {
                    need(Privilege::Own { owner: name, superuser }, rule);
                }
            }
            (Engine::Mysql, _) => {
                need(Privilege::Exchange(table.clone()), rule);
                partition::aside_names(table).into_iter().for_each(|aside| need(Privilege::Aside(aside), rule));
                need(Privilege::LockTables(table.schema.clone()), rule);
            }
            (Engine::Sqlite, _) => {}
        }
    }
    needs
}

/// What it takes to clean up after rows that went.
fn maintenance(catalog: &Catalog, rules: &[(&Rule, Resolved)]) -> BTreeMap<Privilege, Rules> {
    let mut needs: BTreeMap<Privilege, Rules> = BTreeMap::new();
    for (rule, resolved) in rules {
        let Some(after) = rule.after else { continue };
        let work = &resolved.work;
        let (leaves, dependents) = (work.leaves.iter(), work.dependents.iter().map(|dependent| &dependent.table));
        for name in leaves.chain(dependents) {
            let privilege = match catalog.engine {
                Engine::Postgres if postgres_version(&catalog.version) >= 17 => Some(Privilege::Maintain(name.clone())),
                Engine::Postgres => catalog
                    .get(name)
                    .and_then(|table| table.owner.clone())
                    .map(|Owner { name, superuser }| Privilege::Own { owner: name, superuser }),
                Engine::Mysql => (after == After::Rewrite).then(|| Privilege::Optimize(name.clone())),
                Engine::Sqlite => None,
            };
            if let Some(privilege) = privilege {
                needs.entry(privilege).or_default().insert(rule.id.clone());
            }
        }
    }
    needs
}

/// The major version of `PostgreSQL 15.18`; 0 for other servers.
fn postgres_version(version: &str) -> u32 {
    let number = version.strip_prefix("PostgreSQL ").and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

type Rules = BTreeSet<String>;

/// What is done with one table.
#[derive(Default)]
struct Uses {
    select: Rules,
    select_columns: BTreeMap<String, Rules>,
    delete: Rules,
    update: BTreeMap<String, Rules>,
    /// Rows are locked before they are deleted; a column of theirs.
    lock: Option<(String, Rules)>,
}

#[derive(Default)]
struct Needs(BTreeMap<TableName, Uses>);

impl Needs {
    fn table(&mut self, table: &TableName) -> &mut Uses {
        self.0.entry(table.clone()).or_default()
    }

    fn take(&mut self, catalog: &Catalog, rule: &str, resolved: &Resolved, batch_rows: u32) {
        let work = &resolved.work;
        self.table(&work.table).select.insert(rule.to_owned());
        let walks = access::walks(catalog, work, resolved.index.is_some(), batch_rows);
        for walk in walks.few.into_iter().chain([walks.some]).chain(walks.many) {
            self.take_walk(rule, work, &walk);
        }
        for dependent in &work.dependents {
            self.take_dependent(rule, dependent);
        }
        if let Some(aggregate) = &work.aggregate {
            let uses = self.table(&aggregate.into);
            let columns = aggregate.by.iter().map(|(column, _)| column);
            let columns = columns.chain(aggregate.totals.iter().map(|total| &total.into));
            for column in columns.chain([&aggregate.counted_in]) {
                uses.select_columns.entry(column.clone()).or_default().insert(rule.to_owned());
            }
        }
        for measure in resolved.gate.iter().flat_map(|gate| &gate.measures) {
            self.take_walk(rule, &measure.work, &Walk::Keys);
            for dependent in &measure.work.dependents {
                self.take_dependent(rule, dependent);
            }
        }
        for (table, columns) in &resolved.looked_at {
            let uses = self.table(table);
            for column in columns {
                uses.select_columns.entry(column.clone()).or_default().insert(rule.to_owned());
            }
        }
    }

    fn take_walk(&mut self, rule: &str, work: &Work, walk: &Walk) {
        match walk {
            // blocks belong to the tables that hold the rows, and a statement on one of those asks for rights there
            Walk::Blocks { .. } => {
                for leaf in &work.leaves {
                    let uses = self.table(leaf);
                    uses.select.insert(rule.to_owned());
                    uses.change(rule, &work.change);
                }
            }
            Walk::KeyRanges => self.table(&work.table).change(rule, &work.change),
            Walk::Keys | Walk::StartingPoint(_) => {
                let uses = self.table(&work.table);
                uses.change(rule, &work.change);
                uses.lock(rule, &work.change, work.key.first());
            }
        }
    }

    /// Its rows are locked before they go: a hold that is added later must not lack a right.
    fn take_dependent(&mut self, rule: &str, dependent: &DependentWork) {
        let uses = self.table(&dependent.table);
        uses.select.insert(rule.to_owned());
        uses.change(rule, &dependent.change);
        uses.lock(rule, &dependent.change, dependent.links[0].columns.first());
    }

    fn list(self) -> Vec<Need> {
        let need = |privilege, why, rules| Need { privilege, why, rules };
        let mut schemas: BTreeMap<String, Rules> = BTreeMap::new();
        let mut all = Rules::new();
        let mut needs = Vec::new();
        for (table, uses) in self.0 {
            let users = uses.rules();
            schemas.entry(table.schema.clone()).or_default().extend(users.iter().cloned());
            all.extend(users);
            let Uses { select, select_columns, delete, update, lock } = uses;
            let (columns, lookers) = split(select_columns);
            if !select.is_empty() {
                needs.push(need(Privilege::Select(table.clone()), "find what is due and what goes along", select));
            } else if !columns.is_empty() {
                needs.push(need(Privilege::SelectColumns(table.clone(), columns), "look at what is related", lookers));
            }
            if !delete.is_empty() {
                needs.push(need(Privilege::Delete(table.clone()), "erase", delete));
            }
            let (columns, changers) = split(update);
            if !columns.is_empty() {
                needs.push(need(Privilege::Update(table, columns), "anonymize, pseudonymize or unlink", changers));
            } else if let Some((column, lockers)) = lock {
                needs.push(need(Privilege::Lock(table, column), "lock rows (`for update`) before they go", lockers));
            }
        }
        let schemas = schemas
            .into_iter()
            .map(|(schema, rules)| need(Privilege::Schema(schema), "see tables, columns and foreign keys", rules));
        let connect = (!all.is_empty()).then(|| need(Privilege::Connect, "open a session", all));
        connect.into_iter().chain(schemas).chain(needs).collect()
    }
}

impl Uses {
    fn change(&mut self, rule: &str, change: &Change) {
        let mut update = |column: &str| {
            self.update.entry(column.to_owned()).or_default().insert(rule.to_owned());
        };
        match change {
            Change::Erase => drop(self.delete.insert(rule.to_owned())),
            Change::Update(columns) => columns.iter().for_each(|(column, _)| update(column)),
            Change::Compute { computed, sql } => {
                sql.iter().for_each(|(column, _)| update(column));
                computed.iter().for_each(|computed| update(&computed.column.name));
            }
        }
    }

    /// To lock a row takes the right to update it; a change of columns has that already.
    fn lock(&mut self, rule: &str, change: &Change, column: Option<&KeyColumn>) {
        if let (Change::Erase, Some(column)) = (change, column) {
            let lock = self.lock.get_or_insert_with(|| (column.name.clone(), Rules::new()));
            lock.1.insert(rule.to_owned());
        }
    }

    fn rules(&self) -> Rules {
        let columns = self.select_columns.values().chain(self.update.values()).flatten();
        self.select.iter().chain(&self.delete).chain(columns).cloned().collect()
    }
}

fn split(columns: BTreeMap<String, Rules>) -> (BTreeSet<String>, Rules) {
    let rules = columns.values().flatten().cloned().collect();
    (columns.into_keys().collect(), rules)
}
