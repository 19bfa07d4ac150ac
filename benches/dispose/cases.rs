//! The cases: which engine, which table, what is to be done, and how one would do it by hand.

use crate::database::{Connection, Engine, Error};
use jiff::{ToSpan as _, civil::date};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Rows that are due have a starting point before this day.
const CUT_OFF: &str = "2021-01-01";

/// Parents that a hand-written loop takes at a time.
const LOOP: u64 = 10_000;

/// Half of them hold old rows.
const PARTITIONS: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Old rows lie before new ones, and the starting point has an index.
    Ordered,
    /// Neighbours in the table have distant dates.
    Scattered,
    /// In order, without an index.
    Unindexed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One single DELETE by hand.
    Erase,
    /// One single UPDATE of two columns by hand.
    Anonymize,
    /// A quarter as many parents as rows, two children each; a loop of batches by hand.
    Dependents,
    /// The old rows fill partitions of their own; DROP by hand.
    Partitions,
}

pub struct Case {
    pub name: String,
    pub engine: Engine,
    pub url: String,
    pub layout: Layout,
    pub task: Task,
    pub workers: u16,
}

/// The cases that can run here and that were asked for.
pub fn all(directory: &Path) -> Vec<Case> {
    let variable = |name: &str| {
        let url = std::env::var(name).ok();
        if url.is_none() {
            crate::say(&format!("skipped what needs {name}, which is not set"));
        }
        url
    };
    let sqlite = format!("sqlite:{}", directory.join("bench.sqlite").display());
    let engines = [
        (Engine::Postgres, "PostgreSQL", variable("SUNSET_TEST_POSTGRES_URL")),
        (Engine::Mysql, "MySQL", variable("SUNSET_TEST_MYSQL_URL")),
        (Engine::Sqlite, "SQLite", Some(sqlite)),
    ];
    let shapes = [
        ("table order", Layout::Ordered, Task::Erase, 1),
        ("scattered", Layout::Scattered, Task::Erase, 1),
        ("no index", Layout::Unindexed, Task::Erase, 1),
        ("table order, two workers", Layout::Ordered, Task::Erase, 2),
        ("anonymize", Layout::Ordered, Task::Anonymize, 1),
        ("dependents", Layout::Ordered, Task::Dependents, 1),
        ("partitions", Layout::Unindexed, Task::Partitions, 1),
    ];
    let wanted = std::env::var("SUNSET_BENCH_CASES").unwrap_or_default();
    let mut cases = Vec::new();
    for (engine, name, url) in engines {
        let Some(url) = url else { continue };
        for (shape, layout, task, workers) in shapes {
            let name = format!("{name}, {shape}");
            // SQLite has one writer, and no partitions
            if engine != Engine::Sqlite || (workers == 1 && task != Task::Partitions) {
                cases.push(Case { name, engine, url: url.clone(), layout, task, workers });
            }
        }
    }
    cases.retain(|case| wanted.split(',').any(|part| case.name.to_lowercase().contains(&part.trim().to_lowercase())));
    cases
}

impl Case {
    /// A fresh table, or two.
    pub async fn fill(&self, rows: u64) -> Result<(), Error> {
        if self.engine == Engine::Sqlite {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", self.url.trim_start_matches("sqlite:")));
            }
        }
        let rows = if self.task == Task::Dependents { rows / 4 } else { rows };
        let mut connection = Connection::open(self.engine, &self.url).await?;
        connection.execute(&self.table(rows)).await?;
        connection.execute(&self.rows(rows)).await?;
        if self.layout != Layout::Unindexed {
            connection
                .execute(&["create index sunset_bench_created_at on sunset_bench (created_at)".to_owned()])
                .await?;
        }
        if self.task == Task::Dependents {
            connection.execute(&self.children(rows)).await?;
        }
        let settle: &[&str] = match self.engine {
            Engine::Postgres => &["vacuum analyze", "checkpoint"],
            Engine::Mysql => &["analyze table sunset_bench"],
            Engine::Sqlite => &["analyze", "pragma wal_checkpoint(truncate)"],
        };
        connection.execute(&settle.iter().map(|sql| (*sql).to_owned()).collect::<Vec<_>>()).await?;
        Ok(())
    }

    fn table(&self, rows: u64) -> Vec<String> {
        let columns = match self.engine {
            Engine::Postgres => "id bigint, email text, payload text, created_at timestamptz",
            Engine::Mysql => "id bigint, email varchar(100), payload text, created_at datetime",
            Engine::Sqlite => "id integer primary key, email text, payload text, created_at datetime",
        };
        let key = match (self.engine, self.task) {
            (Engine::Sqlite, _) => "",
            // it has to hold the column that the partitions are made by
            (_, Task::Partitions) => ", primary key (id, created_at)",
            _ => ", primary key (id)",
        };
        let quiet = match self.engine {
            Engine::Postgres => "set client_min_messages = error",
            Engine::Mysql => "set sql_notes = 0",
            Engine::Sqlite => "pragma journal_mode = wal",
        };
        let mut create = format!("create table sunset_bench ({columns}{key})");
        let mut partitions = Vec::new();
        if self.task == Task::Partitions {
            let bounds: Vec<_> = (0..PARTITIONS).map(|number| partition(number, rows)).collect();
            match self.engine {
                Engine::Postgres => {
                    create += " partition by range (created_at)";
                    partitions.extend(bounds.iter().enumerate().map(|(number, (from, to))| {
                        format!(
                            "create table sunset_bench_p{number} partition of sunset_bench
                             for values from ('{from}') to ('{to}')"
                        )
                    }));
                }
                Engine::Mysql | Engine::Sqlite => {
                    let below = bounds.iter().enumerate();
                    let below = below.map(|(number, (_, to))| format!("partition p{number} values less than ('{to}')"));
                    let below = below.collect::<Vec<_>>().join(", ");
                    create += &format!(" partition by range columns (created_at) ({below})");
                }
            }
        }
        let drop = ["drop table if exists sunset_bench_child", "drop table if exists sunset_bench"].map(str::to_owned);
        [quiet.to_owned()].into_iter().chain(drop).chain([create]).chain(partitions).collect()
    }

    fn rows(&self, rows: u64) -> Vec<String> {
        let half = rows / 2;
        let number = match self.engine {
            Engine::Postgres => "i::bigint",
            Engine::Mysql => "seq",
            Engine::Sqlite => "i",
        };
        // spread by a multiplication modulo the number of rows
        let place = match self.layout {
            Layout::Scattered => format!("(({number} * 7919) % {rows})"),
            Layout::Ordered | Layout::Unindexed => number.to_owned(),
        };
        vec![match self.engine {
            Engine::Postgres => format!(
                "insert into sunset_bench select i, 'user' || i || '@example.com', repeat('x', 200),
                 case when {place} < {half} then timestamptz '2015-01-01' else timestamptz '2025-06-01' end
                     + ({place} % {half}) * interval '10 seconds' from generate_series(0, {rows} - 1) i"
            ),
            Engine::Mysql => format!(
                "insert into sunset_bench select seq, concat('user', seq, '@example.com'), repeat('x', 200),
                 if({place} < {half}, '2015-01-01', '2025-06-01') + interval ({place} % {half}) * 10 second
                 from seq_0_to_{}",
                rows - 1
            ),
            Engine::Sqlite => format!(
                "with recursive n(i) as (select 0 union all select i + 1 from n where i < {rows} - 1)
                 insert into sunset_bench select i, 'user' || i || '@example.com',
                     replace(hex(zeroblob(100)), '00', 'xx'),
                     datetime(case when {place} < {half} then '2015-01-01' else '2025-06-01' end,
                         (({place} % {half}) * 10) || ' seconds') from n"
            ),
        }]
    }

    /// Two children for each parent.
    fn children(&self, rows: u64) -> Vec<String> {
        let source = match self.engine {
            Engine::Postgres => format!("select i, i / 2, repeat('y', 50) from generate_series(0, {rows} * 2 - 1) i"),
            Engine::Mysql => format!("select seq, seq div 2, repeat('y', 50) from seq_0_to_{}", rows * 2 - 1),
            Engine::Sqlite => format!(
                "with recursive n(i) as (select 0 union all select i + 1 from n where i < {rows} * 2 - 1)
                 select i, i / 2, 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' from n"
            ),
        };
        vec![
            "create table sunset_bench_child (id bigint primary key, parent bigint not null, payload varchar(100),
             foreign key (parent) references sunset_bench (id))"
                .to_owned(),
            format!("insert into sunset_bench_child {source}"),
            "create index sunset_bench_child_parent on sunset_bench_child (parent)".to_owned(),
        ]
    }

    /// What everybody would write by hand.
    pub async fn by_hand(&self, rows: u64) -> Result<Duration, Error> {
        let mut connection = Connection::open(self.engine, &self.url).await?;
        if self.engine == Engine::Sqlite {
            // as Sunset has it, so that both write the same bytes
            connection
                .execute(&["pragma secure_delete = on".to_owned(), "pragma foreign_keys = on".to_owned()])
                .await?;
        }
        let began = Instant::now();
        match self.task {
            Task::Erase => {
                connection.execute(&[format!("delete from sunset_bench where created_at < '{CUT_OFF}'")]).await?;
            }
            Task::Anonymize => {
                let sql = format!(
                    "update sunset_bench set email = null, payload = '' where created_at < '{CUT_OFF}'
                     and not (email is null and payload = '')"
                );
                connection.execute(&[sql]).await?;
            }
            Task::Partitions => {
                let old = 0..PARTITIONS / 2;
                let drop: Vec<_> = match self.engine {
                    Engine::Postgres => old.map(|number| format!("drop table sunset_bench_p{number}")).collect(),
                    Engine::Mysql | Engine::Sqlite => {
                        old.map(|number| format!("alter table sunset_bench drop partition p{number}")).collect()
                    }
                };
                connection.execute(&drop).await?;
            }
            Task::Dependents => {
                // parents in ranges of their key, children before them
                for first in (0..rows / 4).step_by(usize::try_from(LOOP)?) {
                    let parents = format!("id >= {first} and id < {} and created_at < '{CUT_OFF}'", first + LOOP);
                    let batch = [
                        "begin".to_owned(),
                        format!(
                            "delete from sunset_bench_child where parent in (select id from sunset_bench where {parents})"
                        ),
                        format!("delete from sunset_bench where {parents}"),
                        "commit".to_owned(),
                    ];
                    connection.execute(&batch).await?;
                }
            }
        }
        Ok(began.elapsed())
    }

    /// The rule that does the same.
    pub fn rule(&self) -> String {
        let what = match self.task {
            Task::Erase => "    disposition: erase\n",
            Task::Anonymize => {
                "    disposition: anonymize\n    columns:\n      email: suppress\n      payload: {replace: \"\"}\n"
            }
            Task::Dependents => "    disposition: erase\n    dependents: {core.sunset_bench_child: erase}\n",
            Task::Partitions => "    disposition: erase\n    partitions: drop\n    evidence: counts\n",
        };
        format!(
            "category: bench\nrules:\n  - id: old\n    table: core.sunset_bench\n    starting_point: created_at\n    \
             retention_period: 5 years\n{what}"
        )
    }

    /// Half of the rows are done, and only those.
    pub async fn check(&self, rows: u64) -> Result<(), Error> {
        let mut connection = Connection::open(self.engine, &self.url).await?;
        let rows = if self.task == Task::Dependents { rows / 4 } else { rows };
        let left = i64::try_from(rows - rows / 2)?;
        let checks = match self.task {
            Task::Erase | Task::Partitions => vec![
                ("select count(*) from sunset_bench".to_owned(), left),
                (format!("select count(*) from sunset_bench where created_at < '{CUT_OFF}'"), 0),
            ],
            Task::Anonymize => vec![
                ("select count(*) from sunset_bench where email is not null".to_owned(), left),
                (format!("select count(*) from sunset_bench where email is not null and created_at < '{CUT_OFF}'"), 0),
            ],
            Task::Dependents => vec![
                ("select count(*) from sunset_bench".to_owned(), left),
                ("select count(*) from sunset_bench_child".to_owned(), 2 * left),
            ],
        };
        for (sql, expected) in checks {
            let found = connection.number(&sql).await?;
            if found != expected {
                return Err(format!("{}: {sql}: {found}, not {expected}", self.name).into());
            }
        }
        Ok(())
    }

    /// MiB of the table and of its indexes, where the case is about them: PostgreSQL, changed in place.
    pub async fn size(&self) -> Result<Option<(i64, i64)>, Error> {
        if self.engine != Engine::Postgres || self.task != Task::Anonymize {
            return Ok(None);
        }
        let mut connection = Connection::open(self.engine, &self.url).await?;
        let table = connection.number("select pg_relation_size('sunset_bench') / 1048576").await?;
        let indexes = connection.number("select pg_indexes_size('sunset_bench') / 1048576").await?;
        Ok(Some((table, indexes)))
    }

    /// pt-archiver can do the same.
    pub fn has_archiver(&self) -> bool {
        self.engine == Engine::Mysql && self.task == Task::Erase && self.workers == 1
    }

    pub fn where_due() -> String {
        format!("created_at < '{CUT_OFF}'")
    }
}

/// From when, and until when, the rows of a partition are: equal numbers of rows in each.
fn partition(number: u64, rows: u64) -> (String, String) {
    let half = PARTITIONS / 2;
    let start = if number < half { date(2015, 1, 1) } else { date(2025, 6, 1) }.at(0, 0, 0, 0);
    let seconds = (rows / 2).div_ceil(half) * 10;
    let bound = |number: u64| (start + (number * seconds).cast_signed().seconds()).to_string().replace('T', " ");
    let place = number % half;
    // without gaps, as MySQL has it
    let to = if place + 1 == half && number < half { "2025-06-01 00:00:00".to_owned() } else { bound(place + 1) };
    (bound(place), to)
}
