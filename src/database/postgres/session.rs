//! What Sunset sets in its sessions, and the sessions in which it sets nothing.

use super::super::{Connection, Error, driver::Session, scalar};
use crate::sql::{Statement, Value};
use sqlx::{PgConnection, Postgres, Row as _};

/// Rounds in which a pooler is looked for: others may take a session that was let go before we see it again.
const ROUNDS: u32 = 3;

/// The schemas in which names without one are looked up before anything is set, the first of them first.
///
/// The one that `"$user"` stands for is among them only where nobody but the server's superusers and the database's owner
/// can make anything: rules do not mean the tables of whoever made a schema with the name of Sunset's user, nor the store's,
/// whose schema is called `sunset` as the user may be.
pub(super) async fn search_path(session: &mut Session<Postgres>) -> Result<Vec<String>, Error> {
    // every name is written with its schema: until the path is set, others may have put functions of theirs before ours
    let sql = "select pg_catalog.array_to_json(array(
            select path.schema from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality path (schema, place)
            where path.schema operator(pg_catalog.<>) current_user
            or pg_catalog.strpos(pg_catalog.current_setting('search_path'), '$user') operator(pg_catalog.=) 0
            or not exists (
                select from pg_catalog.pg_namespace n, lateral (
                    select n.nspowner union all
                    select acl.grantee from pg_catalog.aclexplode(n.nspacl) acl
                    where acl.privilege_type operator(pg_catalog.=) 'CREATE') may (role)
                where n.nspname operator(pg_catalog.=) path.schema and not exists (
                    select from pg_catalog.pg_roles r where r.oid operator(pg_catalog.=) may.role and (r.rolsuper
                        or r.rolname operator(pg_catalog.=) 'pg_database_owner'
                        or r.oid operator(pg_catalog.=) (select d.datdba from pg_catalog.pg_database d
                            where d.datname operator(pg_catalog.=) pg_catalog.current_database()))))
            order by path.place))::pg_catalog.text";
    let schemas = scalar(session, &Statement::new(sql)).await?;
    Ok(schemas.and_then(|schemas| serde_json::from_str(&schemas).ok()).unwrap_or_default())
}

/// Names, operators and casts in Sunset's SQL are the server's own. A function of another role, with a type that fits
/// better, would be taken before them: `lower(varchar)` in `public` could make every row due.
///
/// What triggers and extensions' types need is found after that in the schemas of the path that was (`before`), and in
/// those of extensions, where nobody but the server's superusers and the database's owner can make anything; and in those
/// that the settings name.
pub(super) async fn resolve_in_catalog(
    session: &mut Session<Postgres>,
    named: &[String],
    before: &[String],
) -> Result<(), Error> {
    let set = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false)";
    session.fetch(&Statement::new(set)).await?;
    let sql = "select set_config('search_path', concat_ws(', ', 'pg_catalog', (
            select string_agg(quote_ident(name), ', ' order by place) from (
                select name, min(place) as place from (
                    select name, place::int from unnest($1::text[]) with ordinality named (name, place)
                    union all
                    select nspname::text, wanted.place from pg_namespace n
                    join (
                        select nspname::text as schema, place::int + 1000 as place
                        from unnest($2::text[]) with ordinality before (nspname, place)
                        union all
                        select o.opcnamespace::regnamespace::text, 10000 from pg_opclass o
                        join pg_type t on t.oid = o.opcintype and t.typnamespace <> 'pg_catalog'::regnamespace
                        where o.opcdefault
                    ) wanted on wanted.schema in (n.nspname, quote_ident(n.nspname))
                    where n.oid <> 'pg_catalog'::regnamespace and not exists (
                        select from (
                            select n.nspowner as role union all
                            select grantee from aclexplode(n.nspacl) where privilege_type = 'CREATE') may
                        where not exists (
                            select from pg_roles r where r.oid = may.role and (r.rolsuper
                                or r.rolname = 'pg_database_owner'
                                or r.oid = (select datdba from pg_database where datname = current_database()))))
                ) any_schema group by name) schemas),
            'pg_temp'), false)";
    let texts = |names: &[String]| Value::Texts(names.iter().cloned().map(Some).collect());
    session.fetch(&Statement { sql: sql.to_owned(), args: vec![texts(named), texts(before)] }).await?;
    Ok(())
}

/// Whether a pooler stands between that gives each transaction any session: what Sunset sets and locks would reach the
/// sessions of others. Two connections tell: a session that the first one has not let go never answers the second. Nothing
/// is set in either.
///
/// # Errors
/// The server does not answer.
pub(crate) async fn are_shared(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, sqlx::Error> {
    for _ in 0..ROUNDS {
        let before = process(first).await?;
        match sqlx::raw_sql("begin").execute(&mut *second).await {
            // one that lends a session for a single statement answers so itself
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("08P01") => return Ok(true),
            begun => begun?,
        };
        let other = process(second).await?;
        sqlx::raw_sql("rollback").execute(&mut *second).await?;
        if other == before || process(first).await? != before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What to say where sessions are shared.
pub(crate) const SHARED: &str = "a pooler stands between, such as pgbouncer with `pool_mode = transaction`, and gives each transaction a session of \
     others, in which Sunset's settings and locks would stay: connect to the server itself, or through a pool with \
     `pool_mode = session`";

/// The server's process that answers. Not as a prepared statement, which would stay in the session too.
async fn process(session: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::raw_sql("select pg_catalog.pg_backend_pid()::pg_catalog.text").fetch_one(session).await?;
    row.try_get(0)
}
