//! What plans rely on in MySQL's schema, in one statement: kind, schema, table, name and definition of each fact. Each part
//! names its schema and table as constants: only then the server opens that table alone.

use super::super::FactScope;
use crate::{
    catalog::TableName,
    sql::{Statement, Value},
};

const TABLE: &str = "select 'table', cast(table_schema as char), cast(table_name as char), '',
        cast(concat_ws(' ', engine, table_type) as char)
    from information_schema.tables where table_schema = ? and table_name = ?";

const COLUMNS: &str =
    "select 'column', cast(table_schema as char), cast(table_name as char), cast(column_name as char),
        cast(concat_ws(' ', column_type, is_nullable, extra, collation_name, column_key = 'PRI', generation_expression)
            as char)
    from information_schema.columns where table_schema = ? and table_name = ?";

const TRIGGERS: &str = "select 'trigger', cast(event_object_schema as char), cast(event_object_table as char),
        cast(trigger_name as char), cast(concat_ws(' ', action_timing, event_manipulation, action_statement) as char)
    from information_schema.triggers where event_object_schema = ? and event_object_table = ?";

const PARTITIONS: &str = "select 'partition', cast(table_schema as char), cast(table_name as char),
        cast(partition_name as char), ''
    from information_schema.partitions where table_schema = ? and table_name = ? and partition_name is not null";

const KEY_COLUMNS: &str = "select 'foreign key', cast(table_schema as char), cast(table_name as char),
        cast(constraint_name as char),
        cast(concat_ws(' ', ordinal_position, column_name, referenced_table_schema, referenced_table_name,
            referenced_column_name) as char)
    from information_schema.key_column_usage where referenced_table_name is not null";

const ACTIONS: &str = "select 'foreign key', cast(constraint_schema as char), cast(table_name as char),
        cast(constraint_name as char), cast(concat_ws(' ', delete_rule, update_rule) as char)
    from information_schema.referential_constraints where true";

/// The parts of the statement so far.
#[derive(Default)]
struct Parts {
    texts: Vec<String>,
    args: Vec<Value>,
}

impl Parts {
    fn add<'a>(&mut self, text: String, names: impl IntoIterator<Item = &'a String>) {
        self.texts.push(text);
        self.args.extend(names.into_iter().map(|name| Value::Text(name.clone())));
    }

    /// Foreign keys that lead from these tables or to them.
    fn foreign_keys(&mut self, tables: &[TableName]) {
        let pairs = pairs(tables);
        for (select, own_schema, other_schema) in [
            (KEY_COLUMNS, "table_schema", "referenced_table_schema"),
            (ACTIONS, "constraint_schema", "unique_constraint_schema"),
        ] {
            let text = format!(
                "{select} and (({own_schema}, table_name) in ({pairs})
                    or ({other_schema}, referenced_table_name) in ({pairs}))"
            );
            self.add(text, names(tables).chain(names(tables)));
        }
    }

    fn end(self) -> Statement {
        Statement { sql: self.texts.join("\nunion all "), args: self.args }
    }
}

fn pairs(tables: &[TableName]) -> String {
    vec!["(?, ?)"; tables.len()].join(", ")
}

fn names(tables: &[TableName]) -> impl Iterator<Item = &String> {
    tables.iter().flat_map(|table| [&table.schema, &table.name])
}

pub(super) fn facts(scope: &FactScope<'_>) -> Statement {
    let mut parts = Parts::default();
    match scope {
        FactScope::Everything => {
            let all = |select: &str| select.split(" and ").next().unwrap_or(select).replace('?', "database()");
            parts.add(all(TABLE), None);
            parts.add(all(TRIGGERS), None);
            parts.add(format!("{} and partition_name is not null", all(PARTITIONS)), None);
            let here = |own: &str, other: &str| format!(" and ({own} = database() or {other} = database())");
            parts.add(format!("{KEY_COLUMNS}{}", here("table_schema", "referenced_table_schema")), None);
            parts.add(format!("{ACTIONS}{}", here("constraint_schema", "unique_constraint_schema")), None);
        }
        FactScope::Tables(tables) => {
            for table in *tables {
                for select in [TABLE, COLUMNS, TRIGGERS, PARTITIONS] {
                    parts.add(select.to_owned(), [&table.schema, &table.name]);
                }
            }
            parts.foreign_keys(tables);
        }
        FactScope::Harmful { tables, schemas } => {
            for table in *tables {
                for select in [COLUMNS, TRIGGERS] {
                    parts.add(select.to_owned(), [&table.schema, &table.name]);
                }
            }
            for schema in *schemas {
                let pairs = pairs(tables);
                let text = format!(
                    "{ACTIONS} and constraint_schema = ? and (unique_constraint_schema, referenced_table_name) in ({pairs})"
                );
                parts.add(text, std::iter::once(schema).chain(names(tables)));
            }
        }
    }
    parts.end()
}
