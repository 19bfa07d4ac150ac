//! What Meta's errors mean, in words.

use crate::{
    evidence::Grade,
    recipients::{
        Answer,
        client::Reply,
        retry::{Verdict, retry_after, usual},
    },
};
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};

/// What Meta says about a call that failed.
pub(super) struct Fault {
    pub code: u64,
    pub subcode: u64,
    pub transient: bool,
}

impl Fault {
    pub fn of(reply: &Reply) -> Option<Self> {
        let error = &reply.json()?["error"];
        error.is_object().then(|| Self {
            code: error["code"].as_u64().unwrap_or_default(),
            subcode: error["error_subcode"].as_u64().unwrap_or_default(),
            transient: error["is_transient"] == Value::Bool(true),
        })
    }

    pub fn is(&self, code: u64) -> bool {
        self.code == code || self.subcode == code
    }
}

/// The audience was deleted, and all its members with it.
const AUDIENCE_DELETED: u64 = 1_487_366;

/// Memberships of a flagged audience cannot be changed.
const AUDIENCE_FLAGGED: u64 = 1_713_230;

pub(super) const FLAGGED: &str = "Meta has flagged the audience, and lets nobody change its members: resolve the restrictions in the \
                       Audience Manager, or delete the audience";

/// Meta's errors come as HTTP 400, mostly, whatever they mean: their codes count.
pub(super) fn judge(reply: &Reply) -> Verdict {
    let Some(fault) = Fault::of(reply) else { return usual(reply) };
    match fault.code {
        4 | 17 | 613 | 80001..=80014 => Verdict::Retry { after: regained(reply).or_else(|| retry_after(reply)) },
        _ if fault.is(AUDIENCE_DELETED) => Verdict::Final,
        1 | 2 | 341 | 368 | 5000 => Verdict::Retry { after: retry_after(reply) },
        _ if fault.transient => Verdict::Retry { after: retry_after(reply) },
        _ => usual(reply),
    }
}

/// When calls are taken again, by the usage that Meta tells: in minutes; the longest of all.
fn regained(reply: &Reply) -> Option<Duration> {
    let usage: Value = serde_json::from_str(reply.header("x-business-use-case-usage")?).ok()?;
    let entries = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    let minutes = entries.filter_map(|entry| entry["estimated_time_to_regain_access"].as_u64()).max()?;
    (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
}

/// A reply that is no success.
pub(super) fn refusal(reply: &Reply) -> Answer {
    let answer = match Fault::of(reply) {
        Some(fault) if fault.is(AUDIENCE_DELETED) => Answer::confirmed(Grade::E1),
        Some(_) => Answer::refused(words_of(reply)),
        None => match reply.status {
            300..=399 => Answer::refused("Meta's answer leads elsewhere, which is not followed: look at `url`"),
            status => Answer::refused(format!("HTTP {status} that is not Meta's: look at `url`")),
        },
    };
    answer.request_id(trace(reply))
}

/// Codes and what they mean: messages may quote what was sent.
pub(super) fn words_of(reply: &Reply) -> String {
    let Some(fault) = Fault::of(reply) else {
        return format!("HTTP {} that is not Meta's: look at `url`", reply.status);
    };
    let meaning = match (fault.code, fault.subcode) {
        (_, AUDIENCE_FLAGGED) => FLAGGED,
        (_, 1_870_090) => "the Custom Audience Terms are not accepted",
        (_, 1_870_050) => "the ad account belongs to no business portfolio",
        (190, _) => "Meta does not take the access token (any more)",
        (100, 33) => "Meta knows no such ad account or audience, or the token may not see it",
        (100, _) => "Meta finds a parameter invalid",
        (105, _) => "Meta finds too many parameters",
        (294, _) => "the token lacks `ads_management`",
        (200..=299, _) => "the token may not do this",
        (2650, _) => "Meta could not change the audience",
        (1_487_301, _) | (_, 1_487_301) => "the audience is not shared with the ad account",
        _ => "Meta refuses this",
    };
    let mut words = format!("{meaning} (HTTP {}, code {}", reply.status, fault.code);
    if fault.subcode > 0 {
        let _ = write!(words, ", subcode {}", fault.subcode);
    }
    words + ")"
}

/// Meta's own name for the call.
pub(super) fn trace(reply: &Reply) -> Option<String> {
    let plain = |text: &&str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        !text.is_empty() && text.len() <= 64 && text.bytes().all(byte)
    };
    let body = reply.json().unwrap_or_default();
    let told = body["error"]["fbtrace_id"].as_str().or_else(|| reply.header("x-fb-trace-id"));
    told.filter(plain).map(str::to_owned)
}
