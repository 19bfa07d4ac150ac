//! What the connectors to Google share: access tokens, errors in words, and when to come back.
//!
//! Tokens come from a service account's key, with an assertion signed by RS256, or from a user's refresh token; both as
//! google-auth 2.62.2 does it (`oauth2/_client.py`, `oauth2/service_account.py`). They are asked for apart from the API's
//! own calls, so that they take nothing from its limits.
//!
//! Google's APIs write errors as `google.rpc.Status`, the older ones with a list of reasons; its messages may quote what
//! was sent, so only codes and reasons are passed on.
//!
//! That daily quotas begin anew at midnight Pacific time is documented for other APIs of Google
//! (<https://developers.google.com/android-publisher/quotas>), and assumed for these.

#[cfg(feature = "demo")]
pub mod stand_in;

use super::{
    Answer, CheckError, Misfit, OpenError, Options, Plumbing, RecipientSettings,
    assertion::{self, Assertion, private_key},
    client::{Body, Call, Client, Conduct, Failure, Reply, check_url},
    phone::{self, Phone},
    retry::{Verdict, retry_after},
    token::{self, TokenSource, Tokens},
};
use crate::{
    diagnostic::Code,
    language::{
        format,
        node::Node,
        shape::{Bounds, Field, Shape},
    },
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Where tokens are given, and the audience of an assertion wherever it is sent.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Where Google's quota days begin.
pub const QUOTA_ZONE: &str = "America/Los_Angeles";

pub const SERVICE_ACCOUNT: Field = Field::optional(
    "service_account",
    "The key file (JSON) of a service account, from a file or variable.",
    Shape::Text(&format::KEY),
    "\"${file:/run/secrets/google.json}\"",
);

pub const IMPERSONATE: Field = Field::optional(
    "impersonate",
    "The user whom the service account acts for, where it has domain-wide delegation.",
    Shape::Text(&format::SETTING),
    "ads@example.com",
);

pub const CLIENT_ID: Field = Field::optional(
    "client_id",
    "Instead of a service account: the OAuth client that a user has allowed.",
    Shape::Text(&format::SETTING),
    "1234-abc.apps.googleusercontent.com",
);

pub const CLIENT_SECRET: Field = Field::optional(
    "client_secret",
    "The OAuth client's secret.",
    Shape::Text(&format::KEY),
    "\"${GOOGLE_CLIENT_SECRET}\"",
);

pub const REFRESH_TOKEN: Field = Field::optional(
    "refresh_token",
    "What the user's consent gave.",
    Shape::Text(&format::KEY),
    "\"${GOOGLE_REFRESH_TOKEN}\"",
);

pub const TOKEN_URL_FIELD: Field = Field::optional(
    "token_url",
    "Where tokens are given, instead of Google's own place.",
    Shape::Text(&format::SETTING),
    "https://oauth2.googleapis.com/token",
);

/// A number of Google's that people write as a number or with dashes.
pub const NUMBER: Shape = Shape::Either(&[
    Shape::Integer(Bounds { least: Some(1.0), most: None, above: false, code: Code::BadLimit }),
    Shape::Text(&format::SETTING),
]);

/// The digits of such a number; `None` where it is not there or is none.
pub fn digits(options: &Options, key: &str) -> Option<String> {
    digits_of(options.node(key)?)
}

/// The digits of the number that a node holds; `None` where it holds none.
pub fn digits_of(node: &Node) -> Option<String> {
    let text = match node {
        Node::Number(number) => number.as_u64()?.to_string(),
        node => node.as_text()?.replace('-', ""),
    };
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// One way to prove who calls, completely.
///
/// # Errors
/// None or both are there, or one is incomplete.
pub fn check_credentials(settings: &RecipientSettings) -> Result<(), Misfit> {
    let options = &settings.options;
    let user = ["client_id", "client_secret", "refresh_token"];
    let given = user.iter().filter(|key| options.node(key).is_some()).count();
    let problem = match (options.node("service_account").is_some(), given) {
        (true, 0) | (false, 3) => return Ok(()),
        (true, _) => "both a service account and a user's consent are given",
        (false, 0) => "nothing proves who calls",
        (false, _) => "a user's consent takes `client_id`, `client_secret` and `refresh_token`",
    };
    let at = if given > 0 { "client_id" } else { "service_account" };
    let help = "give `service_account`, or `client_id`, `client_secret` and `refresh_token`".to_owned();
    Err(Misfit { at: vec![at], problem: problem.to_owned(), help })
}

/// The tokens of a recipient, for one scope. (A refresh token has the scopes that its user allowed.)
///
/// # Errors
/// The credentials cannot be read.
pub fn tokens(settings: &RecipientSettings, plumbing: &Plumbing, scope: &str) -> Result<Arc<Tokens>, OpenError> {
    let fails = |reason: String| OpenError { recipient: settings.name.clone(), reason };
    let options = &settings.options;
    let grant = match options.secret("service_account") {
        Some(text) => {
            let account = service_account(&text, scope, options.text("impersonate")).map_err(fails)?;
            Grant::Account(Box::new(account))
        }
        None => {
            let secret = |key: &str| options.secret(key).ok_or_else(|| fails(format!("there is no `{key}`")));
            Grant::User {
                id: options.text("client_id").unwrap_or_default().to_owned(),
                secret: secret("client_secret")?,
                refresh_token: secret("refresh_token")?,
            }
        }
    };
    let url = options.text("token_url").unwrap_or(TOKEN_URL).to_owned();
    check_url(&url).map_err(|reason| fails(format!("`token_url`: {reason}")))?;
    // Neither the API's base nor its pace is the token server's.
    let settings = RecipientSettings { url: Some(url.clone()), rate: None, ..settings.clone() };
    let client = plumbing.client(&settings, &Conduct { base: TOKEN_URL, rates: &[], judge: judge_token })?;
    Ok(Arc::new(Tokens::new(Source { client, url, grant })))
}

struct Source {
    client: Client,
    url: String,
    grant: Grant,
}

enum Grant {
    Account(Box<Assertion>),
    User { id: String, secret: SecretString, refresh_token: SecretString },
}

#[async_trait::async_trait]
impl TokenSource for Source {
    async fn fetch(&self, _: &Client) -> Result<(SecretString, Duration), Failure> {
        let form = match &self.grant {
            Grant::Account(account) => vec![
                ("grant_type", assertion::GRANT_TYPE.to_owned()),
                ("assertion", account.sign(Timestamp::now()).map_err(unusable)?),
            ],
            Grant::User { id, secret, refresh_token } => vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", id.clone()),
                ("client_secret", secret.expose_secret().to_owned()),
                ("refresh_token", refresh_token.expose_secret().to_owned()),
            ],
        };
        let form = form.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let reply = self.client.send(&Call::post("token", &self.url).body(Body::Form(form))).await?;
        let body = reply.json().unwrap_or_default();
        if reply.is_success() {
            let seconds = body["expires_in"].as_u64().unwrap_or(3600);
            return match body["access_token"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => Ok((token.to_owned().into(), Duration::from_secs(seconds))),
                None => Err(Failure {
                    reason: "the answer with the token cannot be read".to_owned(),
                    again_after: None,
                    status: Some(reply.status),
                    lasting: false,
                }),
            };
        }
        if !token::is_about_credentials(&reply) {
            return Err(token::no_answer(&reply));
        }
        let word = body["error"].as_str().filter(|word| is_plain(word));
        let word = word.map(|word| format!(", {word}")).unwrap_or_default();
        Err(Failure {
            reason: format!("Google gave no token (HTTP {}{word}): look at the credentials", reply.status),
            again_after: None,
            status: Some(reply.status),
            lasting: true,
        })
    }
}

fn unusable(reason: String) -> Failure {
    Failure { reason, again_after: None, status: None, lasting: true }
}

/// What google-auth tries again (`_can_retry` in `oauth2/_client.py`).
fn judge_token(reply: &Reply) -> Verdict {
    let body = reply.json().unwrap_or_default();
    let passing = ["internal_failure", "server_error", "temporarily_unavailable"];
    let says = |key: &str| body[key].as_str().is_some_and(|word| passing.contains(&word));
    match reply.status {
        408 | 429 | 500..=599 => Verdict::Retry { after: retry_after(reply) },
        300.. if says("error") || says("error_description") => Verdict::Retry { after: retry_after(reply) },
        _ => Verdict::Final,
    }
}

/// What asks in a service account's name, from its key file; `subject` is whom it acts for.
fn service_account(text: &SecretString, scope: &str, subject: Option<&str>) -> Result<Assertion, String> {
    let file: Value = serde_json::from_str(text.expose_secret())
        .map_err(|_| "`service_account` is not the JSON of a key file".to_owned())?;
    let email = file["client_email"].as_str().filter(|_| file["type"] == "service_account");
    let (Some(email), Some(key)) = (email, file["private_key"].as_str()) else {
        return Err("`service_account` is not the key file of a service account".to_owned());
    };
    Ok(Assertion {
        issuer: email.to_owned(),
        subject: subject.map(str::to_owned),
        audience: TOKEN_URL.to_owned(),
        scope: Some(scope.to_owned()),
        key_id: file["private_key_id"].as_str().map(str::to_owned),
        key: private_key(key).map_err(|reason| format!("the private key of `service_account` {reason}"))?,
    })
}

/// What a reply of one of Google's APIs means for the next attempt: 401 is the token; 408, 429, 5xx, `ABORTED`, and the
/// reasons for a limit pass; everything else is final.
pub fn judge(reply: &Reply) -> Verdict {
    if reply.is_success() {
        return Verdict::Final;
    }
    let body = reply.json().unwrap_or_default();
    let reasons = reasons(&body);
    // An API that is asked too often says so with 403 too; a changed row at the same time gives 400 in Google Ads.
    const PASSING: &[&str] = &[
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "quotaExceeded",
        "dailyLimitExceeded",
        "RATE_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "RESOURCE_TEMPORARILY_EXHAUSTED",
        "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION",
        "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION",
        "CONCURRENT_MODIFICATION",
        "TRANSIENT_ERROR",
        "ABORTED",
        "UNAVAILABLE",
    ];
    match reply.status {
        401 => Verdict::Refresh,
        408 | 429 | 500..=599 => Verdict::Retry { after: pause(reply, &body, &reasons) },
        _ if reasons.iter().any(|reason| PASSING.contains(reason)) => {
            Verdict::Retry { after: pause(reply, &body, &reasons) }
        }
        _ => Verdict::Final,
    }
}

/// How long Google asks to be left alone: in the header, in the error's details, or until a new quota day.
fn pause(reply: &Reply, body: &Value, reasons: &[&str]) -> Option<Duration> {
    let delay = |value: &Value| -> Option<Duration> {
        let seconds = value.as_str()?.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let details = || body["error"]["details"].as_array().into_iter().flatten();
    let nested = details().flat_map(|detail| detail["errors"].as_array().into_iter().flatten());
    let told = details().find_map(|detail| delay(&detail["retryDelay"]));
    let told = told
        .or_else(|| nested.into_iter().find_map(|error| delay(&error["details"]["quotaErrorDetails"]["retryDelay"])));
    retry_after(reply).or(told).or_else(|| is_daily(body, reasons).then(|| until_new_day(Timestamp::now())))
}

/// Whether it is the day's quota that is used up. Reasons alone tell that in the older APIs; the newer ones name the limit.
fn is_daily(body: &Value, reasons: &[&str]) -> bool {
    let error = &body["error"];
    let details = || error["details"].as_array().into_iter().flatten();
    let limit = |key: &str| details().find_map(|detail| detail["metadata"][key].as_str()).unwrap_or_default();
    let message = error["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    reasons.contains(&"dailyLimitExceeded")
        || limit("quota_limit").contains("PerDay")
        || limit("quota_unit").contains("/d/")
        || message.contains("per day")
        || message.contains("-1d'")
}

fn until_new_day(now: Timestamp) -> Duration {
    let midnight = || {
        let today = now.in_tz(QUOTA_ZONE).ok()?;
        today.tomorrow().ok()?.start_of_day().ok()
    };
    let wait = midnight().and_then(|midnight| Duration::try_from(midnight.timestamp().duration_since(now)).ok());
    wait.unwrap_or(Duration::from_secs(24 * 60 * 60))
}

/// Every word that says why: the status, the older APIs' reasons, the reasons in the details, and Google Ads' codes.
pub fn reasons(body: &Value) -> Vec<&str> {
    let error = &body["error"];
    let mut found: Vec<&str> = error["status"].as_str().into_iter().collect();
    found.extend(array(&error["errors"]).iter().filter_map(|error| error["reason"].as_str()));
    for detail in array(&error["details"]) {
        found.extend(detail["reason"].as_str());
        found.extend(array(&detail["errors"]).iter().flat_map(codes));
        found.extend(array(&detail["fieldViolations"]).iter().filter_map(|violation| violation["reason"].as_str()));
    }
    found.retain(|word| is_plain(word));
    found
}

/// The codes of one error of Google Ads: `{"errorCode": {"quotaError": "RESOURCE_EXHAUSTED"}}`.
pub fn codes(error: &Value) -> impl Iterator<Item = &str> {
    error["errorCode"].as_object().into_iter().flatten().filter_map(|(_, code)| code.as_str())
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Google's own name for the call, of a success or an error.
pub fn request_id(reply: &Reply) -> Option<String> {
    let body = reply.json().unwrap_or_default();
    let details = array(&body["error"]["details"]);
    let named = |detail: &Value| {
        let id = [&detail["requestId"], &detail["metadata"]["requestId"]].into_iter().find_map(Value::as_str)?;
        is_plain(id).then(|| id.to_owned())
    };
    reply.id("request-id").or_else(|| details.iter().find_map(named))
}

/// A reply that is no usable success, about the subject that it was to serve.
pub fn refusal(reply: &Reply) -> Answer {
    let answer = match reply.status {
        // A success that cannot be read is not a refusal: the next run finds out.
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("Google's answer leads elsewhere, which is not followed: look at `url`"),
        404 if reply.json().is_none_or(|body| !body["error"].is_object()) => {
            Answer::refused("HTTP 404 that is not of this API: look at `url`")
        }
        _ => Answer::refused(words_of(reply)),
    };
    answer.request_id(request_id(reply))
}

/// Status and reasons: messages may quote what was sent.
pub fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let mut words = match reply.status {
        401 => "Google does not take the token (HTTP 401)".to_owned(),
        403 => "the account may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    let reasons = reasons(&body);
    for (at, reason) in reasons.iter().enumerate() {
        if !reasons[..at].contains(reason) {
            words = format!("{words}, {reason}");
        }
    }
    let help = match () {
        () if reasons.contains(&"SERVICE_DISABLED") || reasons.contains(&"accessNotConfigured") => {
            ": the API is not enabled in the project"
        }
        () if reasons.contains(&"ACCESS_TOKEN_SCOPE_INSUFFICIENT") => ": the consent lacks the scope",
        () if reasons.contains(&"CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE") => {
            ": this developer token is too new for the job API; use `api: data_manager`"
        }
        () => "",
    };
    words + help
}

/// A check without a reply.
pub fn check_failed(failure: Failure) -> CheckError {
    CheckError { reason: failure.reason, temporary: !failure.lasting }
}

/// A word of an API, and not somebody's name.
pub fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte);
    !word.is_empty() && word.len() <= 120 && word.bytes().all(plain)
}

/// A phone number as Google wants it, in E.164: digits behind `+` (its documentation and google-ads-datamanager-util 0.4.0).
pub fn phone(text: &str, calling_code: Option<&str>) -> Phone {
    match phone::international(text, calling_code) {
        Phone::Number(digits) => Phone::Number(format!("+{digits}")),
        other => other,
    }
}

/// Where phone numbers of a country are written without its code.
pub const CALLING_CODE: Field = Field::optional(
    "calling_code",
    "For phone numbers without `+`: the country's calling code, which takes the place of a first 0.",
    NUMBER,
    "81",
);

/// Why such a number is not sent.
pub const NATIONAL: &str = "the phone number has no calling code; set `calling_code`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_become_international() {
        let number = |text: &str| Phone::Number(text.to_owned());
        assert_eq!(phone("+81 90-1234-5678", None), number("+819012345678"));
        assert_eq!(phone("(090) 1234-5678", Some("81")), number("+819012345678"));
        assert_eq!(phone("1 650 555 0100", None), number("+16505550100"));
        assert_eq!(phone("+44 20 7946 0000", Some("81")), number("+442079460000"));
        assert_eq!(phone("0081 90 1234 5678", Some("49")), number("+819012345678"));
        assert_eq!(phone("０９０ー１２３４ー５６７８", Some("81")), number("+819012345678"));
        assert_eq!(phone("090-1234-5678", None), Phone::National);
        assert_eq!(phone("unknown", Some("81")), Phone::Nothing);
    }

    #[test]
    fn a_quota_day_begins_at_midnight_in_california() {
        let wait = |now: &str| until_new_day(now.parse().unwrap()).as_secs();
        // UTC-8 in November, UTC-7 in July.
        assert_eq!(wait("2026-11-22T02:30:00Z"), 5 * 3600 + 1800);
        assert_eq!(wait("2026-07-01T07:00:00Z"), 24 * 3600);
    }

    #[test]
    fn errors_are_told_apart() {
        let judged = |status, headers: &[(&str, &str)], body: &str| judge(&Reply::for_test(status, headers, body));
        let daily =
            r#"{"error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "dailyLimitExceeded"}]}}"#;
        let Verdict::Retry { after: Some(after) } = judged(403, &[], daily) else { panic!() };
        assert!(after <= Duration::from_secs(25 * 3600), "{after:?}");
        let daily = r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"reason": "RATE_LIMIT_EXCEEDED",
            "metadata": {"quota_unit": "1/d/{project}"}}]}}"#;
        assert!(matches!(judged(429, &[], daily), Verdict::Retry { after: Some(_) }));
        let minute = r#"{"error": {"code": 403, "errors": [{"reason": "rateLimitExceeded"}]}}"#;
        assert_eq!(judged(403, &[], minute), Verdict::Retry { after: None });
        assert_eq!(judged(429, &[("retry-after", "7")], daily), Verdict::Retry { after: Some(Duration::from_secs(7)) });
        let told = r#"{"error": {"code": 429, "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": "12.5s"}]}}"#;
        assert_eq!(judged(429, &[], told), Verdict::Retry { after: Some(Duration::from_millis(12_500)) });
        let ads = r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"errors": [{"errorCode":
            {"databaseError": "CONCURRENT_MODIFICATION"}}]}]}}"#;
        assert_eq!(judged(400, &[], ads), Verdict::Retry { after: None });
        let ads = r#"{"error": {"code": 429, "details": [{"errors": [{"errorCode": {"quotaError":
            "RESOURCE_TEMPORARILY_EXHAUSTED"}, "details": {"quotaErrorDetails": {"retryDelay": "30s"}}}]}]}}"#;
        assert_eq!(judged(429, &[], ads), Verdict::Retry { after: Some(Duration::from_secs(30)) });
        let permissions = r#"{"error": {"code": 403, "errors": [{"reason": "insufficientPermissions"}]}}"#;
        assert_eq!(judged(403, &[], permissions), Verdict::Final);
        assert_eq!(judged(401, &[], "{}"), Verdict::Refresh);
        assert_eq!(judged(409, &[], r#"{"error": {"status": "ABORTED"}}"#), Verdict::Retry { after: None });
        assert_eq!(judged(400, &[], r#"{"error": {"status": "INVALID_ARGUMENT"}}"#), Verdict::Final);
    }

    #[test]
    fn messages_are_not_quoted() {
        let body = r#"{"error": {"code": 400, "message": "taro@example.com is bad", "status": "INVALID_ARGUMENT",
            "errors": [{"reason": "taro@example.com"}], "details": [{"reason": "INVALID_FORMAT"}]}}"#;
        assert_eq!(words_of(&Reply::for_test(400, &[], body)), "HTTP 400, INVALID_ARGUMENT, INVALID_FORMAT");
    }
}
