//! The store's tables, and how older ones become today's.

use super::{Error, Store, connection::Connection};
use crate::settings::StoreSettings;

/// Each text brings the tables from the version before to the next. Texts that were released are never changed.
/// `blob` stands for the engine's type for bytes.
const MIGRATIONS: &[&str] = &["
    -- The ledger: each line exactly as it was hashed.
    create table entries (
        seq bigint not null primary key,
        line text not null
    );
    -- Which batches were announced and how they ended; what crash recovery looks for.
    create table intents (
        seq bigint not null primary key,
        outcome bigint
    );
    create index open_intents on intents (seq) where outcome is null;
    -- The row tags of a batch: sorted, 16 bytes each.
    create table row_tags (
        intent bigint not null primary key,
        table_path text not null,
        tag_key text not null,
        tags blob not null
    );
    create index row_tags_of_table on row_tags (table_path, tag_key);
    -- Signed notes, and the tree's right edge, so that the next one need not start at the first entry.
    create table checkpoints (
        size bigint not null primary key,
        note text not null,
        edge blob not null
    );
    -- Keys that the ledger has introduced; secrets are not among them.
    create table known_keys (
        kind text not null,
        id text not null,
        public_key text,
        introduced bigint not null,
        destroyed_at text,
        primary key (kind, id)
    );
    -- What a hold says is a JSON document.
    create table holds (
        id bigint not null primary key,
        hold text not null,
        released_at text
    );
", "
    -- What recipients have answered about persons, who are tags made with a key of the ledger. A row that settles stays:
    -- nobody is asked twice. Times are seconds since 1970.
    create table recipient_answers (
        recipient text not null,
        tag text not null,
        operation text not null,
        state text not null,
        grade text,
        request_id text,
        ticket text,
        poll_after bigint,
        first_asked_at bigint not null,
        settled_at bigint,
        -- When the row that it was asked for has gone: who comes back later is asked about anew.
        used_at bigint,
        primary key (recipient, tag)
    );
    create index pending_answers on recipient_answers (recipient, poll_after) where ticket is not null;
", "
    -- Notices that people confirm: which one a person stood in, until when, and when the recipient was last reminded.
    alter table recipient_answers add column notice text;
    alter table recipient_answers add column due_at bigint;
    alter table recipient_answers add column reminded_at bigint;
    create index noticed_answers on recipient_answers (recipient, notice) where notice is not null;
", "
    -- How rules, recipients and batches stood at the last plan or run, and sums over all runs: what metrics and pages
    -- show. One row, a JSON document.
    create table standing (
        id bigint not null primary key,
        document text not null
    );
", "
    -- Batches whose evidence is the number of rows alone: their table, and the row tags that only recovery needs, until
    -- it is known how they ended.
    alter table intents add column counted text;
    create index counted_intents on intents (counted, seq) where counted is not null;
    create table open_tags (
        intent bigint not null primary key,
        tag_key text not null,
        tags blob not null
    );
", "
    -- What the recipient gave as reason, or what accepted work waits for.
    alter table recipient_answers add column reason text;
", "
    -- Passes through tables that several share, and the chunks that are being worked at; what is done is taken out.
    -- Positions are sealed, since keys of rows may be personal. `sizes` and `work` are opaque to the store.
    create table passes (
        id bigint not null primary key,
        rule text not null,
        work text not null,
        rest blob null,
        version bigint not null,
        sizes text not null,
        enough bigint not null,
        disposed bigint not null,
        is_over bigint not null
    );
    create index passes_of_rule on passes (rule);
    create table chunks (
        pass bigint not null,
        number bigint not null,
        fence bigint not null,
        begins blob not null,
        ends blob null,
        run text not null,
        worker bigint not null,
        leased_until bigint not null,
        primary key (pass, number)
    );
", "
    -- Calls that recipients with a daily quota have had; a day is known by its first second since 1970.
    create table recipient_calls (
        recipient text not null,
        day bigint not null,
        calls bigint not null,
        primary key (recipient, day)
    );
", "
    -- Pauses of the whole job. What one says is a JSON document.
    create table pauses (
        id bigint not null primary key,
        pause text not null,
        ended_at text
    );
", "
    -- Rules whose rows went, and whose bytes are still to be cleaned up: tables as a JSON array of schema and name.
    create table owed_maintenance (
        rule text not null primary key,
        tables text not null
    );
", "
    -- What people have said of assertions, the newest of each. What one says is a JSON document.
    create table attestations (
        assertion text not null primary key,
        attestation text not null
    );
", "
    -- Runs that share a night's work, with the number of their first entry.
    create table grouped_runs (
        run text not null primary key,
        group_name text not null,
        seq bigint not null
    );
    create index grouped_runs_group_name on grouped_runs (group_name);
", "
    -- Rules whose anonymized rows were counted and form groups that are large enough; the terms are opaque to the store.
    create table passed_gates (
        rule text not null primary key,
        terms text not null,
        passed_at text not null
    );
", "
    -- Rows that the processes of a group have changed, by rule (the whole run has no name), for limits that they share.
    create table taken_rows (
        group_name text not null,
        name text not null,
        taken bigint not null,
        primary key (group_name, name)
    );
", "
    -- Which asking of a person it is, by number, so that a request about somebody who came back has another name; the run
    -- whose row used an answer up; and until when a recipient has asked not to be called, in seconds since 1970.
    alter table recipient_answers add column asking bigint not null default 1;
    alter table recipient_answers add column used_by text;
    create table recipient_rests (
        recipient text not null primary key,
        until bigint not null
    );
", "
    -- The newest checkpoint that each place outside has taken, with the cosignature where it is a witness's.
    create table anchored_checkpoints (
        place text not null primary key,
        size bigint not null,
        note text not null,
        taken_at bigint not null
    );
", "
    -- What persons have asked for. The key of the home row is sealed, and forgotten when the request is closed.
    create table person_requests (
        id bigint not null primary key,
        request text not null,
        closed_at text
    );
", "
    -- Of each database, the entry that says where it stood last, and the last one in which a person let runs go on after a
    -- restore.
    create table positions (
        database_name text not null primary key,
        entry bigint not null,
        restored bigint
    );
    -- Rows that a restore has brought back, as hexadecimal tags: what recipients have confirmed of their persons still counts.
    create table returned_rows (
        table_path text not null,
        tag text not null,
        primary key (table_path, tag)
    );
", "
    -- Where a person's identifiers were read when the recipient was asked: the table, and its columns.
    alter table recipient_answers add column read_from text;
"];

/// The version that this program knows.
#[expect(clippy::cast_possible_wrap, reason = "a handful")]
const KNOWN: i64 = MIGRATIONS.len() as i64;

impl Store {
    /// Brings the tables up to date, in one transaction.
    pub(super) async fn migrate(&mut self) -> Result<(), Error> {
        if self.version().await? == Some(KNOWN) {
            return Ok(());
        }
        self.begin().await?;
        let blob = match self.connection {
            Connection::Sqlite(_) => "blob",
            Connection::Postgres(_) => "bytea",
        };
        // Another process may have been first while this one waited for its turn.
        let version = match self.version().await? {
            Some(version) => version,
            None => {
                if matches!(self.connection, Connection::Postgres(_)) {
                    self.connection.raw("create schema if not exists sunset").await?;
                }
                self.connection.raw("create table migrations (version bigint not null primary key)").await?;
                0
            }
        };
        if version > KNOWN {
            self.rollback().await?;
            return Err(Error::Newer { found: version, known: KNOWN });
        }
        for (text, version) in MIGRATIONS.iter().zip(1_i64..).filter(|(_, number)| *number > version) {
            self.connection.raw(&text.replace(" blob ", &format!(" {blob} "))).await?;
            self.execute("insert into migrations (version) values ($1)", vec![version.into()]).await?;
        }
        if matches!(self.connection, Connection::Postgres(_)) && version == 0 {
            // Tags are random bytes: trying to compress them costs time and gains nothing.
            self.connection.raw("alter table row_tags alter column tags set storage external").await?;
        }
        self.commit().await
    }

    /// Refuses a store that has no tables or those of another version.
    pub(super) async fn require_current_tables(&mut self, settings: &StoreSettings) -> Result<(), Error> {
        match self.version().await? {
            Some(KNOWN) => Ok(()),
            Some(found) if found > KNOWN => Err(Error::Newer { found, known: KNOWN }),
            Some(found) => Err(Error::Older { found, known: KNOWN }),
            None => Err(Error::Absent(match settings {
                StoreSettings::Sqlite(path) => path.display().to_string(),
                StoreSettings::Postgres(_) => "the PostgreSQL server's schema sunset".into(),
            })),
        }
    }

    /// The version of the tables; `None` where there are none.
    async fn version(&mut self) -> Result<Option<i64>, Error> {
        let exists: Option<(i64,)> = match self.connection {
            Connection::Sqlite(_) => {
                let sql = "select 1 from sqlite_master where type = 'table' and name = 'migrations'";
                self.fetch_one(sql, vec![]).await?
            }
            Connection::Postgres(_) => {
                let sql = "select 1::bigint from pg_tables where schemaname = 'sunset' and tablename = 'migrations'";
                self.fetch_one(sql, vec![]).await?
            }
        };
        if exists.is_none() {
            return Ok(None);
        }
        let version: Option<(Option<i64>,)> = self.fetch_one("select max(version) from migrations", vec![]).await?;
        Ok(Some(version.and_then(|(version,)| version).unwrap_or(0)))
    }
}
