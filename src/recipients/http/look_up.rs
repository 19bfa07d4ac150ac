//! The look-up before a deletion: it finds the vendor's own name for a person.
//!
//! What is found is deleted, so it has to be this person: entries of a list are compared with what was asked for, and more
//! of them than a person has are refused. "Nobody" is believed only where the reply has the list.

use super::{
    Caller, Misfit,
    call::{Described, Meaning},
    test::{Tests, text_of},
    values::Values,
};
use crate::{
    evidence::Grade,
    recipients::{Answer, Options},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A list that has more pages has no end.
const MOST_PAGES: usize = 100;

pub(super) struct LookUp {
    pub call: Described,
    select: Option<Select>,
    take: Vec<(String, String)>,
    most: usize,
    next: Option<(String, String)>,
}

/// Which entries of a list are meant.
pub(super) struct Select {
    list: String,
    tests: Tests,
}

impl Select {
    /// `None` where no list is named.
    pub fn read(options: &Options, at: &'static str) -> Result<Option<Self>, Misfit> {
        let tests = Tests::read(options, "where", &[at])?;
        match (options.text("list"), tests) {
            (None, None) => Ok(None),
            (Some(list), Some(tests)) => Ok(Some(Self { list: list.to_owned(), tests })),
            (Some(_), None) => Err(Misfit {
                at: vec![at, "list"],
                problem: "nothing says which entries of the list are meant".to_owned(),
                help:
                    "add `where`, such as `{pointer: /email, equals: \"{email}\"}`: a recipient that does not know a \
                       parameter gives everybody"
                        .to_owned(),
            }),
            (None, Some(_)) => Err(Misfit {
                at: vec![at, "where"],
                problem: "there is no list to choose from".to_owned(),
                help: "say in `list` where it stands".to_owned(),
            }),
        }
    }

    /// The entries that are meant; `None` where the reply has no such list.
    pub fn entries<'b, 'v>(&self, body: &'b Value, value: &impl Fn(&str) -> Option<&'v str>) -> Option<Vec<&'b Value>> {
        let list = body.pointer(&self.list)?.as_array()?;
        Some(list.iter().filter(|entry| self.tests.all(Some(entry), value)).collect())
    }
}

impl LookUp {
    pub fn read(options: &Options) -> Result<Self, Misfit> {
        let next = options
            .inner("next")
            .and_then(|next| Some((next.text("pointer")?.to_owned(), next.text("query")?.to_owned())));
        Ok(Self {
            call: Described::read("look_up", options, &["look_up"])?,
            select: Select::read(options, "look_up")?,
            take: options.entries("take").into_iter().map(|(name, at)| (name.to_owned(), at.to_owned())).collect(),
            most: options.number("most").and_then(|most| usize::try_from(most).ok()).unwrap_or(1),
            next,
        })
    }

    /// The names under which later calls find what was found.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.take.iter().map(|(name, _)| name.as_str())
    }

    /// What is found of a person, for each entry; the answer where that is the end.
    pub async fn find<'a>(&self, person: &Values<'a>, caller: &Caller) -> Result<Vec<Values<'a>>, Answer> {
        let one = std::slice::from_ref(person);
        let first = self.call.call(one).map_err(|_| super::not_possible())?;
        let (mut call, mut all) = (first.clone(), Vec::new());
        for _ in 0..MOST_PAGES {
            let reply = caller.send(call).await?;
            let body = match self.call.judge(&reply, one) {
                Meaning::Success { body: Some(body), .. } => body,
                Meaning::Success { body: None, status } => {
                    return Err(Answer::unreachable(
                        format!("HTTP {status} to the look-up with an answer that cannot be read"),
                        None,
                    ));
                }
                Meaning::Gone => return Err(Answer::gone(Grade::E1)),
                other => return Err(other.answer()),
            };
            self.collect(&body, person, &mut all)?;
            let next = self.next.as_ref().and_then(|(at, query)| Some((body.pointer(at).and_then(text_of)?, query)));
            match next.filter(|(next, _)| !next.is_empty()) {
                Some((next, query)) => call = first.clone().query(query, next),
                None if all.is_empty() => return Err(Answer::gone(Grade::E1)),
                None => return Ok(all),
            }
        }
        Err(Answer::refused("the look-up has no last page"))
    }

    fn collect<'a>(&self, body: &Value, person: &Values<'a>, all: &mut Vec<Values<'a>>) -> Result<(), Answer> {
        let value = |name: &str| person.get(name);
        let entries = match &self.select {
            None => vec![body],
            Some(select) => select.entries(body, &value).ok_or_else(|| {
                Answer::unreachable("the answer to the look-up has no list where one is expected", None)
            })?,
        };
        for entry in entries {
            let mut found = BTreeMap::new();
            for (name, at) in &self.take {
                let text = entry.pointer(at).and_then(text_of).filter(|text| !text.trim().is_empty());
                let text =
                    text.ok_or_else(|| Answer::unreachable("the look-up found an entry without its name", None))?;
                found.insert(name.clone(), text);
            }
            all.push(Values { found, ..person.clone() });
        }
        match all.len() > self.most {
            true => Err(Answer::refused(format!(
                "the look-up finds more than {} entries: nothing was deleted; look whether `where` names one person",
                self.most
            ))),
            false => Ok(()),
        }
    }
}
