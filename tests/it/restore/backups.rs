//! Backups of a test's database, and what puts them back: the database as a whole, or its tables one by one.

use crate::{
    server::execute,
    support::bench::{Bench, mysql},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection, raw_sql};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use sunset::catalog::Engine;

/// A database as it was. PostgreSQL: a dump. MariaDB and MySQL: a database beside it, as a dump would make it. SQLite: a copy
/// of the file.
pub struct Backup {
    file: PathBuf,
    beside: String,
}

impl Backup {
    pub async fn of(bench: &Bench) -> Self {
        let backup = Self { file: bench.path("backup"), beside: format!("{}_backup", bench.database.name) };
        match bench.engine {
            Engine::Postgres => tool("pg_dump", &["--clean", "--if-exists", "--file"], &backup.file, bench),
            Engine::Mysql => {
                execute(bench.engine, &bench.database.admin, &format!("create database {}", backup.beside)).await;
                copy(bench, &bench.database.name, &backup.beside).await;
            }
            Engine::Sqlite => drop(fs::copy(file(bench), &backup.file).unwrap()),
        }
        backup
    }

    /// Puts the whole database back, as one does after a disaster.
    pub async fn restore(&self, bench: &Bench) {
        let (name, admin) = (&bench.database.name, &bench.database.admin);
        match bench.engine {
            Engine::Postgres => {
                execute(bench.engine, admin, &format!("drop database {name} with (force)")).await;
                execute(bench.engine, admin, &format!("create database {name}")).await;
                self.replay(bench).await;
            }
            Engine::Mysql => {
                execute(bench.engine, admin, &format!("drop database {name}")).await;
                execute(bench.engine, admin, &format!("create database {name}")).await;
                self.replay(bench).await;
            }
            Engine::Sqlite => self.replay(bench).await,
        }
    }

    /// Makes the tables anew in the database that is there.
    pub async fn replay(&self, bench: &Bench) {
        match bench.engine {
            Engine::Postgres => tool("psql", &["--quiet", "--set", "ON_ERROR_STOP=1", "--file"], &self.file, bench),
            Engine::Mysql => {
                // a table's age is known in seconds
                tokio::time::sleep(Duration::from_millis(1100)).await;
                copy(bench, &self.beside, &bench.database.name).await;
            }
            Engine::Sqlite => {
                fs::copy(&self.file, file(bench)).unwrap();
                for end in ["-wal", "-shm"] {
                    let _ = fs::remove_file(format!("{}{end}", file(bench).display()));
                }
            }
        }
    }

    /// Goes away with the test.
    pub async fn forget(self, bench: &Bench) {
        if bench.engine == Engine::Mysql {
            execute(bench.engine, &bench.database.admin, &format!("drop database {}", self.beside)).await;
        }
    }
}

fn tool(name: &str, arguments: &[&str], file: &Path, bench: &Bench) {
    let mut command = Command::new(name);
    command.args(arguments).arg(file).arg("--dbname").arg(&bench.database.url);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn copy(bench: &Bench, from: &str, to: &str) {
    let mut connection = mysql(&bench.database.admin).await;
    let sql = format!("select cast(table_name as char) from information_schema.tables where table_schema = '{from}'");
    let tables = connection.fetch_all(raw_sql(AssertSqlSafe(sql))).await.unwrap();
    for table in tables.iter().map(|row| row.get_unchecked::<String, _>(0)) {
        let sql = format!(
            "drop table if exists {to}.{table}; create table {to}.{table} like {from}.{table}; \
             insert into {to}.{table} select * from {from}.{table}"
        );
        connection.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The file of a SQLite database.
pub fn file(bench: &Bench) -> PathBuf {
    PathBuf::from(bench.database.url.strip_prefix("sqlite:").unwrap())
}

/// Statements in one session that does not begin a transaction around them.
pub async fn one_by_one(bench: &Bench, statements: &[&str]) {
    let url = bench.database.url.as_str();
    for sql in statements {
        let sql = raw_sql(AssertSqlSafe((*sql).to_owned()));
        match bench.engine {
            Engine::Postgres => drop(PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap()),
            Engine::Mysql => drop(mysql(url).await.fetch_all(sql).await.unwrap()),
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                drop(connection.fetch_all(sql).await.unwrap());
                connection.close().await.unwrap();
            }
        }
    }
}
