//! Offline user data jobs of the Google Ads API: for developer tokens that have used them before.

use super::{AT_ONCE, FAILED_JOB, GoogleAds, JOB_LOOK, JobApi, MOST_JOBS, Part, Stopped, other_api};
use crate::{
    evidence::Grade,
    recipients::{
        Answer, State,
        client::{Body, Call, in_order},
        google::{self, array},
    },
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

impl GoogleAds {
    /// A job for each list with all of them.
    pub(super) async fn run_jobs(&self, api: &JobApi, part: Part<'_>) -> Vec<(usize, Answer)> {
        let mut tickets = Vec::new();
        let mut answers: Vec<Option<Answer>> = vec![None; part.len()];
        for list in &self.lists {
            match self.run_job(api, list, &part).await {
                Err(answer) => {
                    answers.iter_mut().filter(|known| known.is_none()).for_each(|known| *known = Some(answer.clone()));
                    break;
                }
                Ok((job, refused)) => {
                    tickets.push(job);
                    for (index, answer) in refused {
                        if let Some(known) = answers.get_mut(index) {
                            known.get_or_insert(answer);
                        }
                    }
                }
            }
        }
        let ticket = tickets.join(",");
        let accepted = || Answer::accepted(&ticket, JOB_LOOK).request_id(tickets.first().cloned());
        let places = part.iter().map(|(place, ..)| *place);
        places.zip(answers).map(|(place, answer)| (place, answer.unwrap_or_else(accepted))).collect()
    }

    /// One job from creation to its run: its name, and the operations that were refused.
    async fn run_job(
        &self,
        api: &JobApi,
        list: &str,
        part: &Part<'_>,
    ) -> Result<(String, Vec<(usize, Answer)>), Answer> {
        for number in 1..=MOST_JOBS + 1 {
            let external = (number <= MOST_JOBS).then(|| external_id(part, list, number));
            let job = match self.create_job(api, list, external).await? {
                Created::New(job) => job,
                // The run that made it ended before it was started: its operations are added again, harmlessly.
                Created::Known(job, status) if status == "PENDING" => job,
                // Nobody remembers which of its operations were refused; or it was about the same people at another time,
                // and whoever has come back since has to go again.
                Created::Known(..) => continue,
            };
            let refused = match self.add_operations(api, &job, part).await {
                Ok(refused) => refused,
                Err(stopped) if stopped.says("JOB_ALREADY_STARTED") => continue,
                Err(stopped) => return Err(stopped.answer),
            };
            if refused.len() < part.len() {
                self.start(api, &job).await?;
            }
            return Ok((job, refused));
        }
        Err(Answer::unreachable("no job could be made", Some(FAILED_JOB)))
    }

    async fn create_job(&self, api: &JobApi, list: &str, external: Option<i64>) -> Result<Created, Answer> {
        let call = Call::post(
            "create a job",
            format!("/{}/customers/{}/offlineUserDataJobs:create", api.version, self.customer),
        );
        let call = call.body(Body::Json(json!({"job": self.new_job(list, external)})));
        match self.ask(call).await {
            Ok(body) => match body["resourceName"].as_str().filter(|name| is_job_name(name)) {
                Some(name) => Ok(Created::New(name.to_owned())),
                None => Err(Answer::unreachable("the answer names no job", None)),
            },
            Err(stopped) => match external {
                Some(id) if stopped.says("EXTERNAL_UPDATE_ID_ALREADY_EXISTS") => {
                    let (name, status) = self.find_job(api, &format!("external_id = {id}")).await?;
                    Ok(Created::Known(name, status))
                }
                _ => Err(stopped.answer),
            },
        }
    }

    pub(super) fn new_job(&self, list: &str, external: Option<i64>) -> Value {
        let mut job = json!({
            "type": "CUSTOMER_MATCH_USER_LIST",
            "customerMatchUserListMetadata": {"userList": format!("customers/{}/userLists/{list}", self.customer)},
        });
        if let Some(id) = external {
            // A 64-bit number is text in JSON.
            job["externalId"] = id.to_string().into();
        }
        job
    }

    async fn add_operations(
        &self,
        api: &JobApi,
        job: &str,
        part: &Part<'_>,
    ) -> Result<Vec<(usize, Answer)>, Box<Stopped>> {
        let operations: Vec<_> = part.iter().map(|(_, _, member)| json!({"remove": member})).collect();
        let call = Call::post("add operations", format!("/{}/{job}:addOperations", api.version));
        let call = call.body(Body::Json(json!({"operations": operations, "enablePartialFailure": true})));
        let body = self.ask(call).await?;
        let mut refused: BTreeMap<usize, String> = BTreeMap::new();
        let details = array(&body["partialFailureError"]["details"]);
        for error in details.iter().flat_map(|detail| array(&detail["errors"])) {
            let index = array(&error["location"]["fieldPathElements"]).iter().find_map(|element| {
                let index = element["index"].as_u64().or_else(|| element["index"].as_str()?.parse().ok());
                // An operation without an index is the first: JSON leaves out what is 0.
                (element["fieldName"] == "operations").then(|| index.unwrap_or(0))
            });
            let code = google::codes(error).find(|code| google::is_plain(code)).unwrap_or("no reason");
            if let Some(index) = index.and_then(|index| usize::try_from(index).ok()) {
                refused.entry(index).or_insert_with(|| format!("Google Ads refused the removal: {code}"));
            }
        }
        if refused.is_empty() && body["partialFailureError"]["code"].as_i64().is_some_and(|code| code != 0) {
            // Something failed, and nobody says what: none of them may pass for done.
            let answer = Answer::unreachable("some operations failed, and Google Ads does not say which", None);
            return Err(Box::new(Stopped { answer, reply: None }));
        }
        Ok(refused.into_iter().map(|(index, reason)| (index, Answer::refused(reason))).collect())
    }

    async fn start(&self, api: &JobApi, job: &str) -> Result<(), Answer> {
        let call = Call::post("run a job", format!("/{}/{job}:run", api.version)).body(Body::Json(json!({})));
        match self.ask(call).await {
            Err(stopped) if !stopped.says("JOB_ALREADY_STARTED") => Err(stopped.answer),
            _ => Ok(()),
        }
    }

    /// Name and status of the job that fits.
    async fn find_job(&self, api: &JobApi, condition: &str) -> Result<(String, String), Answer> {
        let query = format!(
            "SELECT offline_user_data_job.resource_name, offline_user_data_job.status FROM offline_user_data_job WHERE \
             offline_user_data_job.{condition}"
        );
        let call =
            Call::post("look at a job", format!("/{}/customers/{}/googleAds:search", api.version, self.customer));
        let body = self.ask(call.body(Body::Json(json!({"query": query})))).await.map_err(|stopped| stopped.answer)?;
        let job = array(&body["results"]).first().map(|row| &row["offlineUserDataJob"]);
        let Some(name) = job.and_then(|job| job["resourceName"].as_str()).filter(|name| is_job_name(name)) else {
            return Err(Answer::forgotten("Google Ads knows no such job; a new one will be made"));
        };
        let status = job.and_then(|job| job["status"].as_str()).unwrap_or_default();
        Ok((name.to_owned(), status.to_owned()))
    }

    /// How far one job is.
    async fn look_at_job(&self, api: &JobApi, name: &str) -> Answer {
        let status = match self.find_job(api, &format!("resource_name = '{name}'")).await {
            Ok((_, status)) => status,
            Err(answer) => return answer,
        };
        match status.as_str() {
            "SUCCESS" => Answer::confirmed(Grade::E1),
            "FAILED" => Answer::refused("the job failed"),
            "PENDING" => match self.start(api, name).await {
                Ok(()) => Answer::accepted(name, JOB_LOOK),
                Err(answer) => answer,
            },
            _ => Answer::accepted(name, JOB_LOOK),
        }
    }

    pub(super) async fn poll_jobs(&self, api: &JobApi, tickets: &[String]) -> Vec<Answer> {
        let names: BTreeSet<&str> = tickets.iter().flat_map(|ticket| ticket.split(',')).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| is_job_name(name)).collect();
        let looks = names.iter().map(|name| self.look_at_job(api, name)).collect();
        let known: BTreeMap<&str, Answer> = names.iter().copied().zip(in_order(looks, AT_ONCE).await).collect();
        let answer = |ticket: &String| {
            let parts: Vec<&Answer> = ticket.split(',').filter_map(|name| known.get(name)).collect();
            if parts.is_empty() || parts.len() != ticket.split(',').count() {
                return other_api();
            }
            let is_open = |answer: &&&Answer| matches!(answer.state, State::Accepted { .. });
            let failed = parts.iter().find(|answer| !is_open(answer) && answer.state != State::Confirmed);
            let first = ticket.split(',').next().map(str::to_owned);
            match (failed, parts.iter().any(|answer| is_open(&answer))) {
                (Some(answer), _) => (**answer).clone(),
                (None, true) => Answer::accepted(ticket, JOB_LOOK).request_id(first),
                (None, false) => Answer::confirmed(Grade::E1).request_id(first),
            }
        };
        tickets.iter().map(answer).collect()
    }
}

/// What became of a job that was to be created.
enum Created {
    New(String),
    /// There was one with this external id: its name and status.
    Known(String, String),
}

/// `customers/1/offlineUserDataJobs/2`.
pub(super) fn is_job_name(name: &str) -> bool {
    let number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts[..], ["customers", customer, "offlineUserDataJobs", job] if number(&customer) && number(&job))
}

/// A positive 64-bit number that depends on the people, the list and the number alone, and tells nothing of them.
fn external_id(part: &Part, list: &str, number: u32) -> i64 {
    let mut references: Vec<String> = part.iter().map(|(_, subject, _)| subject.request()).collect();
    references.sort_unstable();
    let digest = Sha256::digest(format!("{}/{list}/{number}", references.join("/")));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    (i64::from_be_bytes(bytes) & i64::MAX).max(1)
}
