//! Names of tables and columns, brought to one form: by the rule files alone, or by the live schemas.

use crate::{
    catalog::{Engine, Table, TableName, TablePath},
    database::{KeyColumn, statements::Way},
    diagnostic::Place,
    plan::{open::OpenDatabase, path::path_between},
    settings::Settings,
};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// A table, told from every other one. A partition has the identity of its root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Two entries of the settings that lead to the same database have the same.
    pub database: String,
    pub schema: String,
    pub name: String,
}

/// Who knows what a name in a rule means.
pub trait Names {
    fn engine(&self, path: &TablePath) -> Option<Engine>;

    fn table(&self, path: &TablePath) -> Option<TableId>;

    /// A table of the schema, in the database that rules call so.
    fn by_name(&self, database: &str, name: &TableName) -> Option<TableId>;

    /// The column's name in the form in which it is compared.
    fn column(&self, path: &TablePath, name: &str) -> String {
        self.fold(path, name)
    }

    /// A column's name in the form in which the engine of that table compares it.
    fn fold(&self, path: &TablePath, name: &str) -> String {
        match self.engine(path) {
            Some(Engine::Mysql | Engine::Sqlite) => name.to_lowercase(),
            Some(Engine::Postgres) | None => name.to_owned(),
        }
    }

    /// Column pairs (theirs, ours) between a table and the rows that tell its starting point; none where nobody knows.
    fn path(&self, table: &TablePath, related: &TablePath, through: &str) -> Vec<(KeyColumn, KeyColumn)>;

    /// The tables are parts of one table that have no row in common.
    fn apart(&self, _a: &TablePath, _b: &TablePath) -> bool {
        false
    }

    /// That path is a foreign key of the table.
    fn is_key(&self, _table: &TablePath, _related: &TableId, _path: &[(KeyColumn, KeyColumn)]) -> bool {
        false
    }

    /// Triggers fire for updated rows of the table.
    fn has_update_trigger(&self, _table: &TableId) -> bool {
        false
    }
}

/// The files alone.
pub struct Files<'a>(pub &'a Settings);

impl Names for Files<'_> {
    fn engine(&self, path: &TablePath) -> Option<Engine> {
        self.0.databases.get(&path.database).map(|database| database.engine)
    }

    fn table(&self, path: &TablePath) -> Option<TableId> {
        let known = self.0.databases.get(&path.database);
        let (database, schema) = known.map_or((path.database.clone(), String::new()), |database| {
            whereabouts(database.url.expose_secret(), database.engine, &self.0.directory)
        });
        Some(TableId {
            database,
            schema: path.schema.clone().unwrap_or(schema),
            name: match self.engine(path) {
                Some(Engine::Sqlite) => path.table.to_lowercase(),
                _ => path.table.clone(),
            },
        })
    }

    fn by_name(&self, _database: &str, _name: &TableName) -> Option<TableId> {
        None
    }

    fn path(&self, _table: &TablePath, _related: &TablePath, _through: &str) -> Vec<(KeyColumn, KeyColumn)> {
        Vec::new()
    }
}

/// Where an entry of the settings leads to, as far as its URL tells: the server with its database, and the schema that a name
/// without one means.
pub fn place_of(settings: &crate::settings::DatabaseSettings, directory: &std::path::Path) -> (String, String) {
    whereabouts(settings.url.expose_secret(), settings.engine, directory)
}

/// The server and database that a URL leads to, and the schema that a name without one means, as far as a URL tells.
fn whereabouts(url: &str, engine: Engine, directory: &std::path::Path) -> (String, String) {
    if engine == Engine::Sqlite {
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = directory.join(path.split('?').next().unwrap_or(path));
        let path = std::path::absolute(&path).unwrap_or(path);
        return (format!("sqlite:{}", path.display()), "main".to_owned());
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, _) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_lowercase();
    let default = if engine == Engine::Postgres { ":5432" } else { ":3306" };
    let host = host.strip_suffix(default).unwrap_or(&host);
    match engine {
        // a schema is a database there
        Engine::Mysql => (format!("mysql://{host}"), database.to_owned()),
        _ => (format!("postgres://{host}/{database}"), String::new()),
    }
}

/// The live schemas.
pub struct Live<'a>(pub &'a BTreeMap<String, OpenDatabase>);

impl Live<'_> {
    pub fn found(&self, path: &TablePath) -> Option<&Table> {
        self.0.get(&path.database)?.catalog.table(path.schema.as_deref(), &path.table)
    }
}

impl Names for Live<'_> {
    fn engine(&self, path: &TablePath) -> Option<Engine> {
        self.0.get(&path.database).map(|open| open.catalog.engine)
    }

    fn table(&self, path: &TablePath) -> Option<TableId> {
        self.by_name(&path.database, &self.found(path)?.name)
    }

    fn by_name(&self, database: &str, name: &TableName) -> Option<TableId> {
        let open = self.0.get(database)?;
        let table = open.catalog.get(name)?;
        let TableName { schema, name } = table.partition_of.clone().unwrap_or_else(|| table.name.clone());
        Some(TableId { database: open.identity.clone(), schema, name })
    }

    fn path(&self, table: &TablePath, related: &TablePath, through: &str) -> Vec<(KeyColumn, KeyColumn)> {
        let (Some(here), Some(there)) = (self.found(table), self.found(related)) else { return Vec::new() };
        // what leads nowhere has been told
        let pairs = path_between(here, there, through, Place::file("")).map(Way::pairs).unwrap_or_default();
        let fold = |column: KeyColumn| KeyColumn { name: self.fold(table, &column.name), ..column };
        pairs.into_iter().map(|(theirs, ours)| (fold(theirs), fold(ours))).collect()
    }

    fn apart(&self, a: &TablePath, b: &TablePath) -> bool {
        let (Some(a), Some(b)) = (self.found(a), self.found(b)) else { return false };
        let is_part = |table: &Table| table.partition_of.is_some();
        let inside = |a: &Table, b: &Table| a.name == b.name || a.partitions.contains(&b.name);
        is_part(a) && is_part(b) && !inside(a, b) && !inside(b, a)
    }

    fn is_key(&self, table: &TablePath, related: &TableId, path: &[(KeyColumn, KeyColumn)]) -> bool {
        let Some(found) = self.found(table) else { return false };
        found.foreign_keys.iter().any(|key| {
            let pairs: Vec<_> = key.referenced_columns.iter().zip(&key.columns).collect();
            let same = |(theirs, ours): &(KeyColumn, KeyColumn)| {
                pairs.iter().any(|(a, b)| self.fold(table, a) == theirs.name && self.fold(table, b) == ours.name)
            };
            self.by_name(&table.database, &key.references).as_ref() == Some(related)
                && pairs.len() == path.len()
                && path.iter().all(same)
        })
    }

    fn has_update_trigger(&self, table: &TableId) -> bool {
        let here = self.0.values().filter(|open| open.identity == table.database);
        here.flat_map(|open| &open.catalog.tables).any(|found| {
            let root = found.partition_of.as_ref().unwrap_or(&found.name);
            root.schema == table.schema
                && root.name == table.name
                && found.triggers.iter().any(|trigger| trigger.on_update)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn urls_of_one_database_are_one() {
        let at = |url, engine| whereabouts(url, engine, Path::new("/job"));
        let postgres = at("postgres://a:b@DB.example.com/core?sslmode=require", Engine::Postgres);
        assert_eq!(postgres, at("postgresql://c@db.example.com:5432/core", Engine::Postgres));
        assert_ne!(postgres, at("postgres://a:b@db.example.com/other", Engine::Postgres));
        let mysql = at("mysql://a:b@db.example.com/core", Engine::Mysql);
        assert_eq!(mysql, at("mariadb://db.example.com:3306/core", Engine::Mysql));
        assert_eq!(mysql.1, "core");
        assert_eq!(at("sqlite:core.db", Engine::Sqlite), at("sqlite:/job/core.db", Engine::Sqlite));
        assert_ne!(at("sqlite:core.db", Engine::Sqlite), at("sqlite:spare.db", Engine::Sqlite));
    }
}
