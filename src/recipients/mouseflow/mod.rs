//! Mouseflow: finds a person's session recordings and deletes them.
//!
//! A recording is found by a custom variable that was set while it was recorded (`vars=name=value`), or by the visitor's id or
//! name (`search=`), in each of the websites that the settings name. Both filters, the list's form and HTTP Basic with the
//! account's e-mail and API key are those of mousepy 0.0.9 and <https://api-docs.mouseflow.com>.
//!
//! A filter that Mouseflow did not understand would list everybody, so nothing is deleted for being listed: a recording's own
//! variables are read before, and a visitor's id or name must be the one that was asked for, to the letter. After the
//! deletions the list is read again, and only an empty one counts as done.
//!
//! Not confirmed by any documentation, from memory alone: **that `DELETE /websites/{website}/recordings/{recording}` exists**
//! (the documentation says that whatever the web site can do, the API can), and that an unknown recording is HTTP 404. Error
//! bodies and rate limits are not documented; some plans are said to have no usable API. Whoever cannot use it writes to
//! privacy@mouseflow.com, or waits for the plan's retention of 1 to 12 months (<https://mouseflow.com/ccpa/>).

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    client::{Call, Client, Conduct, Reply, in_order, segment},
    no_remarks,
    retry::usual,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use secrecy::SecretString;
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

const EUROPE: &str = "https://api-eu.mouseflow.com";
const UNITED_STATES: &str = "https://api-us.mouseflow.com";

/// Subjects under way at a time.
const AT_ONCE: usize = 4;

/// Recordings in one list. No page can be asked for, so a list that is longer must shrink to be read.
const LISTED: usize = 1000;

/// When a list may have lost what was deleted.
const STILL_LISTED: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "mouseflow",
    doc: "Mouseflow: finds a visitor's session recordings and deletes them.",
    settings: &[
        Field::required(
            "user",
            "The account's e-mail address.",
            Shape::Text(&format::SETTING),
            "\"${MOUSEFLOW_USER}\"",
        ),
        Field::required(
            "api_key",
            "The account's API key, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${MOUSEFLOW_KEY}\"",
        ),
        Field::required(
            "datacenter",
            "Where the account lives; the account's settings say it.",
            Shape::Words(&[
                Word { word: "eu", doc: "`https://api-eu.mouseflow.com`" },
                Word { word: "us", doc: "`https://api-us.mouseflow.com`" },
            ]),
            "eu",
        ),
        Field::required(
            "websites",
            "The ids of the websites whose recordings are looked through.",
            Shape::List { item: &Shape::Text(&format::TEXT), least: 1, unique: true },
            "[ec3120a8-51b8-42b4-81f9-ae2449dafc34]",
        ),
        Field::optional(
            "variable",
            "The custom variable whose value the identifier `variable` is; needed for that one.",
            Shape::Text(&format::TEXT),
            "member",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier {
                name: "variable",
                doc: "The value of the custom variable that the settings name, such as a hashed member id.",
                example: "7d865e959b24",
            },
            Identifier {
                name: "visitor",
                doc: "Mouseflow's id of the visitor, or the visitor's name as the site told it.",
                example: "5f2c9a1e4b7d4c0f",
            },
        ],
        any_of: &[&["variable", "visitor"]],
    },
    check: |settings| match settings.options.text("variable") {
        Some(name) if name.contains([',', '=']) => Err(Misfit {
            at: vec!["variable"],
            problem: "the variable's name holds `,` or `=`".to_owned(),
            help: "Mouseflow reads `name=value,name=value`, so neither can be asked for".to_owned(),
        }),
        _ => Ok(()),
    },
    facts: |settings| Facts {
        batch: 1,
        // A list; who has recordings takes two more for each, and another list.
        calls: u32::try_from(settings.options.texts("websites").len().max(1)).unwrap_or(u32::MAX),
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the recordings of the visitor in the websites that the settings name",
        kept: "heat maps and other sums, recordings that bear neither the variable nor the visitor's id, and what other \
               websites of the account hold",
        sources: &["https://api-docs.mouseflow.com", "https://mouseflow.com/ccpa/"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Mouseflow::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct Mouseflow {
    client: Client,
    user: String,
    key: SecretString,
    websites: Vec<String>,
    variable: Option<String>,
}

/// A call that did not come to the wanted end: what is to be said about the subject.
type Stopped = Box<Answer>;

/// Whose recordings are looked for.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Variable { name: &'a str, value: &'a str },
    Visitor(&'a str),
}

impl Mouseflow {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let base = if options.text("datacenter") == Some("us") { UNITED_STATES } else { EUROPE };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates: &[], judge: usual })?,
            user: options.text("user").ok_or_else(|| missing("user"))?.to_owned(),
            key: options.secret("api_key").ok_or_else(|| missing("api_key"))?,
            websites: options.texts("websites").into_iter().map(str::to_owned).collect(),
            variable: options.text("variable").map(str::to_owned),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Stopped> {
        let call = call.basic(&self.user, self.key.clone());
        self.client.send(&call).await.map_err(|failure| Box::new(failure.into()))
    }

    async fn delete_one(&self, subject: &Subject) -> Answer {
        let (variable, visitor) = (subject.get("variable"), subject.get("visitor"));
        let mut whose = Vec::new();
        if let Some(value) = variable {
            let Some(name) = &self.variable else {
                return Answer::refused("the settings do not say which custom variable `variable` is");
            };
            if value.contains([',', '=']) {
                return Answer::refused(
                    "the variable's value holds `,` or `=`, which Mouseflow's filter cannot ask for",
                );
            }
            whose.push(Whose::Variable { name, value });
        }
        whose.extend(visitor.map(Whose::Visitor));
        if whose.is_empty() {
            return Answer::not_possible("the row has neither a variable's value nor a visitor's id");
        }
        let mut deleted = false;
        for website in &self.websites {
            for whose in &whose {
                match self.delete_all(website, *whose).await {
                    Ok(some) => deleted |= some,
                    Err(answer) => return *answer,
                }
            }
        }
        if deleted { Answer::confirmed(Grade::E1) } else { Answer::gone(Grade::E1) }
    }

    /// Deletes what is found until nothing is; tells whether there was anything.
    async fn delete_all(&self, website: &str, whose: Whose<'_>) -> Result<bool, Stopped> {
        let path = format!("/websites/{}/recordings", segment(website));
        let (mut deleted, mut unknown, mut others) = (BTreeSet::new(), false, BTreeSet::new());
        loop {
            let call = Call::get("list recordings", &path).query("limit", LISTED.to_string());
            let call = match whose {
                Whose::Variable { name, value } => call.query("vars", format!("{name}={value}")),
                Whose::Visitor(visitor) => call.query("search", visitor),
            };
            let reply = self.send(call).await?;
            let body = reply.json().filter(|body| reply.is_success() && body["recordings"].is_array());
            let body = body.ok_or_else(|| Box::new(refusal(&reply)))?;
            let listed = body["recordings"].as_array().map(Vec::as_slice).unwrap_or_default();
            let (mut new, mut stale) = (Vec::new(), false);
            for recording in listed {
                let id = id_of(recording).ok_or_else(|| Box::new(refusal(&reply)))?;
                if deleted.contains(&id) {
                    stale = true;
                } else if !others.contains(&id) {
                    if self.is_of(&path, &id, recording, whose).await? {
                        new.push(id);
                    } else {
                        others.insert(id);
                    }
                }
            }
            if new.is_empty() {
                let count = body["count"].as_u64().and_then(|count| usize::try_from(count).ok());
                if stale && unknown {
                    let reason = "Mouseflow lists recordings and does not know them when they are to be deleted (HTTP 404): \
                                  its API may not delete for this account; write to privacy@mouseflow.com";
                    return Err(Box::new(Answer::refused(reason)));
                }
                if stale {
                    let reason = "Mouseflow still lists recordings whose deletion it has answered";
                    return Err(Box::new(Answer::unreachable(reason, Some(STILL_LISTED))));
                }
                if count.is_some_and(|count| count > listed.len()) || listed.len() >= LISTED {
                    let reason = "Mouseflow lists more recordings of others than can be looked through: is the filter \
                                  understood?";
                    return Err(Box::new(Answer::refused(reason)));
                }
                return Ok(!deleted.is_empty());
            }
            for id in new {
                let path = format!("{path}/{}", segment(&id));
                let reply = self.send(Call::delete("delete a recording", path)).await?;
                // Whether a 404 means "gone" or "no such call", the next list tells.
                if !reply.is_success() && reply.status != 404 {
                    return Err(Box::new(refusal(&reply)));
                }
                unknown |= reply.status == 404;
                deleted.insert(id);
            }
        }
    }

    /// Whether the recording is really of the one who was asked for.
    async fn is_of(&self, path: &str, id: &str, recording: &Value, whose: Whose<'_>) -> Result<bool, Stopped> {
        match whose {
            Whose::Visitor(visitor) => {
                Ok(["visitorId", "visitorName"].iter().any(|key| text_of(&recording[*key]).as_deref() == Some(visitor)))
            }
            Whose::Variable { name, value } => {
                let reply = self.send(Call::get("look at a recording", format!("{path}/{}", segment(id)))).await?;
                match reply.json().filter(|body| reply.is_success() && has_variables(body)) {
                    Some(body) => Ok(has_variable(&body["variables"], name, value)),
                    // Somebody else deleted it.
                    None if reply.status == 404 => Ok(false),
                    None => Err(Box::new(refusal(&reply))),
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl Recipient for Mouseflow {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), AT_ONCE).await
    }

    /// `limit=0` asks for the number of recordings alone.
    async fn check(&self) -> Result<Checked, CheckError> {
        for website in &self.websites {
            let path = format!("/websites/{}/recordings", segment(website));
            let call = Call::get("check the key", path).query("limit", "0").basic(&self.user, self.key.clone());
            match self.client.send(&call).await {
                Ok(reply) if reply.is_success() => {}
                Ok(reply) => return Err(CheckError { reason: words_of(&reply), temporary: false }),
                Err(failure) => return Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
            }
        }
        Ok(Checked::Proven)
    }
}

fn has_variables(recording: &Value) -> bool {
    recording["variables"].is_array() || recording["variables"].is_object()
}

/// mousepy shows that a recording has `variables`, and not of which form: `"name=value"`, `{"key": …, "value": …}` and
/// `{"name": value}` all say the same, and nothing else is taken for it.
fn has_variable(variables: &Value, name: &str, value: &str) -> bool {
    let is_it = |value_there: &Value| text_of(value_there).as_deref() == Some(value);
    match variables {
        Value::Array(all) => all.iter().any(|variable| match variable {
            Value::String(text) => text.split_once('=') == Some((name, value)),
            Value::Object(map) => {
                let named = ["key", "name"].iter().any(|key| map.get(*key).and_then(Value::as_str) == Some(name));
                (named && map.get("value").is_some_and(is_it)) || map.get(name).is_some_and(is_it)
            }
            _ => false,
        }),
        Value::Object(map) => map.get(name).is_some_and(is_it),
        _ => false,
    }
}

fn id_of(recording: &Value) -> Option<String> {
    text_of(&recording["id"]).filter(|id| !id.is_empty())
}

/// Ids come as texts and as numbers.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A reply that is no success. Its body's form is not documented and may quote anybody, so it is not shown.
fn refusal(reply: &Reply) -> Answer {
    match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("Mouseflow's answer leads elsewhere, which is not followed: look at `url`"),
        _ => Answer::refused(words_of(reply)),
    }
}

fn words_of(reply: &Reply) -> String {
    match reply.status {
        401 => "Mouseflow does not accept user and key (HTTP 401)".to_owned(),
        403 => "the key may not do this, or the plan has no API (HTTP 403)".to_owned(),
        404 => "Mouseflow knows no such website, or not this call (HTTP 404)".to_owned(),
        405 => "Mouseflow's API does not delete recordings (HTTP 405): write to privacy@mouseflow.com".to_owned(),
        status => format!("HTTP {status}"),
    }
}
