//! Microsoft Advertising: removes people from one customer list.
//!
//! `POST /CampaignManagement/v13/CustomerListUserData/Apply` with the action `Remove` takes up to 1,000 items of one type: `Email`,
//! `Phone` or `CRM` (`applycustomerlistuserdata` of <https://github.com/MicrosoftDocs/Advertising>), so a person with several
//! identifiers takes part in several calls. (`ApplyCustomerListItems`, the older call, is deprecated.) The answer lists in
//! `PartialErrors` the items that were not done, by their index. Those are refused; the others are sent anew, until the list is there
//! and empty, which alone counts as success. Lists are not shown to anybody, and nothing tells an end: the evidence is acceptance.
//!
//! An e-mail address leaves as the SHA-256 of its form without outer white space in small letters. What is SHA-256 already
//! leaves as it is ([`hashing`](super::hashing)). How phone numbers are written before they are hashed is not
//! documented, so there is no default: `phone_form` says how they were uploaded, and without it none is sent. CRM ids
//! leave as they are.
//!
//! Tokens come from Microsoft's identity platform for a refresh token with the scope `msads.manage`.
//!
//! Not confirmed by any documentation, from memory alone: that addresses are hashed without outer white space in small letters,
//! and CRM ids not at all; the codes 109 (an expired token), 117 and 207 (too many calls) and 0 (an internal error); that the
//! list is `[]` and not `null` where all went well (`null` is taken for an answer that cannot be read); the header
//! `TrackingId`; that a refresh token stays good when a newer one was given, which this program does not keep. What Microsoft answers about
//! an item that is in no list is not documented: if that is an error, the person's row stays.

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    audience::{Entry, People, same},
    client::{Auth, Body, Call, Client, Conduct, Failure, Reply, in_order},
    hashing::{address, digest, hashed, sha256},
    identity::is_placeholder,
    no_remarks, phone,
    retry::{Verdict, retry_after, usual},
    token::{FormGrant, Tokens},
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// `https://campaign.api.sandbox.bingads.microsoft.com` is Microsoft's own sandbox.
const BASE: &str = "https://campaign.api.bingads.microsoft.com";

const TOKEN: &str = "https://login.microsoftonline.com/common/oauth2/v2.0/token";

const SCOPE: &str = "https://ads.microsoft.com/msads.manage offline_access";

/// Items in one call.
const MOST: usize = 1000;

/// Calls under way at a time.
const AT_ONCE: usize = 4;

/// Calls at most for one batch, of which each finds other items wrong.
const MOST_CALLS: usize = 16;

/// Japan's.
const CALLING_CODE: &str = "\"81\"";

pub static KIND: Kind = Kind {
    name: "microsoft_ads",
    doc: "Microsoft Advertising: removes people from one customer list. Each list is a recipient of its own.",
    settings: &[
        Field::required(
            "developer_token",
            "The developer token.",
            Shape::Text(&format::KEY),
            "\"${MICROSOFT_DEVELOPER_TOKEN}\"",
        ),
        Field::required(
            "client_id",
            "The application's id.",
            Shape::Text(&format::SETTING),
            "\"${MICROSOFT_CLIENT_ID}\"",
        ),
        Field::optional(
            "client_secret",
            "The application's secret, where it has one.",
            Shape::Text(&format::KEY),
            "\"${MICROSOFT_CLIENT_SECRET}\"",
        ),
        Field::required(
            "refresh_token",
            "The refresh token of somebody who may manage the account's lists.",
            Shape::Text(&format::KEY),
            "\"${MICROSOFT_REFRESH_TOKEN}\"",
        ),
        Field::required("customer", "The customer's id (`CustomerId`).", Shape::Text(&format::SETTING), "\"1234567\""),
        Field::required(
            "account",
            "The account's id (`CustomerAccountId`).",
            Shape::Text(&format::SETTING),
            "\"7654321\"",
        ),
        Field::required("audience", "The customer list's id.", Shape::Text(&format::SETTING), "\"801234567\""),
        phone::setting(CALLING_CODE),
        Field::optional(
            "phone_form",
            "How phone numbers were written before they were hashed and uploaded; needed with the identifier `phone`, unless its column \
             holds digests.",
            Shape::Words(&[
                Word { word: "plus", doc: "with `+`: `+819012345678`" },
                Word { word: "digits", doc: "digits alone: `819012345678`" },
            ]),
            "plus",
        ),
        Field::optional(
            "token_url",
            "Where tokens come from, if not from `https://login.microsoftonline.com/common/oauth2/v2.0/token`.",
            Shape::Text(&format::RECIPIENT_URL),
            "http://127.0.0.1:8420/microsoft_ads/common/oauth2/v2.0/token",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier {
                name: "email",
                doc: "An e-mail address, which leaves as SHA-256; or the SHA-256 that was uploaded.",
                example: "taro@example.com",
            },
            Identifier {
                name: "phone",
                doc: "A phone number with its country, or as `country_calling_code` completes it, which leaves as SHA-256 of what \
                      `phone_form` says; or the SHA-256 that was uploaded.",
                example: "+819012345678",
            },
            Identifier {
                name: "crm",
                doc: "One's own id of the person, as it was uploaded; leaves as it is.",
                example: "u-1001",
            },
        ],
        any_of: &[&["email", "phone", "crm"]],
    },
    check: |settings| {
        phone::country(settings, CALLING_CODE)?;
        let is_id = |text: &str| matches!(text.len(), 1..=19) && text.bytes().all(|byte| byte.is_ascii_digit());
        let wrong = |key: &&str| !settings.options.text(key).is_none_or(is_id);
        match ["customer", "account", "audience"].into_iter().find(wrong) {
            None => Ok(()),
            Some(key) => Err(Misfit {
                at: vec![key],
                problem: "this is no id of Microsoft Advertising".to_owned(),
                help: "digits in quotation marks, such as `\"1234567\"`".to_owned(),
            }),
        }
    },
    facts: |settings| Facts {
        batch: MOST,
        calls: 1,
        rates: settings.rates(&[]),
        grade: Grade::E2,
        deleted: "the person's entries in the customer list",
        kept: "what tags on websites collected, other lists, those that were made from this one included, and the person's own \
               account at Microsoft",
        sources: &[
            "https://learn.microsoft.com/en-us/advertising/campaign-management-service/applycustomerlistuserdata",
            "https://github.com/MicrosoftDocs/Advertising",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(MicrosoftAds::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct MicrosoftAds {
    client: Client,
    tokens: Arc<Tokens>,
    developer_token: SecretString,
    customer: String,
    account: String,
    audience: String,
    country: Option<String>,
    /// What stands before the digits of an uploaded phone number.
    phone_begins: Option<&'static str>,
}

impl MicrosoftAds {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let options = &settings.options;
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let text = |key: &str| options.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        let secret = |key: &str| options.secret(key).ok_or_else(|| missing(key));
        let mut form = vec![
            ("grant_type".to_owned(), "refresh_token".into()),
            ("client_id".to_owned(), secret("client_id")?),
            ("refresh_token".to_owned(), secret("refresh_token")?),
            ("scope".to_owned(), SCOPE.into()),
        ];
        form.extend(options.secret("client_secret").map(|secret| ("client_secret".to_owned(), secret)));
        let url = options.text("token_url").unwrap_or(TOKEN).to_owned();
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: &[], judge })?,
            tokens: Arc::new(Tokens::new(FormGrant { url, basic: None, form })),
            developer_token: secret("developer_token")?,
            customer: text("customer")?,
            account: text("account")?,
            audience: text("audience")?,
            country: options.text(phone::COUNTRY).map(str::to_owned),
            phone_begins: options.text("phone_form").map(|form| if form == "plus" { "+" } else { "" }),
        })
    }

    async fn post(&self, operation: &'static str, path: &str, body: Value) -> Result<Reply, Failure> {
        let call = Call::post(operation, format!("/CampaignManagement/v13/{path}"))
            .header("DeveloperToken", self.developer_token.clone())
            .header("CustomerId", self.customer.clone())
            .header("CustomerAccountId", self.account.clone())
            .auth(Auth::Tokens(self.tokens.clone()))
            .body(Body::Json(body));
        self.client.send(&call).await
    }

    /// What is sent of a phone number; `None` where it is none.
    fn phone(&self, subject: &Subject, text: &str) -> Result<Option<String>, Answer> {
        if let Some(digest) = digest(text) {
            return Ok(Some(digest));
        }
        if let Some(refused) = phone::refused(subject, self.country.as_deref(), phone::COUNTRY) {
            return Err(refused);
        }
        let number = phone::international(text, self.country.as_deref()).number();
        match (number, self.phone_begins) {
            (None, _) => Ok(None),
            (Some(number), Some(begins)) => Ok(Some(sha256(&format!("{begins}{number}")))),
            (Some(_), None) => Err(Answer::refused(
                "not asked: nothing says how phone numbers were written when they were uploaded; set `phone_form`",
            )),
        }
    }

    /// Removes items of one type. Where Microsoft finds some wrong, the others are sent anew.
    async fn remove(&self, kind: &'static str, mut entries: Vec<Entry>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        for _ in 0..MOST_CALLS {
            let wrong = match self.apply(kind, &entries).await {
                Outcome::All(answer) => {
                    answers.extend(same(&entries, &answer));
                    return answers;
                }
                Outcome::Wrong(wrong) => wrong,
            };
            for (at, entry) in std::mem::take(&mut entries).into_iter().enumerate() {
                match wrong.get(&at) {
                    Some(answer) => answers.extend(same(&[entry], answer)),
                    None => entries.push(entry),
                }
            }
            if entries.is_empty() {
                return answers;
            }
        }
        let reason = "Microsoft finds other items wrong each time";
        answers.extend(same(&entries, &Answer::unreachable(reason, None)));
        answers
    }

    async fn apply(&self, kind: &str, entries: &[Entry]) -> Outcome {
        let items: Vec<_> = entries.iter().map(|(text, _)| text.as_str()).collect();
        let body = json!({"CustomerListUserData": {
            "ActionType": "Remove",
            "AudienceId": self.audience,
            "CustomerListItemSubType": kind,
            "CustomerListItems": items,
        }});
        let reply = match self.post("remove from a customer list", "CustomerListUserData/Apply", body).await {
            Ok(reply) => reply,
            Err(failure) => return Outcome::All(failure.into()),
        };
        let errors = match partial_errors(&reply) {
            Ok(errors) => errors,
            Err(answer) => return Outcome::All(answer),
        };
        let id = reply.id("trackingid");
        if errors.is_empty() {
            return Outcome::All(Answer::confirmed(Grade::E2).request_id(id));
        }
        let mut wrong = BTreeMap::new();
        for error in &errors {
            let at = error["Index"].as_u64().and_then(|at| usize::try_from(at).ok());
            let Some(at) = at.filter(|at| *at < entries.len()) else {
                let reason = words("Microsoft names an error of no item that was sent", error);
                return Outcome::All(Answer::unreachable(reason, None).request_id(id));
            };
            let reason = words("Microsoft refuses the item", error);
            let passes = error["Code"].as_i64().is_none_or(|code| code == 0 || TOO_MANY.contains(&code));
            let answer = if passes { Answer::unreachable(reason, None) } else { Answer::refused(reason) };
            wrong.insert(at, answer.request_id(id.clone()));
        }
        Outcome::Wrong(wrong)
    }
}

enum Outcome {
    /// One answer for all people.
    All(Answer),
    /// Positions of items that were not done.
    Wrong(BTreeMap<usize, Answer>),
}

#[async_trait::async_trait]
impl Recipient for MicrosoftAds {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut people = People::new(subjects.len());
        for (person, subject) in subjects.iter().enumerate() {
            if let Some(email) = subject.get("email").and_then(|text| hashed(text, address)) {
                people.known_by("Email", email, person);
            }
            match subject.get("phone").map(|text| self.phone(subject, text)) {
                Some(Ok(Some(phone))) => people.known_by("Phone", phone, person),
                Some(Err(refused)) => people.answered(person, refused),
                Some(Ok(None)) | None => {}
            }
            if let Some(crm) = subject.get("crm").map(str::trim).filter(|text| !is_placeholder(text)) {
                people.known_by("CRM", crm.to_owned(), person);
            }
        }
        let calls = people.batches(MOST).into_iter().map(|(kind, entries)| self.remove(kind, entries)).collect();
        for (person, answer) in in_order(calls, AT_ONCE).await.into_iter().flatten() {
            people.answered(person, answer);
        }
        people.answers("the row has no identifier that Microsoft could know the person by")
    }

    /// The account shows the customer list.
    async fn check(&self) -> Result<Checked, CheckError> {
        let fatal = |reason: String| CheckError { reason, temporary: false };
        let body = json!({"AudienceIds": [self.audience], "Type": "CustomerList"});
        let reply = self
            .post("look at the customer list", "Audiences/QueryByIds", body)
            .await
            .map_err(|failure| CheckError { reason: failure.reason, temporary: !failure.lasting })?;
        if !reply.is_success() {
            return Err(fatal(words_of(&reply)));
        }
        let body = reply.json().unwrap_or_default();
        let is_it =
            |id: &Value| *id == self.audience.as_str() || id.as_u64().is_some_and(|id| id.to_string() == self.audience);
        if body["Audiences"].as_array().into_iter().flatten().any(|audience| is_it(&audience["Id"])) {
            return Ok(Checked::Proven);
        }
        let what = "Microsoft shows no such customer list in the account: look at `account` and `audience`";
        Err(fatal(words(what, &body["PartialErrors"][0])))
    }
}

/// "Too many calls".
const TOO_MANY: &[i64] = &[117, 207];

const EXPIRED: i64 = 109;

/// The errors of a call as a whole.
fn errors(body: &Value) -> Vec<Value> {
    let lists = ["Errors", "OperationErrors", "BatchErrors"].map(|name| body[name].as_array());
    lists.into_iter().flatten().flatten().cloned().collect()
}

fn judge(reply: &Reply) -> Verdict {
    let codes: Vec<_> =
        errors(&reply.json().unwrap_or_default()).iter().filter_map(|error| error["Code"].as_i64()).collect();
    if codes.iter().any(|code| TOO_MANY.contains(code)) {
        return Verdict::Retry { after: retry_after(reply) };
    }
    if codes.contains(&EXPIRED) { Verdict::Refresh } else { usual(reply) }
}

/// What a success says of the items that were not done.
fn partial_errors(reply: &Reply) -> Result<Vec<Value>, Answer> {
    let mut body = reply.json().unwrap_or_default();
    let answer = match reply.status {
        200 if errors(&body).is_empty() => match body.get_mut("PartialErrors").map(Value::take) {
            Some(Value::Array(errors)) => return Ok(errors),
            _ => Answer::unreachable("a success without `PartialErrors`, which says nothing", None),
        },
        200 => Answer::refused(words_of(reply)),
        201..=299 => Answer::unreachable(format!("HTTP {} with an answer that is not documented", reply.status), None),
        300..=399 => Answer::refused("Microsoft's answer leads elsewhere, which is not followed: look at `url`"),
        404 if errors(&body).is_empty() => Answer::refused("HTTP 404 that is not Microsoft's: look at `url`"),
        _ => Answer::refused(words_of(reply)),
    };
    Err(answer.request_id(reply.id("trackingid")))
}

/// Codes alone: messages may quote what was sent.
fn words_of(reply: &Reply) -> String {
    let what = match reply.status {
        401 => "Microsoft does not know the credentials (HTTP 401)".to_owned(),
        403 => "the credentials may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    words(&what, errors(&reply.json().unwrap_or_default()).first().unwrap_or(&Value::Null))
}

fn words(what: &str, error: &Value) -> String {
    let mut words = what.to_owned();
    if let Some(code) = error["Code"].as_i64() {
        let _ = write!(words, ", code {code}");
    }
    if let Some(name) = error["ErrorCode"].as_str().filter(|name| is_plain(name)) {
        let _ = write!(words, ", {name}");
    }
    words
}

/// A word of an API, and not somebody's name.
fn is_plain(word: &str) -> bool {
    matches!(word.len(), 1..=60) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_empty_list_of_errors_is_success() {
        let done = |status, body: &str| {
            partial_errors(&Reply::for_test(status, &[], body)).is_ok_and(|errors| errors.is_empty())
        };
        assert!(done(200, r#"{"PartialErrors": []}"#));
        for (status, body) in [
            (201, r#"{"PartialErrors": []}"#),
            (204, ""),
            (400, r#"{"PartialErrors": []}"#),
            (200, ""),
            (200, "{}"),
            (200, "[]"),
            (200, "null"),
            (200, "<html></html>"),
            (200, r#"{"PartialErrors": null}"#),
            (200, r#"{"PartialErrors": {}}"#),
            (200, r#"{"PartialErrors": ""}"#),
            (200, r#"{"PartialErrors": [null]}"#),
            (200, r#"{"partialErrors": []}"#),
            (200, r#"{"PartialErrors": [], "Errors": [{"Code": 105}]}"#),
            (200, r#"{"PartialErrors": [], "OperationErrors": [{"Code": 4000}]}"#),
        ] {
            assert!(!done(status, body), "{status} {body}");
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_an_old_token_fetched_anew() {
        let verdict = |status, body: &str| judge(&Reply::for_test(status, &[], body));
        for status in [200, 400] {
            let later = verdict(status, r#"{"OperationErrors": [{"Code": 117, "ErrorCode": "CallRateExceeded"}]}"#);
            assert_eq!(later, Verdict::Retry { after: None });
        }
        assert_eq!(verdict(400, r#"{"Errors": [{"Code": 109}]}"#), Verdict::Refresh);
        assert_eq!(verdict(401, ""), Verdict::Refresh);
        assert_eq!(verdict(400, r#"{"Errors": [{"Code": 105}]}"#), Verdict::Final);
        assert_eq!(verdict(200, r#"{"PartialErrors": []}"#), Verdict::Final);
    }
}
