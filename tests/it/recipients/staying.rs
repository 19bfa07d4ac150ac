//! Those who stay, for recipients whose lists are made anew: a table that need not be there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use sunset::recipients::{Members, members::Page};

/// They are read on pages of seven. On each page stands somebody, too, whose column says `n/a`.
#[derive(Debug)]
pub struct Staying {
    identifier: &'static str,
    pub people: Mutex<Vec<String>>,
    /// The second page cannot be read.
    broken: bool,
}

impl Staying {
    pub fn new(identifier: &'static str, people: impl Iterator<Item = String>) -> Arc<Self> {
        Arc::new(Self { identifier, people: Mutex::new(people.collect()), broken: false })
    }

    pub fn broken(identifier: &'static str, people: impl Iterator<Item = String>) -> Arc<Self> {
        Arc::new(Self { identifier, people: Mutex::new(people.collect()), broken: true })
    }
}

#[async_trait::async_trait]
impl Members for Staying {
    async fn page(&self, recipient: &str, after: Option<&str>) -> Result<Page, String> {
        assert_eq!(recipient, "shop");
        let start: usize = after.map_or(0, |after| after.parse().unwrap());
        if self.broken && start > 0 {
            return Err("the connection broke off".to_owned());
        }
        let people = self.people.lock().unwrap();
        let member = |text: &str| BTreeMap::from([(self.identifier.to_owned(), text.to_owned())]);
        let mut members: Vec<_> = people.iter().skip(start).take(7).map(|person| member(person)).collect();
        members.push(member("n/a"));
        Ok(Page { members, next: (start + 7 < people.len()).then(|| (start + 7).to_string()) })
    }
}
