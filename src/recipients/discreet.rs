//! What a recipient answers may repeat what it was sent: an identifier in an error's code, a key in a request's name. This
//! stands around every recipient and takes that out of its answers, before reports, status, log and ledger see them.

use super::{
    Answer, CheckError, Checked, Recipient, RecipientSettings, Retention, State, Subject,
    echo::{Echo, REDACTED},
};

pub(super) struct Discreet {
    inner: Box<dyn Recipient>,
    /// The credentials.
    secrets: Vec<String>,
}

impl Discreet {
    pub fn new(inner: Box<dyn Recipient>, settings: &RecipientSettings) -> Self {
        Self { inner, secrets: settings.secrets() }
    }

    /// What nobody may read again after a call about these persons.
    fn sent(&self, subjects: &[Subject]) -> Echo {
        let identifiers = subjects.iter().flat_map(Subject::identifiers).map(|(_, text)| text);
        Echo::of(identifiers.chain(self.secrets.iter().map(String::as_str)))
    }

    fn redact_error(&self, error: CheckError) -> CheckError {
        CheckError { reason: self.sent(&[]).redact(&error.reason), ..error }
    }
}

#[async_trait::async_trait]
impl Recipient for Discreet {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let answers = self.inner.delete(subjects).await;
        let sent = self.sent(subjects);
        answers.into_iter().map(|answer| redact(answer, &sent)).collect()
    }

    fn announce(&self, subjects: &[Subject]) {
        self.inner.announce(subjects);
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        let answers = self.inner.poll(tickets).await;
        let sent = self.sent(&[]);
        answers.into_iter().map(|answer| redact(answer, &sent)).collect()
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        self.inner.check().await.map_err(|error| self.redact_error(error))
    }

    async fn account(&self) -> Result<Option<String>, CheckError> {
        let account = self.inner.account().await.map_err(|error| self.redact_error(error))?;
        Ok(account.map(|account| self.sent(&[]).redact(&account)))
    }

    async fn retention(&self) -> Result<Option<Retention>, CheckError> {
        self.inner.retention().await.map_err(|error| self.redact_error(error))
    }
}

fn redact(mut answer: Answer, sent: &Echo) -> Answer {
    if answer.request_id.as_ref().is_some_and(|id| sent.is_in(id)) {
        answer.request_id = Some(REDACTED.to_owned());
    }
    match &mut answer.state {
        // The store keeps tickets, and the next poll needs them whole.
        State::Accepted { poll } if sent.is_plainly_in(&poll.ticket) => {
            let reason = "the recipient's ticket repeats what it was sent, which is not kept; ask it for tickets that name \
                          nobody";
            return Answer::refused(reason).request_id(answer.request_id);
        }
        State::Accepted { poll } => {
            if let Some(reason) = &mut poll.reason {
                *reason = sent.redact(reason);
            }
        }
        State::NotPossible { reason }
        | State::Refused { reason }
        | State::Unreachable { reason, .. }
        | State::Forgotten { reason } => *reason = sent.redact(reason),
        State::Confirmed | State::Gone | State::Elapsed => {}
    }
    answer
}
