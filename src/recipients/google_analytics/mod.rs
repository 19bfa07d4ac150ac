//! Google Analytics: asks for the deletion of users' data in a GA4 property.
//!
//! By default through the Admin API (`properties.submitUserDeletion`, which exists in v1alpha alone), which also takes e-mail
//! addresses and phone numbers; with `api: user_deletion_v3` through the older User Deletion API, which takes no more than ids.
//! (Its `webPropertyId` is for Universal Analytics, which is switched off.) The requests are those of Google's discovery
//! documents: `analyticsadmin.v1alpha`, revision 20261102, and `analytics.v3`, revision 20190807.
//!
//! One request asks about one id, so a person with several ids takes several. Asking twice is the same as once, and an id
//! that nobody has is accepted like any other. Nothing tells the end: the time that Google gives back, from which on all
//! earlier data are to be deleted, is the only evidence, and stands in the ledger as the request's id.
//!
//! A property takes 500 deletions a day, counted over all runs. What is left over is answered with the time until the next
//! day, and is asked in a later run. Two recipients of one property or project would share the quota and do not know it.
//!
//! How long the property keeps data is read from its `dataRetentionSettings`, the same in v1alpha and v1beta
//! (<https://developers.google.com/analytics/devguides/config/admin/v1/rest/v1beta/DataRetentionSettings>).
//!
//! The data leave the reports within 72 hours and the servers at their next deletion, which comes every two months
//! (<https://developers.google.com/analytics/devguides/config/userdeletion/v3/>). This is documented for the older API;
//! that it holds for the Admin API too is assumed, and so is that the quota's day is California's (see [`google`]). From
//! memory alone: how the daily quota's error looks like in the Admin API (any wording that names a day counts).

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Retention, Subject,
    client::{Auth, Body, Call, Client, Conduct, in_order, segment},
    google, no_remarks,
    phone::{self, Phone},
    token::Tokens,
};
use crate::{
    clock::period::Period,
    evidence::{Grade, tag::Tag},
    language::{
        format,
        rate::Rate,
        shape::{Field, Shape, Word},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const ADMIN_BASE: &str = "https://analyticsadmin.googleapis.com";
const V3_BASE: &str = "https://analytics.googleapis.com";

const ADMIN_SCOPE: &str = "https://www.googleapis.com/auth/analytics.edit";
const V3_SCOPE: &str = "https://www.googleapis.com/auth/analytics.user.deletion";

/// "Writes: 180 per minute and user; user deletions per day per property: 500"
/// (<https://developers.google.com/analytics/devguides/config/admin/v1/quotas>).
const ADMIN_RATES: &[Rate] = &[Rate::per_minute(180), Rate::per_day(500).in_zone(google::QUOTA_ZONE)];

/// "1.5 queries per second and property, 500 a day" (<https://developers.google.com/analytics/devguides/config/userdeletion/v3/limits-quotas>).
const V3_RATES: &[Rate] =
    &[Rate::new(3, std::time::Duration::from_secs(2)), Rate::per_day(500).in_zone(google::QUOTA_ZONE)];

/// Calls under way at a time: the limit is reached with fewer.
const AT_ONCE: usize = 4;

pub static KIND: Kind = Kind {
    name: "google_analytics",
    doc: "Google Analytics: asks for the deletion of users' data in a GA4 property, up to 500 a day.",
    settings: &[
        Field::optional("property", "The number of the GA4 property.", google::NUMBER, "123456789"),
        Field::optional(
            "firebase_project",
            "Instead of a property, with `api: user_deletion_v3`: the Firebase project of app instances.",
            Shape::Text(&format::SETTING),
            "my-app-1a2b3",
        ),
        Field::optional(
            "api",
            "Which API is asked; `admin` by default.",
            Shape::Words(&[
                Word { word: "admin", doc: "the Admin API, which takes e-mail addresses and phone numbers too" },
                Word {
                    word: "user_deletion_v3",
                    doc: "the User Deletion API v3: ids of users, clients and app instances",
                },
            ]),
            "admin",
        ),
        google::SERVICE_ACCOUNT,
        google::IMPERSONATE,
        google::CLIENT_ID,
        google::CLIENT_SECRET,
        google::REFRESH_TOKEN,
        google::TOKEN_URL_FIELD,
        google::CALLING_CODE,
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier { name: "user_id", doc: "The user id that the site or app sets.", example: "u-10293" },
            Identifier {
                name: "client_id",
                doc: "The client id: the last two numbers of the cookie `_ga`.",
                example: "1234567890.1700000000",
            },
            Identifier {
                name: "app_instance_id",
                doc: "Firebase's id of an app instance.",
                example: "02e5a5b2f6f0d8a7e9b1c3d4f5a6b7c8",
            },
            Identifier {
                name: "email",
                doc: "An e-mail address that was given to Analytics (Admin API).",
                example: "taro@example.com",
            },
            Identifier {
                name: "phone",
                doc: "A phone number that was given to Analytics (Admin API).",
                example: "+819012345678",
            },
        ],
        any_of: &[&["user_id", "client_id", "app_instance_id", "email", "phone"]],
    },
    check,
    facts,
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(GoogleAnalytics::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn is_v3(settings: &RecipientSettings) -> bool {
    settings.options.text("api") == Some("user_deletion_v3")
}

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let misfit = |at, problem: &str, help: &str| {
        Err(Misfit { at: vec![at], problem: problem.to_owned(), help: help.to_owned() })
    };
    let options = &settings.options;
    let project = options.node("firebase_project").is_some();
    match (options.node("property").is_some(), project) {
        (_, true) if !is_v3(settings) => {
            return misfit(
                "firebase_project",
                "the Admin API knows no Firebase projects",
                "use `api: user_deletion_v3`",
            );
        }
        (true, true) => return misfit("firebase_project", "there is a property too", "leave one of them out"),
        (false, false) => return misfit("property", "there is no property", "write `property: 123456789`"),
        (true, false) if google::digits(options, "property").is_none() => {
            return misfit("property", "this is not the number of a property", "`G-…` names a stream, not a property");
        }
        _ => {}
    }
    phone::calling_code(settings, google::CALLING_CODE.name, google::CALLING_CODE.example)?;
    google::check_credentials(settings)
}

fn facts(settings: &RecipientSettings) -> Facts {
    Facts {
        batch: 1,
        // For each id that a person has.
        calls: 1,
        rates: settings.rates(if is_v3(settings) { V3_RATES } else { ADMIN_RATES }),
        // The request is accepted; nothing tells its end.
        grade: Grade::E2,
        deleted: "the data of the user in the property: out of reports within 72 hours, from the servers at the next \
                  deletion, which comes every two months",
        kept: "aggregated reports, and what was exported to BigQuery, where one deletes oneself",
        sources: &[
            "https://developers.google.com/analytics/devguides/config/admin/v1/quotas",
            "https://developers.google.com/analytics/devguides/config/userdeletion/v3/",
            "https://developers.google.com/analytics/devguides/config/userdeletion/v3/limits-quotas",
        ],
    }
}

struct GoogleAnalytics {
    client: Client,
    tokens: Arc<Tokens>,
    target: Target,
    calling_code: Option<String>,
}

enum Target {
    /// The number of a property.
    Admin(String),
    /// The key and value that name where to delete.
    V3(&'static str, String),
}

/// Names whom to delete: the request's key or type, and the text.
type Id = (&'static str, String);

impl GoogleAnalytics {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let options = &settings.options;
        let property = google::digits(options, "property");
        let fails = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let target = match (is_v3(settings), property, options.text("firebase_project")) {
            (false, Some(property), _) => Target::Admin(property),
            (true, Some(property), _) => Target::V3("propertyId", property),
            (true, None, Some(project)) => Target::V3("firebaseProjectId", project.to_owned()),
            _ => return Err(fails("there is no `property`")),
        };
        let (base, scope, rates) = match target {
            Target::Admin(_) => (ADMIN_BASE, ADMIN_SCOPE, ADMIN_RATES),
            Target::V3(..) => (V3_BASE, V3_SCOPE, V3_RATES),
        };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates, judge: google::judge })?,
            tokens: google::tokens(settings, plumbing, scope)?,
            target,
            calling_code: google::digits(options, "calling_code"),
        })
    }

    /// By what the person is known there; an answer where nobody can be asked.
    fn ids(&self, subject: &Subject) -> Result<Vec<Id>, Answer> {
        let names = match &self.target {
            Target::Admin(_) => ["userId", "clientId", "appInstanceId"],
            Target::V3(..) => ["USER_ID", "CLIENT_ID", "APP_INSTANCE_ID"],
        };
        let mut ids: Vec<Id> = Vec::new();
        for (name, key) in names.into_iter().zip(["user_id", "client_id", "app_instance_id"]) {
            ids.extend(subject.get(key).map(|text| (name, text.to_owned())));
        }
        match &self.target {
            Target::Admin(_) => {
                ids.extend(subject.get("email").and_then(email).map(|email| ("userProvidedData", email)));
                match subject.get("phone").map(|text| google::phone(text, self.calling_code.as_deref())) {
                    Some(Phone::Number(number)) => ids.push(("userProvidedData", number)),
                    Some(Phone::National) => return Err(Answer::refused(google::NATIONAL)),
                    Some(Phone::Nothing) | None => {}
                }
            }
            Target::V3(..) if subject.get("email").is_some() || subject.get("phone").is_some() => {
                // To ask about the other ids alone would look as if all had been asked.
                return Err(Answer::refused(
                    "the User Deletion API takes neither e-mail nor phone: use `api: admin`, or leave them out of the rule",
                ));
            }
            // "The types CLIENT_ID and USER_ID are supported with propertyId alone."
            Target::V3("firebaseProjectId", _) if ids.iter().any(|(kind, _)| *kind != "APP_INSTANCE_ID") => {
                return Err(Answer::refused(
                    "a Firebase project knows app instances alone: leave other ids out of the rule",
                ));
            }
            Target::V3(..) => {}
        }
        if ids.is_empty() { Err(Answer::not_possible("the row has no id that Analytics could know")) } else { Ok(ids) }
    }

    fn call(&self, (name, text): &Id) -> Call {
        let (path, body) = match &self.target {
            Target::Admin(property) => {
                (format!("/v1alpha/properties/{}:submitUserDeletion", segment(property)), json!({ *name: text }))
            }
            Target::V3(key, value) => (
                "/analytics/v3/userDeletion/userDeletionRequests:upsert".to_owned(),
                json!({"kind": "analytics#userDeletionRequest", "id": {"type": name, "userId": text}, *key: value}),
            ),
        };
        Call::post("submit a user deletion", path).auth(Auth::Tokens(self.tokens.clone())).body(Body::Json(body))
    }

    /// All ids of one person: the first that fails is the answer.
    async fn delete_one(&self, subject: &Subject) -> Answer {
        let ids = match self.ids(subject) {
            Ok(ids) => ids,
            Err(answer) => return answer,
        };
        let mut received = None;
        for id in &ids {
            let reply = match self.client.send(&self.call(id)).await {
                Ok(reply) => reply,
                Err(failure) => return failure.into(),
            };
            let time = reply.json().filter(|_| reply.is_success()).and_then(|body| time_of(&body));
            match time {
                Some(time) => received = Some(time),
                None => return google::refusal(&reply),
            }
        }
        Answer::confirmed(Grade::E2).request_id(received)
    }
}

#[async_trait::async_trait]
impl Recipient for GoogleAnalytics {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        // Without a token, nothing of the day's quota is used up.
        if let Err(failure) = self.tokens.token(&self.client, None).await {
            return vec![failure.into(); subjects.len()];
        }
        // Nor is it for the same person twice.
        let mut once: BTreeMap<Tag, usize> = BTreeMap::new();
        let mut asked: Vec<&Subject> = Vec::new();
        for subject in subjects {
            once.entry(subject.tag()).or_insert_with(|| {
                asked.push(subject);
                asked.len() - 1
            });
        }
        let answers = in_order(asked.iter().map(|subject| self.delete_one(subject)).collect(), AT_ONCE).await;
        subjects.iter().map(|subject| answers[once[&subject.tag()]].clone()).collect()
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let Target::Admin(property) = &self.target else {
            self.tokens.token(&self.client, None).await.map_err(google::check_failed)?;
            let reason = "a token was given; whether it may delete is seen at the first deletion alone".to_owned();
            return Ok(Checked::Unproven { reason });
        };
        let call = Call::get("look at the property", format!("/v1alpha/properties/{}", segment(property)));
        let reply =
            self.client.send(&call.auth(Auth::Tokens(self.tokens.clone()))).await.map_err(google::check_failed)?;
        match reply.is_success() {
            true => Ok(Checked::Proven),
            false => Err(CheckError { reason: google::words_of(&reply), temporary: false }),
        }
    }

    async fn retention(&self) -> Result<Option<Retention>, CheckError> {
        let Target::Admin(property) = &self.target else { return Ok(None) };
        let path = format!("/v1alpha/properties/{}/dataRetentionSettings", segment(property));
        let call = Call::get("look at the retention", path).auth(Auth::Tokens(self.tokens.clone()));
        let reply = self.client.send(&call).await.map_err(google::check_failed)?;
        let fails = |reason: String| CheckError { reason, temporary: false };
        if !reply.is_success() {
            return Err(fails(google::words_of(&reply)));
        }
        let body = reply.json().unwrap_or_default();
        let kept = [("event data", "eventDataRetention"), ("user data", "userDataRetention")].map(|(what, key)| {
            let months = body[key].as_str().and_then(months);
            let months = months.ok_or_else(|| fails(format!("`{key}` is not a length of time that is documented")))?;
            Ok((what, Period { months, ..Period::default() }))
        });
        let kept = kept.into_iter().collect::<Result<_, CheckError>>()?;
        let prolonged_by = (body["resetUserDataOnNewActivity"] == true).then_some("new activity of the user");
        Ok(Some(Retention { kept, prolonged_by }))
    }
}

/// The documented words of `RetentionDuration`.
fn months(word: &str) -> Option<u16> {
    Some(match word {
        "TWO_MONTHS" => 2,
        "FOURTEEN_MONTHS" => 14,
        "TWENTY_SIX_MONTHS" => 26,
        "THIRTY_EIGHT_MONTHS" => 38,
        "FIFTY_MONTHS" => 50,
        _ => return None,
    })
}

/// As documented for `userProvidedData`: small letters, no spaces, and no periods before the `@` of Gmail's addresses. What is
/// behind a `+` stays, other than in Google Ads.
fn email(text: &str) -> Option<String> {
    let text: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let (user, domain) = text.split_once('@')?;
    if user.is_empty() || domain.is_empty() || domain.contains('@') {
        return None;
    }
    match domain {
        "gmail.com" | "googlemail.com" => Some(format!("{}@{domain}", user.replace('.', ""))),
        _ => Some(text),
    }
}

/// `deletionRequestTime`, if it is a time.
fn time_of(body: &Value) -> Option<String> {
    let text = body["deletionRequestTime"].as_str()?;
    text.parse::<Timestamp>().ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalized_as_documented() {
        assert_eq!(email(" Taro.Yamada @Example.co.jp "), Some("taro.yamada@example.co.jp".to_owned()));
        assert_eq!(email("Ta.Ro+News@GMail.com"), Some("taro+news@gmail.com".to_owned()));
        assert_eq!(email("t.y@googlemail.com"), Some("ty@googlemail.com".to_owned()));
        assert_eq!(email("nobody"), None);
        assert_eq!(email("a@b@c"), None);
    }
}
