//! SB Payment Service (API type): deletes customers with the cards that are stored for them.
//!
//! Requests and replies are XML. `MG02-00104-101` looks a customer up, `MG02-00103-101` deletes it, and the look-up is made again. A customer
//! is gone if a look-up is answered with `NG` and the code 10195999, and only then: the `OK` to a deletion alone proves nothing. The
//! requests, their order of fields and the hash code are those that <https://github.com/wozaki/sbpayment.rb> recorded at the test
//! system; codes are read after its list and <https://developer.sbpayment.jp>: three digits of the way to pay, two of the kind of error,
//! three of the field. SB Payment Service adds codes without notice, so all others stop.
//!
//! Replies do not repeat the customer's id. They repeat the request's, which has to fit; errors of parameters come without one.
//!
//! Not confirmed by any documentation:
//! - **That 10195999 means a customer who is not registered.** Its kind, 95, is listed as "consistency of the customer's data"; an
//!   open plugin for shops (EC-CUBE) reads it so, for each customer without a stored card. Look at one customer in the management
//!   screen before relying on it.
//! - **Which fields `MG02-00103-101` takes.** Open clients differ: here are those of the recorded call (`sps_cust_info_return_flg`,
//!   `encrypted_flg`), with `limit_second`. Others leave `encrypted_flg` out, or send `response_info_type` instead of the flag.
//! - The production host, which is told with the contract: set `url` if yours is another one. SB Payment Service answers only
//!   addresses that it knows.
//! - What is kept of payments, how many calls a second it takes, and what an identical request within seconds is answered with
//!   (kind 96, taken for something that passes).

mod message;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    client::{Body, Call, Client, Conduct, Reply, in_order},
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
use jiff::Timestamp;
use message::{Response, request, time};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

const LIVE: &str = "https://api.sps-system.com";
const TEST: &str = "https://stbfep.sps-system.com";

const PATH: &str = "/api/xmlapi.do";

const DELETE: &str = "MG02-00103-101";
const LOOK_UP: &str = "MG02-00104-101";

/// The customer is not registered.
const NOT_REGISTERED: &str = "10195999";

/// Kinds of errors that pass: of the gateway, of what stands behind it, of its systems, and a request that was made twice.
const PASSES: &[&str] = &["80", "84", "85", "86", "90", "92", "96"];

/// Kinds of errors about the hash code, and about merchant and service.
const CREDENTIALS: &[&str] = &["09", "14"];

/// How long a request counts after its time, in seconds.
const LIMIT: &str = "600";

/// Customers under way at a time.
const AT_ONCE: usize = 2;

/// When what was answered to be deleted may be gone.
const STILL_THERE: Duration = Duration::from_secs(60 * 60);

pub static KIND: Kind = Kind {
    name: "sb_payment",
    doc: "SB Payment Service, API type: deletes customers with their stored cards. That a customer is gone is read from one code, \
          whose meaning and whose request no public document confirms: see `src/recipients/sb_payment/mod.rs`.",
    settings: &[
        Field::required("merchant_id", "The merchant's id, five digits.", Shape::Text(&format::SETTING), "\"30001\""),
        Field::required(
            "service_id",
            "The service's id, three digits. Customers belong to a service.",
            Shape::Text(&format::SETTING),
            "\"001\"",
        ),
        Field::required(
            "hash_key",
            "The hash key, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${SBPS_HASH_KEY}\"",
        ),
        Field::optional(
            "user",
            "The user of HTTP Basic; the two ids in one word by default.",
            Shape::Text(&format::SETTING),
            "\"30001001\"",
        ),
        Field::optional(
            "password",
            "The password of HTTP Basic; the hash key by default.",
            Shape::Text(&format::KEY),
            "\"${SBPS_PASSWORD}\"",
        ),
        Field::optional(
            "environment",
            "Which SB Payment Service; `live` by default.",
            Shape::Words(&[
                Word { word: "live", doc: "`https://api.sps-system.com`" },
                Word { word: "test", doc: "`https://stbfep.sps-system.com`" },
            ]),
            "test",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[Identifier { name: "customer", doc: "The customer's id (`cust_code`).", example: "customer-001" }],
        any_of: &[&["customer"]],
    },
    check: |settings| {
        let digits = |key: &str, length: usize| {
            let is_id = |text: &str| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
            settings.options.text(key).is_none_or(is_id)
        };
        match [("merchant_id", 5), ("service_id", 3)].into_iter().find(|(key, length)| !digits(key, *length)) {
            None => Ok(()),
            Some((key, length)) => Err(Misfit {
                at: vec![key],
                problem: format!("this is no id of {length} digits"),
                help: "digits in quotation marks, with the zeroes before them, such as `\"001\"`".to_owned(),
            }),
        }
    },
    facts: |settings| Facts {
        batch: 1,
        calls: 3,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the customer and the card that is stored for it",
        kept: "payments and what belongs to them, and customers that other services of the merchant have",
        sources: &["https://developer.sbpayment.jp", "https://github.com/wozaki/sbpayment.rb"],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(SbPayment::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct SbPayment {
    client: Client,
    merchant: String,
    service: String,
    key: SecretString,
    user: String,
    password: SecretString,
}

/// A call that did not come to the wanted end: what is to be said about the subject.
type Stopped = Box<Answer>;

impl SbPayment {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let text = |key: &str| options.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        let base = if options.text("environment") == Some("test") { TEST } else { LIVE };
        let (merchant, service) = (text("merchant_id")?, text("service_id")?);
        let key = options.secret("hash_key").ok_or_else(|| missing("hash_key"))?;
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates: &[], judge: usual })?,
            user: options.text("user").map_or_else(|| format!("{merchant}{service}"), str::to_owned),
            password: options.secret("password").unwrap_or_else(|| key.clone()),
            merchant,
            service,
            key,
        })
    }

    /// Makes a request about a customer, with its own fields behind the customer's id.
    async fn ask(
        &self,
        operation: &'static str,
        id: &'static str,
        customer: &str,
        own: &[(&str, &str)],
    ) -> Result<Response, Stopped> {
        let now = time(Timestamp::now());
        let head = [("merchant_id", self.merchant.as_str()), ("service_id", &self.service), ("cust_code", customer)];
        let tail = [("encrypted_flg", "0"), ("request_date", now.as_str()), ("limit_second", LIMIT)];
        let fields: Vec<_> = head.iter().chain(own).chain(&tail).copied().collect();
        let bytes = request(id, &fields, self.key.expose_secret()).into_bytes();
        let call = Call::post(operation, PATH)
            .basic(&self.user, self.password.clone())
            .body(Body::Raw { content_type: "text/xml; charset=Shift_JIS".into(), bytes });
        let reply = self.client.send(&call).await.map_err(|failure| Box::new(Answer::from(failure)))?;
        let response = Response::read(&reply.body).filter(|_| reply.status == 200);
        let response = response.ok_or_else(|| Box::new(unreadable(&reply)))?;
        if response.id.as_deref().is_some_and(|other| other != id) || response.ok && response.id.is_none() {
            return Err(Box::new(Answer::refused("SB Payment Service's answer is about another request")));
        }
        Ok(response)
    }

    /// Whether the customer is registered.
    async fn has(&self, customer: &str) -> Result<bool, Stopped> {
        let own = [("sps_cust_info_return_flg", "0"), ("response_info_type", "2")];
        let response = self.ask("look up a customer", LOOK_UP, customer, &own).await?;
        match response.code.as_deref() {
            None => Ok(true),
            Some(NOT_REGISTERED) => Ok(false),
            Some(code) => Err(Box::new(refusal(code))),
        }
    }

    async fn delete_one(&self, subject: &Subject) -> Result<Answer, Stopped> {
        let customer = customer_of(subject)?;
        if !self.has(customer).await? {
            return Ok(Answer::gone(Grade::E1));
        }
        let own = [("sps_cust_info_return_flg", "0")];
        let response = self.ask("delete a customer", DELETE, customer, &own).await?;
        // An earlier attempt, or somebody else, was faster: the look-up tells.
        if let Some(code) = response.code.as_deref().filter(|code| *code != NOT_REGISTERED) {
            return Ok(refusal(code));
        }
        if self.has(customer).await? {
            let reason = "SB Payment Service has answered the customer's deletion and still knows the customer";
            return Ok(Answer::unreachable(reason, Some(STILL_THERE)));
        }
        Ok(Answer::confirmed(Grade::E1).request_id(response.transaction.filter(|id| is_transaction(id))))
    }
}

#[async_trait::async_trait]
impl Recipient for SbPayment {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let ask = async |subject: &Subject| self.delete_one(subject).await.unwrap_or_else(|answer| *answer);
        in_order(subjects.iter().map(ask).collect(), AT_ONCE).await
    }

    /// Nobody's id: whoever may not ask is told so, and who may learns that there is no such customer.
    async fn check(&self) -> Result<Checked, CheckError> {
        let mut bytes = [0; 15];
        getrandom::fill(&mut bytes)
            .map_err(|_| CheckError { reason: "the system gives no random numbers".to_owned(), temporary: true })?;
        match self.has(&format!("sunset-{}", hex::encode(bytes))).await {
            Ok(false) => Ok(Checked::Proven),
            Ok(true) => {
                let reason =
                    "SB Payment Service knows a customer whose id was made up just now: look at `url`".to_owned();
                Err(CheckError { reason, temporary: false })
            }
            Err(answer) => {
                let temporary = matches!(answer.state, State::Unreachable { .. });
                Err(CheckError { reason: answer.state.reason().unwrap_or_default().to_owned(), temporary })
            }
        }
    }
}

/// The customer's id, if it can be one: at most 64 letters, digits and signs that are one byte in Shift_JIS, and that XML
/// does not escape.
fn customer_of(subject: &Subject) -> Result<&str, Stopped> {
    let Some(id) = subject.get("customer") else {
        return Err(Box::new(Answer::not_possible("the row has no customer's id")));
    };
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"<>&\"'\\~`".contains(&byte);
    if matches!(id.len(), 1..=64) && id.bytes().all(fits) && id.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Box::new(Answer::refused("not asked: what the column holds is no id of a customer of SB Payment Service")))
}

/// Names a call, and nobody.
fn is_transaction(id: &str) -> bool {
    matches!(id.len(), 1..=40) && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A reply that is no answer of this interface.
fn unreadable(reply: &Reply) -> Answer {
    match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => {
            Answer::refused("SB Payment Service's answer leads elsewhere, which is not followed: look at `url`")
        }
        401 => Answer::refused("SB Payment Service does not accept user and password (HTTP 401)"),
        403 => Answer::refused("SB Payment Service does not answer this machine's address (HTTP 403)"),
        status => Answer::refused(format!("HTTP {status} that is not SB Payment Service's: look at `url`")),
    }
}

/// Of a code: three letters or digits of the way to pay, two of the kind, three of the field.
fn refusal(code: &str) -> Answer {
    let kind = &code[3..5];
    if PASSES.contains(&kind) {
        return Answer::unreachable(format!("SB Payment Service is out of order ({code})"), None);
    }
    if CREDENTIALS.contains(&kind) {
        return Answer::refused(format!(
            "SB Payment Service does not accept the merchant, the service or the hash key ({code})"
        ));
    }
    Answer::refused(format!("SB Payment Service refuses ({code})"))
}
