//! Yahoo! JAPAN Ads (LY Corporation), customer data lists of Display Ads. Nobody can be removed from one.
//!
//! Uploads only ever add (`design/v19/audiencelist` of
//! <https://github.com/yahoojp-marketing/ads-display-api-documents>), so there are two ways, and the settings choose:
//!
//! - `mode: expiry`. Yahoo forgets a member `dataDuration` days (1 to 180) after the last upload that named them. Each time, the
//!   API is asked for the duration of every customer data list of the account; if all are shorter than `period`, whoever has not
//!   been uploaded for `period` is in no list any more. **That nobody has been is the settings' word, not Yahoo's**, hence
//!   E2. This is the way for most: nothing is uploaded, advertisements go on as they are, nothing can go wrong.
//! - `mode: rebuild`. A new list is made from those who stay ([`Members`](super::Members)), uploaded, and when Yahoo has
//!   received it (hours, 48 at most), the old one is removed: E1. This is for lists whose duration has to be long, or where
//!   a person must go at once. Yahoo removes no list that an ad group or another list uses: **ad groups have to be pointed at
//!   the new list by hand**, and until then answers stay "accepted" and say why. The new list is named like the
//!   old one, with ` #1`, ` #2` and so on behind it.
//!
//! Lists whose people come from LINE (an official account's friends, LINE Ads, the Business Manager) are not customer data lists:
//! neither way looks at them, and somebody has to change them at LINE. Where `list` names one, the refusal says so.
//!
//! A crash between two steps costs nothing: the new list's description holds a digest of its rows, so the next run finds it and
//! goes on. Rows are SHA-256 without salt of the e-mail address (half-width, small letters) and of the phone number (digits
//! with country code, no hyphens), or advertising ids. Yahoo refuses an upload of fewer than 100 rows
//! (`data-destination-yahoo-display-ads-audience-list.md` of <https://github.com/trocco-io/trocco-docs-md>) or more than 1 GiB; test
//! accounts cannot upload (0200).
//!
//! Errors come with HTTP 200 too, as `errors` for the whole or for one of the values. No rate limit is published, nor a pause:
//! 403 with 0003 ("frequency limit exceeded") is tried again with backoff. Search Ads have no customer lists to upload and no
//! removal.
//!
//! Not confirmed by any documentation, from memory alone: the form of the token request (refresh token, id and secret in
//! a form), that advertising ids are written in capitals for `IDFA` and in small letters for `AAID`, that two lists of one
//! account need different names, and how long names and descriptions may be.

mod rebuild;
mod rows;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    client::{Auth, Body, Call, Client, Conduct, Reply},
    members::{self, Leaving},
    phone,
    retry::{Verdict, retry_after, usual},
    token::{FormGrant, Tokens},
    version::Versions,
};
use crate::{
    clock::period::Period,
    diagnostic::Code,
    evidence::Grade,
    language::{
        format,
        shape::{Bounds, Field, Shape, Word},
    },
};
use jiff::civil::date;
use rebuild::{List, NO_MEMBERS, Rebuild};
use rows::UploadType;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const BASE: &str = "https://ads-display.yahooapis.jp/api";

/// The versions of the API.
const VERSIONS: Versions = Versions {
    api: "Yahoo! JAPAN's display ads API",
    written_for: "v19",
    written_on: date(2026, 11, 1),
    months: 12,
    source: "https://github.com/yahoojp-marketing/ads-display-api-documents",
};
const TOKEN: &str = "https://biz-oauth.yahoo.co.jp/oauth/v1/token";

/// Lists in one answer.
const LISTED: usize = 1000;

/// Types of lists whose people come from LINE: friends of an official account and who blocked it, what a Business Manager
/// shares, and what was made with LINE Ads (API v19). Nobody uploads to them here.
const FROM_LINE: &[&str] = &["LINE_OA_FRIEND", "LINE_OA_BLOCK", "BUSINESS_MANAGER", "MIGRATED_LINE_AUDIENCE"];

const JAPAN: u64 = 81;

pub static KIND: Kind = Kind {
    name: "yahoo_japan_ads",
    doc: "Yahoo! JAPAN Ads: proves that customer data lists forget in time, or rebuilds a list without those who go. Nobody \
          can be removed from one.",
    settings: &[
        Field::required(
            "client_id",
            "The application's client id.",
            Shape::Text(&format::SETTING),
            "\"${YAHOO_CLIENT_ID}\"",
        ),
        Field::required(
            "client_secret",
            "The application's secret, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${YAHOO_CLIENT_SECRET}\"",
        ),
        Field::required(
            "refresh_token",
            "The refresh token of somebody who may manage the account's lists (scope `yahooads`), from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${YAHOO_REFRESH_TOKEN}\"",
        ),
        Field::required(
            "account",
            "The ad account's id.",
            Shape::Integer(Bounds { least: Some(1.0), most: None, above: false, code: Code::BadLimit }),
            "1234567",
        ),
        Field::optional(
            "base_account",
            "The account on whose behalf calls are made (`x-z-base-account-id`); `account` by default.",
            Shape::Integer(Bounds { least: Some(1.0), most: None, above: false, code: Code::BadLimit }),
            "1234567",
        ),
        Field::required(
            "mode",
            "How a person leaves a list, since the API removes nobody. Prefer `expiry` where the lists' duration allows it.",
            Shape::Words(&[
                Word {
                    word: "expiry",
                    doc: "nothing is changed: every run proves that all customer data lists forget their members sooner than \
                          `period` after the last upload, which must be how long nobody uploads a person before their row \
                          falls due; at most E2, because Yahoo does not know that",
                },
                Word {
                    word: "rebuild",
                    doc: "a new list is made from those who stay, and the one that `list` names is removed when Yahoo has received \
                          the new one; somebody has to point ad groups at the new list, or Yahoo keeps the old one; E1",
                },
            ]),
            "expiry",
        ),
        Field::optional(
            "period",
            "For `expiry`: how long a person has been in no upload when their row falls due.",
            Shape::Text(&format::PERIOD),
            "90 days",
        ),
        Field::optional(
            "list",
            "For `rebuild`: the customer data list's name, as it was before any ` #1`.",
            Shape::Text(&format::TEXT),
            "Members",
        ),
        members::FIELD,
        Field::optional(
            "data_duration",
            "For `rebuild`: after how many days the new list forgets a member; the old list's by default.",
            Shape::Integer(Bounds { least: Some(1.0), most: Some(180.0), above: false, code: Code::BadLimit }),
            "60",
        ),
        Field::optional(
            "upload",
            "For `rebuild`: what the list's rows are; `mail_and_phone` by default.",
            Shape::Words(&[
                Word { word: "mail_and_phone", doc: "SHA-256 of e-mail addresses and phone numbers" },
                Word { word: "idfa", doc: "advertising ids of iOS" },
                Word { word: "aaid", doc: "advertising ids of Android" },
            ]),
            "mail_and_phone",
        ),
        Field::optional(
            "country_code",
            "For `rebuild`: stands instead of a phone number's leading 0; 81 by default.",
            Shape::Integer(Bounds { least: Some(1.0), most: Some(999.0), above: false, code: Code::BadLimit }),
            "81",
        ),
        Field::optional(
            "token_url",
            "Where tokens come from, if not from `https://biz-oauth.yahoo.co.jp/oauth/v1/token`.",
            Shape::Text(&format::RECIPIENT_URL),
            "http://127.0.0.1:8420/yahoo_japan_ads/oauth/v1/token",
        ),
        Versions::field("The version of the API, if `url` does not name it; `v19` by default.", "v19"),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier { name: "email", doc: "An e-mail address.", example: "taro@example.jp" },
            Identifier { name: "phone", doc: "A phone number.", example: "090-1234-5678" },
            Identifier {
                name: "idfa",
                doc: "An advertising id of iOS.",
                example: "6D92078A-8246-4BA4-AE5B-76104861E7DC",
            },
            Identifier {
                name: "aaid",
                doc: "An advertising id of Android.",
                example: "cdda802e-fb9c-47ad-9866-0794d394c912",
            },
        ],
        any_of: &[&["email", "phone", "idfa", "aaid"]],
    },
    check: |settings| {
        let options = &settings.options;
        phone::calling_code(settings, "country_code", "81")?;
        VERSIONS.check(settings)?;
        let misfit = |problem: &str, help: &str| {
            Err(Misfit { at: vec!["mode"], problem: problem.to_owned(), help: help.to_owned() })
        };
        match options.text("mode") {
            Some("expiry") if options.text("period").is_none() => misfit(
                "`expiry` needs a `period`",
                "say how long nobody uploads a person before their row falls due, such as `period: 90 days`",
            ),
            Some("rebuild") if options.text("list").is_none() => {
                misfit("`rebuild` needs a `list`", "give the customer data list's name")
            }
            Some("rebuild") => match &settings.members {
                Some(members) => check_members(members, UploadType::of(options.text("upload"))),
                None => misfit(
                    "`rebuild` needs `members`",
                    "say where those who stay are read, for example `members: {table: core.customers, columns: {email: email}}`",
                ),
            },
            _ if settings.members.is_some() => {
                misfit("`expiry` uploads nobody", "leave `members` out, or choose `rebuild`")
            }
            _ => Ok(()),
        }
    },
    facts,
    // `url` names the version, where it is given.
    remarks: |settings, today| {
        let remark = VERSIONS.remark(settings, today).filter(|_| settings.url.is_none());
        remark.into_iter().collect()
    },
    open: |settings, plumbing| Ok(Box::new(YahooJapanAds::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

/// Those who stay have something to make a row of.
fn check_members(members: &members::Source, upload_type: UploadType) -> Result<(), Misfit> {
    let wanted = upload_type.identifiers();
    match members.identifiers().any(|identifier| wanted.contains(&identifier)) {
        true => Ok(()),
        false => Err(Misfit {
            at: vec!["members", "columns"],
            problem: format!("the list's rows are made of `{}`, which no column has", wanted.join("` or `")),
            help: format!("name the column: `columns: {{{}: …}}`", wanted[0]),
        }),
    }
}

fn facts(settings: &RecipientSettings) -> Facts {
    let rebuild = settings.options.text("mode") == Some("rebuild");
    Facts {
        batch: usize::MAX,
        // Look, add, upload; then look, status, remove.
        calls: if rebuild { 6 } else { 1 },
        rates: settings.rates(&[]),
        grade: if rebuild { Grade::E1 } else { Grade::E2 },
        deleted: if rebuild {
            "the whole old list; a new one without the person takes its place"
        } else {
            "nothing by this call: it proves that the lists have forgotten whoever was not uploaded for the period"
        },
        kept: if rebuild {
            "reports, and what was derived from the old list before, such as similar audiences; members of other lists; lists that \
             come from LINE (official accounts, LINE Ads, the Business Manager), which have to be changed at LINE"
        } else {
            "reports, and what was derived from the lists before, such as similar audiences; whoever was uploaded again meanwhile; \
             lists that come from LINE (official accounts, LINE Ads, the Business Manager), which have to be changed at LINE"
        },
        sources: &[
            "https://github.com/yahoojp-marketing/ads-display-api-documents",
            "https://github.com/trocco-io/trocco-docs-md",
            "https://lycbiz.com/jp/news/yahoo-ads/20210701-01/",
        ],
    }
}

struct YahooJapanAds {
    client: Client,
    tokens: Arc<Tokens>,
    account: u64,
    base_account: u64,
    way: Way,
}

enum Way {
    /// Days.
    Expiry {
        period: u64,
    },
    Rebuild(Box<Rebuild>),
}

/// A call that did not come to the wanted end: what is to be said about the subjects.
type Stopped = Box<Answer>;

impl YahooJapanAds {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        let missing = |key: &str| wrong(format!("there is no `{key}`"));
        let options = &settings.options;
        let form = vec![
            ("grant_type".to_owned(), "refresh_token".into()),
            ("client_id".to_owned(), options.secret("client_id").ok_or_else(|| missing("client_id"))?),
            ("client_secret".to_owned(), options.secret("client_secret").ok_or_else(|| missing("client_secret"))?),
            ("refresh_token".to_owned(), options.secret("refresh_token").ok_or_else(|| missing("refresh_token"))?),
        ];
        let url = options.text("token_url").unwrap_or(TOKEN).to_owned();
        let account = options.number("account").ok_or_else(|| missing("account"))?;
        let way = if options.text("mode") == Some("rebuild") {
            Way::Rebuild(Box::new(Rebuild {
                list: options.text("list").ok_or_else(|| missing("list"))?.to_owned(),
                duration: options.number("data_duration"),
                upload_type: UploadType::of(options.text("upload")),
                country: options.number("country_code").unwrap_or(JAPAN),
                members: plumbing.members.clone(),
                leaving: Leaving::default(),
            }))
        } else {
            let period = options.text("period").ok_or_else(|| missing("period"))?;
            let period: Period = period.parse().map_err(|_| wrong("`period` is none".to_owned()))?;
            Way::Expiry { period: days(period) }
        };
        Ok(Self {
            client: plumbing
                .client(settings, &Conduct { base: &format!("{BASE}/{}", VERSIONS.of(settings)), rates: &[], judge })?,
            tokens: Arc::new(Tokens::new(FormGrant { url, basic: None, form })),
            account,
            base_account: options.number("base_account").unwrap_or(account),
            way,
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Stopped> {
        let call = call.header("x-z-base-account-id", self.base_account.to_string());
        self.client
            .send(&call.auth(Auth::Tokens(self.tokens.clone())))
            .await
            .map_err(|failure| Box::new(failure.into()))
    }

    /// The `rval` of a reply without errors as a whole.
    async fn ask(&self, call: Call) -> Result<(Value, Option<String>), Stopped> {
        let reply = self.send(call).await?;
        let mut body = reply.json().unwrap_or_default();
        match reply.is_success() && codes(&body).is_empty() && body["rval"]["values"].is_array() {
            true => Ok((body["rval"].take(), id_of(&body))),
            false => Err(Box::new(refusal(&reply))),
        }
    }

    fn service(&self, operation: &'static str, method: &str, body: Value) -> Call {
        Call::post(operation, format!("/AudienceListService/{method}")).body(Body::Json(body))
    }

    /// All customer data lists of the account, and the name of the last call.
    async fn lists(&self) -> Result<(Vec<List>, Option<String>), Stopped> {
        self.lists_of(&["CUSTOMER_DATA"]).await
    }

    /// All lists of these types.
    async fn lists_of(&self, types: &[&str]) -> Result<(Vec<List>, Option<String>), Stopped> {
        let (mut lists, mut start) = (Vec::new(), 1);
        loop {
            let selector = json!({
                "accountId": self.account,
                "audienceListTypes": types,
                // Durations are left out otherwise.
                "includeDetail": true,
                "startIndex": start,
                "numberResults": LISTED,
            });
            let (page, id) = self.ask(self.service("list audiences", "get", selector)).await?;
            let values = page["values"].as_array().map(Vec::as_slice).unwrap_or_default();
            for value in values {
                let list = &value["audienceList"];
                let (Some(number), false) = (list["audienceListId"].as_u64(), value["operationSucceeded"] == false)
                else {
                    let codes = codes(value);
                    return Err(Box::new(Answer::refused(words("a list cannot be read", &codes)).request_id(id)));
                };
                let content = &list["audienceListContent"];
                if content["audienceListType"].as_str().is_some_and(|kind| !types.contains(&kind)) {
                    continue;
                }
                let text = |key: &str| list[key].as_str().unwrap_or_default().to_owned();
                lists.push(List {
                    id: number,
                    name: text("audienceListName"),
                    description: text("description"),
                    duration: content["customerDataAudienceList"]["dataDuration"].as_u64(),
                });
            }
            start += values.len();
            let total = page["totalNumEntries"].as_u64().and_then(|total| usize::try_from(total).ok());
            if values.is_empty() || total.map_or(values.len() < LISTED, |total| start > total) {
                return Ok((lists, id));
            }
        }
    }

    /// Every list forgets sooner than the period's days.
    async fn prove(&self, period: u64) -> Result<Answer, Stopped> {
        let (lists, id) = self.lists().await?;
        for list in &lists {
            let reason = match list.duration {
                Some(duration) if duration < period => continue,
                Some(duration) => format!(
                    "the customer data list {} forgets after {duration} days, which is not shorter than the period of {period} \
                     days: lower its duration, or use `mode: rebuild`",
                    list.id
                ),
                None => format!("Yahoo does not say when the customer data list {} forgets", list.id),
            };
            return Err(Box::new(Answer::refused(reason).request_id(id)));
        }
        Ok(Answer::confirmed(Grade::E2).request_id(id))
    }
}

#[async_trait::async_trait]
impl Recipient for YahooJapanAds {
    /// One proof, or one rebuilt list, for all of them.
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let same = |result: Result<Answer, Stopped>| match result {
            Ok(answer) => answer,
            Err(answer) => *answer,
        };
        match &self.way {
            Way::Expiry { period } => {
                if subjects.is_empty() {
                    return Vec::new();
                }
                vec![same(self.prove(*period).await); subjects.len()]
            }
            Way::Rebuild(rebuild) => {
                let answer = match subjects.iter().any(|subject| rebuild.knows(subject)) {
                    true => Some(self.rebuilt(rebuild, subjects).await),
                    false => None,
                };
                let of = |subject: &Subject| match &answer {
                    Some(answer) if rebuild.knows(subject) => answer.clone(),
                    _ => Answer::not_possible("the row has no identifier of the kind that the list is made of"),
                };
                subjects.iter().map(of).collect()
            }
        }
    }

    fn announce(&self, subjects: &[Subject]) {
        if let Way::Rebuild(rebuild) = &self.way {
            rebuild.announce(subjects);
        }
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        let mut seen: BTreeMap<&str, Answer> = BTreeMap::new();
        for ticket in tickets {
            if !seen.contains_key(ticket.as_str()) {
                let answer = match &self.way {
                    Way::Rebuild(rebuild) => self.look(rebuild, ticket).await.unwrap_or_else(|answer| *answer),
                    // The settings were changed meanwhile.
                    Way::Expiry { .. } => Answer::unreachable("lists are no longer rebuilt; asked anew", None),
                };
                seen.insert(ticket, answer);
            }
        }
        tickets.iter().map(|ticket| seen[ticket.as_str()].clone()).collect()
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        if let Way::Rebuild(rebuild) = &self.way
            && rebuild.members.is_none()
        {
            return Err(CheckError { reason: NO_MEMBERS.to_owned(), temporary: false });
        }
        let selector = json!({"accountId": self.account, "audienceListTypes": ["CUSTOMER_DATA"], "numberResults": 1});
        let call = self.service("check the account", "get", selector);
        let call = call.header("x-z-base-account-id", self.base_account.to_string());
        match self.client.send(&call.auth(Auth::Tokens(self.tokens.clone()))).await {
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
            Ok(reply) => {
                let body = reply.json().unwrap_or_default();
                match reply.is_success() && codes(&body).is_empty() && body["rval"].is_object() {
                    true => Ok(Checked::Proven),
                    false => Err(CheckError { reason: words_of(&reply), temporary: false }),
                }
            }
        }
    }
}

/// A period's days at least: a month may have 28, a year 365.
fn days(period: Period) -> u64 {
    let (years, months) = (u64::from(period.years), u64::from(period.months));
    (years + months / 12) * 365 + months % 12 * 28 + u64::from(period.days)
}

/// Like most, but "frequency limit exceeded" comes as 403 or 200, and what passes may come as 200.
fn judge(reply: &Reply) -> Verdict {
    if matches!(reply.status, 200 | 403)
        && reply
            .json()
            .is_some_and(|body| codes(&body).iter().any(|code| matches!(code.as_str(), "0002" | "0003" | "0099")))
    {
        return Verdict::Retry { after: retry_after(reply) };
    }
    usual(reply)
}

/// The codes under `errors`.
fn codes(body: &Value) -> Vec<String> {
    let errors = body["errors"].as_array().into_iter().flatten();
    let code = |error: &Value| error["code"].as_str().filter(|code| is_plain(code)).unwrap_or("unknown").to_owned();
    errors.map(code).collect()
}

fn words(what: &str, codes: &[String]) -> String {
    let mut words = what.to_owned();
    for code in codes {
        words = match code.as_str() {
            "0098" => format!("{words}, no permission (0098)"),
            "0110" | "0111" | "0112" | "0113" => format!("{words}, the token is not accepted ({code})"),
            "0200" => format!("{words}, a test account cannot do this (0200)"),
            code => format!("{words}, error {code}"),
        };
    }
    words
}

/// A reply that is no success, or a success with errors.
fn refusal(reply: &Reply) -> Answer {
    let body = reply.json().unwrap_or_default();
    let answer = match reply.status {
        200..=299 if codes(&body).is_empty() => {
            Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None)
        }
        300..=399 => Answer::refused("Yahoo's answer leads elsewhere, which is not followed: look at `url`"),
        _ => Answer::refused(words_of(reply)),
    };
    answer.request_id(id_of(&body))
}

fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    words(&format!("HTTP {}", reply.status), &codes(&body))
}

fn id_of(body: &Value) -> Option<String> {
    body["rid"].as_str().filter(|id| is_plain(id)).map(str::to_owned)
}

/// A word of an API, and not somebody's name.
fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !word.is_empty() && word.len() <= 100 && word.bytes().all(plain)
}

/// Ids come as texts and as numbers.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_its_shortest_days() {
        let days = |text: &str| days(text.parse().unwrap());
        assert_eq!((days("90 days"), days("3 months"), days("5 years"), days("18 months")), (90, 84, 1825, 533));
    }

    #[test]
    fn what_passes_is_tried_again_whatever_its_status() {
        let verdict = |status, body: &str| judge(&Reply::for_test(status, &[], body));
        let later = Verdict::Retry { after: None };
        assert_eq!(verdict(403, r#"{"errors": [{"code": "0003"}], "rval": null}"#), later);
        assert_eq!(verdict(200, r#"{"errors": [{"code": "0099"}], "rval": null}"#), later);
        assert_eq!(verdict(503, ""), later);
        assert_eq!(verdict(403, r#"{"errors": [{"code": "0098"}], "rval": null}"#), Verdict::Final);
        assert_eq!(verdict(401, r#"{"errors": [{"code": "0111"}], "rval": null}"#), Verdict::Refresh);
        assert_eq!(verdict(200, r#"{"errors": null, "rval": {"values": []}}"#), Verdict::Final);
    }
}
