//! How the end of accepted work is learnt.

use super::{
    Misfit,
    call::{Described, words_of},
    look_up::Select,
    test::Tests,
    values::Values,
};
use crate::{
    evidence::Grade,
    language::format,
    recipients::{
        Answer, Options, Subject,
        client::{Call, Reply},
        template::Missing,
    },
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Between two looks at accepted work, where settings say nothing.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// The name of the accepted work, as templates know it.
pub(super) const TICKET: &str = "ticket";

pub(super) struct Poll {
    pub call: Described,
    select: Option<Select>,
    done: Tests,
    failed: Option<Tests>,
    pub every: Duration,
}

impl Poll {
    /// `constants` are the names that the settings give values for.
    pub fn read(options: &Options, constants: &BTreeMap<String, String>) -> Result<Self, Misfit> {
        let done = Tests::read(options, "done", &["poll"])?.ok_or_else(|| Misfit {
            at: vec!["poll"],
            problem: "`done` is missing".to_owned(),
            help: "say what tells the end".to_owned(),
        })?;
        let poll = Self {
            call: Described::read("poll", options, &["poll"])?,
            select: Select::read(options, "poll")?,
            done,
            failed: Tests::read(options, "failed", &["poll"])?,
            every: options.text("every").and_then(format::duration).unwrap_or(EVERY),
        };
        let (names, _) = poll.call.names();
        if names.keys().any(|name| *name != TICKET && !constants.contains_key(*name)) {
            return Err(Misfit {
                at: vec!["poll", "path"],
                problem: "a poll knows the ticket alone".to_owned(),
                help: "the person may be gone by then: only `{ticket}` can stand here".to_owned(),
            });
        }
        Ok(poll)
    }

    /// The call that asks about a ticket.
    pub fn call(&self, ticket: &str, nobody: &Subject, constants: &BTreeMap<String, String>) -> Result<Call, Missing> {
        self.call.call(&[values(ticket, nobody, constants)])
    }

    /// The reply to the deletion itself tells the end already.
    pub fn is_done(&self, body: Option<&Value>) -> bool {
        self.select.is_none() && self.done.all(body, &|_| None)
    }

    pub fn judge(&self, reply: &Reply, ticket: &str) -> Answer {
        let body = reply.json();
        let value = |name: &str| (name == TICKET).then_some(ticket);
        let entry = match (&self.select, &body) {
            (Some(select), Some(body)) => match select.entries(body, &value) {
                Some(entries) => entries.into_iter().next(),
                None => None,
            },
            (_, body) => body.as_ref(),
        };
        if reply.is_success() && self.done.all(entry, &value) {
            Answer::confirmed(Grade::E1)
        } else if self.failed.as_ref().is_some_and(|tests| tests.any(entry, &value)) {
            Answer::refused("the recipient reports that the request failed")
        } else if reply.is_success() && body.is_some() {
            Answer::accepted(ticket, self.every)
        } else if reply.is_page() {
            Answer::unreachable(format!("HTTP {} with a page, which is no answer of an API", reply.status), None)
        } else if reply.status == 404 {
            Answer::forgotten("the ticket is unknown; a new request will be made")
        } else if reply.is_success() {
            Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None)
        } else {
            Answer::refused(words_of(reply))
        }
    }
}

fn values<'a>(ticket: &str, nobody: &'a Subject, constants: &'a BTreeMap<String, String>) -> Values<'a> {
    let found = BTreeMap::from([(TICKET.to_owned(), ticket.to_owned())]);
    Values { found, ..Values::of(nobody, constants) }
}
