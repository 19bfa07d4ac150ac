//! GMO Payment Gateway, OpenAPI type: deletes members with everything that is stored for them.
//!
//! `POST /member/delete` takes the member's id, and HTTP 202 repeats it: cards are deleted then, and authorizations of other ways to
//! pay some time later. An id that was deleted can never be used again. Errors are `application/problem+json`, whose `title` is one of
//! 23 words (GMO's document of the API, version 1.3.1). Calls carry HTTP Basic with the shop's id and password, or a token of
//! `POST https://oauth.mul-pay.jp/token`. `Idempotency-Key` counts for 24 hours: the same call with the same key gets the same reply.
//!
//! No document says how GMO answers about a member that it does not know: of the words, `invalid_parameter` and `invalid_request`
//! may both be meant, and both mean other mistakes as well. So nobody is ever taken for gone here, and acceptance is the best evidence.
//! After the deletion the member is looked up (`/member/inquiry`): a reply that still shows it contradicts the acceptance. For
//! proof, take the [protocol type](super::protocol), which knows the same members.
//!
//! Not confirmed by any documentation: what `/member/inquiry` says while authorizations are still to be deleted; the production
//! host, for which one open script names `api.openapi.mul-pay.jp` (then set `url`).

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    super::{
        Answer, CheckError, Checked, Facts, Kind, OpenError, Plumbing, Recipient, RecipientSettings, Subject,
        client::{Auth, Body, Call, Client, Conduct, Failure, Reply, in_order},
        no_remarks,
        retry::{Verdict, retry_after, usual},
        subject::uuid,
        token::{FormGrant, Tokens},
    },
    AT_ONCE, MEMBER, environment, member_of, nobody,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use secrecy::SecretString;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const LIVE: [&str; 2] = ["https://openapi.mul-pay.jp", "https://oauth.mul-pay.jp/token"];
const TEST: [&str; 2] = ["https://stg.openapi.mul-pay.jp", "https://stg.oauth.mul-pay.jp/token"];

/// The version of the API that was read.
const VERSION: &str = "2023-06";

/// What a look-up with nobody's id may be answered with once the credentials were accepted: wrong ones are HTTP 401 before
/// anything else is looked at.
const ABOUT_THE_ID: &[&str] = &["invalid_parameter", "invalid_request", "invalid_status"];

/// When GMO may have done what it has accepted.
const STILL_THERE: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "gmo_payment_openapi",
    doc: "GMO Payment Gateway, OpenAPI type: deletes members with everything that is stored for them. Nothing proves the end; \
          `gmo_payment` does.",
    settings: &[
        Field::required("shop_id", "The shop's id.", Shape::Text(&format::SETTING), "tshop00012345"),
        Field::required(
            "shop_password",
            "The shop's password, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${GMO_SHOP_PASSWORD}\"",
        ),
        Field::optional(
            "authentication",
            "How calls prove whose they are; `password` by default.",
            Shape::Words(&[
                Word { word: "password", doc: "each with the shop's id and password (HTTP Basic)" },
                Word { word: "token", doc: "each with a token, which the shop's id and password fetch" },
            ]),
            "token",
        ),
        environment(&[
            Word { word: "live", doc: "`https://openapi.mul-pay.jp`, tokens of `https://oauth.mul-pay.jp/token`" },
            Word {
                word: "test",
                doc: "`https://stg.openapi.mul-pay.jp`, tokens of `https://stg.oauth.mul-pay.jp/token`",
            },
        ]),
        Field::optional(
            "token_url",
            "Where tokens come from, if not from where `environment` says.",
            Shape::Text(&format::RECIPIENT_URL),
            "http://127.0.0.1:8420/gmo_payment_openapi/token",
        ),
    ],
    identifiers: MEMBER,
    check: |_| Ok(()),
    facts: |settings| Facts {
        batch: 1,
        calls: 2,
        rates: settings.rates(&[]),
        grade: Grade::E2,
        deleted: "the member, its cards, and authorizations of other ways to pay; the member's id can never be used again",
        kept: "payments and what belongs to them",
        sources: &["https://static.mul-pay.jp/doc/openapi-type/", "https://github.com/uekkie/gmo_payment_api_client"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(OpenApi::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct OpenApi {
    client: Client,
    auth: Auth,
}

impl OpenApi {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let [base, token] = if options.text("environment") == Some("test") { TEST } else { LIVE };
        let shop = options.text("shop_id").ok_or_else(|| missing("shop_id"))?.to_owned();
        let password: SecretString = options.secret("shop_password").ok_or_else(|| missing("shop_password"))?;
        let auth = if options.text("authentication") == Some("token") {
            let word = |name: &str, value: &str| (name.to_owned(), SecretString::from(value));
            Auth::Tokens(Arc::new(Tokens::new(FormGrant {
                url: options.text("token_url").unwrap_or(token).to_owned(),
                basic: Some((shop, password)),
                form: vec![word("grant_type", "client_credentials"), word("scope", "openapi")],
            })))
        } else {
            Auth::Basic(shop, password)
        };
        Ok(Self { client: plumbing.client(settings, &Conduct { base, rates: &[], judge })?, auth })
    }

    fn call(&self, operation: &'static str, path: &str, member: &str) -> Call {
        Call::post(operation, path)
            .header("X-MP-Version", VERSION)
            .auth(self.auth.clone())
            .body(Body::Json(json!({"memberId": member})))
    }

    async fn look_up(&self, member: &str) -> Result<Reply, Failure> {
        self.client.send(&self.call("look up a member", "/member/inquiry", member)).await
    }

    async fn delete_one(&self, subject: &Subject) -> Answer {
        let member = match member_of(subject) {
            Ok(member) => member,
            Err(answer) => return *answer,
        };
        let key = uuid(&format!("gmo_payment_openapi/{}", subject.request()));
        let call = self.call("delete a member", "/member/delete", member).header("Idempotency-Key", key);
        match self.client.send(&call).await {
            Err(failure) => return failure.into(),
            Ok(reply) if reply.status != 202 => return refusal(&reply),
            Ok(reply) => match named(&reply) {
                Some(named) if named == member => {}
                Some(_) => return Answer::refused("GMO's answer is about another member"),
                None => return Answer::unreachable("HTTP 202 with an answer that names no member", None),
            },
        }
        // The deletion is accepted, whatever the look-up says; only the member itself contradicts it.
        match self.look_up(member).await {
            Ok(reply) if reply.is_success() && named(&reply).is_some() => Answer::unreachable(
                "GMO has accepted the member's deletion and still shows a member",
                Some(STILL_THERE),
            ),
            _ => Answer::confirmed(Grade::E2),
        }
    }
}

#[async_trait::async_trait]
impl Recipient for OpenApi {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), AT_ONCE).await
    }

    /// Nobody's id: what is said of it, is said to somebody whose credentials were accepted.
    async fn check(&self) -> Result<Checked, CheckError> {
        match self.look_up(&nobody()?).await {
            Ok(reply) if reply.status == 400 && ABOUT_THE_ID.contains(&title(&reply).as_str()) => Ok(Checked::Proven),
            Ok(reply) if reply.is_success() => {
                let reason = "GMO does not refuse a member's id that was made up just now: look at `url`".to_owned();
                Err(CheckError { reason, temporary: false })
            }
            Ok(reply) => Err(CheckError { reason: words_of(&reply), temporary: false }),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

/// The usual, and HTTP 409: the same call is still under way.
fn judge(reply: &Reply) -> Verdict {
    if reply.status == 409 { Verdict::Retry { after: retry_after(reply) } } else { usual(reply) }
}

/// The member that a reply is about.
fn named(reply: &Reply) -> Option<String> {
    reply.json()?["memberId"].as_str().map(str::to_owned)
}

/// The word of a problem; empty where there is none.
fn title(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let is_word = |word: &&str| {
        matches!(word.len(), 1..=32) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    body["title"].as_str().filter(is_word).unwrap_or_default().to_owned()
}

fn refusal(reply: &Reply) -> Answer {
    match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that is not documented", reply.status), None),
        300..=399 => Answer::refused("GMO's answer leads elsewhere, which is not followed: look at `url`"),
        _ => Answer::refused(words_of(reply)),
    }
}

/// Status and title: a problem's `detail` may quote what was sent.
fn words_of(reply: &Reply) -> String {
    let title = title(reply);
    let shown = if title.is_empty() { String::new() } else { format!(", {title}") };
    match reply.status {
        400 => format!(
            "GMO refuses (HTTP 400{shown}): it may not know the member, or not any more, which it does not tell apart from \
             other mistakes; look into its management screen"
        ),
        401 => format!("GMO does not accept the shop's id and password (HTTP 401{shown})"),
        404 => format!("GMO knows no such call: look at `url` (HTTP 404{shown})"),
        status => format!("GMO refuses (HTTP {status}{shown})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_by_its_title_alone() {
        let told = |status, body: &str| words_of(&Reply::for_test(status, &[], body));
        let body = r#"{"title": "invalid_parameter", "detail": "The value taro is invalid.(memberId)"}"#;
        assert!(told(400, body).contains("HTTP 400, invalid_parameter"));
        assert!(!told(400, body).contains("taro"));
        assert!(!told(400, r#"{"title": "member taro"}"#).contains("taro"));
        assert!(told(401, "").contains("password (HTTP 401)"));
    }
}
