//! Puts a [`Catalog`] together from the rows of the engines' catalog queries, one row per column, key column or
//! trigger. A handful of such queries reads a schema of thousands of tables.

use super::{Error, ErrorKind, Row, names};
use crate::catalog::{
    Catalog, Column, Engine, ForeignKey, Index, ReferentialAction, Table, TableKind, TableName, Trigger,
};
use std::collections::BTreeMap;

/// The fields of a row whose statement selects `N` columns; null reads as empty.
pub(super) fn fields<const N: usize>(row: Row) -> Result<[String; N], Error> {
    let fields: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    fields.try_into().map_err(|_| Error::new(ErrorKind::Other, "a catalog query answered with too many or few columns"))
}

/// A catalog in the making. Rows about tables that it does not have are passed over.
#[derive(Default)]
pub(super) struct Assembly {
    tables: BTreeMap<TableName, Table>,
}

impl Assembly {
    pub fn table(&mut self, name: TableName, kind: TableKind) -> &mut Table {
        self.tables.entry(name.clone()).or_insert_with(|| Table {
            name,
            kind,
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            triggers: Vec::new(),
            partitions: Vec::new(),
            partition_of: None,
            inherits: Vec::new(),
            owner: None,
            row_security: false,
            holds_copies: false,
            obstacle: None,
            rowid: None,
            estimated_rows: 0,
            comment: String::new(),
        })
    }

    pub fn get(&mut self, schema: &str, name: &str) -> Option<&mut Table> {
        self.tables.get_mut(&TableName { schema: schema.to_owned(), name: name.to_owned() })
    }

    pub fn tables(&mut self) -> impl Iterator<Item = &mut Table> {
        self.tables.values_mut()
    }

    pub fn column(&mut self, schema: &str, table: &str, column: Column) {
        if let Some(table) = self.get(schema, table) {
            table.columns.push(column);
        }
    }

    /// The next column of an index; an index's columns must come in order.
    pub fn index_column(&mut self, schema: &str, table: &str, index: Index) {
        let Some(table) = self.get(schema, table) else { return };
        match table.indexes.iter_mut().rfind(|existing| existing.name == index.name) {
            Some(existing) => existing.columns.extend(index.columns),
            None => table.indexes.push(index),
        }
    }

    /// The next pair of columns of a foreign key; a key's columns must come in order, one key after the other.
    pub fn foreign_key_column(&mut self, schema: &str, table: &str, key: ForeignKey) {
        let Some(table) = self.get(schema, table) else { return };
        match table.foreign_keys.last_mut() {
            Some(last) if last.name == key.name => {
                last.columns.extend(key.columns);
                last.referenced_columns.extend(key.referenced_columns);
            }
            _ => table.foreign_keys.push(key),
        }
    }

    pub fn trigger(&mut self, schema: &str, table: &str, trigger: Trigger) {
        let Some(table) = self.get(schema, table) else { return };
        // Engines that list a trigger once for each of its events.
        match table.triggers.iter_mut().find(|existing| existing.name == trigger.name) {
            Some(existing) => {
                existing.on_delete |= trigger.on_delete;
                existing.on_update |= trigger.on_update;
            }
            None => table.triggers.push(trigger),
        }
    }

    /// What is declared on partitions holds for the rows of the root, whose statements reach them.
    pub fn lift_partitions(&mut self) {
        let roots: BTreeMap<TableName, TableName> =
            self.tables.values().filter_map(|table| Some((table.name.clone(), table.partition_of.clone()?))).collect();
        for table in self.tables.values_mut() {
            for key in &mut table.foreign_keys {
                if let Some(root) = roots.get(&key.references) {
                    key.references = root.clone();
                }
            }
        }
        for (partition, root) in &roots {
            let Some(partition) = self.tables.get(partition) else { continue };
            let (keys, triggers) = (partition.foreign_keys.clone(), partition.triggers.clone());
            let leaf_rows = if partition.kind == TableKind::Partitioned { 0 } else { partition.estimated_rows };
            let Some(root) = self.tables.get_mut(root) else { continue };
            for key in keys {
                let same = |other: &ForeignKey| ForeignKey { name: key.name.clone(), ..other.clone() } == key;
                if !root.foreign_keys.iter().any(same) {
                    root.foreign_keys.push(key);
                }
            }
            for trigger in triggers {
                if !root.triggers.contains(&trigger) {
                    root.triggers.push(trigger);
                }
            }
            root.estimated_rows += leaf_rows;
        }
    }

    pub fn finish(self, engine: Engine, version: String, database: String, default_schema: String) -> Catalog {
        let mut tables: Vec<Table> = self.tables.into_values().collect();
        for table in &mut tables {
            table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
            table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
            table.triggers.sort_by(|a, b| a.name.cmp(&b.name));
            table.partitions.sort();
            names::learn(table);
        }
        Catalog { engine, version, database, default_schema, tables, hides_foreign_keys: false, outside: Vec::new() }
    }
}

/// The action that a server calls `name`; what is not written is `NO ACTION`.
pub(super) fn action(name: &str) -> ReferentialAction {
    match name {
        "c" | "CASCADE" => ReferentialAction::Cascade,
        "n" | "SET NULL" => ReferentialAction::SetNull,
        "d" | "SET DEFAULT" => ReferentialAction::SetDefault,
        "r" | "RESTRICT" => ReferentialAction::Restrict,
        _ => ReferentialAction::NoAction,
    }
}
