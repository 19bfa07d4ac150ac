//! PostgreSQL's schema, from `pg_catalog`: what `information_schema` hides from users without privileges must be seen
//! here, foreign keys and triggers above all.

use super::{
    super::{
        Connection, Error,
        catalog::{Assembly, action, fields},
    },
    codec::{Told, codec},
};
use crate::{
    catalog::{Catalog, Column, ColumnKind, Engine, ForeignKey, Index, Owner, TableKind, TableName, Trigger},
    sql::Statement,
};
use std::collections::HashMap;

/// Tables and views of users: `pg_` names are the system's own, temporary tables and TOAST included.
const RELATIONS: &str = "relation as (
    select c.*, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema')";

const SERVER: &str = "select split_part(version(), ' ', 1) || ' ' || split_part(version(), ' ', 2), \
    current_database()::text";

const TABLES: &str = "select c.nspname::text, c.relname::text, c.relkind::text, root.nspname::text, root.relname::text,
        (c.relrowsecurity and row_security_active(c.oid))::text, greatest(c.reltuples, 0)::bigint::text,
        obj_description(c.oid, 'pg_class'), o.rolname::text, o.rolsuper::text
    from relation c
    left join pg_roles o on o.oid = c.relowner
    left join relation root on c.relispartition and root.oid = pg_partition_root(c.oid)";

const PARTITIONS: &str = "select above.nspname::text, above.relname::text, c.nspname::text, c.relname::text
    from relation c
    cross join lateral pg_partition_ancestors(c.oid) ancestor
    join relation above on above.oid = ancestor and above.oid <> c.oid
    where c.relispartition and c.relkind <> 'p'";

const HEIRS: &str = "select c.nspname::text, c.relname::text, above.nspname::text, above.relname::text
    from relation c
    join pg_inherits i on i.inhrelid = c.oid
    join relation above on above.oid = i.inhparent
    where not c.relispartition order by c.oid, i.inhseqno";

/// A domain may stand on domains: `walk` goes down to a base type, collecting the length limit and every NOT NULL.
const COLUMNS: &str = "walk (oid, base, typmod, required) as (
        select oid, typbasetype, typtypmod, typnotnull from pg_type where typtype = 'd'
        union all
        select w.oid, t.typbasetype, t.typtypmod, w.required or t.typnotnull
        from walk w join pg_type t on t.oid = w.base where t.typtype = 'd'),
    domain as (select w.* from walk w join pg_type t on t.oid = w.base where t.typtype <> 'd'),
    ordered as (select o.opcintype from pg_opclass o join pg_am m on m.oid = o.opcmethod
        where m.amname = 'btree' and o.opcdefault and pg_opclass_is_visible(o.oid))
    select c.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
        case when t.typtype = 'e' then 'enum'
             when t.typnamespace = 'pg_catalog'::regnamespace then t.typname::text
             when t.typcategory = 'S' then 'text' end,
        format_type(t.oid, -1),
        (t.oid in (select opcintype from ordered) or t.typtype in ('e', 'r') or t.typcategory = 'A'
            or t.typcategory = 'S' and t.typnamespace = 'pg_catalog'::regnamespace)::text,
        case when col.oid is not null then quote_ident(coln.nspname) || '.' || quote_ident(col.collname) end,
        t.oid::text, coalesce(d.typmod, a.atttypmod)::text,
        (not a.attnotnull and not coalesce(d.required, false))::text, (a.attgenerated <> '')::text,
        (a.atthasdef and a.attgenerated = '' or a.attidentity <> '' or own.typdefault is not null)::text,
        col_description(c.oid, a.attnum)
    from relation c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join domain d on d.oid = a.atttypid
    join pg_type own on own.oid = a.atttypid
    join pg_type t on t.oid = coalesce(d.base, a.atttypid)
    left join pg_collation col on col.oid = a.attcollation
    left join pg_namespace coln on coln.oid = col.collnamespace
    order by c.oid, a.attnum";

const WORDS: &str = "select enumtypid::text, enumlabel::text from pg_enum order by enumtypid, enumsortorder";

/// Only indexes that keep rows in order (others cannot serve ranges, and are not unique); those being built are no use.
/// 950 and 951 are the collations `C` and `POSIX` everywhere.
const INDEXES: &str = "select c.nspname::text, c.relname::text, x.relname::text, i.indisunique::text,
        (i.indpred is not null)::text, i.indisprimary::text, a.attname::text,
        (i.indcollation[0]::oid in (950, 951))::text
    from pg_index i
    join relation c on c.oid = i.indrelid
    join pg_class x on x.oid = i.indexrelid
    join pg_am m on m.oid = x.relam and m.amname not in ('hash', 'gin', 'gist', 'spgist', 'brin')
    cross join lateral unnest(i.indkey::int2[]) with ordinality key (attnum, position)
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = key.attnum and key.attnum > 0
    where i.indisvalid and key.position <= i.indnkeyatts
    order by i.indexrelid, key.position";

/// Rows with a parent are the server's own clones, one for each partition on either side.
const FOREIGN_KEYS: &str = "select c.nspname::text, c.relname::text, k.conname::text, a.attname::text,
        rn.nspname::text, r.relname::text, ra.attname::text, k.confdeltype::text, k.confupdtype::text,
        (k.confmatchtype = 'f')::text
    from pg_constraint k
    join relation c on c.oid = k.conrelid
    join pg_class r on r.oid = k.confrelid
    join pg_namespace rn on rn.oid = r.relnamespace
    cross join lateral unnest(k.conkey, k.confkey) with ordinality key (own, other, position)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = key.own
    join pg_attribute ra on ra.attrelid = r.oid and ra.attnum = key.other
    where k.contype = 'f' and k.conparentid = 0
    order by k.oid, key.position";

/// A rewrite rule changes what a DELETE or UPDATE does just as a trigger can. Bits of `tgtype`: 8 delete, 16 update,
/// 64 instead of (views only).
const TRIGGERS: &str = "select c.nspname::text, c.relname::text, t.tgname::text, (t.tgtype & 8 <> 0)::text,
        (t.tgtype & 16 <> 0)::text
    from pg_trigger t join relation c on c.oid = t.tgrelid
    where not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D' and t.tgtype & 64 = 0
    union all
    select c.nspname::text, c.relname::text, r.rulename::text, (r.ev_type = '4')::text, (r.ev_type = '2')::text
    from pg_rewrite r join relation c on c.oid = r.ev_class
    where c.relkind in ('r', 'p') and r.ev_type in ('2', '4') and r.ev_enabled <> 'D'";

pub(super) async fn read(connection: &mut dyn Connection, default_schema: String) -> Result<Catalog, Error> {
    let mut version = String::new();
    let mut database = String::new();
    for row in connection.fetch(&Statement::new(SERVER)).await? {
        [version, database] = fields(row)?;
    }
    let relations = |select: &str| match select.starts_with("walk") {
        true => Statement::new(format!("with recursive {RELATIONS}, {select}")),
        false => Statement::new(format!("with {RELATIONS} {select}")),
    };
    let mut assembly = Assembly::default();

    for row in connection.fetch(&relations(TABLES)).await? {
        let [schema, name, kind, root_schema, root_name, row_security, rows, comment, owner, superuser] = fields(row)?;
        let holds_copies = matches!(kind.as_str(), "m" | "f");
        let kind = match kind.as_str() {
            "r" => TableKind::Plain,
            "p" => TableKind::Partitioned,
            _ => TableKind::View,
        };
        let table = assembly.table(TableName { schema, name }, kind);
        table.partition_of = (!root_name.is_empty()).then_some(TableName { schema: root_schema, name: root_name });
        table.owner = (!owner.is_empty()).then(|| Owner { name: owner, superuser: superuser == "true" });
        table.row_security = row_security == "true";
        table.holds_copies = holds_copies;
        table.comment = comment;
        // A partitioned table's own figure counts its partitions once more.
        table.estimated_rows = if kind == TableKind::Partitioned { 0 } else { rows.parse().unwrap_or_default() };
    }
    for row in connection.fetch(&relations(PARTITIONS)).await? {
        let [schema, table, leaf_schema, leaf_name] = fields(row)?;
        if let Some(table) = assembly.get(&schema, &table) {
            table.partitions.push(TableName { schema: leaf_schema, name: leaf_name });
        }
    }

    for row in connection.fetch(&relations(HEIRS)).await? {
        let [schema, table, above_schema, above_name] = fields(row)?;
        if let Some(table) = assembly.get(&schema, &table) {
            table.inherits.push(TableName { schema: above_schema, name: above_name });
        }
    }

    let mut words: HashMap<String, Vec<String>> = HashMap::new();
    for row in connection.fetch(&Statement::new(WORDS)).await? {
        let [type_id, word] = fields(row)?;
        words.entry(type_id).or_default().push(word);
    }
    for row in connection.fetch(&relations(COLUMNS)).await? {
        let [
            schema,
            table,
            name,
            sql_type,
            base,
            cast,
            ordered,
            collation,
            type_id,
            modifier,
            nullable,
            generated,
            default,
            comment,
        ] = fields(row)?;
        let words = words.get(&type_id).cloned().unwrap_or_default();
        let told = Told { base: &base, cast: &cast, ordered: ordered == "true", collation: &collation };
        // The server adds the length of a header that is no longer there.
        let max_length = match base.as_str() {
            "varchar" | "bpchar" => modifier.parse::<i64>().ok().and_then(|modifier| u32::try_from(modifier - 4).ok()),
            _ => None,
        };
        let column = Column {
            name,
            sql_type,
            kind: kind(&base),
            codec: codec(&told, &words),
            nullable: nullable == "true",
            generated: generated == "true",
            touched: false,
            has_default: default == "true",
            max_length,
            words,
            comment,
        };
        assembly.column(&schema, &table, column);
    }

    for row in connection.fetch(&relations(INDEXES)).await? {
        let [schema, table, name, unique, partial, primary, column, bytewise] = fields(row)?;
        if primary == "true"
            && let Some(table) = assembly.get(&schema, &table)
        {
            table.primary_key.push(column.clone());
        }
        let (unique, partial, bytewise) = (unique == "true", partial == "true", bytewise == "true");
        let index = Index { name, columns: vec![column], unique, partial, bytewise };
        assembly.index_column(&schema, &table, index);
    }
    for row in connection.fetch(&relations(FOREIGN_KEYS)).await? {
        let [schema, table, name, column, other_schema, other_table, other_column, on_delete, on_update, match_full] =
            fields(row)?;
        let references = TableName { schema: other_schema, name: other_table };
        let key = ForeignKey {
            name,
            columns: vec![column],
            target: references.clone(),
            references,
            referenced_columns: vec![other_column],
            on_delete: action(&on_delete),
            on_update: action(&on_update),
            match_full: match_full == "true",
        };
        assembly.foreign_key_column(&schema, &table, key);
    }
    for row in connection.fetch(&relations(TRIGGERS)).await? {
        let [schema, table, name, on_delete, on_update] = fields(row)?;
        let trigger = Trigger { name, on_delete: on_delete == "true", on_update: on_update == "true" };
        assembly.trigger(&schema, &table, trigger);
    }
    assembly.lift_partitions();
    Ok(assembly.finish(Engine::Postgres, version, database, default_schema))
}

/// `base` is the name of a system type, `enum`, `text` for an extension's text type (citext), or empty.
fn kind(base: &str) -> ColumnKind {
    match base {
        "int2" | "int4" | "int8" | "oid" => ColumnKind::Integer,
        "numeric" => ColumnKind::Decimal,
        "float4" | "float8" => ColumnKind::Float,
        "bool" => ColumnKind::Boolean,
        "text" | "varchar" | "bpchar" | "name" | "char" => ColumnKind::Text,
        "bytea" => ColumnKind::Bytes,
        "date" => ColumnKind::Date,
        "timestamp" => ColumnKind::DateTime,
        "timestamptz" => ColumnKind::Instant,
        "time" | "timetz" => ColumnKind::Time,
        "uuid" => ColumnKind::Uuid,
        "inet" | "cidr" => ColumnKind::Inet,
        "json" | "jsonb" => ColumnKind::Json,
        "enum" => ColumnKind::Enumeration,
        _ => ColumnKind::Other,
    }
}
