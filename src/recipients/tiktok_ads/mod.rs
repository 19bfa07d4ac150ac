//! TikTok Ads: removes people from one audience, by the streaming way.
//!
//! `POST /open_api/v1.3/segment/mapping/` with the action `delete` takes identifiers of the types that `id_schema` names, each with
//! the audiences that it leaves (the marketing API's documentation, v1.3; open connectors of Segment and RudderStack make the
//! same call). Here each call names one type, so a person with several identifiers takes part in several calls. The audience is one
//! that was made with `segment/audience/`.
//!
//! The other way, a file of identifiers and `dmp/custom_audience/update/` with `REMOVE`, is not built: after an update an audience has
//! to hold 1,000 people still, so nobody could be removed from a small one.
//!
//! Errors come with HTTP 200: `code` is 0 where the call was done, and says otherwise what was wrong. TikTok tells no end and
//! does not tell whether somebody was in the audience, and matches within 24 to 48 hours: the evidence is acceptance.
//!
//! Values leave as SHA-256 of their normalized form, and what is SHA-256 already leaves as it is ([`hashing`](super::hashing)): an e-mail
//! address without outer white space in small letters, a phone number in E.164 with its `+`, an advertising id in small letters. An
//! audience that was filled with other forms knows other digests, and TikTok does not say so: some connectors take the periods
//! and what follows a `+` out of every address. Give the digests that were uploaded then.
//!
//! Not confirmed by any documentation, from memory alone: the codes other than 0 and 40100 (40001 no permission, 40002 a wrong parameter, 40105 a wrong
//! token, 50000 and above an error of TikTok's own); that a call may name 1,000 identifiers; ten calls a second; that a wrong
//! identifier makes the whole call fail with 40002, whose batch is asked about in halves for that reason.

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    audience::{Entry, People, same},
    client::{Auth, Body, Call, Client, Conduct, Failure, Reply, in_order},
    hashing::{address, advertising_id, hashed},
    no_remarks, phone,
    retry::{Verdict, retry_after, usual},
};
use crate::{
    evidence::Grade,
    language::{
        format,
        rate::Rate,
        shape::{Field, Shape},
    },
};
use secrecy::SecretString;
use serde_json::json;

/// `https://sandbox-ads.tiktok.com/open_api` is TikTok's own sandbox.
const BASE: &str = "https://business-api.tiktok.com/open_api";

/// The version of the API that was read.
const VERSION: &str = "v1.3";

const RATES: &[Rate] = &[Rate::per_second(10)];

/// Identifiers in one call.
const MOST: usize = 1000;

/// Calls under way at a time.
const AT_ONCE: usize = 4;

/// Calls at most to find out which identifiers of one batch are wrong.
const MOST_CALLS: usize = 64;

/// Japan's.
const CALLING_CODE: &str = "\"81\"";

pub static KIND: Kind = Kind {
    name: "tiktok_ads",
    doc: "TikTok Ads: removes people from one audience that is filled by streaming. Each audience is a recipient of its own.",
    settings: &[
        Field::required(
            "access_token",
            "A token of the app that may manage the advertiser's audiences.",
            Shape::Text(&format::KEY),
            "\"${TIKTOK_TOKEN}\"",
        ),
        Field::required("advertiser", "The advertiser's id.", Shape::Text(&format::SETTING), "\"7000000000000000001\""),
        Field::required("audience", "The audience's id.", Shape::Text(&format::SETTING), "\"167290896\""),
        phone::setting(CALLING_CODE),
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
                doc: "A phone number with its country, or as `country_calling_code` completes it, which leaves as SHA-256; or the \
                      SHA-256 that was uploaded.",
                example: "+819012345678",
            },
            Identifier {
                name: "idfa",
                doc: "An advertising id of iOS; leaves as SHA-256.",
                example: "6D92078A-8246-4BA4-AE5B-76104861E7DC",
            },
            Identifier {
                name: "aaid",
                doc: "An advertising id of Android; leaves as SHA-256.",
                example: "cdda802e-fb9c-47ad-9866-0794d394c912",
            },
        ],
        any_of: &[&["email", "phone", "idfa", "aaid"]],
    },
    check: |settings| {
        phone::country(settings, CALLING_CODE)?;
        let is_id = |text: &str| matches!(text.len(), 1..=20) && text.bytes().all(|byte| byte.is_ascii_digit());
        match ["advertiser", "audience"].into_iter().find(|key| !settings.options.text(key).is_none_or(is_id)) {
            None => Ok(()),
            Some(key) => Err(Misfit {
                at: vec![key],
                problem: format!("this is no {key}'s id"),
                help: "digits in quotation marks, such as `\"167290896\"`".to_owned(),
            }),
        }
    },
    facts: |settings| Facts {
        batch: MOST,
        calls: 1,
        rates: settings.rates(RATES),
        grade: Grade::E2,
        deleted: "the person's entries in the audience, within 24 to 48 hours",
        kept: "the person's own TikTok account, what pixels and events told, and other audiences, those that were made from this \
               one included",
        sources: &[
            "https://business-api.tiktok.com/portal/docs?id=1739940585975809",
            "https://github.com/segmentio/action-destinations",
            "https://github.com/rudderlabs/rudder-transformer",
            "https://ads.tiktok.com/help/article/audiences",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(TikTokAds::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct TikTokAds {
    client: Client,
    token: SecretString,
    advertiser: String,
    audience: String,
    country: Option<String>,
}

impl TikTokAds {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let options = &settings.options;
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let text = |key: &str| options.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: RATES, judge })?,
            token: options.secret("access_token").ok_or_else(|| missing("access_token"))?,
            advertiser: text("advertiser")?,
            audience: text("audience")?,
            country: options.text(phone::COUNTRY).map(str::to_owned),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.client.send(&call.auth(Auth::Header("Access-Token".to_owned(), self.token.clone()))).await
    }

    /// What is sent of an identifier; `None` where it is none.
    fn form(&self, name: &str, text: &str) -> Option<String> {
        hashed(text, |text| match name {
            "email" => address(text),
            "phone" => {
                let digits = phone::international(text, self.country.as_deref()).number()?;
                Some(format!("+{digits}"))
            }
            _ => advertising_id(text),
        })
    }

    /// Removes identifiers of one type; where TikTok finds some wrong, finds out which.
    async fn remove(&self, schema: &'static str, entries: Vec<Entry>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        let mut groups = vec![entries];
        let mut calls = 0;
        while let Some(mut group) = groups.pop() {
            if calls == MOST_CALLS {
                let reason = "TikTok finds identifiers wrong, and does not say which";
                answers.extend(same(&group, &Answer::unreachable(reason, None)));
                continue;
            }
            calls += 1;
            let (answer, about_one) = self.ask(schema, &group).await;
            if about_one && group.len() > 1 {
                let second = group.split_off(group.len() / 2);
                groups.extend([second, group]);
            } else {
                answers.extend(same(&group, &answer));
            }
        }
        answers
    }

    /// One call; and whether its answer may be about one identifier of many.
    async fn ask(&self, schema: &str, entries: &[Entry]) -> (Answer, bool) {
        let mapping = |(id, _): &Entry| json!([{"id": id, "audience_ids": [self.audience]}]);
        let body = json!({
            "advertiser_ids": [self.advertiser],
            "action": "delete",
            "id_schema": [schema],
            "batch_data": entries.iter().map(mapping).collect::<Vec<_>>(),
        });
        let call = Call::post("remove from an audience", format!("/{VERSION}/segment/mapping/")).body(Body::Json(body));
        match self.send(call).await {
            Ok(reply) => (read(&reply), code(&reply) == Some(WRONG_PARAMETER)),
            Err(failure) => (failure.into(), false),
        }
    }
}

#[async_trait::async_trait]
impl Recipient for TikTokAds {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut people = People::new(subjects.len());
        for (person, subject) in subjects.iter().enumerate() {
            for (name, schema) in
                [("email", "EMAIL_SHA256"), ("phone", "PHONE_SHA256"), ("idfa", "IDFA_SHA256"), ("aaid", "AAID_SHA256")]
            {
                let Some(text) = subject.get(name) else { continue };
                if let Some(form) = self.form(name, text) {
                    people.known_by(schema, form, person);
                } else if let Some(refused) =
                    phone::refused(subject, self.country.as_deref(), phone::COUNTRY).filter(|_| name == "phone")
                {
                    people.answered(person, refused);
                }
            }
        }
        let calls = people.batches(MOST).into_iter().map(|(schema, entries)| self.remove(schema, entries)).collect();
        for (person, answer) in in_order(calls, AT_ONCE).await.into_iter().flatten() {
            people.answered(person, answer);
        }
        people.answers("the row has no identifier that TikTok could know the person by")
    }

    /// The token may read the advertiser.
    async fn check(&self) -> Result<Checked, CheckError> {
        let call = Call::get("look at the advertiser", format!("/{VERSION}/advertiser/info/"))
            .query("advertiser_ids", json!([self.advertiser]).to_string());
        let reply = self
            .send(call)
            .await
            .map_err(|failure| CheckError { reason: failure.reason, temporary: !failure.lasting })?;
        match read(&reply).state {
            State::Confirmed => {}
            State::Unreachable { reason, .. } => return Err(CheckError { reason, temporary: true }),
            state => {
                let reason = state.reason().unwrap_or_default().to_owned();
                return Err(CheckError { reason, temporary: false });
            }
        }
        let body = reply.json().unwrap_or_default();
        let mut listed = body["data"]["list"].as_array().into_iter().flatten();
        if listed.any(|one| one["advertiser_id"] == self.advertiser.as_str()) {
            return Ok(Checked::Proven);
        }
        let reason = "TikTok shows the token no such advertiser: look at `advertiser`".to_owned();
        Err(CheckError { reason, temporary: false })
    }
}

const WRONG_PARAMETER: i64 = 40002;

fn code(reply: &Reply) -> Option<i64> {
    reply.json()?["code"].as_i64()
}

/// Too many calls, and TikTok's own errors, come with HTTP 200.
fn judge(reply: &Reply) -> Verdict {
    match code(reply) {
        Some(40100 | 50000..=59999) => Verdict::Retry { after: retry_after(reply) },
        _ => usual(reply),
    }
}

/// Success is TikTok's whole envelope with the code 0. Messages are not repeated: they may quote what was sent.
fn read(reply: &Reply) -> Answer {
    let body = reply.json().unwrap_or_default();
    let id = body["request_id"].as_str().filter(|id| is_id(id)).map(str::to_owned);
    let answer = match (reply.status, body["code"].as_i64()) {
        (200, Some(0)) if body["message"].is_string() && id.is_some() => Answer::confirmed(Grade::E2),
        (200..=299, None | Some(0)) => Answer::unreachable("a success with an answer that cannot be read", None),
        (300..=399, _) => Answer::refused("TikTok's answer leads elsewhere, which is not followed: look at `url`"),
        (404, None) => Answer::refused("HTTP 404 that is not TikTok's: look at `url`"),
        (_, Some(40105)) => Answer::refused("TikTok does not know the access token (code 40105)"),
        (401, _) => Answer::refused("TikTok does not know the access token (HTTP 401)"),
        (_, Some(40001)) => Answer::refused("the access token may not do this (code 40001)"),
        (200, Some(code)) => Answer::refused(format!("TikTok refuses the call, code {code}")),
        (status, Some(code)) => Answer::refused(format!("HTTP {status}, code {code}")),
        (status, None) => Answer::refused(format!("HTTP {status}")),
    };
    answer.request_id(id)
}

/// A name of a call, and not of a person.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 1..=64) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_whole_envelope_is_success() {
        let state = |status, body: &str| read(&Reply::for_test(status, &[], body)).state;
        let done = r#"{"code": 0, "message": "OK", "request_id": "20261122ABC", "data": {}}"#;
        assert_eq!(state(200, done), State::Confirmed);
        for (status, body) in [
            (201, done),
            (204, ""),
            (200, ""),
            (200, "null"),
            (200, "[0]"),
            (200, "<html>0</html>"),
            (200, r#"{"code": 0}"#),
            (200, r#"{"code": 0, "message": "OK"}"#),
            (200, r#"{"code": 0, "message": "OK", "request_id": ""}"#),
            (200, r#"{"code": 0, "message": null, "request_id": "1"}"#),
            (200, r#"{"code": "0", "message": "OK", "request_id": "1"}"#),
            (200, r#"{"code": 0.0, "message": "OK", "request_id": "1"}"#),
            (200, r#"{"code": false, "message": "OK", "request_id": "1"}"#),
            (200, r#"{"code": 40002, "message": "OK", "request_id": "1"}"#),
            (200, r#"{"data": {"code": 0}, "message": "OK", "request_id": "1"}"#),
            (400, done),
        ] {
            assert_ne!(state(status, body), State::Confirmed, "{status} {body}");
        }
    }

    #[test]
    fn what_passes_is_tried_again_though_it_comes_as_a_success() {
        let verdict = |status, body: &str| judge(&Reply::for_test(status, &[("retry-after", "7")], body));
        for code in [40100, 50000, 51010] {
            let later = verdict(200, &json!({"code": code}).to_string());
            assert_eq!(later, Verdict::Retry { after: Some(std::time::Duration::from_secs(7)) }, "{code}");
        }
        for code in [0, 40001, 40002, 40105, 60000] {
            assert_eq!(verdict(200, &json!({"code": code}).to_string()), Verdict::Final, "{code}");
        }
        assert!(matches!(verdict(503, ""), Verdict::Retry { .. }));
    }
}
