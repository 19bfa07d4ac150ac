//! Meta: removes people from the custom audiences of an ad account, or from one of them.
//!
//! `DELETE /v26.0/act_{ad account}/usersofanyaudience` removes people from every custom audience of the account; `DELETE
//! /v26.0/{audience}/users` from one
//! (<https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences>, and the
//! machine specification in facebook-business-sdk-codegen). Up to 10,000 people go into one call, as a form with `payload`. A
//! person who is in no audience is no error. Changes usually take up to 24 hours.
//!
//! Meta answers how many entries it received, how many of them were malformed, and up to 100 samples; where the samples do
//! not name them all, the rest is asked about in halves. No call reports the end for a whole account, so the evidence is
//! acceptance. For one audience, `sessions: true` gives each call a session of its own, and asks later whether it has
//! ended.
//!
//! Values are normalized and leave as SHA-256, except advertising ids and external ids, which leave as they are. "a-z only"
//! is taken to mean that names keep letters of other alphabets, which the same page allows for first and last names.
//!
//! Not confirmed by any documentation, from memory alone: that `usersofanyaudience` answers like `users`; that a removal's
//! session is listed, and has ended when it has an `end_time`; the header `x-fb-trace-id`. What was collected by Pixel or
//! Conversions API cannot be deleted for one person: no such call exists.

mod errors;
mod identifiers;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    audience::{Entry, Once, same},
    client::{Auth, Body, Call, Client, Conduct, Failure, Reply, in_order, segment},
    phone,
    version::Versions,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        rate::Rate,
        shape::{Field, Shape},
    },
};
use errors::{FLAGGED, Fault, judge, refusal, trace, words_of};
use hmac::{Hmac, KeyInit, Mac};
use identifiers::{KEYS, column};
use jiff::civil::date;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{collections::BTreeSet, time::Duration};

const BASE: &str = "https://graph.facebook.com";

/// The versions of the API.
const VERSIONS: Versions = Versions {
    api: "Meta's Graph API",
    written_for: "v26.0",
    written_on: date(2026, 11, 1),
    months: 24,
    source: "https://developers.facebook.com/docs/graph-api/changelog",
};

/// The least that an ad account gets: 5,000 calls an hour about custom audiences, and 40 more for each active one; 190,000
/// with advanced access (<https://developers.facebook.com/docs/graph-api/overview/rate-limiting>).
const RATES: &[Rate] = &[Rate::per_hour(5000)];

/// People in one call.
const MOST: usize = 10_000;

/// Japan's.
const CALLING_CODE: &str = "\"81\"";

/// Calls under way at a time.
const AT_ONCE: usize = 4;

/// Calls at most to find out which entries of one batch are malformed.
const MOST_CALLS: usize = 64;

/// Between two looks at a session: changes take up to 24 hours.
const SESSION: Duration = Duration::from_secs(2 * 60 * 60);

pub static KIND: Kind = Kind {
    name: "meta",
    doc: "Meta (Facebook, Instagram): removes people from all custom audiences of an ad account, or from one.",
    settings: &[
        Field::required(
            "access_token",
            "A system user's token with `ads_management`.",
            Shape::Text(&format::KEY),
            "\"${META_TOKEN}\"",
        ),
        Field::optional(
            "app_secret",
            "The app's secret, where the app demands proof of it with each call.",
            Shape::Text(&format::KEY),
            "\"${META_APP_SECRET}\"",
        ),
        Field::optional(
            "ad_account",
            "The ad account whose audiences are meant, all of them; either this or `audience`.",
            Shape::Text(&format::SETTING),
            "act_1234567890",
        ),
        Field::optional(
            "audience",
            "The one custom audience that is meant.",
            Shape::Text(&format::SETTING),
            "\"23850000000000001\"",
        ),
        Field::optional(
            "sessions",
            "Ask for the end of each removal, with `audience` only; `false` by default.",
            Shape::Boolean,
            "true",
        ),
        phone::setting(CALLING_CODE),
        Versions::field("The version of the API; `v26.0` by default.", "v26.0"),
    ],
    identifiers: Identifiers::Fixed { all: IDENTIFIERS, any_of: &[STRONG] },
    check: |settings| Target::of(settings).map(drop),
    facts: |settings| {
        let sessions = settings.options.flag("sessions");
        Facts {
            batch: MOST,
            calls: if sessions { 2 } else { 1 },
            rates: settings.rates(RATES),
            grade: if sessions { Grade::E1 } else { Grade::E2 },
            deleted: if settings.options.text("audience").is_some() {
                "the person's membership of the custom audience, usually within 24 hours"
            } else {
                "the person's membership of all custom audiences of the ad account, usually within 24 hours"
            },
            kept: "what Pixel and Conversions API collected, audiences of website visitors until their retention ends, and \
                   the person's own accounts at Meta",
            sources: &[
                "https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences",
                "https://developers.facebook.com/documentation/ads-commerce/marketing-api/reference/custom-audience/users",
                "https://developers.facebook.com/docs/marketing-api/reference/custom-audience-session",
                "https://developers.facebook.com/docs/graph-api/overview/rate-limiting",
            ],
        }
    },
    remarks: |settings, today| VERSIONS.remark(settings, today).into_iter().collect(),
    open: |settings, plumbing| Ok(Box::new(Meta::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

/// Those that name a person without the others.
const STRONG: &[&str] = &["email", "phone", "extern_id", "madid"];

const IDENTIFIERS: &[Identifier] = &[
    Identifier { name: "email", doc: "An e-mail address; leaves as SHA-256.", example: "taro@example.com" },
    Identifier {
        name: "phone",
        doc: "A phone number with its country, or as `country_calling_code` completes it; leaves as SHA-256.",
        example: "+819012345678",
    },
    Identifier {
        name: "extern_id",
        doc: "One's own id of the person, as it was uploaded; leaves as it is.",
        example: "u-1001",
    },
    Identifier {
        name: "madid",
        doc: "A mobile advertising id; leaves as it is, in small letters.",
        example: "38400000-8cf0-11bd-b23e-10b96e40000d",
    },
    Identifier { name: "first_name", doc: "The first name; leaves as SHA-256.", example: "Taro" },
    Identifier { name: "first_initial", doc: "The first name's first letter; leaves as SHA-256.", example: "T" },
    Identifier { name: "last_name", doc: "The last name; leaves as SHA-256.", example: "Yamada" },
    Identifier { name: "gender", doc: "`m` or `f`, or a word that begins so; leaves as SHA-256.", example: "f" },
    Identifier { name: "birth_year", doc: "Four digits; leaves as SHA-256.", example: "1980" },
    Identifier { name: "birth_month", doc: "1 to 12; leaves as SHA-256.", example: "7" },
    Identifier { name: "birth_day", doc: "1 to 31; leaves as SHA-256.", example: "31" },
    Identifier { name: "city", doc: "The city in Roman letters; leaves as SHA-256.", example: "Tokyo" },
    Identifier { name: "state", doc: "The state in Roman letters; leaves as SHA-256.", example: "CA" },
    Identifier { name: "zip", doc: "The postal code; leaves as SHA-256.", example: "100-0001" },
    Identifier { name: "country", doc: "Two letters (ISO 3166-1); leaves as SHA-256.", example: "JP" },
];

/// From what people are removed.
enum Target {
    AdAccount(String),
    Audience { id: String, sessions: bool },
}

impl Target {
    fn of(settings: &RecipientSettings) -> Result<Self, Misfit> {
        let misfit = |key: &'static str, problem: &str, help: &str| Misfit {
            at: if key.is_empty() { Vec::new() } else { vec![key] },
            problem: problem.to_owned(),
            help: help.to_owned(),
        };
        let digits = |text: &str| matches!(text.len(), 1..=20) && text.bytes().all(|byte| byte.is_ascii_digit());
        let options = &settings.options;
        phone::country(settings, CALLING_CODE)?;
        VERSIONS.check(settings)?;
        match (options.text("ad_account"), options.text("audience")) {
            (Some(_), Some(_)) => Err(misfit("audience", "both `ad_account` and `audience` stand here", EITHER)),
            (None, None) => Err(misfit("", "neither `ad_account` nor `audience` stands here", EITHER)),
            (Some(_), None) if options.flag("sessions") => {
                Err(misfit("sessions", "an ad account has no sessions", "leave it out, or name an `audience`"))
            }
            (Some(account), None) => {
                let id = account.strip_prefix("act_").unwrap_or(account);
                match digits(id) {
                    true => Ok(Self::AdAccount(id.to_owned())),
                    false => Err(misfit("ad_account", "this is no ad account's id", "such as `act_1234567890`")),
                }
            }
            (None, Some(id)) if digits(id) => {
                Ok(Self::Audience { id: id.to_owned(), sessions: options.flag("sessions") })
            }
            (None, Some(_)) => Err(misfit("audience", "this is no audience's id", "digits in quotation marks")),
        }
    }

    /// The object itself.
    fn path(&self, version: &str) -> String {
        match self {
            Self::AdAccount(id) => format!("/{version}/act_{}", segment(id)),
            Self::Audience { id, .. } => format!("/{version}/{}", segment(id)),
        }
    }

    fn edge(&self) -> &'static str {
        match self {
            Self::AdAccount(_) => "usersofanyaudience",
            Self::Audience { .. } => "users",
        }
    }
}

const EITHER: &str = "`ad_account` for all its audiences, or `audience` for one";

struct Meta {
    client: Client,
    token: SecretString,
    /// HMAC-SHA256 of the token with the app's secret.
    proof: Option<SecretString>,
    target: Target,
    version: String,
    calling_code: Option<String>,
}

/// A person's values, in the order of [`KEYS`].
type Values = Vec<Option<String>>;

impl Meta {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let error = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let options = &settings.options;
        let token = options.secret("access_token").ok_or_else(|| error("there is no `access_token`".to_owned()))?;
        let proof = options.secret("app_secret").and_then(|secret| proof(&secret, &token));
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: RATES, judge })?,
            token,
            proof,
            target: Target::of(settings).map_err(|misfit| error(misfit.problem))?,
            version: VERSIONS.of(settings).to_owned(),
            calling_code: options.text(phone::COUNTRY).map(str::to_owned),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call.auth(Auth::Bearer(self.token.clone()))).await
    }

    async fn get(&self, operation: &'static str, path: String, query: &[(&str, &str)]) -> Result<Reply, Failure> {
        let mut call = Call::get(operation, path);
        for (name, value) in query {
            call = call.query(*name, *value);
        }
        if let Some(proof) = &self.proof {
            call = call.query("appsecret_proof", proof.expose_secret());
        }
        self.send(call).await
    }

    fn values(&self, subject: &Subject) -> Option<Values> {
        let value = |(key, name): &(&str, &str)| {
            column(key, subject.get(name)?, subject.get("country"), self.calling_code.as_deref())
        };
        let values: Values = KEYS.iter().map(value).collect();
        let strong = KEYS.iter().zip(&values).any(|((_, name), value)| STRONG.contains(name) && value.is_some());
        strong.then_some(values)
    }

    /// Removes people; where Meta finds entries malformed, finds out which.
    async fn remove(&self, rows: Vec<Entry<Values>>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        let mut settle = |rows: &[Entry<Values>], answer: &Answer| answers.extend(same(rows, answer));
        let mut groups = vec![rows];
        let mut calls = 0;
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            if calls == MOST_CALLS {
                settle(&group, &Answer::unreachable("Meta finds entries malformed, and does not say which", None));
                continue;
            }
            calls += 1;
            match self.call(&group).await {
                Outcome::All(answer) => settle(&group, &answer),
                Outcome::Malformed { number, samples, good } => {
                    let is_named = |row: &Entry<Values>| row.0.iter().flatten().any(|value| samples.contains(value));
                    let (malformed, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(is_named);
                    settle(&malformed, &Answer::refused(MALFORMED));
                    if malformed.len() >= number {
                        settle(&rest, &good);
                    } else if number >= malformed.len() + rest.len() {
                        settle(&rest, &Answer::refused(MALFORMED));
                    } else {
                        let mut first = rest;
                        let second = first.split_off(first.len() / 2);
                        groups.extend([second, first]);
                    }
                }
            }
        }
        answers
    }

    async fn call(&self, rows: &[Entry<Values>]) -> Outcome {
        let used: Vec<usize> =
            (0..KEYS.len()).filter(|at| rows.iter().any(|(values, _)| values[*at].is_some())).collect();
        let schema: Vec<_> = used.iter().map(|at| KEYS[*at].0).collect();
        let line = |(values, _): &Entry<Values>| -> Vec<String> {
            used.iter().map(|at| values[*at].clone().unwrap_or_default()).collect()
        };
        let data: Vec<_> = rows.iter().map(line).collect();
        let mut form = vec![("payload".to_owned(), json!({"schema": schema, "data": data}).to_string())];
        let session = match &self.target {
            Target::Audience { sessions: true, .. } => match new_session() {
                Some(session) => Some(session),
                None => return Outcome::All(Answer::unreachable("the system gives no random bytes", None)),
            },
            _ => None,
        };
        if let Some(session) = session {
            let session = json!({
                "session_id": session, "batch_seq": 1, "last_batch_flag": true, "estimated_num_total": rows.len(),
            });
            form.push(("session".to_owned(), session.to_string()));
        }
        if let Some(proof) = &self.proof {
            form.push(("appsecret_proof".to_owned(), proof.expose_secret().to_owned()));
        }
        let path = format!("{}/{}", self.target.path(&self.version), self.target.edge());
        let reply = match self.send(Call::delete("remove from audiences", path).body(Body::Form(form))).await {
            Ok(reply) => reply,
            Err(failure) => return Outcome::All(failure.into()),
        };
        if !reply.is_success() || Fault::of(&reply).is_some() {
            return Outcome::All(refusal(&reply));
        }
        let id = trace(&reply);
        let body = reply.json().unwrap_or_default();
        let count = |name: &str| number(&body[name]);
        let good = match session {
            Some(session) => Answer::accepted(session.to_string(), SESSION),
            None => Answer::confirmed(Grade::E2),
        };
        let good = good.request_id(id.clone());
        match (count("num_received"), count("num_invalid_entries").unwrap_or_default()) {
            (Some(received), _) if received != rows.len() => {
                Outcome::All(Answer::unreachable("Meta did not receive all people that were sent", None).request_id(id))
            }
            (Some(_), 0) => Outcome::All(good),
            (Some(_), number) => Outcome::Malformed { number, samples: samples(&body["invalid_entry_samples"]), good },
            (None, 0) if body["success"] == Value::Bool(true) => Outcome::All(good),
            (None, _) => {
                let reason = "a success with an answer that cannot be read";
                Outcome::All(Answer::unreachable(reason, None).request_id(id))
            }
        }
    }

    async fn look(&self, ticket: &str) -> Answer {
        let Target::Audience { sessions: true, .. } = self.target else {
            return Answer::refused("the settings do not ask for sessions any more");
        };
        if ticket.is_empty() || !ticket.bytes().all(|byte| byte.is_ascii_digit()) {
            return Answer::refused("this is no session");
        }
        let query = [("session_id", ticket), ("fields", "session_id,stage,progress,num_received,start_time,end_time")];
        let path = format!("{}/sessions", self.target.path(&self.version));
        let reply = match self.get("look at a session", path, &query).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into(),
        };
        if !reply.is_success() || Fault::of(&reply).is_some() {
            return refusal(&reply);
        }
        let id = trace(&reply);
        let body = reply.json().unwrap_or_default();
        let Some(sessions) = body["data"].as_array() else {
            return Answer::unreachable("an answer that cannot be read", None).request_id(id);
        };
        let is_ours = |session: &&Value| match &session["session_id"] {
            Value::String(text) => text == ticket,
            other => other.as_u64().is_some_and(|number| number.to_string() == ticket),
        };
        match sessions.iter().find(is_ours) {
            Some(session) if number(&session["end_time"]).is_some_and(|end| end > 0) => {
                Answer::confirmed(Grade::E1).request_id(id)
            }
            Some(_) => Answer::accepted(ticket, SESSION).request_id(id),
            None => Answer::forgotten("Meta lists no such session; the removal will be made once more").request_id(id),
        }
    }
}

const MALFORMED: &str = "Meta finds what the row says malformed";

enum Outcome {
    /// One answer for all people.
    All(Answer),
    /// So many entries are malformed; the samples hold values of some. The others get the good answer.
    Malformed { number: usize, samples: BTreeSet<String>, good: Answer },
}

/// Positive, of 63 bits, and never used before.
fn new_session() -> Option<u64> {
    getrandom::u64().ok().map(|random| (random >> 1).max(1))
}

fn proof(secret: &SecretString, token: &SecretString) -> Option<SecretString> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(token.expose_secret().as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()).into())
}

/// Numbers come as such, or as texts.
fn number(value: &Value) -> Option<usize> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    usize::try_from(number).ok()
}

/// All texts in the samples, whatever their form: a list of texts or maps, or a map.
fn samples(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![value.clone()];
    while let Some(value) = open.pop() {
        match value {
            // A sample of several columns may come as JSON in a text.
            Value::String(text) => match serde_json::from_str::<Value>(&text) {
                Ok(inner @ (Value::Array(_) | Value::Object(_))) => open.push(inner),
                _ => {
                    found.insert(text);
                }
            },
            Value::Array(items) => open.extend(items),
            Value::Object(entries) => {
                for (key, value) in entries {
                    open.extend([Value::String(key), value]);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    // An empty column says nothing about anybody.
    found.remove("");
    found
}

#[async_trait::async_trait]
impl Recipient for Meta {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; subjects.len()];
        for (subject, answer) in subjects.iter().zip(&mut answers) {
            *answer = phone::refused(subject, self.calling_code.as_deref(), phone::COUNTRY);
        }
        let mut once = Once::new();
        for (index, subject) in subjects.iter().enumerate().filter(|(index, _)| answers[*index].is_none()) {
            if let Some(values) = self.values(subject) {
                once.about(values, index);
            }
        }
        let mut rows = once.entries();
        let mut calls = Vec::new();
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(MOST));
            calls.push(self.remove(std::mem::replace(&mut rows, rest)));
        }
        for (index, answer) in in_order(calls, AT_ONCE).await.into_iter().flatten() {
            answers[index] = Some(answer);
        }
        let nobody = || Answer::not_possible("the row has no identifier that Meta could know the person by");
        answers.into_iter().map(|answer| answer.unwrap_or_else(nobody)).collect()
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        in_order(tickets.iter().map(|ticket| self.look(ticket)).collect(), AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let fatal = |reason: String| CheckError { reason, temporary: false };
        let fields = match self.target {
            Target::AdAccount(_) => "id",
            Target::Audience { .. } => "id,operation_status",
        };
        match self.get("look at the target", self.target.path(&self.version), &[("fields", fields)]).await {
            Ok(reply) if reply.is_success() && Fault::of(&reply).is_none() => {
                let body = reply.json().unwrap_or_default();
                if number(&body["operation_status"]["code"]) == Some(471) {
                    return Err(fatal(FLAGGED.to_owned()));
                }
                match body["id"].is_string() {
                    true => Ok(Checked::Proven),
                    false => Err(fatal("an answer that cannot be read: look at `url`".to_owned())),
                }
            }
            Ok(reply) => Err(fatal(words_of(&reply))),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

#[cfg(test)]
mod tests;
