//! `http`: a recipient that is described in YAML alone, in `sunset.yaml` or in a recipe: how a person is looked up, the calls
//! that delete, what their replies mean, and how to learn the end of work that was only accepted.

mod auth;
mod call;
mod content;
mod language;
mod look_up;
mod poll;
#[cfg(feature = "demo")]
mod stand_in;
mod test;
mod values;

use super::{
    Answer, CheckError, Checked, Facts, Identifiers, Kind, Misfit, OpenError, Options, Plumbing, Recipient,
    RecipientSettings, Subject,
    answer::State,
    client::{Auth, Call, Client, Conduct, Failure, Reply, in_order},
    options::Named,
    retry::usual,
    template::HMAC_KEY,
};
use crate::{evidence::Grade, language::node::Node};
use call::{Described, Meaning, Whom, words_of};
use futures_util::future::BoxFuture;
use look_up::LookUp;
use poll::{Poll, TICKET};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use values::{REFERENCE, Values};

/// Calls under way at a time, where settings say nothing.
const AT_ONCE: usize = 32;

/// Names in templates that are no identifiers.
const OURS: &[&str] = &[REFERENCE, TICKET, HMAC_KEY];

pub static KIND: Kind = Kind {
    name: "http",
    doc: "Any other recipient that is asked over HTTP, described here or in a recipe. Texts take identifiers as `{email}`, or \
          through filters as `{email|trim|lower|sha256}`; `{email?}` may be missing; `{reference}` names the request: the \
          same as long as it is repeated, another when the person comes back, and it tells nobody anything.",
    settings: language::SETTINGS,
    identifiers: Identifiers::OfSettings(|settings| {
        Description::read(settings).map_or_else(|_| Vec::new(), |description| description.identifiers())
    }),
    check: |settings| Description::read(settings).map(drop),
    facts: |settings| Facts {
        batch: batch(&settings.options),
        calls: 1,
        rates: settings.rates(&[]),
        grade: grade(settings),
        deleted: "what its own documentation says",
        kept: "what its own documentation says",
        sources: &[],
    },
    remarks: |settings, _| untested(settings).into_iter().collect(),
    open: |settings, plumbing| Ok(Box::new(Http::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn batch(options: &Options) -> usize {
    options.number("batch").and_then(|number| usize::try_from(number).ok()).unwrap_or(1)
}

/// The calls that delete, one after the other, each with the keys that lead to it.
fn calls(options: &Options) -> Vec<Options> {
    match options.node("delete") {
        Some(Node::List(items)) => items.iter().cloned().map(Options::new).collect(),
        Some(node) => vec![Options::new(node.clone())],
        None => Vec::new(),
    }
}

/// The last call's reply is looked at, beyond its status.
fn is_tested(settings: &RecipientSettings) -> bool {
    calls(&settings.options).last().is_some_and(|call| call.node("confirmed").is_some())
}

/// `E1` was wished for, and is not what success will count as.
fn untested(settings: &RecipientSettings) -> Option<Misfit> {
    let wished = settings.options.text("grade") == Some("E1");
    (wished && grade(settings) != Grade::E1).then(|| {
        misfit(
            &["grade"],
            "success counts as E2, for nothing of the reply is looked at: any server may answer 200",
            "say in `delete.confirmed` what the body of a reply has that reports the end, or write `E2`",
        )
    })
}

fn grade(settings: &RecipientSettings) -> Grade {
    match settings.options.text("grade") {
        // Any status can be a proxy's: only a test of the body proves an end.
        Some("E1") if is_tested(settings) => Grade::E1,
        // A poll tells the end, whatever the first answer was.
        _ if settings.options.node("poll").is_some() => Grade::E1,
        _ => Grade::E2,
    }
}

/// The settings, read.
struct Description {
    look_up: Option<LookUp>,
    calls: Vec<Described>,
    poll: Option<Poll>,
    constants: BTreeMap<String, String>,
}

fn misfit(at: &[&'static str], problem: &str, help: &str) -> Misfit {
    Misfit { at: at.to_vec(), problem: problem.to_owned(), help: help.to_owned() }
}

impl Description {
    fn read(settings: &RecipientSettings) -> Result<Self, Misfit> {
        let options = &settings.options;
        let own = calls(options);
        if own.is_empty() {
            return Err(misfit(&[], "`delete` is missing", "describe the call for one person, or name a `recipe`"));
        }
        if settings.url.is_none() {
            return Err(misfit(&[], "`url` is missing", "name the base URL: `url: https://api.example.com`"));
        }
        let constants = options.entries("with").into_iter().chain(options.text(HMAC_KEY).map(|key| (HMAC_KEY, key)));
        let constants: BTreeMap<_, _> = constants.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let description = Self {
            look_up: options.inner("look_up").map(|look_up| LookUp::read(&look_up)).transpose()?,
            calls: own.iter().map(|call| Described::read("delete", call, &["delete"])).collect::<Result<_, _>>()?,
            poll: options.inner("poll").map(|poll| Poll::read(&poll, &constants)).transpose()?,
            constants,
        };
        description.check(batch(options))?;
        Ok(description)
    }

    /// What no shape can tell.
    fn check(&self, batch: usize) -> Result<(), Misfit> {
        if self.identifiers().is_empty() {
            let help = "put an identifier into path, query, headers or body: `{email}`";
            return Err(misfit(&["delete"], "the call names nobody", help));
        }
        for call in &self.calls {
            let (names, singular) = call.names();
            let about_people = |name: &&str| !self.constants.contains_key(*name);
            if !names.keys().any(about_people) {
                let help = "put an identifier, or what `look_up` finds, into each call";
                return Err(misfit(&["delete"], "a call names nobody", help));
            }
            if batch > 1 && singular.iter().any(about_people) {
                let help = "put identifiers under `each` in `json`, or into the line of `file`";
                return Err(misfit(
                    &["batch"],
                    "a call names one person outside of what each person of a batch has",
                    help,
                ));
            }
            if names.contains_key(HMAC_KEY) && !self.constants.contains_key(HMAC_KEY) {
                return Err(misfit(&["delete"], "`hmac_sha256` has no key", "set `hmac_key`"));
            }
        }
        if batch > 1 && self.look_up.is_some() {
            return Err(misfit(&["batch"], "a look-up finds one person", "take `batch` away, or `look_up`"));
        }
        let (last, before) = self.calls.split_last().map_or((None, &[][..]), |(last, before)| (Some(last), before));
        if before.iter().any(|call| call.ticket.is_some()) {
            let help = "only the last call may name work that is asked about later";
            return Err(misfit(&["delete"], "a ticket stands in a call that another one follows", help));
        }
        if self.poll.is_some() && last.is_none_or(|last| last.ticket.is_none()) {
            let help = "say in `delete.ticket` where the reply names it";
            return Err(misfit(&["poll"], "there is no ticket to ask about", help));
        }
        Ok(())
    }

    /// The names that a rule maps to columns: without what look-ups find and settings say.
    fn identifiers(&self) -> Vec<Named> {
        let mut all: BTreeMap<&str, bool> = BTreeMap::new();
        let look_up = self.look_up.iter().map(|look_up| &look_up.call);
        for call in look_up.chain(&self.calls) {
            for (name, optional) in call.names().0 {
                *all.entry(name).or_insert(true) &= optional;
            }
        }
        let found: Vec<&str> = self.look_up.iter().flat_map(LookUp::names).collect();
        let is_given =
            |name: &str| !found.contains(&name) && !self.constants.contains_key(name) && !OURS.contains(&name);
        let all = all.into_iter().filter(|(name, _)| is_given(name));
        all.map(|(name, optional)| Named { name: name.to_owned(), required: !optional }).collect()
    }

    fn retry(&self) -> Vec<u16> {
        let look_up = self.look_up.iter().map(|look_up| &look_up.call);
        look_up.chain(&self.calls).flat_map(|call| call.retry.clone()).collect()
    }
}

fn not_possible() -> Answer {
    Answer::not_possible("the row has not all identifiers that the call needs")
}

/// Calls the recipient, with what every call has.
struct Caller {
    client: Client,
    auth: Auth,
    headers: Vec<(String, SecretString)>,
}

impl Caller {
    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value.clone()));
        self.client.send(&call.auth(self.auth.clone())).await
    }
}

struct Http {
    caller: Caller,
    description: Description,
    check: Option<String>,
    grade: Grade,
    batch: usize,
    at_once: usize,
    /// Stands where a poll knows nobody.
    nobody: Subject,
}

impl Http {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let description = Description::read(settings).map_err(|misfit| wrong(&misfit.problem))?;
        let options = &settings.options;
        let auth = match options.inner("auth") {
            None if options.node("auth").is_some() => return Err(wrong("`auth` cannot be used")),
            None => Auth::None,
            Some(auth) => auth::credentials(&auth).map_err(|reason| wrong(&reason))?,
        };
        let client = plumbing.client(settings, &Conduct { base: "", rates: &[], judge: usual })?;
        let headers = options.entries("headers").into_iter().map(|(name, text)| (name.to_owned(), text.into()));
        let caller = Caller { client: client.also_retry(&description.retry()), auth, headers: headers.collect() };
        Ok(Self {
            caller,
            description,
            check: options.text("check").map(str::to_owned),
            grade: grade(settings),
            batch: batch(options),
            at_once: options.number("at_once").and_then(|number| usize::try_from(number).ok()).unwrap_or(AT_ONCE),
            nobody: Subject::without_tag(BTreeMap::new()),
        })
    }

    /// The grade that success is here.
    fn graded(&self, answer: Answer) -> Answer {
        match answer.grade {
            Some(Grade::E1) if self.description.poll.is_none() => Answer { grade: Some(self.grade), ..answer },
            _ => answer,
        }
    }

    /// One person: looked up, and deleted wherever there is something to delete.
    async fn delete_one(&self, subject: &Subject) -> Answer {
        let values = Values::of(subject, &self.description.constants);
        let Some(look_up) = &self.description.look_up else {
            return self.graded(self.delete_these(&[values]).await.0);
        };
        let entries = match look_up.find(&values, &self.caller).await {
            Ok(entries) => entries,
            Err(answer) => return self.graded(answer),
        };
        let mut worst: Option<Answer> = None;
        for entry in entries {
            let (answer, _) = self.delete_these(&[entry]).await;
            worst = Some(match worst {
                Some(worst) => worst.or_worse(answer),
                None => answer,
            });
        }
        self.graded(worst.unwrap_or_else(|| Answer::gone(Grade::E1)))
    }

    /// The calls about these people, one after the other, until one of them is no success; and whom a refusal is about.
    async fn delete_these(&self, people: &[Values<'_>]) -> (Answer, Whom) {
        let (mut all_gone, mut last) = (true, None);
        for call in &self.description.calls {
            let Ok(made) = call.call(people) else { return (not_possible(), Whom::These) };
            let reply = match self.caller.send(made).await {
                Ok(reply) => reply,
                Err(failure) => return (failure.into(), Whom::Everybody),
            };
            let id = call.request_id(&reply);
            match call.judge(&reply, people) {
                Meaning::Success { body, status } => {
                    all_gone = false;
                    let answer = self.accepted(call, body.as_ref(), status);
                    let id = id.or_else(|| answer.request_id.clone());
                    last = Some(answer.request_id(id));
                }
                // what an earlier night has begun goes on
                Meaning::Gone => last = last.or(Some(Answer::gone(Grade::E1).request_id(id))),
                Meaning::Refused { reason, whom } => return (Answer::refused(reason).request_id(id), whom),
                Meaning::Unreachable(reason) => {
                    return (Answer::unreachable(reason, None).request_id(id), Whom::Everybody);
                }
            }
        }
        let answer = last.unwrap_or_else(not_possible);
        (if all_gone { Answer { state: State::Gone, ..answer } } else { answer }, Whom::Everybody)
    }

    /// A success: its end, or the ticket to ask with.
    fn accepted(&self, call: &Described, body: Option<&Value>, status: u16) -> Answer {
        let ticket = call.ticket_in(body);
        let Some(poll) = self.description.poll.as_ref().filter(|_| call.ticket.is_some()) else {
            return Answer::confirmed(Grade::E1).request_id(ticket);
        };
        if poll.is_done(body) {
            return Answer::confirmed(Grade::E1);
        }
        match ticket {
            Some(ticket) => Answer::accepted(ticket, poll.every),
            None => Answer::unreachable(format!("HTTP {status} without a ticket"), None),
        }
    }

    /// A batch. One that is refused is asked in halves: only the persons whom the recipient does not take are refused.
    fn delete_batch<'a>(&'a self, subjects: &'a [Subject]) -> BoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let constants = &self.description.constants;
            let usable = |subject: &&Subject| {
                let values = Values::of(subject, constants);
                self.description.calls.iter().all(|call| call.call(std::slice::from_ref(&values)).is_ok())
            };
            let people: Vec<_> = subjects.iter().filter(usable).map(|subject| Values::of(subject, constants)).collect();
            if people.is_empty() {
                return subjects.iter().map(|_| not_possible()).collect();
            }
            let (answer, whom) = self.delete_these(&people).await;
            let answer = self.graded(answer);
            if matches!(answer.state, State::Refused { .. }) && whom == Whom::These && people.len() > 1 {
                let (left, right) = subjects.split_at(subjects.len() / 2);
                let (left, right) = (self.delete_batch(left).await, self.delete_batch(right).await);
                return left.into_iter().chain(right).collect();
            }
            subjects.iter().map(|subject| if usable(&subject) { answer.clone() } else { not_possible() }).collect()
        })
    }

    async fn poll_one(&self, ticket: &str) -> Answer {
        let Some(poll) = &self.description.poll else { return Answer::refused("nobody told how to poll") };
        let Ok(call) = poll.call(ticket, &self.nobody, &self.description.constants) else {
            return Answer::refused("nobody told how to poll");
        };
        match self.caller.send(call).await {
            Ok(reply) => poll.judge(&reply, ticket).request_id(poll.call.request_id(&reply)),
            Err(failure) => failure.into(),
        }
    }
}

#[async_trait::async_trait]
impl Recipient for Http {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        if self.batch > 1 {
            let batches = subjects.chunks(self.batch).map(|batch| self.delete_batch(batch)).collect();
            return in_order(batches, self.at_once).await.into_iter().flatten().collect();
        }
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), self.at_once).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        in_order(tickets.iter().map(|ticket| self.poll_one(ticket)).collect(), self.at_once).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let Some(path) = &self.check else {
            return Ok(Checked::Unproven { reason: "`check` names no path that proves the credentials".to_owned() });
        };
        match self.caller.send(Call::get("check", path)).await {
            Ok(reply) if reply.is_success() => Ok(Checked::Proven),
            Ok(reply) => Err(CheckError { reason: words_of(&reply), temporary: false }),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}
