//! PayPal: deletes saved payment methods, cancels subscriptions, deletes invoices that were never sent.
//!
//! - `customer`: all payment tokens of a vault customer are listed and deleted; `payment_token`: one of them is
//!   (`openapi/vault_payment_tokens_v3.json` of <https://github.com/paypal/paypal-rest-api-specifications>).
//! - `subscription`: is cancelled (`openapi/billing_subscriptions_v1.json`). One that is over by now counts as gone, after a
//!   look at its status.
//! - `invoice`: is deleted if it is a draft or scheduled (`openapi/invoicing_v2.json`); `email`: so are all drafts that are
//!   addressed to this person and nobody else. Somebody else's drafts are not touched, however the search reads the address.
//! - `payment`: an order, capture or other payment. No call is made: payments have no deletion in any of PayPal's documents
//!   (`payments_payment_v2.json`, `reporting_transactions_v1.json` know GET and POST alone), PayPal must keep them by law,
//!   and takes erasure requests from the account holder or somebody whom the holder authorises. The answer is "not possible", so
//!   that ledger and report say so for each person.
//!
//! There is no real erasure of the person's own PayPal account by a merchant, and setup tokens have no deletion: they expire.
//! No rate limit is published; 429 `RATE_LIMIT_REACHED` is answered with backoff
//! (<https://developer.paypal.com/api/rest/reference/rate-limiting>). `PayPal-Request-Id` is not defined for these calls: a second
//! one finds the object gone.
//!
//! Not confirmed by any documentation, from memory alone: the exact form of the token request (HTTP Basic and
//! `grant_type=client_credentials`), that deleting an unknown payment token is HTTP 404 (the document lists 204, 400, 403
//! and 500), the header `PayPal-Debug-Id`, and that a merchant may turn to Merchant Technical Support for more.

#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, Subject,
    answer::State,
    client::{Auth, Body, Call, Client, Conduct, Reply, in_order, segment},
    no_remarks,
    retry::usual,
    token::{FormGrant, Tokens},
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const LIVE: &str = "https://api-m.paypal.com";
const SANDBOX: &str = "https://api-m.sandbox.paypal.com";

/// Subjects under way at a time.
const AT_ONCE: usize = 8;

/// Payment tokens on a page: the default, which is small enough for any version of the document.
const TOKENS_ON_A_PAGE: usize = 5;

/// Nobody saves more payment methods; a list that never ends is left.
const MOST_PAGES: u64 = 100;

/// The most that a search gives.
const INVOICES_ON_A_PAGE: &str = "100";

/// What the person sees as the reason of a cancellation, and its most characters.
const REASON: &str = "The contract has ended.";
const LONGEST_REASON: usize = 128;

/// A subscription that waits for its buyer may begin or lapse.
const NOT_BEGUN: Duration = Duration::from_secs(24 * 60 * 60);

pub static KIND: Kind = Kind {
    name: "paypal",
    doc: "PayPal: deletes saved payment methods and invoices that were never sent, and cancels subscriptions. Payments stay, \
          by law.",
    settings: &[
        Field::required(
            "client_id",
            "The REST app's client id.",
            Shape::Text(&format::SETTING),
            "\"${PAYPAL_CLIENT_ID}\"",
        ),
        Field::required(
            "client_secret",
            "The REST app's secret, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${PAYPAL_CLIENT_SECRET}\"",
        ),
        Field::optional(
            "environment",
            "Which PayPal; `live` by default.",
            Shape::Words(&[
                Word { word: "live", doc: "`https://api-m.paypal.com`" },
                Word { word: "sandbox", doc: "`https://api-m.sandbox.paypal.com`" },
            ]),
            "sandbox",
        ),
        Field::optional(
            "reason",
            "What PayPal is told as the reason of a cancelled subscription, at most 128 characters; \
                  \"The contract has ended.\" by default.",
            Shape::Text(&format::TEXT),
            "The membership has ended.",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier {
                name: "customer",
                doc: "The vault's id of the customer: all payment tokens of it are deleted.",
                example: "customer_4029352050",
            },
            Identifier { name: "payment_token", doc: "A payment token: it is deleted.", example: "8kk8451t" },
            Identifier { name: "subscription", doc: "A subscription: it is cancelled.", example: "I-BW452GLLEP1G" },
            Identifier {
                name: "invoice",
                doc: "An invoice: it is deleted if it was never sent.",
                example: "INV2-C82X-JNN9-Y6S5-CNXW",
            },
            Identifier {
                name: "email",
                doc: "The address that drafts of invoices name as their only recipient: they are deleted.",
                example: "taro@example.jp",
            },
            Identifier {
                name: "payment",
                doc: "An order, capture or transaction, which PayPal keeps by law: the answer is \"not possible\" for the \
                      record, and PayPal is not asked.",
                example: "2GG279541U471931P",
            },
        ],
        any_of: &[&["customer", "payment_token", "subscription", "invoice", "email", "payment"]],
    },
    check: |settings| match settings.options.text("reason") {
        Some(reason) if reason.chars().count() > LONGEST_REASON => Err(Misfit {
            at: vec!["reason"],
            problem: "the reason is too long".to_owned(),
            help: format!("at most {LONGEST_REASON} characters"),
        }),
        _ => Ok(()),
    },
    facts: |settings| Facts {
        batch: 1,
        calls: 1,
        rates: settings.rates(&[]),
        grade: Grade::E1,
        deleted: "the saved payment methods of the merchant's vault and invoices that were never sent; subscriptions are cancelled",
        kept: "payments, refunds, payouts, disputes and sent invoices, which PayPal must keep by law; cancelled subscriptions; \
               and the person's own PayPal account: PayPal takes requests about it from its holder alone",
        sources: &[
            "https://github.com/paypal/paypal-rest-api-specifications",
            "https://developer.paypal.com/api/rest/reference/rate-limiting",
            "https://www.paypal.com/us/cshelp/article/help1037",
        ],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(PayPal::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct PayPal {
    client: Client,
    tokens: Arc<Tokens>,
    reason: String,
}

/// A call that did not come to the wanted end: what is to be said about the subject.
type Stopped = Box<Answer>;

/// What became of one of the things that a subject names.
enum Piece {
    Done,
    Gone,
    /// PayPal keeps it: why.
    Kept(&'static str),
}

const PAYMENT_KEPT: &str = "PayPal keeps payments by law, and takes erasure requests from the account holder alone";
const INVOICE_KEPT: &str = "the invoice was sent: PayPal keeps it, and its API deletes drafts alone";
const SHARED_DRAFT: &str = "a draft of an invoice is addressed to others too, and was left alone";

/// Pieces of one subject, added up.
#[derive(Default)]
struct Sum {
    done: bool,
    kept: Vec<&'static str>,
    stopped: Option<Stopped>,
    request_id: Option<String>,
}

impl Sum {
    fn add(&mut self, result: Result<(Piece, Option<String>), Stopped>) {
        match result {
            Ok((piece, id)) => {
                match piece {
                    Piece::Done => self.done = true,
                    Piece::Gone => {}
                    Piece::Kept(why) => self.kept.push(why),
                }
                self.request_id = id.or_else(|| self.request_id.take());
            }
            // What may pass is asked about again first; a refusal will still be one then.
            Err(answer) if self.stopped.is_none() || matches!(answer.state, State::Unreachable { .. }) => {
                self.stopped = Some(answer);
            }
            Err(_) => {}
        }
    }

    fn answer(self) -> Answer {
        if let Some(answer) = self.stopped {
            return *answer;
        }
        let answer = match (self.kept.is_empty(), self.done) {
            (true, true) => Answer::confirmed(Grade::E1),
            (true, false) => Answer::gone(Grade::E1),
            (false, true) => Answer::not_possible(format!("what can be deleted is; {}", self.kept.join("; "))),
            (false, false) => Answer::not_possible(self.kept.join("; ")),
        };
        answer.request_id(self.request_id)
    }
}

impl PayPal {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let id = options.text("client_id").ok_or_else(|| missing("client_id"))?.to_owned();
        let secret = options.secret("client_secret").ok_or_else(|| missing("client_secret"))?;
        let grant = FormGrant {
            url: "/v1/oauth2/token".to_owned(),
            basic: Some((id, secret)),
            form: vec![("grant_type".to_owned(), "client_credentials".into())],
        };
        let base = if options.text("environment") == Some("sandbox") { SANDBOX } else { LIVE };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base, rates: &[], judge: usual })?,
            tokens: Arc::new(Tokens::new(grant)),
            reason: options.text("reason").unwrap_or(REASON).to_owned(),
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Stopped> {
        let call = call.auth(Auth::Tokens(self.tokens.clone()));
        self.client.send(&call).await.map_err(|failure| Box::new(failure.into()))
    }

    /// A success as JSON; `None` where the object is not there.
    async fn look(&self, call: Call) -> Result<Option<Value>, Stopped> {
        let reply = self.send(call).await?;
        if is_missing(&reply) {
            return Ok(None);
        }
        match reply.json() {
            Some(body) if reply.is_success() && body.is_object() => Ok(Some(body)),
            _ => Err(Box::new(refusal(&reply))),
        }
    }

    async fn delete_one(&self, subject: &Subject) -> Answer {
        let mut sum = Sum::default();
        if subject.is_empty() {
            return Answer::not_possible("the row has no identifier that PayPal knows");
        }
        // A subscription first: it may still use the payment method.
        if let Some(subscription) = subject.get("subscription") {
            sum.add(self.cancel(subscription).await);
        }
        if let Some(customer) = subject.get("customer") {
            sum.add(self.delete_tokens_of(customer).await);
        }
        if let Some(token) = subject.get("payment_token") {
            sum.add(self.delete_token(token).await);
        }
        if let Some(invoice) = subject.get("invoice") {
            sum.add(self.delete_invoice(invoice).await);
        }
        if let Some(email) = subject.get("email") {
            self.delete_drafts_to(email, &mut sum).await;
        }
        if subject.get("payment").is_some() {
            sum.add(Ok((Piece::Kept(PAYMENT_KEPT), None)));
        }
        sum.answer()
    }

    async fn cancel(&self, subscription: &str) -> Result<(Piece, Option<String>), Stopped> {
        check_prefix(subscription, "I-", "subscription")?;
        let path = format!("/v1/billing/subscriptions/{}", segment(subscription));
        let call = Call::post("cancel a subscription", format!("{path}/cancel"));
        let reply = self.send(call.body(Body::Json(json!({"reason": self.reason})))).await?;
        let id = id_of(&reply);
        if reply.is_success() {
            return Ok((Piece::Done, id));
        }
        if is_missing(&reply) {
            return Ok((Piece::Gone, id));
        }
        if reply.status != 422 {
            return Err(Box::new(refusal(&reply)));
        }
        // Only what is active or suspended can be cancelled, so it may be over, or may not have begun.
        let Some(body) = self.look(Call::get("look at a subscription", path)).await? else {
            return Ok((Piece::Gone, id));
        };
        match body["status"].as_str() {
            Some("CANCELLED" | "EXPIRED") => Ok((Piece::Gone, id)),
            Some("APPROVAL_PENDING" | "APPROVED") => {
                let reason = "the subscription has not begun, and cannot be cancelled before it does";
                Err(Box::new(Answer::unreachable(reason, Some(NOT_BEGUN)).request_id(id)))
            }
            _ => Err(Box::new(refusal(&reply))),
        }
    }

    async fn delete_token(&self, token: &str) -> Result<(Piece, Option<String>), Stopped> {
        check_id(token, "payment token")?;
        let path = format!("/v3/vault/payment-tokens/{}", segment(token));
        let reply = self.send(Call::delete("delete a payment token", path)).await?;
        let id = id_of(&reply);
        match reply.status {
            200..=299 => Ok((Piece::Done, id)),
            _ if is_missing(&reply) => Ok((Piece::Gone, id)),
            _ => Err(Box::new(refusal(&reply))),
        }
    }

    /// Deletes page by page. Pages move up while their tokens vanish, so the first is read again until nothing on it is new.
    async fn delete_tokens_of(&self, customer: &str) -> Result<(Piece, Option<String>), Stopped> {
        check_id(customer, "customer")?;
        let (mut piece, mut id) = (Piece::Gone, None);
        let (mut seen, mut page) = (BTreeSet::new(), 1_u64);
        loop {
            let call = Call::get("list payment tokens", "/v3/vault/payment-tokens")
                .query("customer_id", customer)
                .query("page_size", TOKENS_ON_A_PAGE.to_string())
                .query("page", page.to_string())
                .query("total_required", "true");
            let Some(body) = self.look(call).await? else { break };
            let (listed, pages) = (body["payment_tokens"].as_array(), body["total_pages"].as_u64());
            let Some(listed) = listed else {
                if body["total_items"] == 0 {
                    break;
                }
                return Err(unreadable("a list of payment tokens"));
            };
            let tokens: Option<Vec<_>> = listed.iter().map(|token| token["id"].as_str().map(str::to_owned)).collect();
            let tokens = tokens.ok_or_else(|| unreadable("a payment token"))?;
            let new: Vec<_> = tokens.iter().filter(|token| !seen.contains(*token)).cloned().collect();
            for token in &new {
                let (done, request) = self.delete_token(token).await?;
                if matches!(done, Piece::Done) {
                    piece = Piece::Done;
                }
                id = request.or(id);
            }
            let last = pages.map_or(listed.len() < TOKENS_ON_A_PAGE, |pages| pages <= page) || page >= MOST_PAGES;
            if last && (page > 1 || new.len() == listed.len() || new.is_empty()) {
                break;
            }
            if new.is_empty() {
                // Deleted and still listed: what is new stands further back.
                page += 1;
            }
            seen.extend(new);
        }
        Ok((piece, id))
    }

    async fn delete_invoice(&self, invoice: &str) -> Result<(Piece, Option<String>), Stopped> {
        check_prefix(invoice, "INV", "invoice")?;
        let path = format!("/v2/invoicing/invoices/{}", segment(invoice));
        let reply = self.send(Call::delete("delete an invoice", &path)).await?;
        let id = id_of(&reply);
        if reply.is_success() {
            return Ok((Piece::Done, id));
        }
        if is_missing(&reply) {
            return Ok((Piece::Gone, id));
        }
        // No document says how the deletion of a sent invoice is refused; its status does.
        if matches!(reply.status, 400 | 403 | 409 | 422) {
            let Some(body) = self.look(Call::get("look at an invoice", path)).await? else {
                return Ok((Piece::Gone, id));
            };
            if body["status"].as_str().is_some_and(|status| !matches!(status, "DRAFT" | "SCHEDULED")) {
                return Ok((Piece::Kept(INVOICE_KEPT), id));
            }
        }
        Err(Box::new(refusal(&reply)))
    }

    async fn delete_drafts_to(&self, email: &str, sum: &mut Sum) {
        let drafts = match self.drafts_to(email).await {
            Ok(drafts) => drafts,
            Err(stopped) => return sum.add(Err(stopped)),
        };
        for (invoice, shared) in drafts {
            sum.add(if shared { Ok((Piece::Kept(SHARED_DRAFT), None)) } else { self.delete_invoice(&invoice).await });
        }
    }

    /// The ids of drafts that name the address, and whether they name others too.
    async fn drafts_to(&self, email: &str) -> Result<Vec<(String, bool)>, Stopped> {
        let email = email.trim();
        let mut drafts = Vec::new();
        for page in 1_u64.. {
            let call = Call::post("search invoices", "/v2/invoicing/search-invoices")
                .query("page", page.to_string())
                .query("page_size", INVOICES_ON_A_PAGE)
                .query("total_required", "true")
                .body(Body::Json(json!({"recipient_email": email, "status": ["DRAFT", "SCHEDULED"]})));
            let Some(body) = self.look(call).await? else { break };
            let items = match body["items"].as_array() {
                Some(items) => items.as_slice(),
                None if body["total_items"] == 0 => &[],
                None => return Err(unreadable("a list of invoices")),
            };
            for item in items {
                let id = item["id"].as_str().ok_or_else(|| unreadable("an invoice"))?;
                // The search may leave recipients out.
                let whole = match item["primary_recipients"].is_array() {
                    true => Some(item.clone()),
                    false => {
                        let path = format!("/v2/invoicing/invoices/{}", segment(id));
                        self.look(Call::get("look at an invoice", path)).await?
                    }
                };
                let Some(whole) = whole else { continue };
                let to: Vec<_> = whole["primary_recipients"].as_array().into_iter().flatten().collect();
                let is_theirs = |to: &&Value| {
                    to["billing_info"]["email_address"].as_str().is_some_and(|to| to.eq_ignore_ascii_case(email))
                };
                if to.iter().any(is_theirs) {
                    drafts.push((id.to_owned(), !to.iter().all(is_theirs)));
                }
            }
            if items.is_empty() || body["total_pages"].as_u64().is_none_or(|pages| page >= pages) {
                break;
            }
        }
        Ok(drafts)
    }
}

#[async_trait::async_trait]
impl Recipient for PayPal {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        in_order(subjects.iter().map(|subject| self.delete_one(subject)).collect(), AT_ONCE).await
    }

    /// A token is fetched: that is all that PayPal checks without an object.
    async fn check(&self) -> Result<Checked, CheckError> {
        match self.tokens.token(&self.client, None).await {
            Ok(_) => Ok(Checked::Proven),
            Err(failure) => Err(CheckError { reason: failure.reason, temporary: !failure.lasting }),
        }
    }
}

/// The vault's documents allow 7 to 36 of `[0-9a-zA-Z_-]`. Anything else is somebody else's identifier, and stays here.
fn check_id(id: &str, what: &str) -> Result<(), Stopped> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (7..=36).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    let reason = format!("the {what}'s id is none of PayPal's: 7 to 36 letters, digits, `_` and `-`");
    Err(Box::new(Answer::refused(reason)))
}

/// Subscriptions and invoices are told by how their ids begin: a 404 to anything else proves nothing.
fn check_prefix(id: &str, prefix: &str, what: &str) -> Result<(), Stopped> {
    const LONGEST: usize = 50;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let rest = id.strip_prefix(prefix).filter(|_| id.len() <= LONGEST).unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(plain) {
        return Ok(());
    }
    Err(Box::new(Answer::refused(format!(
        "not asked: the {what}'s id is none of PayPal's: it does not begin with `{prefix}`"
    ))))
}

/// The object is not there. A 404 that is not PayPal's, such as a proxy's, says nothing.
fn is_missing(reply: &Reply) -> bool {
    const NAMES: [&str; 2] = ["RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"];
    let named = |word: &Value| word.as_str().is_some_and(|word| NAMES.contains(&word));
    reply.status == 404
        && reply.json().is_some_and(|body| {
            named(&body["name"])
                || body["details"].as_array().into_iter().flatten().any(|detail| named(&detail["issue"]))
        })
}

/// The name of the call for PayPal's support: `debug_id` of an error, or the header.
fn id_of(reply: &Reply) -> Option<String> {
    let body = reply.json().unwrap_or_default();
    let word = body["debug_id"].as_str().filter(|word| is_plain(word)).map(str::to_owned);
    word.or_else(|| reply.id("paypal-debug-id"))
}

fn unreadable(what: &str) -> Stopped {
    Box::new(Answer::unreachable(format!("{what} that cannot be read"), None))
}

/// A reply that is no success.
fn refusal(reply: &Reply) -> Answer {
    let answer = match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("PayPal's answer leads elsewhere, which is not followed: look at `url`"),
        404 if reply.json().is_none_or(|body| !body["name"].is_string()) => {
            Answer::refused("HTTP 404 that is not PayPal's: look at `url`")
        }
        _ => Answer::refused(words_of(reply)),
    };
    answer.request_id(id_of(reply))
}

/// Name and issues: messages and values may quote identifiers.
fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let mut words = match reply.status {
        401 => "PayPal does not accept the credentials (HTTP 401)".to_owned(),
        403 => "the app may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    let issues = body["details"].as_array().into_iter().flatten().map(|detail| &detail["issue"]);
    for word in std::iter::once(&body["name"]).chain(issues) {
        if let Some(word) = word.as_str().filter(|word| is_plain(word)) {
            words = format!("{words}, {word}");
        }
    }
    words
}

/// A word of an API, and not somebody's name.
fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !word.is_empty() && word.len() <= 100 && word.bytes().all(plain)
}
