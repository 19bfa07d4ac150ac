//! SQLite's schema, from its pragmas as tables. Types are what the declaration says: SQLite keeps any value in (almost)
//! any column.
//!
//! The pragmas are asked as `temp.pragma_…`, and `json_each` likewise: a table, a view or a full-text index of the database
//! that bears such a name would be read in the pragma's place, and could hide a foreign key. In `temp` are this session's own
//! tables alone, and it makes none.

use super::{
    super::{
        Connection, Error,
        catalog::{Assembly, action, fields},
    },
    codec,
};
use crate::{
    catalog::{Catalog, Codec, Column, ColumnKind, Engine, ForeignKey, Index, Table, TableKind, TableName, Trigger},
    sql::Statement,
};
use std::collections::{BTreeMap, HashSet};

const SCHEMA: &str = "main";

const SERVER: &str = "select 'SQLite ' || sqlite_version()";

const TABLES: &str = "select name, type, wr, strict from temp.pragma_table_list where schema = 'main' and name not like 'sqlite\\_%' escape '\\'";

/// `hidden`: 0 a plain column, 2 and 3 a generated one, 1 one of a virtual table that `select *` leaves out.
const COLUMNS: &str = "select t.name, c.name, c.type, c.\"notnull\", c.hidden, c.pk, c.dflt_value is not null
    from temp.pragma_table_list t join temp.pragma_table_xinfo(t.name, 'main') c
    where t.schema = 'main' and t.name not like 'sqlite\\_%' escape '\\'
    order by t.name, c.cid";

/// Key columns only; an index on an expression has no name for it.
const INDEXES: &str = "select t.name, i.name, i.\"unique\", i.partial, i.origin, k.name, k.coll
    from temp.pragma_table_list t join temp.pragma_index_list(t.name, 'main') i join temp.pragma_index_xinfo(i.name, 'main') k
    where t.schema = 'main' and t.type = 'table' and t.name not like 'sqlite\\_%' escape '\\' and k.key = 1
    order by t.name, i.name, k.seqno";

const FOREIGN_KEYS: &str = "select t.name, k.id, k.\"from\", k.\"table\", k.\"to\", k.on_delete, k.on_update
    from temp.pragma_table_list t join temp.pragma_foreign_key_list(t.name, 'main') k
    where t.schema = 'main' and t.type = 'table' and t.name not like 'sqlite\\_%' escape '\\'
    order by t.name, k.id, k.seq";

const TRIGGERS: &str = "select tbl_name, name, sql from sqlite_schema where type = 'trigger'";

/// Tables of which no column is declared with a collation: no pragma tells it of columns without an index.
const PLAINLY_COLLATED: &str = "select name from sqlite_schema where type = 'table' and sql not like '%collate%'";

/// The first number of each index's statistics is the table's count of rows.
const STATISTICS: &str = "select tbl, max(cast(stat as integer)) from sqlite_stat1 group by tbl";

/// SQLite takes no more parts in a `union all`.
const UNION_PARTS: usize = 500;

pub(super) async fn read(connection: &mut dyn Connection) -> Result<Catalog, Error> {
    let mut version = String::new();
    for row in connection.fetch(&Statement::new(SERVER)).await? {
        [version] = fields(row)?;
    }
    let mut assembly = Assembly::default();
    let (mut without_rowid, mut strict) = (HashSet::new(), HashSet::new());
    for row in connection.fetch(&Statement::new(TABLES)).await? {
        let [name, table_type, flag, is_strict] = fields(row)?;
        // Virtual tables and the shadow tables that serve them are not to be changed row by row.
        let kind = if table_type == "table" { TableKind::Plain } else { TableKind::View };
        if flag == "1" {
            without_rowid.insert(name.clone());
        }
        if is_strict == "1" {
            strict.insert(name.clone());
        }
        assembly.table(TableName { schema: SCHEMA.into(), name }, kind).holds_copies = table_type == "virtual";
    }

    // Position in the key, and column.
    let mut keys: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
    for row in connection.fetch(&Statement::new(COLUMNS)).await? {
        let [table, name, sql_type, not_null, hidden, position, default] = fields(row)?;
        let position = position.parse().unwrap_or_default();
        if position > 0 {
            keys.entry(table.clone()).or_default().push((position, name.clone()));
        }
        let kind = kind(&sql_type);
        let affinity = codec::affinity(&sql_type, strict.contains(&table));
        let column = Column {
            name,
            kind,
            codec: codec::codec(kind, &sql_type, affinity),
            sql_type,
            // A key's columns can be null in SQLite, save where something else says otherwise; see below.
            nullable: not_null == "0",
            touched: false,
            has_default: default == "1",
            generated: matches!(hidden.as_str(), "2" | "3"),
            max_length: None,
            words: Vec::new(),
            comment: String::new(),
        };
        assembly.column(SCHEMA, &table, column);
    }
    for (name, mut columns) in keys {
        columns.sort();
        if let Some(table) = assembly.get(SCHEMA, &name) {
            table.primary_key = columns.into_iter().map(|(_, column)| column).collect();
        }
    }

    for row in connection.fetch(&Statement::new(PLAINLY_COLLATED)).await? {
        let [name] = fields(row)?;
        for column in assembly.get(SCHEMA, &name).into_iter().flat_map(|table| &mut table.columns) {
            column.codec.collation = Some(codec::collation("BINARY"));
        }
    }
    let mut key_indexes = HashSet::new();
    for row in connection.fetch(&Statement::new(INDEXES)).await? {
        let [table, name, unique, partial, origin, column, collation] = fields(row)?;
        if origin == "pk" {
            key_indexes.insert(table.clone());
        }
        // the indexes of constraints have the column's own collation, unless the constraint says otherwise
        if origin != "c"
            && let Some(table) = assembly.get(SCHEMA, &table)
            && let Some(column) = table.columns.iter_mut().find(|known| known.name == column)
            && (origin == "pk" || column.codec.collation.is_none())
        {
            column.codec.collation = Some(codec::collation(&collation));
        }
        let index =
            Index { name, columns: vec![column], unique: unique == "1", partial: partial == "1", bytewise: false };
        assembly.index_column(SCHEMA, &table, index);
    }
    for table in assembly.tables().filter(|table| table.kind == TableKind::Plain) {
        let by_rowid = !without_rowid.contains(&table.name.name);
        if by_rowid {
            table.rowid = rowid(table);
        }
        // A key without an index of its own is the row id under another name.
        let alias = by_rowid && table.primary_key.len() == 1 && !key_indexes.contains(&table.name.name);
        if alias {
            let columns = table.primary_key.clone();
            table.indexes.push(Index { name: "rowid".into(), columns, unique: true, partial: false, bytewise: false });
        }
        if alias || !by_rowid {
            for column in table.columns.iter_mut().filter(|column| table.primary_key.contains(&column.name)) {
                if alias {
                    column.codec = Codec::row_id();
                }
                column.nullable = false;
                column.has_default |= alias;
            }
        }
    }

    read_foreign_keys(connection, &mut assembly).await?;
    for row in connection.fetch(&Statement::new(TRIGGERS)).await? {
        let [table, name, sql] = fields(row)?;
        let event = event(&sql);
        let trigger = Trigger { name, on_delete: event == Some("DELETE"), on_update: event == Some("UPDATE") };
        // `tbl_name` is as the trigger's author spelt it.
        let Some(table) = assembly.tables().find(|existing| existing.name.name.eq_ignore_ascii_case(&table)) else {
            continue;
        };
        if table.kind == TableKind::Plain {
            table.triggers.push(trigger);
        }
    }
    estimate_rows(connection, &mut assembly).await?;
    Ok(assembly.finish(Engine::Sqlite, version, String::new(), SCHEMA.into()))
}

/// SQLite compares names without regard to case and lets a key leave out the columns that it references.
async fn read_foreign_keys(connection: &mut dyn Connection, assembly: &mut Assembly) -> Result<(), Error> {
    // Actual names by folded names.
    let tables: BTreeMap<String, (TableName, Vec<String>, Vec<String>)> = assembly
        .tables()
        .map(|table| {
            let columns = table.columns.iter().map(|column| column.name.clone()).collect();
            (table.name.name.to_ascii_lowercase(), (table.name.clone(), table.primary_key.clone(), columns))
        })
        .collect();
    for row in connection.fetch(&Statement::new(FOREIGN_KEYS)).await? {
        let [table, id, column, other_table, other_column, on_delete, on_update] = fields(row)?;
        let spelled = |table: &str, column: &str| {
            let columns = tables.get(&table.to_ascii_lowercase()).map(|(_, _, columns)| columns.as_slice());
            let found = columns.unwrap_or_default().iter().find(|name| name.eq_ignore_ascii_case(column));
            found.map_or(column.to_owned(), Clone::clone)
        };
        let references = match tables.get(&other_table.to_ascii_lowercase()) {
            Some((name, ..)) => name.clone(),
            None => TableName { schema: SCHEMA.into(), name: other_table.clone() },
        };
        let referenced_columns =
            if other_column.is_empty() { Vec::new() } else { vec![spelled(&other_table, &other_column)] };
        let columns = vec![spelled(&table, &column)];
        let key = ForeignKey {
            name: id,
            columns,
            target: references.clone(),
            references,
            referenced_columns,
            on_delete: action(&on_delete),
            on_update: action(&on_update),
            match_full: false,
        };
        assembly.foreign_key_column(SCHEMA, &table, key);
    }
    for table in assembly.tables() {
        for key in &mut table.foreign_keys {
            // The pragma knows no constraint names: this is how PostgreSQL would have named it.
            key.name = format!("{}_{}_fkey", table.name.name, key.columns.join("_"));
            if key.referenced_columns.is_empty()
                && let Some((_, primary_key, _)) = tables.get(&key.references.name.to_ascii_lowercase())
            {
                key.referenced_columns = primary_key.clone();
            }
        }
    }
    Ok(())
}

/// From the statistics of the last ANALYZE, else the greatest row id: too high where many rows are gone already.
async fn estimate_rows(connection: &mut dyn Connection, assembly: &mut Assembly) -> Result<(), Error> {
    let mut estimates: BTreeMap<String, u64> = BTreeMap::new();
    let analyzed = "select '1' from sqlite_schema where name = 'sqlite_stat1'";
    if !connection.fetch(&Statement::new(analyzed)).await?.is_empty() {
        for row in connection.fetch(&Statement::new(STATISTICS)).await? {
            let [table, rows] = fields(row)?;
            estimates.insert(table, rows.parse().unwrap_or_default());
        }
    }
    let parts: Vec<String> = assembly
        .tables()
        .filter(|table| !estimates.contains_key(&table.name.name))
        .filter_map(|table| {
            let (name, rowid) = (&table.name.name, table.rowid.as_ref()?);
            let (literal, identifier) = (name.replace('\'', "''"), name.replace('"', "\"\""));
            Some(format!("select '{literal}', max({rowid}) from main.\"{identifier}\""))
        })
        .collect();
    for parts in parts.chunks(UNION_PARTS) {
        for row in connection.fetch(&Statement::new(parts.join(" union all "))).await? {
            let [table, rows] = fields(row)?;
            estimates.insert(table, rows.parse().unwrap_or_default());
        }
    }
    for table in assembly.tables() {
        table.estimated_rows = estimates.get(&table.name.name).copied().unwrap_or_default();
    }
    Ok(())
}

/// A name for the row id that no column has taken.
fn rowid(table: &Table) -> Option<String> {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)))
        .map(str::to_owned)
}

/// SQLite's own rules for affinity, after the words that people use for what SQLite has no type for.
fn kind(declared: &str) -> ColumnKind {
    let declared = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if declared.is_empty() {
        ColumnKind::Other
    } else if has(&["DATETIME", "TIMESTAMP"]) {
        ColumnKind::DateTime
    } else if has(&["DATE"]) {
        ColumnKind::Date
    } else if declared.starts_with("TIME") {
        ColumnKind::Time
    } else if has(&["BOOL"]) {
        ColumnKind::Boolean
    } else if has(&["JSON"]) {
        ColumnKind::Json
    } else if has(&["INT"]) {
        ColumnKind::Integer
    } else if has(&["CHAR", "CLOB", "TEXT", "UUID"]) {
        ColumnKind::Text
    } else if has(&["BLOB"]) {
        ColumnKind::Bytes
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        ColumnKind::Float
    } else if has(&["DEC", "NUM"]) {
        ColumnKind::Decimal
    } else {
        ColumnKind::Other
    }
}

/// What fires a trigger, from its text, which SQLite keeps from the name on as it was written:
/// `CREATE TRIGGER name [BEFORE|AFTER|INSTEAD OF] DELETE|INSERT|UPDATE …`.
fn event(sql: &str) -> Option<&'static str> {
    let mut rest = sql.get("CREATE TRIGGER ".len()..)?.trim_start();
    let close = match rest.chars().next()? {
        '[' => Some(']'),
        quote @ ('"' | '`' | '\'') => Some(quote),
        _ => None,
    };
    rest = match close {
        None => rest.split_once(|character: char| character.is_whitespace() || "/-".contains(character))?.1,
        Some(close) => {
            let mut name = rest[1..].char_indices().peekable();
            loop {
                let (at, character) = name.next()?;
                // A doubled quote belongs to the name.
                if character == close && !(close != ']' && name.next_if(|(_, next)| *next == close).is_some()) {
                    break &rest[1 + at + close.len_utf8()..];
                }
            }
        }
    };
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n')?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1;
        } else {
            let end = rest.find(|character: char| !character.is_ascii_alphabetic())?;
            let (word, after) = rest.split_at(end);
            if let Some(event) =
                ["DELETE", "INSERT", "UPDATE"].into_iter().find(|event| word.eq_ignore_ascii_case(event))
            {
                return Some(event);
            }
            if !["BEFORE", "AFTER", "INSTEAD", "OF"].iter().any(|time| word.eq_ignore_ascii_case(time)) {
                return None;
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn a_trigger_says_what_fires_it() {
        assert_eq!(event("CREATE TRIGGER t delete on a begin select 1; end"), Some("DELETE"));
        assert_eq!(event("CREATE TRIGGER \"a \"\"delete\"\" b\" before update of x on a begin"), Some("UPDATE"));
        assert_eq!(event("CREATE TRIGGER [a delete] After /* update */ insert on a begin"), Some("INSERT"));
        assert_eq!(event("CREATE TRIGGER t -- delete\n after update on a begin"), Some("UPDATE"));
        assert_eq!(event("CREATE TRIGGER 削除 after delete on a begin"), Some("DELETE"));
        assert_eq!(event("CREATE TRIGGER"), None);
    }
}
