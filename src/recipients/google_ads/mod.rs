//! Google Ads: takes people out of Customer Match lists.
//!
//! By default through the Data Manager API (`audienceMembers:remove`, then `requestStatus:retrieve` until the end); with `api:
//! offline_user_data_job` through jobs of the Google Ads API, which is open to those developer tokens alone that uploaded
//! Customer Match data between October 2025 and March 2026
//! (<https://developers.google.com/ads/blog/posts/2026/03/changes-to-customer-match-support-in>). The
//! requests are those of the discovery document `datamanager.v1`, revision 20261106, and of google-ads 34.0.0 (v26).
//!
//! E-mail addresses, phone numbers and names leave hashed: SHA-256 as hexadecimal digits, normalized as
//! google-ads-datamanager-util 0.4.0 does it (`format.py`). The job API documents less: trimmed, in small letters. A list
//! has members of one type (contact, mobile id or user id), and so has a recipient.
//!
//! Removing somebody who is not in a list is no error, so asking twice is harmless. A ticket names a request and the place
//! of a person in it: where Google reports which records failed, the others are done. Where it does not say, all of them
//! are asked again.
//!
//! Not confirmed by any documentation, from memory alone: that `recordIndices` of an error counts from 0 in the order of the
//! request (the discovery document names the field and says nothing), that a field violation names a member by
//! `audience_members[N]`, the most operations in one request of a job (10,000 are sent), and how long a request's status can
//! be retrieved.

mod jobs;
mod manager;
mod members;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    audience::Once,
    client::{Auth, Body, Call, Client, Conduct, Reply, in_order},
    google,
    hashing::sha256,
    phone,
    token::Tokens,
    version::Versions,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        node::Node,
        rate::Rate,
        shape::{Field, Shape, Word},
    },
};
use jiff::civil::date;
use members::Type;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const MANAGER_BASE: &str = "https://datamanager.googleapis.com";
const ADS_BASE: &str = "https://googleads.googleapis.com";

const MANAGER_SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
const ADS_SCOPE: &str = "https://www.googleapis.com/auth/adwords";

/// "300 requests a minute and 100,000 a day per project" (<https://developers.google.com/data-manager/api/devguides/limits>).
const MANAGER_RATES: &[Rate] = &[Rate::per_minute(300), Rate::per_day(100_000).in_zone(google::QUOTA_ZONE)];

/// The Google Ads API documents no fixed rate, but answers with a delay where it has enough.
const ADS_RATES: &[Rate] = &[];

/// "10,000 audience members per request" (<https://developers.google.com/data-manager/api/devguides/limits>).
const MOST_PER_REQUEST: usize = 10_000;

/// "10 destinations per request" (the same).
const MOST_LISTS: usize = 10;

/// Requests under way at a time; Google advises no more than 10.
const AT_ONCE: usize = 4;

/// The versions of the API.
const VERSIONS: Versions = Versions {
    api: "the Google Ads API",
    written_for: "v26",
    written_on: date(2026, 11, 1),
    months: 12,
    source: "https://developers.google.com/google-ads/api/docs/sunset-dates",
};

/// "Wait 30 minutes, then back off exponentially" (Data Manager API, diagnostics).
const FIRST_LOOK: Duration = Duration::from_secs(30 * 60);
const LONGEST_LOOK: Duration = Duration::from_secs(8 * 60 * 60);

/// A job may take six hours or more.
const JOB_LOOK: Duration = Duration::from_secs(60 * 60);

/// When a job that failed may go better.
const FAILED_JOB: Duration = Duration::from_secs(24 * 60 * 60);

/// Jobs with an external id of their own for the same people; after them, a job has none.
const MOST_JOBS: u32 = 3;

pub static KIND: Kind = Kind {
    name: "google_ads",
    doc: "Google Ads: takes people out of Customer Match lists; their e-mail addresses and the like leave hashed.",
    settings: &[
        Field::required("customer", "The account that the lists belong to.", google::NUMBER, "123-456-7890"),
        Field::required(
            "user_lists",
            "The numbers of the lists, ten at most, all with the same type of members.",
            Shape::List { item: &google::NUMBER, least: 1, unique: true },
            "[8123456789]",
        ),
        Field::optional(
            "login_customer",
            "The manager account that the credentials belong to, where it is another one.",
            google::NUMBER,
            "987-654-3210",
        ),
        Field::optional(
            "api",
            "Which API is asked; `data_manager` by default.",
            Shape::Words(&[
                Word { word: "data_manager", doc: "the Data Manager API" },
                Word {
                    word: "offline_user_data_job",
                    doc: "jobs of the Google Ads API, for developer tokens that used them before April 2026",
                },
            ]),
            "data_manager",
        ),
        Field::optional(
            "developer_token",
            "For `api: offline_user_data_job`: the developer token.",
            Shape::Text(&format::KEY),
            "\"${GOOGLE_ADS_DEVELOPER_TOKEN}\"",
        ),
        Versions::field(
            "For `api: offline_user_data_job`: the version of the Google Ads API; `v26` by default.",
            "v26",
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
            Identifier { name: "email", doc: "An e-mail address; leaves hashed.", example: "taro@example.com" },
            Identifier { name: "phone", doc: "A phone number; leaves hashed.", example: "+819012345678" },
            Identifier {
                name: "given_name",
                doc: "For a postal address, with the next three; leaves hashed.",
                example: "Taro",
            },
            Identifier { name: "family_name", doc: "Leaves hashed.", example: "Yamada" },
            Identifier { name: "region_code", doc: "The country, in two letters.", example: "JP" },
            Identifier { name: "postal_code", doc: "The postal code.", example: "100-0001" },
            Identifier {
                name: "mobile_id",
                doc: "An advertising id of a device.",
                example: "38400000-8cf0-11bd-b23e-10b96e40000d",
            },
            Identifier { name: "user_id", doc: "The advertiser's own id of the person.", example: "u-10293" },
        ],
        any_of: &[&["email", "phone", "postal_code", "mobile_id", "user_id"]],
    },
    check,
    facts,
    remarks: |settings, today| {
        let remark = VERSIONS.remark(settings, today).filter(|_| is_job(settings));
        remark.into_iter().collect()
    },
    open: |settings, plumbing| Ok(Box::new(GoogleAds::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn is_job(settings: &RecipientSettings) -> bool {
    settings.options.text("api") == Some("offline_user_data_job")
}

/// The numbers of the lists; `None` where one is none.
fn lists(settings: &RecipientSettings) -> Option<Vec<String>> {
    let node = settings.options.node("user_lists");
    node.map(Node::items).unwrap_or_default().iter().map(google::digits_of).collect()
}

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let misfit = |at, problem: &str, help: &str| {
        Err(Misfit { at: vec![at], problem: problem.to_owned(), help: help.to_owned() })
    };
    let options = &settings.options;
    phone::calling_code(settings, google::CALLING_CODE.name, google::CALLING_CODE.example)?;
    for key in ["customer", "login_customer"] {
        if options.node(key).is_some() && google::digits(options, key).is_none() {
            return misfit(key, "this is not a number", "digits, perhaps with dashes");
        }
    }
    match lists(settings) {
        None => return misfit("user_lists", "this is not the number of a list", "the list's id, in digits"),
        Some(lists) if lists.len() > MOST_LISTS => {
            return misfit("user_lists", "there are more than ten lists", "name a second recipient for the others");
        }
        Some(_) => {}
    }
    VERSIONS.check(settings)?;
    if is_job(settings) && options.node("developer_token").is_none() {
        return misfit("api", "the Google Ads API takes a developer token", "give `developer_token`");
    }
    google::check_credentials(settings)
}

fn facts(settings: &RecipientSettings) -> Facts {
    let job = is_job(settings);
    let lists = settings.options.node("user_lists").map_or(1, |node| node.items().len().max(1));
    Facts {
        batch: MOST_PER_REQUEST,
        // The removal and a look; or creation, operations, run and a look for each list.
        calls: if job { u32::try_from(lists).unwrap_or(1) * 4 } else { 2 },
        rates: settings.rates(if job { ADS_RATES } else { MANAGER_RATES }),
        grade: Grade::E1,
        deleted: "membership in the Customer Match lists named",
        kept: "the logs and reports of ads that were shown, which know no hashed addresses; other lists. Success says that \
               Google has worked through the request, which may mean that it knew nobody of it",
        sources: &[
            "https://developers.google.com/data-manager/api/devguides/limits",
            "https://developers.google.com/data-manager/api/reference/rest/v1/audienceMembers/remove",
            "https://developers.google.com/ads/blog/posts/2026/03/changes-to-customer-match-support-in",
        ],
    }
}

struct GoogleAds {
    client: Client,
    tokens: Arc<Tokens>,
    customer: String,
    login_customer: Option<String>,
    lists: Vec<String>,
    calling_code: Option<String>,
    /// For the job API.
    job: Option<JobApi>,
}

struct JobApi {
    developer_token: SecretString,
    version: String,
}

/// A part of a batch: its people by their place in the batch.
type Part<'a> = Vec<(usize, &'a Subject, Value)>;

impl GoogleAds {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let options = &settings.options;
        let fails = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let job = match is_job(settings) {
            true => Some(JobApi {
                developer_token: options
                    .secret("developer_token")
                    .ok_or_else(|| fails("there is no `developer_token`"))?,
                version: VERSIONS.of(settings).to_owned(),
            }),
            false => None,
        };
        let (base, scope, rates) = match job {
            Some(_) => (ADS_BASE, ADS_SCOPE, ADS_RATES),
            None => (MANAGER_BASE, MANAGER_SCOPE, MANAGER_RATES),
        };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates, judge: google::judge })?,
            tokens: google::tokens(settings, plumbing, scope)?,
            customer: google::digits(options, "customer").ok_or_else(|| fails("there is no `customer`"))?,
            login_customer: google::digits(options, "login_customer"),
            lists: lists(settings)
                .filter(|lists| !lists.is_empty())
                .ok_or_else(|| fails("there are no `user_lists`"))?,
            calling_code: google::digits(options, "calling_code"),
            job,
        })
    }

    /// A call whose reply must be a success, as JSON.
    async fn ask(&self, call: Call) -> Result<Value, Box<Stopped>> {
        let mut call = call.auth(Auth::Tokens(self.tokens.clone()));
        if let Some(job) = &self.job {
            call = call.header("developer-token", job.developer_token.clone());
            if let Some(manager) = &self.login_customer {
                call = call.header("login-customer-id", manager.clone());
            }
        }
        let stopped = |answer| Box::new(Stopped { answer, reply: None });
        let reply = self.client.send(&call).await.map_err(|failure| stopped(failure.into()))?;
        match reply.json().filter(|body| reply.is_success() && body.is_object()) {
            Some(body) => Ok(body),
            None => Err(Box::new(Stopped { answer: google::refusal(&reply), reply: Some(reply) })),
        }
    }
}

#[async_trait::async_trait]
impl Recipient for GoogleAds {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        if let Err(failure) = self.tokens.token(&self.client, None).await {
            return vec![failure.into(); subjects.len()];
        }
        let mut answers: Vec<Option<Answer>> = vec![None; subjects.len()];
        let mut once = Once::new();
        for (place, subject) in subjects.iter().enumerate() {
            match self.member(subject) {
                Ok(member) => once.about(member, place),
                Err(answer) => answers[place] = Some(answer),
            }
        }
        let mut by_type: BTreeMap<Type, Part> = BTreeMap::new();
        let mut rows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (member, rows) in once.entries() {
            by_type.entry(member.kind).or_default().push((rows[0], &subjects[rows[0]], member.body));
            rows_of.insert(rows[0], rows);
        }
        let mut parts = Vec::new();
        for (kind, members) in by_type {
            let mut members = members.into_iter();
            loop {
                let part: Part = members.by_ref().take(MOST_PER_REQUEST).collect();
                if part.is_empty() {
                    break;
                }
                parts.push((kind, part));
            }
        }
        let serve = async |(kind, part)| match &self.job {
            Some(api) => self.run_jobs(api, part).await,
            None => self.remove(kind, part).await,
        };
        for (place, answer) in in_order(parts.into_iter().map(serve).collect(), AT_ONCE).await.into_iter().flatten() {
            for row in &rows_of[&place] {
                answers[*row] = Some(answer.clone());
            }
        }
        let missing = || Answer::unreachable("nobody was asked", None);
        answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        match &self.job {
            Some(api) => self.poll_jobs(api, tickets).await,
            None => self.poll_requests(tickets).await,
        }
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let calls: Vec<Call> = match &self.job {
            // Also proves that the developer token may.
            Some(api) => {
                let path = format!("/{}/customers/{}/offlineUserDataJobs:create", api.version, self.customer);
                let body = |list: &String| json!({"job": self.new_job(list, None), "validateOnly": true});
                let call = |list| Call::post("check a job", &path).body(Body::Json(body(list)));
                self.lists.iter().map(call).collect()
            }
            None => {
                // The hash of an address that nobody has.
                let nobody =
                    json!({"userData": {"userIdentifiers": [{"emailAddress": sha256("nobody@sunset.invalid")}]}});
                let body = self.removal(Type::Contact, std::iter::once(&nobody), true);
                vec![Call::post("check a removal", "/v1/audienceMembers:remove").body(Body::Json(body))]
            }
        };
        for call in calls {
            if let Err(stopped) = self.ask(call).await {
                let wrong_type = ["INVALID_USER_LIST_TYPE", "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES"];
                if wrong_type.iter().any(|reason| stopped.says(reason)) {
                    let reason =
                        "the credentials work, but the lists are not of contacts, which alone can be tried".to_owned();
                    return Ok(Checked::Unproven { reason });
                }
                return Err(match stopped.answer.state {
                    State::Unreachable { reason, .. } | State::Forgotten { reason } => {
                        CheckError { reason, temporary: true }
                    }
                    State::Refused { reason } | State::NotPossible { reason } => {
                        CheckError { reason, temporary: false }
                    }
                    State::Confirmed | State::Gone | State::Accepted { .. } | State::Elapsed => {
                        return Ok(Checked::Proven);
                    }
                });
            }
        }
        Ok(Checked::Proven)
    }
}

/// A call that did not come to the wanted end.
struct Stopped {
    /// What is to be said about the subjects.
    answer: Answer,
    /// If there was one.
    reply: Option<Reply>,
}

impl Stopped {
    /// Whether this is among the reply's reasons.
    fn says(&self, reason: &str) -> bool {
        let body = self.reply.as_ref().and_then(Reply::json).unwrap_or_default();
        google::reasons(&body).contains(&reason)
    }
}

fn other_api() -> Answer {
    Answer::unreachable("the work was begun with another `api`; it will be asked again", None)
}

#[cfg(test)]
mod tests;
