//! What goes along: every foreign key that points at a changed row must be named by the rule.

use super::{
    change::{changes, hold_still},
    find::find_table,
    indexes::{self, MissingIndex},
    resolve::Surroundings,
};
use crate::{
    anonymize::Technique,
    catalog::{ForeignKey, ReferentialAction, Table, TableName},
    database::{Change, DependentWork, KeyColumn, Link, Sql, statements},
    diagnostic::{Code, Diagnostic},
    rules::{Dependent, Disposition, Evidence, Rule},
};
use std::collections::BTreeSet;

/// A dependent as the plan names it.
#[derive(Clone, Debug)]
pub struct Named {
    pub table: TableName,
    pub action: String,
    /// The chain of foreign key columns, in words.
    pub through: String,
    /// Its position in the list of works; kept ones have none.
    pub work: Option<usize>,
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
}

/// Walks the foreign keys that lead to `table` and holds them against what the rule names.
pub fn resolve(rule: &Rule, table: &Table, around: &Surroundings, found: &mut Vec<Diagnostic>) -> Resolved {
    resolve_for(rule, table, around, rule.disposition == Disposition::Erase, found)
}

/// The same for rows that are `erased`, whatever the rule itself does to its rows.
pub fn resolve_for(
    rule: &Rule,
    table: &Table,
    around: &Surroundings,
    erased: bool,
    found: &mut Vec<Diagnostic>,
) -> Resolved {
    let mut walker = Walker {
        rule,
        around,
        root: table,
        found,
        seen: BTreeSet::new(),
        resolved: Resolved::default(),
        waiting: Vec::new(),
    };
    walker.visit(table, &[], erased, &mut vec![table.name.clone()]);
    walker.report_unused();
    let Walker { mut resolved, waiting, .. } = walker;
    resolved.waiting = (!waiting.is_empty()).then(|| Sql::join(&waiting, " or ").nested());
    resolved
}

struct Walker<'a, 'b> {
    rule: &'a Rule,
    around: &'a Surroundings<'a>,
    root: &'a Table,
    found: &'b mut Vec<Diagnostic>,
    /// Positions in the rule's list that a foreign key led to.
    seen: BTreeSet<usize>,
    resolved: Resolved,
    waiting: Vec<Sql>,
}

impl Walker<'_, '_> {
    /// Handles every foreign key that points at `parent`, whose rows go (`erased`) or stay changed. `links` leads from
    /// `parent` to the rule's table.
    fn visit(&mut self, parent: &Table, links: &[Link], erased: bool, path: &mut Vec<TableName>) {
        let keys: Vec<_> = self.around.catalog.referencing(&parent.name).collect();
        for (child, key) in keys {
            let named = self.rule.dependents.iter().position(|(table, _)| {
                table.database == self.rule.table.database
                    && self.around.catalog.table(table.schema.as_deref(), &table.table).map(|t| &t.name)
                        == Some(&child.name)
            });
            let Some(position) = named else {
                self.report_unnamed(parent, child, key);
                continue;
            };
            self.seen.insert(position);
            let mut chain = vec![link(child, key, parent)];
            chain.extend_from_slice(links);
            self.apply(position, child, key, chain, erased, path);
        }
    }

    fn apply(
        &mut self,
        position: usize,
        child: &Table,
        key: &ForeignKey,
        chain: Vec<Link>,
        erased: bool,
        path: &mut Vec<TableName>,
    ) {
        let (around, rule) = (self.around, self.rule);
        let (written, action) = &rule.dependents[position];
        let place = rule.place.key("dependents").key(&written.to_string());
        let through = chain.iter().map(|link| names(&link.columns)).collect::<Vec<_>>().join(" → ");
        let key_columns = || match rule.evidence {
            Evidence::Rows => child.key_columns().map(KeyColumn::from).collect(),
            Evidence::Counts => Vec::new(),
        };
        let (disposition, change, undone) = match action {
            Dependent::Keep => {
                if erased {
                    self.warn_without_index(child, key, "each due row is looked for in the whole table");
                    self.resolved.looked_at.push((child.name.clone(), key.columns.clone()));
                    self.waiting.push(statements::exists_dependent(around.dialect, &self.root.name, &chain, None));
                }
                self.resolved.named.push(Named {
                    table: child.name.clone(),
                    action: "keep".to_owned(),
                    through,
                    work: None,
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
                let fixed: Vec<_> = key
                    .columns
                    .iter()
                    .filter(|name| child.column(name).is_none_or(|column| !column.nullable || column.generated))
                    .cloned()
                    .collect();
                if fixed.len() == key.columns.len() {
                    let message = format!("`{written}.{}` cannot become null", fixed.join(", "));
                    let error = Diagnostic::error(Code::NotNull, place, message);
                    self.found.push(error.label("the column refuses null").help("name it `erase` or `keep`"));
                    return;
                }
                // a composite key is unlinked as soon as one of its columns is null
                let columns = key.columns.iter().filter(|name| !fixed.contains(name));
                let mut updates = columns.map(|name| (name.clone(), Sql::new("null"))).collect();
                hold_still(around.dialect, child, &around.dialect.row(&child.name), &mut updates);
                (Disposition::Unlink, Change::Update(updates), None)
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
        if child.row_security {
            let message = format!("row security hides rows of `{written}` from this database user");
            self.found.push(Diagnostic::error(Code::RowSecurity, place.clone(), message));
        }
        self.warn(child, key, &change, erased);
        self.resolved.named.push(Named {
            table: child.name.clone(),
            action: disposition.to_string(),
            through,
            work: Some(self.resolved.work.len()),
        });
        self.resolved.work.push(DependentWork {
            table: child.name.clone(),
            key: key_columns(),
            links: chain,
            disposition,
            change,
            undone,
        });
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
        let help = format!("add `{path}: erase`, `keep` or `unlink` under `dependents`");
        self.found.push(Diagnostic::error(Code::UnnamedForeignKey, place, message).label(then).help(help));
    }

    fn report_unused(&mut self) {
        for (position, (table, _)) in self.rule.dependents.iter().enumerate() {
            if self.seen.contains(&position) {
                continue;
            }
            let place = self.rule.place.key("dependents").key(&table.to_string()).name();
            if table.database != self.rule.table.database {
                let message = format!("`{table}` lies in another database than `{}`", self.rule.table);
                self.found.push(Diagnostic::error(Code::NotADependent, place, message));
                continue;
            }
            match find_table(self.around.catalog, table, place.clone()) {
                Err(diagnostic) => self.found.push(diagnostic),
                Ok(_) => {
                    let message =
                        format!("no foreign key leads from `{table}` to a row that rule `{}` changes", self.rule.id);
                    let help = "leave it out, or declare the foreign key in the database";
                    self.found.push(
                        Diagnostic::error(Code::NotADependent, place, message).label("not a dependent").help(help),
                    );
                }
            }
        }
    }
}

fn link(child: &Table, key: &ForeignKey, parent: &Table) -> Link {
    let of = |table: &Table, names: &[String]| {
        names.iter().filter_map(|name| table.column(name)).map(KeyColumn::from).collect()
    };
    Link {
        from: child.name.clone(),
        columns: of(child, &key.columns),
        to: parent.name.clone(),
        referenced: of(parent, &key.referenced_columns),
    }
}

fn names(columns: &[KeyColumn]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
