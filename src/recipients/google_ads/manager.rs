//! The Data Manager API: removal from up to ten lists at once, and what became of it.

use super::{AT_ONCE, FIRST_LOOK, GoogleAds, LONGEST_LOOK, Part, members::Type, other_api};
use crate::{
    evidence::Grade,
    recipients::{
        Answer,
        client::{Body, Call, Reply, in_order},
        google::{self, array},
    },
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl GoogleAds {
    /// The body of `audienceMembers:remove`.
    pub(super) fn removal<'a>(
        &self,
        kind: Type,
        members: impl Iterator<Item = &'a Value>,
        validate_only: bool,
    ) -> Value {
        let account = |id: &str| json!({"accountType": "GOOGLE_ADS", "accountId": id});
        let destination = |list: &String| {
            let mut destination = json!({"operatingAccount": account(&self.customer), "productDestinationId": list});
            if let Some(manager) = &self.login_customer {
                destination["loginAccount"] = account(manager);
            }
            destination
        };
        let mut body = json!({
            "destinations": self.lists.iter().map(destination).collect::<Vec<_>>(),
            "audienceMembers": members.collect::<Vec<_>>(),
        });
        if kind == Type::Contact {
            // "Required for uploads of user data."
            body["encoding"] = "HEX".into();
        }
        if validate_only {
            body["validateOnly"] = true.into();
        }
        body
    }

    /// One request for all of them; where some make it invalid, these are told why and the others get a new one.
    pub(super) async fn remove(&self, kind: Type, mut part: Part<'_>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        while !part.is_empty() {
            let body = self.removal(kind, part.iter().map(|(_, _, member)| member), false);
            let call = Call::post("remove audience members", "/v1/audienceMembers:remove").body(Body::Json(body));
            match self.ask(call).await {
                Ok(body) => {
                    let id = body["requestId"].as_str().filter(|id| google::is_plain(id));
                    let answer = |index| match id {
                        Some(id) => Answer::accepted(Ticket { request: id, index, looks: 0 }.to_text(), FIRST_LOOK)
                            .request_id(Some(id.to_owned())),
                        None => Answer::unreachable("the answer names no request", None),
                    };
                    answers.extend(part.iter().enumerate().map(|(index, (place, ..))| (*place, answer(index))));
                    break;
                }
                Err(stopped) => {
                    let wrong = stopped.reply.as_ref().map(invalid_members).unwrap_or_default();
                    let wrong: BTreeSet<usize> = wrong.into_iter().filter(|index| *index < part.len()).collect();
                    let all = wrong.is_empty();
                    let mut left = Vec::new();
                    for (index, member) in part.into_iter().enumerate() {
                        if all || wrong.contains(&index) {
                            answers.push((member.0, stopped.answer.clone()));
                        } else {
                            left.push(member);
                        }
                    }
                    part = left;
                }
            }
        }
        answers
    }

    /// What Google reports about one request.
    async fn look_at_request(&self, request: &str) -> Result<Value, Answer> {
        let call = Call::get("look at a request", "/v1/requestStatus:retrieve").query("requestId", request);
        self.ask(call).await.map_err(|stopped| {
            let unknown = stopped.says("INVALID_REQUEST_ID") || stopped.says("NOT_FOUND");
            match unknown {
                true => Answer::forgotten("Google knows no such request; a new one will be made"),
                false => stopped.answer,
            }
        })
    }

    pub(super) async fn poll_requests(&self, tickets: &[String]) -> Vec<Answer> {
        let requests: BTreeSet<&str> =
            tickets.iter().filter_map(|text| Ticket::read(text)).map(|one| one.request).collect();
        let requests: Vec<&str> = requests.into_iter().collect();
        let looks = requests.iter().map(|request| self.look_at_request(request)).collect();
        let seen: BTreeMap<&str, Result<Outcome, Answer>> = requests
            .iter()
            .copied()
            .zip(in_order(looks, AT_ONCE).await)
            .map(|(request, seen)| (request, seen.map(|body| Outcome::read(&body, self.lists.len()))))
            .collect();
        let answer = |text: &String| {
            let Some(ticket) = Ticket::read(text) else { return other_api() };
            let answer = match &seen[ticket.request] {
                Err(answer) => return answer.clone(),
                Ok(outcome) => outcome.answer(&ticket),
            };
            answer.request_id(Some(ticket.request.to_owned()))
        };
        tickets.iter().map(answer).collect()
    }
}

/// A request and the place of a person in it, as text: `REQUEST/INDEX/LOOKS`.
pub(super) struct Ticket<'a> {
    pub request: &'a str,
    pub index: usize,
    /// How often it was looked at.
    pub looks: u32,
}

impl<'a> Ticket<'a> {
    pub fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let request = parts.next().filter(|request| google::is_plain(request))?;
        let (index, looks) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { request, index, looks })
    }

    pub fn to_text(&self) -> String {
        format!("{}/{}/{}", self.request, self.index, self.looks)
    }

    /// Twice the pause at each look.
    pub fn again(&self) -> Answer {
        let looks = self.looks.saturating_add(1);
        let pause = FIRST_LOOK.saturating_mul(1 << looks.min(8)).min(LONGEST_LOOK);
        Answer::accepted(Self { looks, ..*self }.to_text(), pause)
    }
}

/// What Google reports about a request, over all its lists.
pub(super) enum Outcome {
    Working,
    Done,
    /// Records that failed with their reasons; the others are done.
    Partly(BTreeMap<usize, String>),
    /// Some failed, and nobody says which: the reasons.
    Unclear(BTreeSet<String>),
    /// All failed: the reasons.
    Failed(BTreeSet<String>),
}

impl Outcome {
    pub fn read(body: &Value, lists: usize) -> Self {
        let destinations = array(&body["requestStatusPerDestination"]);
        if destinations.len() < lists {
            return Self::Working;
        }
        let (mut records, mut reasons): (BTreeMap<usize, String>, BTreeSet<String>) = Default::default();
        let (mut unnamed, mut all) = (false, false);
        for destination in destinations {
            let status = destination["requestStatus"].as_str().unwrap_or_default();
            match status {
                "SUCCESS" => continue,
                "PARTIAL_SUCCESS" | "FAILED" => {}
                // In progress, or not known yet.
                _ => return Self::Working,
            }
            let errors = array(&destination["errorInfo"]["errorCounts"]);
            unnamed |= errors.is_empty();
            all |= status == "FAILED";
            for error in errors {
                let reason = error["reason"].as_str().filter(|reason| google::is_plain(reason)).unwrap_or("no reason");
                let count = error["recordCount"].as_u64().or_else(|| error["recordCount"].as_str()?.parse().ok());
                let named = array(&error["recordIndices"]).iter().filter_map(Value::as_u64);
                let named: BTreeSet<usize> = named.filter_map(|index| usize::try_from(index).ok()).collect();
                unnamed |= named.is_empty() || count != u64::try_from(named.len()).ok();
                reasons.insert(reason.to_owned());
                records.extend(named.into_iter().map(|index| (index, reason.to_owned())));
            }
        }
        match () {
            () if all => Self::Failed(reasons),
            () if unnamed => Self::Unclear(reasons),
            () if records.is_empty() => Self::Done,
            () => Self::Partly(records),
        }
    }

    pub fn answer(&self, ticket: &Ticket) -> Answer {
        match self {
            Self::Working => ticket.again(),
            Self::Done => Answer::confirmed(Grade::E1),
            Self::Partly(records) => match records.get(&ticket.index) {
                None => Answer::confirmed(Grade::E1),
                Some(reason) => failure(&BTreeSet::from([reason.clone()])),
            },
            Self::Unclear(reasons) => Answer::unreachable(
                format!("Google could not remove everybody of a request: {}; all will be asked again", words(reasons)),
                None,
            ),
            Self::Failed(reasons) => failure(reasons),
        }
    }
}

/// What a failure's reasons mean: those that are about the records' form would come back.
pub(super) fn failure(reasons: &BTreeSet<String>) -> Answer {
    /// Of those that removals can meet.
    const LASTING: &[&str] = &[
        "PROCESSING_ERROR_REASON_INVALID_FORMAT",
        "PROCESSING_ERROR_REASON_INVALID_MOBILE_ID_FORMAT",
        "PROCESSING_ERROR_REASON_DECRYPTION_ERROR",
        "PROCESSING_ERROR_REASON_USER_IDENTIFIER_DECRYPTION_ERROR",
    ];
    match !reasons.is_empty() && reasons.iter().all(|reason| LASTING.contains(&reason.as_str())) {
        true => Answer::refused(format!("Google could not remove the person: {}", words(reasons))),
        false => Answer::unreachable(
            format!("Google could not remove the person: {}; it will be asked again", words(reasons)),
            None,
        ),
    }
}

pub(super) fn words(reasons: &BTreeSet<String>) -> String {
    if reasons.is_empty() {
        return "nobody said why".to_owned();
    }
    reasons.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The members that made a request invalid, by their places.
fn invalid_members(reply: &Reply) -> Vec<usize> {
    let body = reply.json().unwrap_or_default();
    let violations = array(&body["error"]["details"]).iter().flat_map(|detail| array(&detail["fieldViolations"]));
    let place = |violation: &Value| -> Option<usize> {
        let field = violation["field"].as_str()?;
        let start =
            ["audience_members[", "audienceMembers["].iter().find_map(|name| Some(field.find(name)? + name.len()))?;
        field[start..].split_once(']')?.0.parse().ok()
    };
    violations.filter_map(place).collect()
}
