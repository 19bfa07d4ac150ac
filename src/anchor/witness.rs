//! A witness: it cosigns a checkpoint only if the ledger begins with everything that it cosigned before.
//!
//! The protocol is C2SP tlog-witness (<https://c2sp.org/tlog-witness>): the checkpoint is posted with the size that the
//! witness knows and a consistency proof from there. A witness that knows another size says which.

use super::Failure;
use crate::{evidence::cosignature::CosignerKey, http, ledger::history::consistency, store::Store};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{StatusCode, Url};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// No answer is longer, in bytes: some signature lines.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Others may hand in checkpoints of the same ledger meanwhile.
const ATTEMPTS: usize = 5;

pub(super) struct Witness {
    submission: Url,
    key: CosignerKey,
    client: reqwest::Client,
}

impl Witness {
    /// # Errors
    /// The URL cannot be used, in words.
    pub fn open(url: &Url, key: &CosignerKey) -> Result<Self, String> {
        let submission = format!("{}/add-checkpoint", url.as_str().trim_end_matches('/'));
        let submission = Url::parse(&submission).map_err(|error| error.to_string())?;
        let client = http::client(&submission, submission.password().is_some(), TIMEOUT)?;
        Ok(Self { submission, key: key.clone(), client })
    }

    /// Has this checkpoint of the ledger cosigned, and gives the cosignature's line. `known` is the size of the checkpoint
    /// that the witness is thought to know. The outer error is the store's, the inner one the witness's.
    pub async fn show(
        &self,
        store: &mut Store,
        size: u64,
        note: &str,
        known: u64,
    ) -> anyhow::Result<Result<String, Failure>> {
        let mut known = known.min(size);
        for _ in 0..ATTEMPTS {
            let mut body = format!("old {known}\n");
            for hash in consistency(store, known, size).await? {
                body += &BASE64_STANDARD.encode(hash);
                body.push('\n');
            }
            body = format!("{body}\n{note}");
            let (status, answer) = match self.post(body).await {
                Ok(answered) => answered,
                Err(failure) => return Ok(Err(failure)),
            };
            match status {
                StatusCode::OK => {
                    return Ok(self.key.find(note, &answer).map(|(line, _)| line).map_err(|error| {
                        Failure::Invalid(format!("its answer has no cosignature of the key in sunset.yaml: {error}"))
                    }));
                }
                StatusCode::CONFLICT => match answer.trim_end_matches('\n').parse::<u64>() {
                    Ok(seen) if seen > size => {
                        return Ok(Err(Failure::Contradicts(format!(
                            "it has cosigned {seen} entries, and this checkpoint has {size}: the store is an older copy, or another one; {}",
                            super::WAY_OUT
                        ))));
                    }
                    Ok(seen) if seen != known => known = seen,
                    _ => return Ok(Err(second_history(size))),
                },
                StatusCode::UNPROCESSABLE_ENTITY => return Ok(Err(second_history(size))),
                StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => {
                    return Ok(Err(Failure::Invalid(
                        "it knows no such ledger, or another key of it: give it what `sunset keys list` prints"
                            .to_owned(),
                    )));
                }
                StatusCode::BAD_REQUEST => {
                    return Ok(Err(Failure::Invalid(
                        "it does not take the checkpoint's form; a witness has to allow an extension line".to_owned(),
                    )));
                }
                status => {
                    return Ok(Err(Failure::Temporary(format!("it answered with HTTP status {}", status.as_u16()))));
                }
            }
        }
        Ok(Err(Failure::Temporary("others hand in checkpoints of this ledger at the same time".to_owned())))
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), Failure> {
        let request = self.client.post(self.submission.clone()).body(body);
        http::answer(request, LONGEST_ANSWER).await.map_err(Failure::Temporary)
    }
}

fn second_history(size: u64) -> Failure {
    Failure::Contradicts(format!(
        "what it has cosigned is not the beginning of these {size} entries: this is a second history; {}",
        super::WAY_OUT
    ))
}
