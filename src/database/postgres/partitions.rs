//! PostgreSQL's declarative partitions: what the catalog tells of them, and the statements by which a whole one goes.

use super::{
    super::{
        Connection, Dialect as _, Error, ErrorKind,
        catalog::fields,
        partition::{Partition, Partitioning, Question},
        scalar,
    },
    Postgres,
};
use crate::{
    catalog::TableName,
    clock::PointKind,
    rules::Partitions,
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// All partitions of a table, level by level: schema, name, those of the parent, whether it holds rows itself, kind; bound;
/// strategy and first key column of the parent; then what may stand against its going: row security, a detachment under
/// way, the privilege, and another object that depends on it.
const TREE: &str = "select n.nspname::text, c.relname::text, pn.nspname::text, p.relname::text, tree.isleaf::text,
        c.relkind::text, pg_get_expr(c.relpartbound, c.oid), k.partstrat::text, a.attname::text, k.partnatts::text,
        (c.relrowsecurity and row_security_active(c.oid))::text, coalesce(to_jsonb(i) ->> 'inhdetachpending', 'false'),
        (case when $2::text = 'drop' then pg_has_role(c.relowner, 'USAGE') or pg_has_role(n.nspowner, 'USAGE')
              else has_table_privilege(c.oid, 'TRUNCATE') end)::text,
        (select min(pg_describe_object(d.classid, d.objid, 0)) from pg_depend d
         where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.deptype = 'n')
    from pg_partition_tree($1::text::regclass) tree
    join pg_class c on c.oid = tree.relid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_class p on p.oid = tree.parentrelid
    join pg_namespace pn on pn.oid = p.relnamespace
    join pg_partitioned_table k on k.partrelid = p.oid
    join pg_inherits i on i.inhrelid = c.oid and i.inhparent = p.oid
    left join pg_attribute a on a.attrelid = p.oid and a.attnum = k.partattrs[0] and k.partattrs[0] > 0
    order by tree.level, n.nspname, c.relname";

/// A publication that sends deletions of the table's rows to subscribers, and would not send this.
const PUBLICATIONS: &str = "select min(p.pubname::text) from pg_publication p
    where p.pubdelete and ($2::text = 'drop' or not p.pubtruncate) and (p.puballtables or exists (
        select 1 from pg_publication_tables t, pg_partition_tree($1::text::regclass) tree
        join pg_class c on c.oid = tree.relid join pg_namespace n on n.oid = c.relnamespace
        where t.pubname = p.pubname and t.schemaname = n.nspname and t.tablename = c.relname))";

/// A partition as [`TREE`] tells of it.
struct Node {
    name: TableName,
    parent: TableName,
    is_leaf: bool,
    bound: String,
    /// Lower and upper end in the starting point's column.
    range: Option<(End, End)>,
    obstacle: Option<String>,
}

/// An end of a range: what the first column of the bound says, and whether more columns follow that say more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    /// `None` for no end.
    value: Option<String>,
    more: bool,
}

pub(super) async fn read(connection: &mut dyn Connection, question: &Question<'_>) -> Result<Partitioning, Error> {
    let how = if question.how == Partitions::Truncate { "truncate" } else { "drop" };
    let args = || vec![Value::Text(Postgres.table(&question.table.name)), Value::Text(how.to_owned())];
    let mut nodes = Vec::new();
    for row in connection.fetch(&Statement { sql: TREE.into(), args: args() }).await? {
        nodes.push(node(fields(row)?, question));
    }
    let mut partitioning = Partitioning::default();
    if nodes.is_empty() {
        partitioning.obstacles.push("the table has no partitions".to_owned());
        return Ok(partitioning);
    }
    let published = scalar(connection, &Statement { sql: PUBLICATIONS.into(), args: args() }).await?;
    if let Some(publication) = published {
        partitioning.obstacles.push(format!(
            "publication {publication} sends deletions of rows to subscribers, and this would not reach them"
        ));
    }
    let ranged: Vec<_> = nodes.iter().filter(|node| node.range.is_some()).collect();
    if ranged.is_empty() {
        partitioning.obstacles.push(format!("it is not partitioned by ranges of {}", question.column.name));
        return Ok(partitioning);
    }
    let placed = connection.fetch(&places(&ranged, question)).await?;
    if placed.len() != ranged.len() {
        return Err(Error::new(ErrorKind::Other, "the server does not say where all partitions lie"));
    }
    for (node, place) in ranged.iter().zip(placed) {
        let [past, last] = fields(place)?;
        let below: Vec<_> = below(&nodes, &node.name);
        let inherited = below.iter().find_map(|leaf| leaf.obstacle.as_ref());
        partitioning.partitions.push(Partition {
            name: node.name.clone(),
            parent: node.parent.clone(),
            leaves: below.iter().filter(|node| node.is_leaf).map(|leaf| leaf.name.clone()).collect(),
            bound: node.bound.clone(),
            past: past == "true",
            last: last == "true",
            obstacle: inherited.cloned(),
        });
    }
    Ok(partitioning)
}

fn node(fields: [String; 14], question: &Question<'_>) -> Node {
    let [
        schema,
        name,
        parent_schema,
        parent,
        is_leaf,
        kind,
        bound,
        strategy,
        key,
        columns,
        hidden,
        leaving,
        allowed,
        user,
    ] = fields;
    let columns = columns.parse().unwrap_or(0);
    let range = (strategy == "r" && key == question.column.name).then(|| ends(&bound, columns)).flatten();
    let obstacle = if !matches!(kind.as_str(), "r" | "p") {
        Some("it is a foreign table".to_owned())
    } else if hidden == "true" {
        Some("row security hides its rows from this database user".to_owned())
    } else if leaving == "true" {
        Some("somebody is detaching it".to_owned())
    } else if allowed != "true" {
        Some(match question.how {
            Partitions::Truncate => "this database user may not truncate it: see `sunset grants`".to_owned(),
            _ => "this database user does not own it: see `sunset grants`".to_owned(),
        })
    } else if !user.is_empty() && question.how != Partitions::Truncate {
        Some(format!("another object depends on it: {user}"))
    } else {
        None
    };
    Node {
        name: TableName { schema, name },
        parent: TableName { schema: parent_schema, name: parent },
        is_leaf: is_leaf == "true",
        bound,
        range,
        obstacle,
    }
}

/// The partition itself and those below it.
fn below<'a>(nodes: &'a [Node], name: &TableName) -> Vec<&'a Node> {
    let mut found: Vec<&Node> = nodes.iter().filter(|node| node.name == *name).collect();
    let mut next = 0;
    while next < found.len() {
        let parent = found[next].name.clone();
        found.extend(nodes.iter().filter(|node| node.parent == parent));
        next += 1;
    }
    found
}

/// Asks the server, which knows the order of its own values: whether each range is past, and whether it is the last of
/// its parent.
fn places(nodes: &[&Node], question: &Question<'_>) -> Statement {
    let cast = match question.kind {
        PointKind::Date => "date",
        PointKind::DateTime => "timestamp",
        PointKind::Instant | PointKind::IsoTextWithOffset => "timestamptz",
        PointKind::EpochSeconds | PointKind::EpochMilliseconds => "numeric",
        PointKind::IsoText => "text",
    };
    let mut parents = BTreeMap::new();
    let mut texts: [Vec<Option<String>>; 4] = Default::default();
    for node in nodes {
        let Some((lower, upper)) = &node.range else { continue };
        let known = parents.len();
        let parent = parents.entry(&node.parent).or_insert(known);
        let row = [lower.value.clone(), upper.value.clone(), Some(upper.more.to_string()), Some(parent.to_string())];
        texts.iter_mut().zip(row).for_each(|(column, text)| column.push(text));
    }
    // beyond an open end, nothing is past
    let ranges: Vec<_> = question
        .past
        .ranges
        .iter()
        .map(|range| {
            let mut sql = Sql::default();
            for more in [true, false] {
                let (test, sign) = if more { ("more", "<") } else { ("not more", "<=") };
                sql.push(if more { "(" } else { " or " });
                sql.append(&Sql::bound(
                    format!("{test} and upper {sign} {PLACEHOLDER}::text::{cast}"),
                    Value::Text(range.before.clone()),
                ));
            }
            sql.push(")");
            if let Some(from) = &range.from {
                let from = Value::Text(from.clone());
                sql.append(&Sql::bound(format!(" and lower >= {PLACEHOLDER}::text::{cast}"), from));
            }
            sql.nested()
        })
        .collect();
    let past = if ranges.is_empty() { Sql::new("false") } else { Sql::join(&ranges, " or ") };
    let mut sql = Sql::new("select coalesce(");
    sql.append(&past);
    sql.push(
        ", false)::text, (row_number() over (partition by parent order by upper desc nulls first) = 1)::text from (",
    );
    let _ = write!(
        sql.text,
        "select l::{cast} as lower, u::{cast} as upper, m::boolean as more, p as parent, o from unnest("
    );
    for (number, column) in texts.into_iter().enumerate() {
        sql.push(if number > 0 { ", " } else { "" });
        sql.append(&Sql::bound(format!("{PLACEHOLDER}::text[]"), Value::Texts(column)));
    }
    sql.push(") with ordinality x (l, u, m, p, o)) bounds order by o");
    Postgres.finish(sql)
}

/// The ends of `FOR VALUES FROM (…) TO (…)` in the first of so many columns.
fn ends(bound: &str, columns: usize) -> Option<(End, End)> {
    let rest = bound.strip_prefix("FOR VALUES FROM (")?;
    let (lower, rest) = values(rest)?;
    let (upper, rest) = values(rest.strip_prefix(" TO (")?)?;
    let end = |values: Vec<Option<String>>| {
        let value = values.first()?.clone();
        // only MINVALUE in the columns that follow makes the first one's value the end itself
        Some(End { more: value.is_some() && values[1..].iter().any(Option::is_some), value })
    };
    (rest.is_empty() && lower.len() == columns && upper.len() == columns).then(|| Some((end(lower)?, end(upper)?)))?
}

/// The values up to a closing parenthesis, and what follows it. MINVALUE and MAXVALUE are `None`; but in a column that
/// follows another one's value, MAXVALUE says that the value itself still belongs to the range.
fn values(text: &str) -> Option<(Vec<Option<String>>, &str)> {
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        let value = if let Some(quoted) = rest.strip_prefix('\'') {
            let mut value = String::new();
            let mut characters = quoted.char_indices().peekable();
            rest = loop {
                match characters.next()? {
                    (_, '\'') if characters.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
                    (at, '\'') => break &quoted[at + 1..],
                    (_, character) => value.push(character),
                }
            };
            Some(value)
        } else {
            let end = rest.find([',', ')'])?;
            let word;
            (word, rest) = rest.split_at(end);
            match word {
                "MINVALUE" => None,
                "MAXVALUE" if values.is_empty() => None,
                word => Some(word.to_owned()),
            }
        };
        values.push(value);
        match rest.strip_prefix(", ") {
            Some(next) => rest = next,
            None => return Some((values, rest.strip_prefix(')')?)),
        }
    }
}

/// Keeps its rows from being changed until the transaction ends; nobody is kept from reading them.
pub fn lock(partition: &TableName) -> Statement {
    Statement::new(format!("lock table {} in share mode", Postgres.table(partition)))
}

/// One row while it is a partition: its parent's schema and name, its bound, and the number of the parent's partitions.
pub fn look(partition: &TableName) -> Statement {
    let sql = format!(
        "select n.nspname::text, p.relname::text, pg_get_expr(c.relpartbound, c.oid),
                (select count(*) from pg_inherits others where others.inhparent = p.oid)::text
         from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
         join pg_namespace n on n.oid = p.relnamespace
         where i.inhrelid = to_regclass({PLACEHOLDER}::text) and c.relispartition"
    );
    Postgres.finish(Sql::bound(sql, Value::Text(Postgres.table(partition))))
}

/// The tables that hold a partition's rows: schema and name of each.
pub fn leaves(partition: &TableName) -> Statement {
    let sql = format!(
        "select n.nspname::text, c.relname::text from pg_partition_tree({PLACEHOLDER}::text::regclass) tree
         join pg_class c on c.oid = tree.relid join pg_namespace n on n.oid = c.relnamespace where tree.isleaf"
    );
    Postgres.finish(Sql::bound(sql, Value::Text(Postgres.table(partition))))
}

/// A row where a session waits for a lock that another one has on one of these tables.
pub fn awaited(tables: &[TableName]) -> Statement {
    let names = tables.iter().map(|table| Some(Postgres.table(table))).collect();
    let sql = format!(
        "select '1' from pg_locks where not granted and relation = any({PLACEHOLDER}::text[]::regclass[]) limit 1"
    );
    Postgres.finish(Sql::bound(sql, Value::Texts(names)))
}

/// For the rest of the transaction.
pub fn wait_at_most(milliseconds: u128) -> Statement {
    Statement::new(format!("set local lock_timeout = {milliseconds}"))
}

pub fn remove(partition: &TableName, how: Partitions) -> Statement {
    let verb = if how == Partitions::Truncate { "truncate" } else { "drop" };
    Statement::new(format!("{verb} table {}", Postgres.table(partition)))
}

/// A row while the partition has one.
pub fn any_row(partition: &TableName) -> Statement {
    Statement::new(format!("select '1' from {} limit 1", Postgres.table(partition)))
}

#[cfg(test)]
mod tests {
    use super::{End, ends};

    #[test]
    fn bounds_tell_where_the_first_column_ends() {
        let end = |value: &str, more| End { value: Some(value.to_owned()), more };
        let open = End { value: None, more: false };
        let both = |bound: &str, columns| ends(bound, columns);
        assert_eq!(
            both("FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')", 1),
            Some((end("2019-01-01", false), end("2020-01-01", false)))
        );
        assert_eq!(
            both("FOR VALUES FROM (MINVALUE) TO (1643673600)", 1),
            Some((open.clone(), end("1643673600", false)))
        );
        assert_eq!(both("FOR VALUES FROM ('-5') TO (MAXVALUE)", 1), Some((end("-5", false), open.clone())));
        assert_eq!(
            both("FOR VALUES FROM ('2019-01-01', MINVALUE) TO ('2020-01-01', MINVALUE)", 2),
            Some((end("2019-01-01", false), end("2020-01-01", false)))
        );
        assert_eq!(
            both("FOR VALUES FROM ('2019-01-01', 'it''s, (b)') TO ('2020-01-01', 7)", 2),
            Some((end("2019-01-01", true), end("2020-01-01", true)))
        );
        assert_eq!(
            both("FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2020-01-01', MAXVALUE)", 2),
            Some((open, end("2020-01-01", true)))
        );
        for other in ["DEFAULT", "FOR VALUES IN ('eu', 'us')", "FOR VALUES WITH (modulus 4, remainder 0)", ""] {
            assert_eq!(both(other, 1), None, "{other}");
        }
    }
}
