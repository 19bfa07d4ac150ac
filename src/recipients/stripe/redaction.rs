//! `mode: redaction`: jobs of Stripe's preview API: made, validated, run, polled.

use super::{
    BLOCKED, LOCKED, PAGE, PREVIEW, REDACTING, Stripe, VALIDATING, VALIDATION, customer_of, is_plain, no_customer,
};
use crate::{
    evidence::Grade,
    recipients::{
        Answer, Subject,
        client::{Body, Call, segment},
    },
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

impl Stripe {
    /// One job for all of them; where it is blocked by some, these are told why and the others get a new one.
    pub(super) async fn redact(&self, subjects: &[&Subject]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; subjects.len()];
        for (subject, answer) in subjects.iter().zip(&mut answers) {
            *answer = match customer_of(subject) {
                Ok(customer) => self.prepare(subject, customer).await.err().map(|answer| *answer),
                Err(answer) => Some(*answer),
            };
        }
        let mut groups: Vec<Vec<usize>> = vec![(0..subjects.len()).filter(|index| answers[*index].is_none()).collect()];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let members: Vec<&Subject> = group.iter().map(|index| subjects[*index]).collect();
            match self.job(&members).await {
                Job::All(answer) => group.iter().for_each(|index| answers[*index] = Some(answer.clone())),
                // `job` makes another one; this is for the compiler.
                Job::Cancelled => {}
                Job::Blocked(blocked) => {
                    let reason_of = |index: &usize| {
                        let customer = subjects[*index].get("customer");
                        blocked.iter().find(|(id, _)| Some(id.as_str()) == customer).map(|(_, answer)| answer.clone())
                    };
                    let mut others = Vec::new();
                    for index in &group {
                        match reason_of(index) {
                            Some(answer) => answers[*index] = Some(answer),
                            None => others.push(*index),
                        }
                    }
                    if others.len() < group.len() {
                        groups.push(others);
                    } else if let [index] = group[..] {
                        let answer = blocked.into_iter().next().map(|(_, answer)| answer);
                        answers[index] = Some(answer.unwrap_or_else(|| blocking("", None)));
                    } else {
                        // An object of one of them blocks, and nothing tells whose: each gets a job of its own.
                        groups.extend(others.into_iter().map(|index| vec![index]));
                    }
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(no_customer)).collect()
    }

    async fn job(&self, subjects: &[&Subject]) -> Job {
        /// A key that was used for a job that is cancelled by now gives that job again.
        const MOST_JOBS: u32 = 5;
        let customers: Vec<_> = subjects.iter().filter_map(|subject| subject.get("customer")).collect();
        let form = customers.iter().map(|customer| ("objects[customers][]".to_owned(), (*customer).to_owned()));
        let form: Vec<_> = form.collect();
        for number in 1..=MOST_JOBS {
            let call = self.preview(Call::post("create a redaction job", "/v1/privacy/redaction_jobs"));
            let call = call.header("idempotency-key", key_of_job(subjects, number)).body(Body::Form(form.clone()));
            let (job, id) = match self.ask(call).await {
                Ok(created) => created,
                Err(answer) => return Job::All(*answer),
            };
            let Some(ticket) = job["id"].as_str().filter(|id| is_plain(id)) else {
                return Job::All(Answer::unreachable("a redaction job without an id", None).request_id(id));
            };
            match self.see_through(ticket, job.clone()).await {
                Job::Cancelled => {}
                job => return job,
            }
        }
        Job::All(Answer::unreachable("every redaction job was cancelled", Some(BLOCKED)))
    }

    /// From creation to the run, as far as waiting is worth it.
    async fn see_through(&self, ticket: &str, mut job: Value) -> Job {
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(200);
        let mut id = None;
        loop {
            match job["status"].as_str() {
                Some("created" | "validating") if waited < VALIDATION => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(Duration::from_secs(5));
                    let call = self.preview(Call::get("look at a redaction job", path_of(ticket)));
                    // It exists: where it cannot be seen, a later run looks again.
                    let Ok(seen) = self.ask(call).await else {
                        return Job::All(Answer::accepted(ticket, VALIDATING).request_id(id));
                    };
                    (job, id) = seen;
                }
                Some("canceled" | "canceling") => return Job::Cancelled,
                Some("failed") => return Job::Blocked(self.give_up(ticket).await),
                _ => {
                    let answer = self.advance(ticket, &job).await;
                    let id = answer.request_id.clone().or(id);
                    return Job::All(answer.request_id(id));
                }
            }
        }
    }

    /// What a job's status means; a job that is ready is run.
    pub(super) async fn advance(&self, ticket: &str, job: &Value) -> Answer {
        match job["status"].as_str() {
            Some("succeeded") => Answer::confirmed(Grade::E1),
            Some("created" | "validating") => Answer::accepted(ticket, VALIDATING),
            Some("redacting") => Answer::accepted(ticket, REDACTING),
            Some("ready") => {
                let call = self.preview(Call::post("run a redaction job", format!("{}/run", path_of(ticket))));
                match self.ask(call.header("idempotency-key", format!("sunset-run-{ticket}"))).await {
                    Ok((job, id)) if job["status"] == "succeeded" => Answer::confirmed(Grade::E1).request_id(id),
                    Ok((_, id)) => Answer::accepted(ticket, REDACTING).request_id(id),
                    Err(answer) => match answer.state {
                        // Whether it runs is seen at the next look.
                        crate::recipients::State::Unreachable { again_after, .. } => {
                            Answer::accepted(ticket, again_after.unwrap_or(VALIDATING))
                        }
                        _ => *answer,
                    },
                }
            }
            Some("canceled" | "canceling") => {
                Answer::forgotten("the redaction job was cancelled; a new one will be made")
            }
            _ => Answer::unreachable("a redaction job in an unknown state", Some(BLOCKED)),
        }
    }

    /// Why a job failed: the customers that block it, each with an answer. The job is cancelled, so that it locks nothing.
    pub(super) async fn give_up(&self, ticket: &str) -> Vec<(String, Answer)> {
        let mut found = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let mut call = self
                .preview(Call::get("read validation errors", format!("{}/validation_errors", path_of(ticket))))
                .query("limit", PAGE);
            if let Some(last) = &last {
                call = call.query("starting_after", last);
            }
            let Ok((body, _)) = self.ask(call).await else { break };
            let page: Vec<_> = body["data"].as_array().cloned().unwrap_or_default();
            last = page.last().and_then(|error| error["id"].as_str()).map(str::to_owned);
            for error in &page {
                let object = &error["erroring_object"];
                let id = object["id"].as_str().unwrap_or_default().to_owned();
                let code = error["code"].as_str().unwrap_or_default();
                found.push((id, blocking(code, object["object_type"].as_str())));
            }
            if body["has_more"] != Value::Bool(true) || last.is_none() {
                break;
            }
        }
        let call = self.preview(Call::post("cancel a redaction job", format!("{}/cancel", path_of(ticket))));
        // A failure here only leaves a failed job in Stripe's list.
        let _ = self.ask(call.header("idempotency-key", format!("sunset-cancel-{ticket}"))).await;
        found
    }

    #[expect(clippy::unused_self, reason = "reads like the other calls")]
    pub(super) fn preview(&self, call: Call) -> Call {
        call.header("stripe-version", PREVIEW.to_owned())
    }
}

/// What became of one job.
enum Job {
    /// One answer for all customers of the job.
    All(Answer),
    /// Somebody cancelled it: another one is needed.
    Cancelled,
    /// It failed: the ids of what blocks it.
    Blocked(Vec<(String, Answer)>),
}

/// What blocks a redaction, in words (`privacy.redaction_job_validation_error`).
pub(super) fn blocking(code: &str, object: Option<&str>) -> Answer {
    let object = object.filter(|word| is_plain(word)).map(|word| format!(" ({word})")).unwrap_or_default();
    match code {
        "invalid_state" => Answer::unreachable(
            format!(
                "an object{object} is in a state that blocks redaction: a payment of the last 90 days, an open invoice, a \
                 dispute, or a subscription or payment method in use"
            ),
            Some(BLOCKED),
        ),
        "locked_by_other_job" => {
            Answer::unreachable(format!("another redaction job holds an object{object}"), Some(LOCKED))
        }
        "too_many_objects" => {
            Answer::refused("more belongs to the customer than one redaction job takes; ask Stripe's support")
        }
        "invalid_cascading_source" => {
            Answer::refused(format!("an object{object} belongs to another one that would have to be redacted with it"))
        }
        "invalid_file_purpose" => Answer::refused("a file that belongs to the customer is of a kind that stays"),
        code if is_plain(code) => Answer::refused(format!("the redaction job failed: {code}{object}")),
        _ => Answer::unreachable("the redaction job failed and nobody said why", Some(BLOCKED)),
    }
}

pub(super) fn path_of(ticket: &str) -> String {
    format!("/v1/privacy/redaction_jobs/{}", segment(ticket))
}

fn key_of_job(subjects: &[&Subject], number: u32) -> String {
    let mut references: Vec<_> = subjects.iter().map(|subject| subject.request()).collect();
    references.sort_unstable();
    let digest = Sha256::digest(references.join("/"));
    format!("sunset-redact-{}-{number}", hex::encode(&digest[..16]))
}
