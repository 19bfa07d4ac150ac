//! Criteo: removes people from the contact list of one audience segment.
//!
//! `PATCH /2027-01/marketing-solutions/audience-segments/{id}/contact-list` with the operation `remove` takes up to 50,000
//! identifiers of one type (criteo-api-marketingsolutions-sdk 2027.1.0; <https://developers.criteo.com/marketing-solutions/docs/contact-list>),
//! so a person with several identifiers takes part in several calls. Criteo answers with how many identifiers were valid, and a
//! sample of the others; where the sample does not name them all, the rest is asked about in halves. It reports no end,
//! so the evidence is acceptance. There is no sandbox: each call acts on the production environment.
//!
//! E-mail addresses may be known to Criteo as they are, or as MD5, SHA-256, or SHA-256 of the MD5, each of the address
//! without outer white space in small letters. All four are accepted; `email_form` says which one was uploaded.
//!
//! An error `audience-invalid` (HTTP 404) means that the segment was deleted, or that its id is wrong. Criteo does not tell
//! which, so it is refused unless the settings say that it was deleted.
//!
//! Not confirmed by any documentation, from memory alone: how phone numbers are written (E.164 with `+`; for advertisers in
//! India only), and that other identifiers are taken as they are. How soon a removal takes effect is documented for
//! retail media only (twice a day, and about five hours); for marketing solutions it was not found. Whether Criteo deletes a
//! customer's data by e-mail address is not documented: its privacy endpoint takes the id of a browser alone, and other
//! requests go to its contact for data protection (a recipient of the kind `notice`).

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    audience::{Entry, People, same},
    client::{Auth, Body, Call, Client, Conduct, Failure, Reply, in_order, segment},
    hashing::{address, hashed},
    phone,
    retry::{Verdict, retry_after, usual},
    token::{FormGrant, Tokens},
    version::Versions,
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
use jiff::{Timestamp, civil::date};
use md5::{Digest as _, Md5};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{fmt::Write as _, sync::Arc, time::Duration};

const BASE: &str = "https://api.criteo.com";

/// The versions of the API.
const VERSIONS: Versions = Versions {
    api: "Criteo's API",
    written_for: "2027-01",
    written_on: date(2026, 11, 1),
    months: 12,
    source: "https://developers.criteo.com/criteo-apis/docs/versioning-policy",
};

/// For an app with client credentials (<https://developers.criteo.com/criteo-apis/docs/rate-limits>).
const RATES: &[Rate] = &[Rate::per_minute(250)];

/// Identifiers in one call.
const MOST: usize = 50_000;

/// India's.
const CALLING_CODE: &str = "\"91\"";

/// Calls under way at a time.
const AT_ONCE: usize = 4;

/// Calls at most to find out which identifiers of one batch are invalid.
const MOST_CALLS: usize = 64;

pub static KIND: Kind = Kind {
    name: "criteo",
    doc: "Criteo: removes people from the contact list of one audience segment. Each segment is a recipient of its own.",
    settings: &[
        Field::required("audience", "The audience segment's id.", Shape::Text(&format::SETTING), "\"123456\""),
        Field::required("client_id", "The app's id.", Shape::Text(&format::SETTING), "\"${CRITEO_ID}\""),
        Field::required("client_secret", "The app's secret.", Shape::Text(&format::KEY), "\"${CRITEO_SECRET}\""),
        Field::optional(
            "email_form",
            "How e-mail addresses leave; `sha256` by default. It has to be the form in which they were uploaded.",
            Shape::Words(&[
                Word { word: "sha256", doc: "as SHA-256" },
                Word { word: "md5", doc: "as MD5" },
                Word { word: "sha256_of_md5", doc: "as SHA-256 of the MD5" },
                Word { word: "raw", doc: "as they are, in small letters" },
            ]),
            "md5",
        ),
        Field::optional(
            "gum_caller_id",
            "Criteo's id for the caller; needed with the identifier `gum`.",
            Shape::Integer(Bounds { least: Some(0.0), most: None, above: false, code: Code::BadLimit }),
            "123",
        ),
        phone::setting(CALLING_CODE),
        Versions::field("The version of the API; `2027-01` by default.", "2027-01"),
        Field::optional(
            "audience_deleted",
            "`true` says that the segment was deleted, so that Criteo's \"no such audience\" means that everybody is gone; \
             by default, it is a mistake in the settings.",
            Shape::Boolean,
            "true",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier {
                name: "email",
                doc: "An e-mail address; leaves as `email_form` says.",
                example: "taro@example.com",
            },
            Identifier {
                name: "phone",
                doc: "A phone number (advertisers in India only); leaves as SHA-256.",
                example: "+919876543210",
            },
            Identifier {
                name: "madid",
                doc: "A mobile advertising id; leaves as it is.",
                example: "38400000-8cf0-11bd-b23e-10b96e40000d",
            },
            Identifier {
                name: "identity_link",
                doc: "A LiveRamp identity link; leaves as it is.",
                example: "Xi1T0hN6Gk",
            },
            Identifier { name: "gum", doc: "Criteo's GUM cookie id; leaves as it is.", example: "k-1234" },
        ],
        any_of: &[&["email", "phone", "madid", "identity_link", "gum"]],
    },
    check,
    facts: |settings| Facts {
        batch: MOST,
        calls: 1,
        rates: settings.rates(RATES),
        grade: Grade::E2,
        deleted: "the person's entry in the contact list of the audience segment",
        kept: "what Criteo knows of the person's browsers and purchases, and other segments",
        sources: &[
            "https://developers.criteo.com/marketing-solutions/docs/contact-list",
            "https://developers.criteo.com/criteo-apis/docs/rate-limits",
        ],
    },
    remarks: |settings, today| VERSIONS.remark(settings, today).into_iter().collect(),
    open: |settings, plumbing| Ok(Box::new(Criteo::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    phone::country(settings, CALLING_CODE)?;
    VERSIONS.check(settings)?;
    let is_id = |text: &str| matches!(text.len(), 1..=19) && text.bytes().all(|byte| byte.is_ascii_digit());
    if settings.options.text("audience").is_none_or(is_id) {
        return Ok(());
    }
    Err(Misfit {
        at: vec!["audience"],
        problem: "this is no audience segment's id".to_owned(),
        help: "digits, such as `\"123456\"`".to_owned(),
    })
}

#[derive(Clone, Copy)]
enum EmailForm {
    Sha256,
    Md5,
    Sha256OfMd5,
    Raw,
}

impl EmailForm {
    fn of(settings: &RecipientSettings) -> Self {
        match settings.options.text("email_form") {
            Some("md5") => Self::Md5,
            Some("sha256_of_md5") => Self::Sha256OfMd5,
            Some("raw") => Self::Raw,
            _ => Self::Sha256,
        }
    }

    /// What is sent of an address; `None` for what is none. What has this form already is not hashed again.
    fn apply(self, text: &str) -> Option<String> {
        match self {
            Self::Sha256 => hashed(text, address),
            Self::Md5 => md5_digest(text).or_else(|| address(text).map(|address| md5(&address))),
            Self::Sha256OfMd5 => hashed(text, |text| address(text).map(|address| md5(&address))),
            Self::Raw => address(text),
        }
    }
}

fn md5_digest(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text))
}

struct Criteo {
    client: Client,
    tokens: Arc<Tokens>,
    version: String,
    audience: String,
    email_form: EmailForm,
    gum_caller_id: Option<u64>,
    country: Option<String>,
    audience_deleted: bool,
}

impl Criteo {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let options = &settings.options;
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let text = |key: &str| options.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        let secret: SecretString = options.secret("client_secret").ok_or_else(|| missing("client_secret"))?;
        let form = vec![
            ("grant_type".to_owned(), "client_credentials".into()),
            ("client_id".to_owned(), text("client_id")?.into()),
            ("client_secret".to_owned(), secret),
        ];
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: RATES, judge })?,
            tokens: Arc::new(Tokens::new(FormGrant { url: "/oauth2/token".to_owned(), basic: None, form })),
            version: VERSIONS.of(settings).to_owned(),
            audience: text("audience")?,
            email_form: EmailForm::of(settings),
            gum_caller_id: options.number("gum_caller_id"),
            country: options.text(phone::COUNTRY).map(str::to_owned),
            audience_deleted: options.flag("audience_deleted"),
        })
    }

    fn path(&self) -> String {
        format!("/{}/marketing-solutions/audience-segments/{}/contact-list", self.version, segment(&self.audience))
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call.auth(Auth::Tokens(self.tokens.clone()))).await
    }

    /// What is sent of an identifier; `None` where nothing is left of it.
    fn form(&self, name: &str, text: &str) -> Option<String> {
        match name {
            "email" => self.email_form.apply(text),
            "phone" => hashed(text, |text| {
                let digits = phone::international(text, self.country.as_deref()).number()?;
                Some(format!("+{digits}"))
            }),
            _ => Some(text.trim().to_owned()),
        }
    }

    /// Removes identifiers of one type; where Criteo finds some invalid, finds out which.
    async fn remove(&self, kind: &str, entries: Vec<Entry>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        let mut settle = |entries: &[Entry], answer: &Answer| answers.extend(same(entries, answer));
        let mut groups = vec![entries];
        let mut calls = 0;
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            if calls == MOST_CALLS {
                settle(&group, &Answer::unreachable("Criteo finds identifiers invalid, and does not say which", None));
                continue;
            }
            calls += 1;
            match self.amend(kind, &group).await {
                Outcome::All(answer) => settle(&group, &answer),
                Outcome::Invalid { number, samples } => {
                    let (invalid, rest): (Vec<_>, Vec<_>) =
                        group.into_iter().partition(|(text, _)| samples.iter().any(|sample| sample == text));
                    settle(&invalid, &Answer::refused("Criteo finds the identifier invalid"));
                    if invalid.len() >= number {
                        settle(&rest, &Answer::confirmed(Grade::E2));
                    } else if number >= invalid.len() + rest.len() {
                        settle(&rest, &Answer::refused("Criteo finds the identifier invalid"));
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

    async fn amend(&self, kind: &str, entries: &[Entry]) -> Outcome {
        let identifiers: Vec<_> = entries.iter().map(|(text, _)| text.as_str()).collect();
        let mut attributes = json!({"operation": "remove", "identifierType": kind, "identifiers": identifiers});
        if kind == "gum" {
            attributes["gumCallerId"] = json!(self.gum_caller_id);
        }
        let body = Body::Json(json!({"data": {"type": "ContactlistAmendment", "attributes": attributes}}));
        let call = Call::new("remove from a contact list", Method::PATCH, self.path()).body(body);
        let reply = match self.send(call).await {
            Ok(reply) => reply,
            Err(failure) => return Outcome::All(failure.into()),
        };
        if !reply.is_success() {
            return Outcome::All(self.refusal(&reply));
        }
        let body = reply.json().unwrap_or_default();
        if body["errors"].as_array().is_some_and(|errors| !errors.is_empty()) {
            return Outcome::All(self.refusal(&reply));
        }
        let attributes = &body["data"]["attributes"];
        let count = |name: &str| attributes[name].as_u64().and_then(|number| usize::try_from(number).ok());
        match (count("nbValidIdentifiers"), count("nbInvalidIdentifiers")) {
            (Some(valid), Some(0)) if valid == entries.len() => Outcome::All(Answer::confirmed(Grade::E2)),
            (Some(valid), Some(number)) if valid.checked_add(number) == Some(entries.len()) => {
                let samples = attributes["sampleInvalidIdentifiers"].as_array().into_iter().flatten();
                Outcome::Invalid { number, samples: samples.filter_map(Value::as_str).map(str::to_owned).collect() }
            }
            (Some(_), Some(_)) => {
                Outcome::All(Answer::unreachable("Criteo did not count all identifiers that were sent", None))
            }
            _ => Outcome::All(Answer::unreachable("a success with an answer that cannot be read", None)),
        }
    }

    /// A reply that is no success.
    fn refusal(&self, reply: &Reply) -> Answer {
        let body = reply.json().unwrap_or_default();
        let error = &body["errors"][0];
        let trace = ["traceId", "traceIdentifier"].into_iter().find_map(|name| error[name].as_str());
        let answer = match reply.status {
            300..=399 => Answer::refused("Criteo's answer leads elsewhere, which is not followed: look at `url`"),
            404 if error["code"] == NO_AUDIENCE && self.audience_deleted => Answer::confirmed(Grade::E2),
            404 if error["code"] == NO_AUDIENCE => Answer::refused(
                "Criteo knows no such audience: look at `audience`; if it was deleted, say `audience_deleted: true`",
            ),
            404 if !error.is_object() => Answer::refused("HTTP 404 that is not Criteo's: look at `url`"),
            _ => Answer::refused(words_of(reply)),
        };
        answer.request_id(trace.filter(|trace| is_id(trace)).map(str::to_owned))
    }
}

const NO_AUDIENCE: &str = "audience-invalid";

enum Outcome {
    /// One answer for all people.
    All(Answer),
    /// So many are invalid, some of which are named.
    Invalid { number: usize, samples: Vec<String> },
}

#[async_trait::async_trait]
impl Recipient for Criteo {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut people = People::new(subjects.len());
        for (name, kind) in [
            ("email", "email"),
            ("phone", "phoneNumber"),
            ("madid", "madid"),
            ("identity_link", "identityLink"),
            ("gum", "gum"),
        ] {
            for (index, subject) in subjects.iter().enumerate() {
                let Some(text) = subject.get(name) else { continue };
                if kind == "gum" && self.gum_caller_id.is_none() {
                    let reason = "the settings have no `gum_caller_id`, without which Criteo takes no `gum`";
                    people.answered(index, Answer::refused(reason));
                } else if let Some(refused) =
                    phone::refused(subject, self.country.as_deref(), phone::COUNTRY).filter(|_| name == "phone")
                {
                    people.answered(index, refused);
                } else if let Some(form) = self.form(name, text) {
                    people.known_by(kind, form, index);
                }
            }
        }
        let calls = people.batches(MOST).into_iter().map(|(kind, entries)| self.remove(kind, entries)).collect();
        for (index, answer) in in_order(calls, AT_ONCE).await.into_iter().flatten() {
            people.answered(index, answer);
        }
        people.answers("the row has no identifier that Criteo could know the person by")
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        match self.send(Call::get("look at a contact list", format!("{}/statistics", self.path()))).await {
            Ok(reply) if reply.is_success() && reply.json().is_some_and(|body| body["data"].is_object()) => {
                Ok(Checked::Proven)
            }
            Ok(reply) => match self.refusal(&reply).state {
                State::Confirmed => Ok(Checked::Proven),
                State::Refused { reason } => Err(CheckError { reason, temporary: false }),
                state => Err(CheckError { reason: state.word().to_owned(), temporary: true }),
            },
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

/// At 429, Criteo tells when the window ends, in seconds since 1970.
fn judge(reply: &Reply) -> Verdict {
    if reply.status != 429 {
        return usual(reply);
    }
    let reset = reply.header("x-ratelimit-reset").and_then(|second| second.trim().parse::<i64>().ok());
    let left = reset.map(|second| second.saturating_sub(Timestamp::now().as_second()));
    let after = left.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
    Verdict::Retry { after: after.or_else(|| retry_after(reply)) }
}

/// Type and code: title and detail may quote identifiers.
fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let mut words = match reply.status {
        401 => "Criteo does not know the credentials (HTTP 401)".to_owned(),
        403 => "the credentials may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    for name in ["type", "code"] {
        if let Some(word) = body["errors"][0][name].as_str().filter(|word| is_plain(word)) {
            let _ = write!(words, ", {name} {word}");
        }
    }
    words
}

/// A word of an API, and not somebody's name.
fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 60
        && word.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_.-".contains(&byte))
}

fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_each_form() {
        for (form, wanted) in [
            (EmailForm::Raw, "test@example.com"),
            (EmailForm::Md5, "55502f40dc8b7c769880b10874abc9d0"),
            (EmailForm::Sha256, "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
            (EmailForm::Sha256OfMd5, "0a7d4fbfa8698f03c421de2c4047ad2998f34bf630b9673a7ec1237e53899916"),
        ] {
            assert_eq!(form.apply(" Test@Example.COM\n").as_deref(), Some(wanted));
            assert_eq!(form.apply(&wanted.to_uppercase()).as_deref(), Some(wanted), "it is not hashed again");
            assert_eq!(form.apply("n/a"), None);
        }
    }

    #[test]
    fn waits_until_the_window_ends() {
        let soon = (Timestamp::now().as_second() + 30).to_string();
        let verdict = judge(&Reply::for_test(429, &[("x-ratelimit-reset", &soon)], ""));
        assert!(matches!(verdict, Verdict::Retry { after: Some(after) } if (28..=30).contains(&after.as_secs())));
        let verdict = judge(&Reply::for_test(429, &[("retry-after", "7")], ""));
        assert_eq!(verdict, Verdict::Retry { after: Some(Duration::from_secs(7)) });
        assert_eq!(judge(&Reply::for_test(401, &[], "")), Verdict::Refresh);
        assert_eq!(judge(&Reply::for_test(404, &[], "")), Verdict::Final);
    }
}
