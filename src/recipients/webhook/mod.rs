//! `webhook`: one's own systems, asked by a signed request.
//!
//! Requests are signed as Standard Webhooks has it (<https://www.standardwebhooks.com>, specification 1.0.0), for which
//! there are libraries in most languages: `webhook-signature: v1,<base64>` is HMAC-SHA256 with the shared secret over
//! `<webhook-id>.<webhook-timestamp>.<body>`; the time is in seconds and made anew for each attempt. A receiver checks
//! the signature over the raw body, and that the time is not more than five minutes off.
//!
//! `POST {url}` asks for deletion:
//!
//! ```json
//! {"type": "deletion.requested", "data": {"recipient": "crm", "subjects": [
//!     {"reference": "<32 hexadecimal digits>", "identifiers": {"customer": "42"}}]}}
//! ```
//!
//! `webhook-id`, which stands in `idempotency-key` too, is the same for the same subjects, in this run and the next, until
//! their rows have gone: for whoever comes back later it is another, and so is `reference`. A receiver that remembers ids
//! may repeat its answer, save that of a failure. It answers with one of these:
//!
//! - 204: all of them are deleted, to the end.
//! - 200 and `{"results": [{"reference": …, "status": …, "reason": …, "status_url": …}]}`, one for each subject.
//! - 202 and a status URL in the header `Location` or as `{"status_url": …}`: all of them will be. The URL has the
//!   scheme, host and port of `url` and names no person, for it is kept. `Retry-After` says when to look.
//! - 408, 409 (the same id is being worked on), 425, 429, 5xx: the same again, after `Retry-After`; another 4xx:
//!   refused.
//!
//! `GET` of a status URL, signed over an empty body, answers 200 and `{"status": …, "reason": …}`, or 404 or 410 where
//! the work is not known any more. `status` is `pending`, `deleted`, `gone` (there was nobody), `kept` (it must not be
//! deleted; nobody asks again), `refused` or `failed` (asked again later). `reason` is `law`, `hold`, `identifier` or
//! `in_use`, and is repeated in reports; other words are not, for nobody knows what they hold.
//!
//! `sunset plan --check-recipients` sends `{"type": "check", "data": {}}`, which any 2xx answers whose sender has
//! checked the signature.

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifiers, Kind, Named, OpenError, Plumbing, Recipient, RecipientSettings,
    Subject,
    client::{Auth, Body, Call, Client, Conduct, Reply, Signer, check_url, in_order},
    no_remarks,
    retry::{retry_after, usual},
};
use crate::{
    diagnostic::Code,
    evidence::Grade,
    language::{
        format,
        shape::{Bounds, Field, Shape},
    },
    recipients::Misfit,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Subjects in one request, where settings say nothing.
const BATCH: u64 = 100;

/// Requests under way at a time.
const AT_ONCE: usize = 8;

/// Between two looks at accepted work, where nobody says anything.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// The specification wants secrets of 24 to 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// It is kept, for each subject.
const LONGEST_STATUS_URL: usize = 500;

const COUNT: Bounds = Bounds { least: Some(1.0), most: Some(1000.0), above: false, code: Code::BadLimit };

pub static KIND: Kind = Kind {
    name: "webhook",
    doc: "A system of one's own that deletes on a signed request (Standard Webhooks: HMAC-SHA256 over id, time and body).",
    settings: &[
        Field::required(
            "secret",
            "What both sides know: `whsec_` and 24 to 64 random bytes in base64 (`openssl rand -base64 32`).",
            Shape::Text(&format::KEY),
            "\"${CRM_WEBHOOK_SECRET}\"",
        ),
        Field::optional(
            "next_secret",
            "A second one, to change it without a pause: requests carry the signatures of both.",
            Shape::Text(&format::KEY),
            "\"${CRM_WEBHOOK_NEXT_SECRET}\"",
        ),
        Field::required(
            "identifiers",
            "What the system knows people by; rules map each to a column.",
            Shape::List { item: &Shape::Text(&format::IDENTIFIER), least: 1, unique: true },
            "[customer]",
        ),
        Field::optional("batch", "Persons in one request; 100 by default.", Shape::Integer(COUNT), "100"),
        Field::optional(
            "poll_every",
            "Between two looks at a status URL; `10 min` by default.",
            Shape::Text(&format::DURATION),
            "10 min",
        ),
    ],
    identifiers: Identifiers::OfSettings(|settings| {
        settings.options.texts("identifiers").into_iter().map(Named::required).collect()
    }),
    check: |settings| match settings.url {
        Some(_) => Ok(()),
        None => Err(Misfit {
            at: Vec::new(),
            problem: "`url` is missing".to_owned(),
            help: "name what is called: `url: https://crm.example.com/hooks/sunset`".to_owned(),
        }),
    },
    facts: |settings| Facts {
        batch: batch(settings),
        calls: 1,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "what the system deletes on such a request",
        kept: "what the system must keep, which its answer tells",
        sources: &["https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Webhook::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

fn batch(settings: &RecipientSettings) -> usize {
    usize::try_from(settings.options.number("batch").unwrap_or(BATCH)).unwrap_or(1).max(1)
}

/// The shared secrets.
type Secrets = Arc<[SecretString]>;

struct Webhook {
    client: Client,
    url: Url,
    secrets: Secrets,
    batch: usize,
    every: Duration,
}

/// Signs one message, at each attempt anew.
struct Seal {
    id: String,
    secrets: Secrets,
}

impl Signer for Seal {
    fn sign(&self, _method: &str, _url: &Url, body: &Body) -> Vec<(String, SecretString)> {
        let body = if let Body::Raw { bytes, .. } = body { bytes.as_slice() } else { &[] };
        let time = Timestamp::now().as_second();
        let signatures: Vec<_> =
            self.secrets.iter().filter_map(|secret| signature(secret, &self.id, time, body)).collect();
        vec![
            ("webhook-id".to_owned(), self.id.clone().into()),
            ("webhook-timestamp".to_owned(), time.to_string().into()),
            ("webhook-signature".to_owned(), signatures.join(" ").into()),
        ]
    }
}

/// The bytes of a secret, with or without its prefix.
fn secret_bytes(secret: &SecretString) -> Option<Vec<u8>> {
    let text = secret.expose_secret().trim();
    let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

fn signature(secret: &SecretString, id: &str, time: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret_bytes(secret)?).ok()?;
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

impl Webhook {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: &str| OpenError { recipient: settings.name.clone(), reason: reason.to_owned() };
        let options = &settings.options;
        let secrets: Secrets = ["secret", "next_secret"].into_iter().filter_map(|key| options.secret(key)).collect();
        if options.secret("secret").is_none() {
            return Err(wrong("there is no `secret`"));
        }
        if secrets.iter().any(|secret| secret_bytes(secret).is_none()) {
            return Err(wrong("a secret is not 24 to 64 bytes in base64, with `whsec_` before them or not"));
        }
        let client = plumbing.client(settings, &Conduct { base: "", rates: &[], judge: usual })?.also_retry(&[409]);
        let url = check_url(client.base()).map_err(|reason| wrong(&reason))?;
        let every = options.text("poll_every").and_then(format::duration).unwrap_or(EVERY);
        Ok(Self { client, url, secrets, batch: batch(settings), every })
    }

    fn seal(&self, call: Call, id: String) -> Call {
        call.auth(Auth::Signed(Arc::new(Seal { id, secrets: self.secrets.clone() })))
    }

    fn post(&self, operation: &'static str, id: String, body: &Value) -> Call {
        let body = Body::Raw { content_type: "application/json".into(), bytes: body.to_string().into_bytes() };
        let call = Call::post(operation, self.url.as_str()).header("idempotency-key", id.as_str()).body(body);
        self.seal(call, id)
    }

    async fn delete_batch(&self, subjects: &[Subject]) -> Vec<Answer> {
        if subjects.iter().all(Subject::is_empty) {
            return subjects.iter().map(|_| nobody()).collect();
        }
        let asked = subjects.iter().filter(|subject| !subject.is_empty());
        let list: Vec<_> = asked
            .map(|subject| {
                let identifiers: BTreeMap<_, _> = subject.identifiers().collect();
                json!({"reference": subject.request(), "identifiers": identifiers})
            })
            .collect();
        let body = json!({
            "type": "deletion.requested",
            "data": {"recipient": self.client.recipient(), "subjects": list},
        });
        let answers = match self.client.send(&self.post("delete", message_id(subjects), &body)).await {
            Err(failure) => Answers::All(failure.into()),
            Ok(reply) => self.read(&reply),
        };
        let of = |subject: &Subject| match &answers {
            _ if subject.is_empty() => nobody(),
            Answers::All(answer) => answer.clone(),
            Answers::Each(answers) => {
                let answer = answers.get(&subject.request()).cloned();
                answer.unwrap_or_else(|| Answer::unreachable("the answer leaves this person out", None))
            }
        };
        subjects.iter().map(of).collect()
    }

    fn read(&self, reply: &Reply) -> Answers {
        let id = reply.id("x-request-id");
        let body = reply.json();
        let answer = match reply.status {
            204 => Answer::confirmed(Grade::E1),
            202 => {
                let url = reply.header("location");
                let url = url.or_else(|| body.as_ref()?["status_url"].as_str());
                match url.and_then(|url| self.status_url(url)) {
                    Some(url) => Answer::accepted(url, retry_after(reply).unwrap_or(self.every)),
                    None => Answer::unreachable("HTTP 202 without a status URL below the same host", None),
                }
            }
            200 => {
                let Some(results) = body.as_ref().and_then(|body| body["results"].as_array()) else {
                    return Answers::All(
                        Answer::unreachable("HTTP 200 without the results that are asked for", None).request_id(id),
                    );
                };
                let entry = |result: &Value| {
                    let reference = result["reference"].as_str()?.to_owned();
                    Some((reference, self.result(result, reply).request_id(id.clone())))
                };
                let mut answers = BTreeMap::new();
                for (reference, answer) in results.iter().filter_map(entry) {
                    let first = answers.entry(reference).or_insert_with(|| answer.clone());
                    if *first != answer {
                        *first = Answer::unreachable("the answer says two things about this person", None);
                    }
                }
                return Answers::Each(answers);
            }
            status if reply.is_success() => {
                Answer::unreachable(format!("HTTP {status} is no answer to a deletion"), None)
            }
            _ => Answer::refused(words_of(reply)),
        };
        Answers::All(answer.request_id(id))
    }

    /// What one `status` means.
    fn result(&self, result: &Value, reply: &Reply) -> Answer {
        let reason = match result["reason"].as_str() {
            Some("law") => "it must be kept by law",
            Some("hold") => "it is on hold",
            Some("identifier") => "the identifier is none that the system knows",
            Some("in_use") => "it is in use",
            _ => "the system gives no reason that is known",
        };
        match result["status"].as_str() {
            Some("deleted") => Answer::confirmed(Grade::E1),
            Some("gone") => Answer::gone(Grade::E1),
            Some("kept") => Answer::not_possible(reason),
            Some("refused") => Answer::refused(reason),
            Some("failed") => Answer::unreachable(reason, retry_after(reply)),
            Some("pending") => match result["status_url"].as_str().and_then(|url| self.status_url(url)) {
                Some(url) => Answer::accepted(url, retry_after(reply).unwrap_or(self.every)),
                None => Answer::unreachable("a pending result without a status URL below the same host", None),
            },
            _ => Answer::unreachable("an answer with no status that is known", None),
        }
    }

    /// Absolute, and of the same origin: nothing signed goes elsewhere.
    fn status_url(&self, text: &str) -> Option<String> {
        let url = check_url(self.url.join(text).ok()?.as_str()).ok()?;
        (url.origin() == self.url.origin() && url.as_str().len() <= LONGEST_STATUS_URL).then(|| url.to_string())
    }

    async fn poll_one(&self, ticket: &str) -> Answer {
        let Some(url) = self.status_url(ticket) else {
            return Answer::forgotten("the status URL is of another host; a new request will be made");
        };
        let id = format!("sunset-poll-{}", digest([ticket]));
        let reply = match self.client.send(&self.seal(Call::get("poll", &url), id)).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into(),
        };
        let answer = match (reply.status, reply.json()) {
            (200, Some(body)) if body["status"] == "pending" => {
                Answer::accepted(url, retry_after(&reply).unwrap_or(self.every))
            }
            (200, Some(body)) => self.result(&body, &reply),
            (200, None) => Answer::unreachable("an answer that cannot be read", None),
            (404 | 410, _) => Answer::forgotten("the work is not known any more; a new request will be made"),
            (status, _) if reply.is_success() => {
                Answer::unreachable(format!("HTTP {status} is no answer to a poll"), None)
            }
            _ => Answer::refused(words_of(&reply)),
        };
        answer.request_id(reply.id("x-request-id"))
    }
}

enum Answers {
    All(Answer),
    /// By reference.
    Each(BTreeMap<String, Answer>),
}

/// The message's id. A message about the same askings has the same id.
fn message_id(subjects: &[Subject]) -> String {
    let references: Vec<_> = subjects.iter().filter(|subject| !subject.is_empty()).map(Subject::request).collect();
    format!("sunset-delete-{}", digest(references.iter().map(String::as_str)))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update("\n");
    }
    hex::encode(&hash.finalize()[..16])
}

fn nobody() -> Answer {
    Answer::not_possible("the row has no identifier")
}

/// The status alone: nobody knows what else is in the reply.
fn words_of(reply: &Reply) -> String {
    match reply.status {
        401 | 403 => format!("the signature is refused (HTTP {}): look at `secret` and the clock", reply.status),
        404 | 410 => format!("HTTP {}: nothing is there; look at `url`", reply.status),
        422 => "the request is refused (HTTP 422), or its id was used for another".to_owned(),
        300..=399 => format!("HTTP {}: a redirect, which is not followed; look at `url`", reply.status),
        status => format!("HTTP {status}"),
    }
}

#[async_trait::async_trait]
impl Recipient for Webhook {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let batches = subjects.chunks(self.batch).map(|batch| self.delete_batch(batch)).collect();
        in_order(batches, AT_ONCE).await.into_iter().flatten().collect()
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        in_order(tickets.iter().map(|ticket| self.poll_one(ticket)).collect(), AT_ONCE).await
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        let body = json!({"type": "check", "data": {}});
        let id = format!("sunset-check-{}", Timestamp::now().as_second());
        match self.client.send(&self.post("check", id, &body)).await {
            Ok(reply) if reply.is_success() => Ok(Checked::Proven),
            Ok(reply) => Err(CheckError { reason: words_of(&reply), temporary: false }),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library `standardwebhooks` 1.1.0 for Python signs, and the example of its documentation.
    #[test]
    fn a_signature_is_that_of_another_library() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let bare = SecretString::from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(signature(&bare, "a", 1, b""), signature(&secret, "a", 1, b""));
    }

    #[test]
    fn a_short_secret_is_none() {
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all, but long enough for one"] {
            assert_eq!(secret_bytes(&wrong.into()), None, "{wrong}");
        }
    }
}
