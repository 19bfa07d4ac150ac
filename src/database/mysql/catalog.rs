//! MySQL's and MariaDB's schema, from `information_schema`: the connection's database, and tables of other databases
//! whose foreign keys lead into it. Triggers show only to users with the TRIGGER privilege.

use super::{
    super::{
        Connection, Error,
        catalog::{Assembly, action, fields},
        names,
    },
    codec::{Told, codec},
};
use crate::{
    catalog::{Catalog, Codec, Column, ColumnKind, Engine, ForeignKey, Index, TableKind, TableName, Trigger, Values},
    sql::{Statement, Value},
};
use std::collections::HashMap;

const SERVER: &str = "select version(), database()";

/// One row when the user has a privilege on everything, or on all tables of the database, or gets some from a role.
const SEES_ALL: &str = "select '1' from information_schema.user_privileges
        where privilege_type <> 'USAGE' and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
    union all select '1' from information_schema.schema_privileges
        where database() like table_schema and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
    union all select '1' from dual where coalesce(nullif(current_role(), 'NONE'), '') <> '' limit 1";

/// Which tables reference which, wherever they are.
const REFERENCES: &str = "select distinct cast(table_schema as char), cast(table_name as char),
        cast(referenced_table_schema as char), cast(referenced_table_name as char)
    from information_schema.key_column_usage where referenced_table_schema is not null";

const TABLES: &str = "select cast(table_schema as char), cast(table_name as char), cast(table_type as char),
        cast(table_rows as char), cast(engine as char), cast(table_comment as char)
    from information_schema.tables where ";

/// MariaDB writes down that a default is null.
const COLUMNS: &str = "select cast(table_schema as char), cast(table_name as char), cast(column_name as char),
        cast(column_type as char), cast(data_type as char), cast(is_nullable as char), cast(extra as char),
        cast(character_maximum_length as char),
        cast(column_default is not null and (is_nullable = 'NO' or column_default <> 'NULL') as char),
        cast(column_comment as char), cast(collation_name as char), cast(character_set_name as char)
    from information_schema.columns where ";

const INDEXES: &str = "select cast(table_schema as char), cast(table_name as char), cast(index_name as char),
        cast(non_unique as char), cast(column_name as char)
    from information_schema.statistics where index_type not in ('FULLTEXT', 'SPATIAL') and ";

const FOREIGN_KEYS: &str = "select cast(table_schema as char), cast(table_name as char), cast(constraint_name as char),
        cast(column_name as char), cast(referenced_table_schema as char), cast(referenced_table_name as char),
        cast(referenced_column_name as char)
    from information_schema.key_column_usage where referenced_table_name is not null and ";

/// Joined here rather than there: the server would open every table twice.
const ACTIONS: &str = "select cast(constraint_schema as char), cast(table_name as char), cast(constraint_name as char),
        cast(delete_rule as char), cast(update_rule as char)
    from information_schema.referential_constraints where ";

const TRIGGERS: &str = "select cast(event_object_schema as char), cast(event_object_table as char),
        cast(trigger_name as char), cast(event_manipulation as char)
    from information_schema.triggers where ";

const CONSTRAINTS: &str = "select cast(constraint_name as char) from information_schema.table_constraints where ";

/// MariaDB keeps JSON as text with this check.
const JSON_CHECKS: &str = "select cast(constraint_schema as char), cast(table_name as char), cast(check_clause as char)
    from information_schema.check_constraints where check_clause like 'json\\_valid(%' escape '\\' and ";

pub(super) async fn read(connection: &mut dyn Connection, database: &str) -> Result<Catalog, Error> {
    let mut version = String::new();
    let mut schema = String::new();
    for row in connection.fetch(&Statement::new(SERVER)).await? {
        // As the server spells it: it may have folded the URL's capitals.
        [version, schema] = fields(row)?;
    }
    let text = |value: &str| Value::Text(value.to_owned());
    let mut references = Vec::new();
    for row in connection.fetch(&Statement::new(REFERENCES)).await? {
        let [schema, name, other_schema, other_name] = fields(row)?;
        references.push((TableName { schema, name }, TableName { schema: other_schema, name: other_name }));
    }
    let referrers = referrers(&references, &[schema.as_str(), database]);
    let outside = referred(&references, &[schema.as_str(), database], &referrers);
    let within = |select: &str, schema_column: &str, table_column: &str, order: &str| {
        let mut sql = format!("{select}({schema_column} = ?");
        let mut args = vec![text(&schema)];
        for table in referrers.iter().chain(&outside) {
            sql.push_str(&format!(" or ({schema_column} = ? and {table_column} = ?)"));
            args.extend([text(&table.schema), text(&table.name)]);
        }
        sql.push_str(&format!("){order}"));
        Statement { sql, args }
    };
    let mut assembly = Assembly::default();

    for row in connection.fetch(&within(TABLES, "table_schema", "table_name", "")).await? {
        let [schema, name, table_type, rows, storage, comment] = fields(row)?;
        let kind = match table_type.as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => TableKind::Plain,
            "VIEW" => TableKind::View,
            // Sequences and temporary tables.
            _ => continue,
        };
        let table = assembly.table(TableName { schema, name }, kind);
        table.estimated_rows = rows.parse().unwrap_or_default();
        table.comment = comment;
        table.obstacle = match (table_type.as_str(), storage.as_str()) {
            ("SYSTEM VERSIONED", _) => Some("it is system-versioned: erased rows stay in its history".to_owned()),
            (_, "MyISAM" | "Aria" | "MEMORY" | "CSV" | "ARCHIVE") if kind == TableKind::Plain => {
                Some(format!("its storage engine {storage} knows no transactions: a batch could be left half done"))
            }
            _ => None,
        };
    }
    let order = " order by table_schema, table_name, ordinal_position";
    for row in connection.fetch(&within(COLUMNS, "table_schema", "table_name", order)).await? {
        let [
            schema,
            table,
            name,
            sql_type,
            data_type,
            nullable,
            extra,
            length,
            default,
            comment,
            collation,
            character_set,
        ] = fields(row)?;
        let kind = kind(&data_type);
        let words = if matches!(data_type.as_str(), "enum" | "set") { words(&sql_type) } else { Vec::new() };
        let told = Told {
            kind,
            data_type: &data_type,
            sql_type: &sql_type,
            collation: &collation,
            character_set: &character_set,
            words: &words,
        };
        let column = Column {
            kind,
            codec: codec(&told),
            nullable: nullable == "YES",
            // `DEFAULT_GENERATED` is only a default that is an expression.
            generated: extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED"),
            touched: extra.to_lowercase().contains("on update"),
            has_default: default == "1" || extra.contains("auto_increment"),
            max_length: matches!(kind, ColumnKind::Text | ColumnKind::Bytes).then(|| length.parse().ok()).flatten(),
            words,
            name,
            sql_type,
            comment,
        };
        assembly.column(&schema, &table, column);
    }
    if version.contains("MariaDB") {
        for row in connection.fetch(&within(JSON_CHECKS, "constraint_schema", "table_name", "")).await? {
            let [schema, table, clause] = fields(row)?;
            let column = clause.trim_start_matches("json_valid(`").trim_end_matches("`)").replace("``", "`");
            if let Some(table) = assembly.get(&schema, &table)
                && let Some(column) = table.columns.iter_mut().find(|existing| existing.name == column)
            {
                column.kind = ColumnKind::Json;
                column.codec = Codec::of(Values::Json, "");
            }
        }
    }

    let order = " order by table_schema, table_name, index_name, seq_in_index";
    for row in connection.fetch(&within(INDEXES, "table_schema", "table_name", order)).await? {
        let [schema, table, name, non_unique, column] = fields(row)?;
        if name == "PRIMARY"
            && let Some(table) = assembly.get(&schema, &table)
        {
            table.primary_key.push(column.clone());
        }
        let index = Index { name, columns: vec![column], unique: non_unique == "0", partial: false, bytewise: false };
        assembly.index_column(&schema, &table, index);
    }

    let mut actions = HashMap::new();
    for row in connection.fetch(&within(ACTIONS, "constraint_schema", "table_name", "")).await? {
        let [schema, table, name, on_delete, on_update] = fields(row)?;
        actions.insert((schema, table, name), (action(&on_delete), action(&on_update)));
    }
    let order = " order by table_schema, table_name, constraint_name, ordinal_position";
    for row in connection.fetch(&within(FOREIGN_KEYS, "table_schema", "table_name", order)).await? {
        let [schema, table, name, column, other_schema, other_table, other_column] = fields(row)?;
        let known = actions.get(&(schema.clone(), table.clone(), name.clone())).copied();
        let (on_delete, on_update) = known.unwrap_or_else(|| (action(""), action("")));
        let references = TableName { schema: other_schema, name: other_table };
        let key = ForeignKey {
            name,
            columns: vec![column],
            target: references.clone(),
            references,
            referenced_columns: vec![other_column],
            on_delete,
            on_update,
            match_full: false,
        };
        assembly.foreign_key_column(&schema, &table, key);
    }
    let constraints = connection.fetch(&within(CONSTRAINTS, "table_schema", "table_name", "")).await?;
    names::learn_all(constraints.iter().flatten().flatten());
    for row in connection.fetch(&within(TRIGGERS, "event_object_schema", "event_object_table", "")).await? {
        let [schema, table, name, event] = fields(row)?;
        let trigger = Trigger { name, on_delete: event == "DELETE", on_update: event == "UPDATE" };
        assembly.trigger(&schema, &table, trigger);
    }
    let mut catalog = assembly.finish(Engine::Mysql, version, schema.clone(), schema);
    catalog.outside = outside;
    catalog.hides_foreign_keys = connection.fetch(&Statement::new(SEES_ALL)).await?.is_empty();
    Ok(catalog)
}

/// The tables elsewhere whose rows lead into this database, directly or over others: they go along, or stand against it.
fn referrers(references: &[(TableName, TableName)], database: &[&str]) -> Vec<TableName> {
    let mut found: Vec<TableName> = Vec::new();
    loop {
        let is_here = |table: &TableName| database.contains(&table.schema.as_str());
        let leads_here = |table: &TableName| is_here(table) || found.contains(table);
        let next = references.iter().find(|(from, to)| !leads_here(from) && leads_here(to));
        let Some((from, _)) = next else { return found };
        found.push(from.clone());
    }
}

/// The tables elsewhere that rows of this database and of those belong to, directly or over others: a hold may be on them.
fn referred(references: &[(TableName, TableName)], database: &[&str], referrers: &[TableName]) -> Vec<TableName> {
    let mut found: Vec<TableName> = Vec::new();
    loop {
        let is_known = |table: &TableName| {
            database.contains(&table.schema.as_str()) || referrers.contains(table) || found.contains(table)
        };
        let next = references.iter().find(|(from, to)| is_known(from) && !is_known(to));
        let Some((_, to)) = next else { return found };
        found.push(to.clone());
    }
}

fn kind(data_type: &str) -> ColumnKind {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => ColumnKind::Integer,
        "decimal" => ColumnKind::Decimal,
        "float" | "double" => ColumnKind::Float,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => ColumnKind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnKind::Bytes,
        "date" => ColumnKind::Date,
        "datetime" => ColumnKind::DateTime,
        "timestamp" => ColumnKind::Instant,
        "time" => ColumnKind::Time,
        "uuid" => ColumnKind::Uuid,
        "inet4" | "inet6" => ColumnKind::Inet,
        "json" => ColumnKind::Json,
        "enum" => ColumnKind::Enumeration,
        // A value of a `set` is a list.
        _ => ColumnKind::Other,
    }
}

/// The words of `enum('a','b''c')`. Quotes are doubled; backslash, line ends and zero bytes have a backslash whatever
/// the session's mode.
fn words(sql_type: &str) -> Vec<String> {
    let inside = sql_type.split_once("('").and_then(|(_, rest)| rest.strip_suffix("')")).unwrap_or_default();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            word.extend(characters.next().map(|escaped| match escaped {
                'n' => '\n',
                'r' => '\r',
                '0' => '\0',
                other => other,
            }));
        } else if character != '\'' {
            word.push(character);
        } else if characters.next() == Some('\'') {
            // Two quotes are one of the word.
            word.push('\'');
        } else {
            // The end of a word, its comma, and now the next word's opening quote.
            characters.next();
            words.push(std::mem::take(&mut word));
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn enumerations_are_split_at_their_borders_only() {
        assert_eq!(super::words("enum('a','b''c',',','','あ','''')"), ["a", "b'c", ",", "", "あ", "'"]);
        assert_eq!(super::words(r"set('a\\b','\n')"), ["a\\b", "\n"]);
    }
}
