//! Stripe: deletes customers, or redacts them with everything that belongs to them.
//!
//! `mode: delete` calls `DELETE /v1/customers/{id}`. Cards and bank accounts go and subscriptions end; payments, invoices,
//! events and request logs stay, and the customer can still be looked up by its id, as a deleted one
//! (<https://docs.stripe.com/api/customers/delete>).
//!
//! `mode: redaction` makes redaction jobs, a public preview (<https://docs.stripe.com/privacy/redaction>): at most ten customers
//! each, validated, run, and polled until they have succeeded. Everything that belongs to the customers is redacted, which
//! cannot be undone; Stripe may keep what the law demands.
//!
//! A customer is gone only if Stripe says so with HTTP 404 and code `resource_missing`: an address that it does not know
//! answers 404, too. A success has to name the customer that was asked about.
//!
//! Not confirmed by any documentation, from memory alone: that the message of this error tells a key of the other mode by "similar object exists",
//! and that detaching what is detached, or cancelling what is cancelled, is an error (both are looked up then). How long a
//! redaction job takes is not documented.

mod redaction;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    client::{Auth, Call, Client, Conduct, Failure, Reply, in_order, segment},
    no_remarks,
    retry::{Verdict, retry_after},
};
use crate::{
    diagnostic::Code,
    evidence::Grade,
    language::{
        format,
        rate::Rate,
        shape::{Bounds, Field, Shape, Word},
    },
};
use redaction::{blocking, path_of};
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::OnceCell;

const BASE: &str = "https://api.stripe.com";

/// Any version of this form knows redaction jobs; this is the one that was read.
const PREVIEW: &str = "2026-09-30.preview";

/// "Any single endpoint, 25 requests a second unless stated" (<https://docs.stripe.com/rate-limits>), which is also all that a
/// sandbox takes.
const RATES: &[Rate] = &[Rate::per_second(25)];

/// A job takes no more objects.
const MOST_PER_JOB: usize = 10;

/// Calls under way at a time.
const AT_ONCE: usize = 16;

/// A page of a list.
const PAGE: &str = "100";

/// How long one waits for a job's validation before leaving it to a later run, and for what it is looked at again.
const VALIDATION: Duration = Duration::from_secs(30);
const VALIDATING: Duration = Duration::from_secs(60);
const REDACTING: Duration = Duration::from_secs(10 * 60);

/// When what blocks a redaction may be over.
const BLOCKED: Duration = Duration::from_secs(24 * 60 * 60);
const LOCKED: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "stripe",
    doc: "Stripe: deletes customers, or redacts them with all their payments.",
    settings: &[
        Field::required(
            "api_key",
            "A secret or restricted key, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${STRIPE_KEY}\"",
        ),
        Field::optional(
            "account",
            "The account that the key must be of, as `sunset plan --check-recipients` shows it. With a key of any other, \
                  nobody is asked about: that account would know nobody, and all would seem to be gone.",
            Shape::Text(&format::TEXT),
            "acct_1032D82eZvKYlo2C",
        ),
        Field::optional(
            "mode",
            "What is asked for; `delete` by default.",
            Shape::Words(&[
                Word {
                    word: "delete",
                    doc: "the customer with payment methods and subscriptions; payments, invoices and events stay",
                },
                Word {
                    word: "redaction",
                    doc: "a redaction job (Stripe's public preview): the customer and all payments that belong to it \
                          become unreadable for good, and can be neither refunded nor defended in a dispute; payments of \
                          the last 90 days block it",
                },
            ]),
            "redaction",
        ),
        Field::optional(
            "detach_payment_methods",
            "Detach the customer's payment methods first; `false` by default.",
            Shape::Boolean,
            "true",
        ),
        Field::optional(
            "cancel_subscriptions",
            "Cancel the customer's subscriptions first; `false` by default. (Deletion cancels them in any case.)",
            Shape::Boolean,
            "true",
        ),
        Field::optional(
            "customers_per_job",
            "Customers in one redaction job; 10 by default, which is the most that Stripe takes.",
            Shape::Integer(Bounds { least: Some(1.0), most: Some(10.0), above: false, code: Code::BadLimit }),
            "10",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[Identifier { name: "customer", doc: "Stripe's id of the customer.", example: "cus_NffrFeUfNV2Hib" }],
        any_of: &[&["customer"]],
    },
    check: |_| Ok(()),
    facts,
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Stripe::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn facts(settings: &RecipientSettings) -> Facts {
    let redaction = settings.options.text("mode") == Some("redaction");
    let before = u32::from(settings.options.flag("detach_payment_methods"))
        + u32::from(settings.options.flag("cancel_subscriptions"));
    Facts {
        batch: if redaction { per_job(settings) } else { 1 },
        // Creation, validation, run and one look; what comes before is done for each customer.
        calls: if redaction { 4 } else { 1 } + before,
        rates: settings.rates(RATES),
        grade: Grade::E1,
        deleted: if redaction {
            "the customer, and its payments, invoices, subscriptions, events and request logs become unreadable"
        } else {
            "the customer with cards and bank accounts; subscriptions are cancelled"
        },
        kept: if redaction { "what Stripe must keep by law" } else { "payments, invoices, events and request logs" },
        sources: &[
            "https://docs.stripe.com/api/customers/delete",
            "https://docs.stripe.com/privacy/redaction",
            "https://docs.stripe.com/rate-limits",
        ],
    }
}

fn per_job(settings: &RecipientSettings) -> usize {
    let number = settings.options.number("customers_per_job").and_then(|number| usize::try_from(number).ok());
    number.unwrap_or(MOST_PER_JOB).clamp(1, MOST_PER_JOB)
}

struct Stripe {
    client: Client,
    key: SecretString,
    /// The account that the key must be of, and that it was found to be.
    account: Option<String>,
    proven: OnceCell<()>,
    redaction: bool,
    detach: bool,
    cancel: bool,
    per_job: usize,
}

/// A call that did not come to the wanted end: what is to be said about the subject.
type Stopped = Box<Answer>;

impl Stripe {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let no_key = || OpenError { recipient: settings.name.clone(), reason: "there is no `api_key`".to_owned() };
        let options = &settings.options;
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: RATES, judge })?,
            key: options.secret("api_key").ok_or_else(no_key)?,
            account: options.text("account").map(str::to_owned),
            proven: OnceCell::new(),
            redaction: options.text("mode") == Some("redaction"),
            detach: options.flag("detach_payment_methods"),
            cancel: options.flag("cancel_subscriptions"),
            per_job: per_job(settings),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call.auth(Auth::Bearer(self.key.clone()))).await
    }

    /// A call whose reply must be a success, as JSON.
    async fn ask(&self, call: Call) -> Result<(Value, Option<String>), Stopped> {
        let reply = self.send(call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
        let id = reply.id("request-id");
        match (reply.is_success(), reply.json()) {
            (true, Some(body)) => Ok((body, id)),
            _ => Err(Box::new(refusal(&reply))),
        }
    }

    /// All objects of a list, page by page: their ids.
    async fn list(&self, operation: &'static str, path: &str, query: &[(&str, &str)]) -> Result<Vec<String>, Stopped> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let mut call = Call::get(operation, path).query("limit", PAGE);
            for (name, value) in query {
                call = call.query(*name, *value);
            }
            if let Some(last) = ids.last() {
                call = call.query("starting_after", last);
            }
            let reply = self.send(call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
            if is_missing(&reply) {
                return Ok(ids);
            }
            let body = reply.json().filter(|body| reply.is_success() && body["data"].is_array());
            let body = body.ok_or_else(|| Box::new(refusal(&reply)))?;
            let before = ids.len();
            let page = body["data"].as_array().into_iter().flatten();
            ids.extend(page.filter_map(|object| object["id"].as_str()).map(str::to_owned));
            if body["has_more"] != Value::Bool(true) || ids.len() == before {
                return Ok(ids);
            }
        }
    }

    /// The id of the account that the key is of.
    async fn owner(&self) -> Result<String, Stopped> {
        let reply = self.send(Call::get("look at the account", "/v1/account")).await;
        let reply = reply.map_err(|failure| Box::new(Answer::from(failure)))?;
        let body = reply.json().filter(|body| reply.is_success() && body["object"] == "account");
        let body = body.ok_or_else(|| Box::new(refusal(&reply)))?;
        let id = body["id"].as_str().filter(|id| is_plain(id)).map(str::to_owned);
        id.ok_or_else(|| Box::new(Answer::unreachable("an account without an id", None)))
    }

    /// Goes on only with a key of the account that the settings name.
    async fn keep_to_account(&self) -> Result<(), Stopped> {
        let Some(account) = &self.account else { return Ok(()) };
        let prove = async || match self.owner().await? {
            owner if owner == *account => Ok(()),
            owner => Err(Box::new(Answer::refused(format!(
                "not asked: the key is of the account {owner}, not of {account}"
            )))),
        };
        self.proven.get_or_try_init(prove).await.map(drop)
    }

    /// What has to go before the customer does.
    async fn prepare(&self, subject: &Subject, customer: &str) -> Result<(), Stopped> {
        if self.detach {
            let path = format!("/v1/customers/{}/payment_methods", segment(customer));
            for method in self.list("list payment methods", &path, &[]).await? {
                let path = format!("/v1/payment_methods/{}", segment(&method));
                let call = Call::post("detach a payment method", format!("{path}/detach"));
                let call = call.header("idempotency-key", own_key(subject, "detach", &method));
                let reply = self.send(call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
                if !reply.is_success() && !self.is_detached(&path).await? {
                    return Err(Box::new(refusal(&reply)));
                }
            }
        }
        if self.cancel {
            let query = [("customer", customer)];
            for subscription in self.list("list subscriptions", "/v1/subscriptions", &query).await? {
                let path = format!("/v1/subscriptions/{}", segment(&subscription));
                let call = Call::delete("cancel a subscription", &path);
                let reply = self.send(call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
                if !reply.is_success() && !self.is_cancelled(&path).await? {
                    return Err(Box::new(refusal(&reply)));
                }
            }
        }
        Ok(())
    }

    async fn is_detached(&self, path: &str) -> Result<bool, Stopped> {
        let reply = self.send(Call::get("look at a payment method", path)).await;
        let reply = reply.map_err(|failure| Box::new(Answer::from(failure)))?;
        let free = |body: Value| reply.is_success() && body["customer"].is_null();
        Ok(is_missing(&reply) || reply.json().is_some_and(free))
    }

    async fn is_cancelled(&self, path: &str) -> Result<bool, Stopped> {
        let reply = self.send(Call::get("look at a subscription", path)).await;
        let reply = reply.map_err(|failure| Box::new(Answer::from(failure)))?;
        let over = |body: Value| reply.is_success() && body["status"] == "canceled";
        Ok(is_missing(&reply) || reply.json().is_some_and(over))
    }

    async fn delete_one(&self, subject: &Subject) -> Answer {
        let customer = match customer_of(subject) {
            Ok(customer) => customer,
            Err(answer) => return *answer,
        };
        if let Err(answer) = self.prepare(subject, customer).await {
            return *answer;
        }
        // No idempotency key: Stripe's own libraries send none with DELETE, and a second one finds the customer gone.
        let call = Call::delete("delete a customer", format!("/v1/customers/{}", segment(customer)));
        match self.send(call).await {
            Err(failure) => failure.into(),
            Ok(reply) => {
                let id = reply.id("request-id");
                if reply.status == 404 && is_missing(&reply) && !is_about_another(&reply, customer) {
                    return Answer::gone(Grade::E1).request_id(id);
                }
                match reply.json() {
                    Some(body) if reply.is_success() && body["id"].as_str().is_some_and(|id| id != customer) => {
                        Answer::refused("Stripe's answer is about another customer").request_id(id)
                    }
                    Some(body)
                        if reply.is_success() && body["id"] == customer && body["deleted"] == Value::Bool(true) =>
                    {
                        Answer::confirmed(Grade::E1).request_id(id)
                    }
                    _ => refusal(&reply),
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl Recipient for Stripe {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        if let Err(answer) = self.keep_to_account().await {
            return subjects.iter().map(|_| (*answer).clone()).collect();
        }
        if self.redaction {
            // The same customer twice in one job would be an error.
            let mut seen = BTreeSet::new();
            let once: Vec<&Subject> = subjects.iter().filter(|subject| seen.insert(subject.tag())).collect();
            let jobs = once.chunks(self.per_job).map(|chunk| self.redact(chunk)).collect();
            let answers: Vec<Answer> = in_order(jobs, AT_ONCE).await.into_iter().flatten().collect();
            let find = |subject: &Subject| {
                let at = once.iter().position(|other| other.tag() == subject.tag())?;
                answers.get(at).cloned()
            };
            return subjects.iter().map(|subject| find(subject).unwrap_or_else(no_customer)).collect();
        }
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), AT_ONCE).await
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        if let Err(answer) = self.keep_to_account().await {
            return tickets.iter().map(|_| (*answer).clone()).collect();
        }
        let look = async |ticket: &String| {
            if !is_plain(ticket) {
                return Answer::refused("this is no redaction job");
            }
            let call = self.preview(Call::get("look at a redaction job", path_of(ticket)));
            match self.send(call).await {
                Err(failure) => failure.into(),
                Ok(reply) if is_missing(&reply) => {
                    Answer::forgotten("Stripe knows no such redaction job; a new one will be made")
                }
                Ok(reply) => {
                    let id = reply.id("request-id");
                    match reply.json().filter(|_| reply.is_success()) {
                        None => refusal(&reply),
                        Some(job) if job["status"] == "failed" => {
                            let blocked = self.give_up(ticket).await.into_iter().next();
                            blocked.map_or_else(|| blocking("", None), |(_, answer)| answer).request_id(id)
                        }
                        Some(job) => {
                            let answer = self.advance(ticket, &job).await;
                            let id = answer.request_id.clone().or(id);
                            answer.request_id(id)
                        }
                    }
                }
            }
        };
        in_order(tickets.iter().map(look).collect(), AT_ONCE).await
    }

    async fn account(&self) -> Result<Option<String>, CheckError> {
        self.owner().await.map(Some).map_err(|stopped| told(&stopped))
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        self.keep_to_account().await.map_err(|stopped| told(&stopped))?;
        let path = if self.redaction { "/v1/privacy/redaction_jobs" } else { "/v1/customers" };
        let call = Call::get("check the key", path).query("limit", "1");
        let call = if self.redaction { self.preview(call) } else { call };
        match self.send(call).await {
            Ok(reply) if reply.is_success() => Ok(Checked::Proven),
            Ok(reply) => Err(CheckError { reason: words_of(&reply), temporary: false }),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

fn told(answer: &Answer) -> CheckError {
    let temporary = matches!(answer.state, State::Unreachable { .. });
    CheckError { reason: answer.state.reason().unwrap_or_default().to_owned(), temporary }
}

/// Stripe's own word wins; else what its libraries try again (`_http_client.py` of stripe-python 16.1.0), and 429.
fn judge(reply: &Reply) -> Verdict {
    match (reply.header("stripe-should-retry"), reply.status) {
        (Some("true"), _) | (None, 409) | (_, 429) => Verdict::Retry { after: retry_after(reply) },
        (Some("false"), _) => Verdict::Final,
        (_, 500..=599) => Verdict::Retry { after: retry_after(reply) },
        _ => Verdict::Final,
    }
}

/// The object does not exist any more. An error that is not Stripe's, such as a proxy's page, says nothing; nor does one
/// that says that a key of the other mode would find it.
fn is_missing(reply: &Reply) -> bool {
    let Some(body) = reply.json() else { return false };
    let error = &body["error"];
    let other_mode = error["message"].as_str().is_some_and(|message| message.contains("similar object exists"));
    let missing = matches!(reply.status, 400 | 404) && error["code"] == "resource_missing";
    missing && error["type"] == "invalid_request_error" && !other_mode
}

/// A reply that is no success.
fn refusal(reply: &Reply) -> Answer {
    let id = reply.id("request-id");
    let answer = match reply.status {
        // A success that cannot be read is not a refusal: the next run finds out.
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("Stripe's answer leads elsewhere, which is not followed: look at `url`"),
        404 if reply.json().is_none_or(|body| !body["error"].is_object()) => {
            Answer::refused("HTTP 404 that is not Stripe's: look at `url`")
        }
        _ => Answer::refused(words_of(reply)),
    };
    answer.request_id(id)
}

/// Type, code and parameter: the message may quote identifiers.
fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let word = |name: &str| body["error"][name].as_str().filter(|word| is_plain(word));
    let mut words = match reply.status {
        401 => "Stripe does not know the key (HTTP 401)".to_owned(),
        403 => "the key may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    for name in ["type", "code", "param"] {
        if let Some(word) = word(name) {
            words = format!("{words}, {name} {word}");
        }
    }
    if body["error"]["message"].as_str().is_some_and(|message| message.contains("similar object exists")) {
        words += ": a key of the other mode (live or test) would find it";
    }
    words
}

/// A word of an API, and not somebody's name.
fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte);
    !word.is_empty() && word.len() <= 100 && word.bytes().all(plain)
}

/// The customer's id, if it can be one.
fn customer_of(subject: &Subject) -> Result<&str, Stopped> {
    const LONGEST: usize = 255;
    let id = subject.get("customer").ok_or_else(|| Box::new(no_customer()))?;
    let rest = id.strip_prefix("cus_").filter(|_| id.len() <= LONGEST).unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(id);
    }
    Err(Box::new(Answer::refused("not asked: what the column holds is no id of a Stripe customer (`cus_…`)")))
}

/// The error names a customer, and not this one.
fn is_about_another(reply: &Reply, customer: &str) -> bool {
    let body = reply.json().unwrap_or_default();
    let message = body["error"]["message"].as_str().unwrap_or_default();
    message.contains("cus_") && !message.contains(customer)
}

fn no_customer() -> Answer {
    Answer::not_possible("the row has no customer id")
}

/// An idempotency key. It depends on the object and the operation alone, and tells neither.
fn own_key(subject: &Subject, operation: &str, object: &str) -> String {
    let digest = Sha256::digest(format!("{}/{object}", subject.request()));
    format!("sunset-{operation}-{}", hex::encode(&digest[..16]))
}
