//! Which names of the settings lead to one database. Rows are reached over any of them, and so are holds.

use super::{
    interplay::names,
    open::{OpenDatabase, whereabouts},
};
use crate::{
    catalog::{Catalog, Engine, Table, TablePath},
    job::Job,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where the names lead to.
#[derive(Default)]
pub struct Places(BTreeMap<String, Place>);

struct Place {
    engine: Engine,
    /// By the URL: the server with its database, and the schema that a name without one means.
    url: (String, String),
    /// What [`OpenDatabase::identity`] is there, where it has been asked.
    identity: Option<String>,
}

impl Places {
    /// Asks these databases who they are, where another name could lead there too. One that cannot be asked is known by its
    /// URL.
    pub async fn look_up(job: &Job, asked: &BTreeSet<&str>) -> Self {
        let all = &job.settings.databases;
        let mut places = BTreeMap::new();
        for (name, settings) in all {
            let has_kin = all.iter().any(|(other, kin)| other != name && kin.engine == settings.engine);
            let identity = match has_kin && asked.contains(name.as_str()) {
                true => whereabouts(settings, &job.settings.pace).await.ok(),
                false => None,
            };
            let url = names::place_of(settings, &job.settings.directory);
            places.insert(name.clone(), Place { engine: settings.engine, url, identity });
        }
        Self(places)
    }

    /// The names that lead to an open database, its own among them.
    pub fn names_of<'a>(&'a self, name: &'a str, open: &OpenDatabase) -> BTreeSet<&'a str> {
        let own = self.0.get(name);
        let leads_here = |place: &Place| match (&place.identity, own) {
            (Some(identity), _) => *identity == open.identity,
            (None, Some(own)) => own.engine == place.engine && own.url.0 == place.url.0,
            (None, None) => false,
        };
        let others = self.0.iter().filter(|(_, place)| leads_here(place)).map(|(name, _)| name.as_str());
        others.chain([name]).collect()
    }

    /// What a path means in this catalog, which belongs to a database that the path's name leads to.
    pub fn table<'a>(&self, path: &TablePath, catalog: &'a Catalog) -> Option<&'a Table> {
        let by_url = self.0.get(&path.database).map(|place| place.url.1.as_str()).filter(|schema| !schema.is_empty());
        catalog.table(path.schema.as_deref().or(by_url), &path.table)
    }
}
