//! What plans rely on in PostgreSQL's schema, in one statement: kind, schema, table, name and definition of each fact.

use super::super::FactScope;
use crate::{
    catalog::TableName,
    sql::{Statement, Value},
};

/// The tables that are asked about, and those that are parts of them or inherit from them.
const SCOPE: &str = "scope as (
        select c.oid from unnest($1::text[], $2::text[]) asked (schema_name, table_name)
            join pg_namespace n on n.nspname = asked.schema_name
            join pg_class c on c.relnamespace = n.oid and c.relname = asked.table_name
        union
        select i.inhrelid from scope join pg_inherits i on i.inhparent = scope.oid)";

/// All tables of users.
const EVERYTHING: &str = "scope as (
        select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema')";

/// Nothing here takes a lock on a table: somebody who waits for a batch's locks must not keep its own look waiting, and with
/// it the batch. (Functions that print expressions do.) Row security counts where it hides rows from this user. Foreign keys and triggers with a parent are the server's own
/// clones, one for each partition.
const FACTS: &str = "relation as (
        select c.*, n.nspname from scope join pg_class c on c.oid = scope.oid join pg_namespace n on n.oid = c.relnamespace)
    select 'table', nspname::text, relname::text, '', relkind::text from relation
    union all
    select 'row security', nspname::text, relname::text, '', '' from relation
        where relrowsecurity and row_security_active(oid)
    union all
    select 'partition', c.nspname::text, c.relname::text, n.nspname || '.' || above.relname,
            coalesce(hashtextextended(c.relpartbound::text, 0)::text, 'inherits')
        from relation c join pg_inherits i on i.inhrelid = c.oid
        join pg_class above on above.oid = i.inhparent join pg_namespace n on n.oid = above.relnamespace
    union all
    select 'primary key', c.nspname::text, c.relname::text, '', k.conkey::text
        from relation c join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
    union all
    select 'foreign key', n.nspname::text, c.relname::text, k.conname::text,
            concat_ws(' ', k.conkey, rn.nspname || '.' || r.relname, k.confkey, k.confdeltype, k.confupdtype, k.confmatchtype)
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
        where k.contype = 'f' and k.conparentid = 0
            and (k.conrelid in (select oid from scope) or k.confrelid in (select oid from scope))
    union all
    select 'trigger', c.nspname::text, c.relname::text, t.tgname::text,
            concat_ws(' ', t.tgtype, t.tgenabled, t.tgdeferrable, t.tginitdeferred, t.tgattr, hashtextextended(t.tgqual::text, 0), p.oid,
                hashtextextended(p.prosrc, 0), encode(t.tgargs, 'hex'))
        from relation c join pg_trigger t on t.tgrelid = c.oid join pg_proc p on p.oid = t.tgfoid
        where not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D'
    union all
    select 'rewrite rule', c.nspname::text, c.relname::text, r.rulename::text,
            concat_ws(' ', r.ev_type, r.ev_enabled, r.is_instead, hashtextextended(r.ev_qual::text, 0), hashtextextended(r.ev_action::text, 0))
        from relation c join pg_rewrite r on r.ev_class = c.oid where r.ev_enabled <> 'D'";

const COLUMNS: &str = "
    union all
    select 'column', c.nspname::text, c.relname::text, a.attname::text,
            concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attcollation,
                case when a.attgenerated <> '' then hashtextextended(d.adbin::text, 0) end)
        from relation c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where not c.relispartition";

pub(super) fn facts(scope: &FactScope<'_>) -> Statement {
    let (FactScope::Tables(tables) | FactScope::Harmful { tables, .. }) = scope else {
        return Statement::new(format!("select * from (with recursive {EVERYTHING}, {FACTS}) facts"));
    };
    let names = |part: fn(&TableName) -> &String| Value::Texts(tables.iter().map(part).cloned().map(Some).collect());
    Statement {
        sql: format!("select * from (with recursive {SCOPE}, {FACTS}{COLUMNS}) facts"),
        args: vec![names(|table| &table.schema), names(|table| &table.name)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run sends it with each batch, and planning it takes longer than answering it.
    #[test]
    fn the_statement_is_short_enough_to_stay_prepared() {
        let statement = facts(&FactScope::Tables(&[]));
        assert!(statement.sql.len() <= crate::database::driver::PREPARED_LENGTH, "{}", statement.sql.len());
    }
}
