//! What goes along: every foreign key that points at a changed row must be named by the rule.

use super::{
    change::{changes, hold_still},
    find::find_table,
    indexes::{self, MissingIndex},
};
use crate::{
    anonymize::Technique,
    catalog::{Engine, ForeignKey, ReferentialAction, Table, TableName, TablePath},
    database::{Change, DependentWork, Dialect, Guard, KeyColumn, Link, statements},
    diagnostic::{Code, Diagnostic, Place},
    evidence::Evidence,
    plan::surroundings::Surroundings,
    rules::{Covers, Dependent, Disposition, Rule},
    sql::Sql,
};
use std::collections::{BTreeMap, BTreeSet};

/// A dependent as the plan names it.
#[derive(Clone, Debug)]
pub struct Named {
    pub table: TableName,
    pub action: String,
    /// The chain of foreign key columns, in words.
    pub through: String,
    /// Its position in the list of works; kept ones have none.
    pub work: Option<usize>,
    /// Its position in the rule's list.
    pub entry: usize,
}

/// The dependents of one rule.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Deepest first.
    pub work: Vec<DependentWork>,
    pub named: Vec<Named>,
    /// Tables that are kept and asked whether they still need the row, by these columns.
    pub looked_at: Vec<(TableName, Vec<String>)>,
    /// Some kept dependent still needs the row.
    pub waiting: Option<Sql>,
    pub missing_indexes: Vec<MissingIndex>,
    pub guards: Vec<Guard>,
}

/// Walks the foreign keys that lead to `table` and holds them against what the rule names.
pub fn resolve<'a>(
    rule: &'a Rule,
    table: &'a Table,
    around: &'a Surroundings<'a>,
    found: &mut Vec<Diagnostic>,
) -> Resolved {
    resolve_for(rule, table, around, rule.disposition == Disposition::Erase, found)
}

/// Resolves the dependents of rows that are `erased`, whatever the rule itself does to its rows.
pub fn resolve_for<'a>(
    rule: &'a Rule,
    table: &'a Table,
    around: &'a Surroundings<'a>,
    erased: bool,
    found: &mut Vec<Diagnostic>,
) -> Resolved {
    let mut walker = Walker {
        rule,
        around,
        root: table,
        found,
        seen: BTreeMap::new(),
        resolved: Resolved::default(),
        waiting: Vec::new(),
    };
    if !erased {
        let columns = rule.columns.iter().map(|(name, _)| name).chain(&rule.marker).cloned().collect::<Vec<_>>();
        walker.refuse_carried_on(table, &columns, &rule.place.key("columns"));
    }
    walker.visit(table, &[], erased, &mut vec![table.name.clone()]);
    walker.report_ambiguous();
    if around.requested.is_none() {
        // what a kept dependent has below it is no mistake of the rule
        walker.report_unused();
    }
    let Walker { mut resolved, waiting, .. } = walker;
    resolved.waiting = (!waiting.is_empty()).then(|| Sql::join(&waiting, " or ").nested());
    resolved
}

struct Walker<'a, 'b> {
    rule: &'a Rule,
    around: &'a Surroundings<'a>,
    root: &'a Table,
    found: &'b mut Vec<Diagnostic>,
    /// The foreign keys that led to each position in the rule's list.
    seen: BTreeMap<usize, Vec<&'a ForeignKey>>,
    resolved: Resolved,
    waiting: Vec<Sql>,
}

impl<'a> Walker<'a, '_> {
    /// Handles every foreign key that points at `parent`, whose rows go (`erased`) or stay changed. `links` leads from
    /// `parent` to the rule's table.
    fn visit(&mut self, parent: &'a Table, links: &[Link], erased: bool, path: &mut Vec<TableName>) {
        let catalog = self.around.catalog;
        let mut tables = vec![parent];
        if links.is_empty() && self.rule.covers == Some(Covers::Tree) {
            tables.extend(catalog.heirs(&parent.name));
        }
        let mut handled: Vec<(&Table, &ForeignKey)> = Vec::new();
        for (child, key) in tables.iter().flat_map(|table| catalog.referencing(&table.name)) {
            // a key that is declared twice is one key, and two may differ in what the database does
            if handled.iter().any(|(other, known)| other.name == child.name && same_key(known, key)) {
                continue;
            }
            handled.push((child, key));
            let Some(position) = self.entry(child, key) else {
                self.report_unnamed(parent, child, key);
                continue;
            };
            self.seen.entry(position).or_default().push(key);
            let Some(link) = link(child, key, parent) else {
                self.report_broken(position, child, key);
                continue;
            };
            if erased {
                self.guard(parent, &link.referenced, links);
            }
            let mut chain = vec![link];
            chain.extend_from_slice(links);
            self.refuse_vague(position, parent, child, key, links.is_empty());
            self.apply(position, child, key, chain, erased, path);
        }
    }

    /// What the rule says of a key: where it names the key, that, else what it says of the whole table.
    fn entry(&self, child: &Table, key: &ForeignKey) -> Option<usize> {
        let entries = || {
            self.rule.dependents.iter().enumerate().filter(|(_, entry)| {
                let table = &entry.table;
                table.database == self.rule.table.database
                    && self.around.catalog.table(table.schema.as_deref(), &table.table).map(|t| &t.name)
                        == Some(&child.name)
                    && entry.means(key)
            })
        };
        let named = entries().find(|(_, entry)| !entry.by.is_empty());
        named.or_else(|| entries().next()).map(|(position, _)| position)
    }

    /// Where a key's value does not tell the row that it points at, only `keep` is safe: it keeps too much.
    fn refuse_vague(&mut self, position: usize, parent: &Table, child: &Table, key: &ForeignKey, direct: bool) {
        let catalog = self.around.catalog;
        let entry = &self.rule.dependents[position];
        if entry.fate == Dependent::Keep {
            return;
        }
        let written = &entry.table;
        let tree = direct && self.rule.covers == Some(Covers::Tree);
        let reason = if tree && !catalog.heirs(&parent.name).is_empty() {
            format!("`{written}` points at one of the tables of the tree, and its key does not tell at which")
        } else if !direct && !catalog.heirs(&parent.name).is_empty() {
            format!("`{written}` points at rows of `{}`, and tables inherit from that", parent.name)
        } else if !catalog.heirs(&child.name).is_empty() {
            format!("tables inherit from `{written}`, and its foreign key does not hold for their rows")
        } else if key.target != key.references && key.target != parent.name && !parent.is_key(&key.referenced_columns) {
            format!("`{written}` points at partition `{}` by columns that are no key of the whole table", key.target)
        } else {
            return;
        };
        let error = Diagnostic::error(Code::NotADependent, entry.place.clone(), reason);
        self.found.push(error.help("name it `keep`, and give its rows a rule of their own"));
    }

    fn apply(
        &mut self,
        position: usize,
        child: &'a Table,
        key: &ForeignKey,
        chain: Vec<Link>,
        erased: bool,
        path: &mut Vec<TableName>,
    ) {
        let (around, rule) = (self.around, self.rule);
        let entry = &rule.dependents[position];
        let (written, place) = (&entry.table, entry.place.clone());
        let through = chain.iter().map(|link| names(&link.columns)).collect::<Vec<_>>().join(" → ");
        let key_columns = || match rule.evidence {
            Evidence::Rows => child.key_columns().map(KeyColumn::from).collect(),
            Evidence::Counts => Vec::new(),
        };
        let (disposition, change, undone) = match &entry.fate {
            Dependent::Keep => {
                if erased {
                    self.refuse_hidden(child, written, &place);
                    self.warn_without_index(child, key, "each due row is looked for in the whole table");
                    self.resolved.looked_at.push((child.name.clone(), key.columns.clone()));
                    self.keep(child, key, &chain);
                }
                self.resolved.named.push(Named {
                    table: child.name.clone(),
                    action: "keep".to_owned(),
                    through,
                    work: None,
                    entry: position,
                });
                return;
            }
            Dependent::Erase => {
                if path.contains(&child.name) {
                    let message = format!("`{written}` is erased because of itself: its foreign keys form a circle");
                    let error = Diagnostic::error(Code::ForeignKeyCycle, place, message);
                    self.found.push(error.help("name it `unlink` or `keep` on this way"));
                    return;
                }
                path.push(child.name.clone());
                self.visit(child, &chain, true, path);
                path.pop();
                (Disposition::Erase, Change::Erase, None)
            }
            Dependent::Unlink => {
                let fixed = fixed(child, key);
                if fixed.len() == key.columns.len() || key.match_full && !fixed.is_empty() {
                    let message = format!("`{written}.{}` cannot become null", fixed.join(", "));
                    let error = Diagnostic::error(Code::NotNull, place, message);
                    self.found.push(error.label("the column refuses null").help("name it `erase` or `keep`"));
                    return;
                }
                self.refuse_carried_on(child, &key.columns, &place);
                (Disposition::Unlink, unlinked(around.dialect, child, key, &fixed), None)
            }
            Dependent::Anonymize(columns) => {
                let unlinks = key.columns.iter().any(|name| columns.contains(&(name.clone(), Technique::Suppress)));
                if erased && !unlinks {
                    let message =
                        format!("`{written}` would still point at the erased row through `{}`", key.columns.join(", "));
                    let error = Diagnostic::error(Code::FalseDisposition, place, message);
                    self.found.push(error.help(format!("add `{}: suppress` to its columns", key.columns[0])));
                    return;
                }
                let place = place.key("anonymize");
                let changed = columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                self.refuse_carried_on(child, &changed, &place);
                let row = around.dialect.row(&child.name);
                let Some(found) = changes(around, child, &row, columns, &place, &rule.id, self.found) else { return };
                if !found.computed.is_empty() {
                    let message = format!(
                        "columns of a dependent are changed in SQL, and {} cannot do this one there",
                        around.catalog.engine
                    );
                    self.found.push(Diagnostic::error(Code::TechniqueType, place, message));
                    return;
                }
                self.resolved.looked_at.extend(found.looked_at);
                (Disposition::Anonymize, Change::Update(found.sql), Some(found.undone))
            }
        };
        if let Some(obstacle) = &child.obstacle {
            let message = format!("rows of `{written}` cannot go along: {obstacle}");
            self.found.push(Diagnostic::error(Code::UnsuitedTable, place.clone(), message));
        }
        self.refuse_hidden(child, written, &place);
        self.warn(child, key, &change, erased);
        self.resolved.named.push(Named {
            table: child.name.clone(),
            action: disposition.to_string(),
            through,
            work: Some(self.resolved.work.len()),
            entry: position,
        });
        self.resolved.work.push(DependentWork {
            table: child.name.clone(),
            key: key_columns(),
            links: chain,
            disposition,
            change,
            undone,
            own: false,
        });
    }

    /// A row waits for those that are kept and reference it, but not for itself. Where a chain leads from a row over
    /// others back to itself, or the engine minds a reference of a row to itself, that is cut before the row goes.
    fn keep(&mut self, child: &Table, key: &ForeignKey, chain: &[Link]) {
        let (dialect, root) = (self.around.dialect, self.root);
        let same = child.name == root.name || root.partition_of.as_ref() == Some(&child.name);
        let fixed = fixed(child, key);
        let can_be_cut = fixed.len() < key.columns.len();
        // InnoDB counts a row among those that reference it
        let must_be_cut = chain.len() > 1
            || self.around.catalog.engine == Engine::Mysql && key.on_delete != ReferentialAction::Cascade;
        let others = (same && (can_be_cut || !must_be_cut)).then(|| {
            let (first, row) = (statements::alias(&root.name, "k0"), dialect.row(&root.name));
            let own = child
                .primary_key
                .iter()
                .map(|name| Sql::new(format!("{} = {}", dialect.column(&first, name), dialect.column(&row, name))));
            Sql::all(&own.collect::<Vec<_>>()).negated()
        });
        self.waiting.push(statements::exists_dependent(dialect, &root.name, chain, others.as_ref()));
        if others.is_some() && must_be_cut {
            self.resolved.work.push(DependentWork {
                table: child.name.clone(),
                key: Vec::new(),
                links: chain.to_vec(),
                disposition: Disposition::Unlink,
                change: unlinked(self.around.dialect, child, key, &fixed),
                undone: None,
                own: true,
            });
        }
    }

    /// On InnoDB whoever comes to reference a row locks it in the index of the referenced columns alone.
    fn guard(&mut self, parent: &Table, referenced: &[KeyColumn], links: &[Link]) {
        let leads = |columns: &[String]| {
            columns.len() >= referenced.len()
                && referenced.iter().all(|column| columns[..referenced.len()].contains(&column.name))
        };
        if self.around.catalog.engine != Engine::Mysql || leads(&parent.primary_key) {
            return;
        }
        let names: Vec<_> = referenced.iter().map(|column| column.name.clone()).collect();
        for index in parent.indexes_on(&names) {
            let (table, index) = (parent.name.clone(), index.name.clone());
            let guard = Guard { table, links: links.to_vec(), columns: referenced.to_vec(), index };
            if !self.resolved.guards.contains(&guard) {
                self.resolved.guards.push(guard);
            }
        }
    }

    /// A changed value that others reference would change in their rows too, kept or not.
    fn refuse_carried_on(&mut self, table: &'a Table, columns: &[String], place: &Place) {
        use ReferentialAction::{Cascade, SetDefault, SetNull};
        for (child, key) in self.around.catalog.referencing(&table.name) {
            let changed = key.referenced_columns.iter().find(|name| columns.contains(name));
            let Some(column) = changed.filter(|_| matches!(key.on_update, Cascade | SetNull | SetDefault)) else {
                continue;
            };
            let message = format!(
                "`{}` references `{column}` with foreign key `{}`, and the database would change its rows along",
                child.name, key.name
            );
            let help = "leave the column as it is, or declare the foreign key without an action on update";
            self.found.push(Diagnostic::error(Code::ReferencingColumn, place.clone(), message).help(help));
        }
    }

    /// Rows that nobody sees are neither changed along nor waited for, and a cascade takes them all the same.
    fn refuse_hidden(&mut self, child: &Table, written: &TablePath, place: &Place) {
        if child.row_security {
            let message = format!("row security hides rows of `{written}` from this database user");
            let help = "give the user BYPASSRLS, or a policy that lets it see every row: the database erases or refuses \
                        what references an erased row, seen or not";
            self.found.push(Diagnostic::error(Code::RowSecurity, place.clone(), message).help(help));
        }
    }

    fn report_broken(&mut self, position: usize, child: &Table, key: &ForeignKey) {
        let place = self.rule.dependents[position].place.clone();
        let message = format!(
            "foreign key `{}` of `{}` references columns that `{}` does not have",
            key.name, child.name, key.references
        );
        self.found.push(Diagnostic::error(Code::NotADependent, place, message).help("declare it anew"));
    }

    fn warn(&mut self, child: &Table, key: &ForeignKey, change: &Change, erased: bool) {
        let place = self.rule.place.key("dependents");
        self.warn_without_index(child, key, "each batch reads the whole table");
        let erases = matches!(change, Change::Erase);
        for trigger in child.triggers.iter().filter(|t| if erases { t.on_delete } else { t.on_update }) {
            let message = format!("trigger `{}` fires for each row that changes in `{}`", trigger.name, child.name);
            self.found.push(Diagnostic::warning(Code::Trigger, place.clone(), message));
        }
        if erased && !erases && key.on_delete == ReferentialAction::Cascade {
            let message = format!("foreign key `{}` would cascade, were it not unlinked first", key.name);
            self.found.push(Diagnostic::warning(Code::CascadesFurther, place, message));
        }
    }

    fn warn_without_index(&mut self, child: &Table, key: &ForeignKey, why: &str) {
        if let Some(missing) = indexes::missing(self.around, child, &key.columns, why) {
            let message = format!("no index of `{}` serves its foreign key `{}`", child.name, key.name);
            let place = self.rule.place.key("dependents");
            self.found.push(missing.warning(Code::NoDependentIndex, place, message));
            self.resolved.missing_indexes.push(missing);
        }
    }

    fn report_unnamed(&mut self, parent: &Table, child: &Table, key: &ForeignKey) {
        let place = match self.rule.dependents.is_empty() {
            true => self.rule.place.key("table"),
            false => self.rule.place.key("dependents").name(),
        };
        let path = match child.name.schema == self.around.catalog.default_schema {
            true => format!("{}.{}", self.rule.table.database, child.name.name),
            false => format!("{}.{}", self.rule.table.database, child.name),
        };
        let then = match key.on_delete {
            ReferentialAction::Cascade => "the database would erase its rows along",
            ReferentialAction::SetNull | ReferentialAction::SetDefault => "the database would change its rows along",
            ReferentialAction::NoAction | ReferentialAction::Restrict => "its rows stand against an erasure",
        };
        let message = format!(
            "`{path}` points at `{}` with foreign key `{}` ({}), and rule `{}` does not name it",
            parent.name,
            key.name,
            key.columns.join(", "),
            self.rule.id
        );
        // another key from there is named by itself
        let by_key = self.rule.dependents.iter().any(|entry| {
            let named = self.around.catalog.table(entry.table.schema.as_deref(), &entry.table.table);
            !entry.by.is_empty() && named.map(|table| &table.name) == Some(&child.name)
        });
        let help = match by_key {
            false => format!("add `{path}: erase`, `keep` or `unlink` under `dependents`"),
            true => format!("add {} to `{path}` under `dependents`, or another fate", by(key)),
        };
        self.found.push(Diagnostic::error(Code::UnnamedForeignKey, place, message).label(then).help(help));
    }

    /// Only `keep` may stand for several keys: with any other, a row would go or change by a key that nobody thought of.
    fn report_ambiguous(&mut self) {
        for (position, keys) in &self.seen {
            let entry = &self.rule.dependents[*position];
            let mut several: Vec<&ForeignKey> = Vec::new();
            for key in keys {
                if !several.iter().any(|known| known.name == key.name && same_key(known, key)) {
                    several.push(key);
                }
            }
            if entry.fate == Dependent::Keep || several.len() < 2 {
                continue;
            }
            let columns: Vec<_> = several.iter().map(|key| format!("`{}`", key.columns.join(", "))).collect();
            let message = format!(
                "`{}` references rows that rule `{}` changes by several foreign keys: {}",
                entry.table,
                self.rule.id,
                columns.join(" and ")
            );
            let items: Vec<_> = several.iter().map(|key| by(key)).collect();
            let help = format!("say of each what becomes of a row by it: `{}: [{}]`", entry.table, items.join(", "));
            let error = Diagnostic::error(Code::UnnamedForeignKey, entry.place.clone(), message);
            self.found.push(error.label("which one is meant?").help(help));
        }
    }

    fn report_unused(&mut self) {
        for (position, entry) in self.rule.dependents.iter().enumerate() {
            if self.seen.contains_key(&position) {
                continue;
            }
            let table = &entry.table;
            let place = if entry.by.is_empty() { entry.place.name() } else { entry.place.key("by") };
            if table.database != self.rule.table.database {
                let message = format!("`{table}` lies in another database than `{}`", self.rule.table);
                self.found.push(Diagnostic::error(Code::NotADependent, place, message));
                continue;
            }
            match find_table(self.around.catalog, table, place.clone()) {
                Err(diagnostic) => self.found.push(diagnostic),
                Ok(_) => {
                    let columns = entry.by.join(", ");
                    let by = if columns.is_empty() { String::new() } else { format!(" by `{columns}`") };
                    let message = format!(
                        "no foreign key leads from `{table}`{by} to a row that rule `{}` changes",
                        self.rule.id
                    );
                    let help = "leave it out, or declare the foreign key in the database";
                    self.found.push(
                        Diagnostic::error(Code::NotADependent, place, message).label("not a dependent").help(help),
                    );
                }
            }
        }
    }
}

/// `None` where a column is missing: joined by the others alone, rows would match that do not belong together.
fn link(child: &Table, key: &ForeignKey, parent: &Table) -> Option<Link> {
    let of = |table: &Table, names: &[String]| -> Option<Vec<KeyColumn>> {
        names.iter().map(|name| table.column(name).map(KeyColumn::from)).collect()
    };
    let (columns, referenced) = (of(child, &key.columns)?, of(parent, &key.referenced_columns)?);
    let (from, to) = (child.name.clone(), parent.name.clone());
    (columns.len() == referenced.len() && !columns.is_empty()).then_some(Link { from, columns, to, referenced })
}

/// Two keys lead from the same columns to the same rows.
fn same_key(one: &ForeignKey, other: &ForeignKey) -> bool {
    let pairs = |key: &ForeignKey| {
        let pairs = key.columns.iter().cloned().zip(key.referenced_columns.iter().cloned());
        pairs.collect::<BTreeSet<_>>()
    };
    (&one.references, &one.target) == (&other.references, &other.target) && pairs(one) == pairs(other)
}

/// How a rule names a key.
fn by(key: &ForeignKey) -> String {
    match key.columns.as_slice() {
        [column] => format!("{{by: {column}, keep: true}}"),
        columns => format!("{{by: [{}], keep: true}}", columns.join(", ")),
    }
}

/// Columns of the key that cannot become null.
fn fixed(child: &Table, key: &ForeignKey) -> Vec<String> {
    let is_fixed = |name: &&String| child.column(name).is_none_or(|column| !column.nullable || column.generated);
    key.columns.iter().filter(is_fixed).cloned().collect()
}

/// A composite key is unlinked as soon as one of its columns is null.
fn unlinked(dialect: &dyn Dialect, child: &Table, key: &ForeignKey, fixed: &[String]) -> Change {
    let columns = key.columns.iter().filter(|name| !fixed.contains(name));
    let mut updates = columns.map(|name| (name.clone(), Sql::new("null"))).collect();
    hold_still(dialect, child, &dialect.row(&child.name), &mut updates);
    Change::Update(updates)
}

fn names(columns: &[KeyColumn]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
