//! Requests of persons, in store and ledger.
//!
//! The store keeps the key of the home row sealed, until the request is closed; the ledger has a keyed tag of the person.

use super::{Error, Event, Ledger, Result, Seal, now, prove, request_history};
use crate::{
    evidence::tag::TagKey,
    rules::id_in_file,
    store::{Approval, Closing, NewRequest, PersonRequest, RequestOutcome, Served, Staying},
};
use std::collections::BTreeMap;

/// What a run did for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestProgress {
    pub request: u64,
    /// By rule, rows that went or were changed.
    pub disposed: BTreeMap<String, u64>,
    /// By rule, rows that could go and are still there.
    pub left: BTreeMap<String, u64>,
    /// By rule, rows that wait for dependents that stay.
    pub waiting: BTreeMap<String, u64>,
    /// Nothing is left that goes before its day.
    pub complete: bool,
}

/// What was written down for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disclosed {
    /// By table.
    pub rows: BTreeMap<String, u64>,
    /// Rows that are about somebody else as well, and were left out.
    pub left_out: BTreeMap<String, u64>,
    /// SHA-256 of the list of the files' own, in hexadecimal.
    pub digest: String,
}

/// The key of the home row of a request's person; `None` when the request is closed, or none of these keys opens it.
pub fn person_of(request: &PersonRequest, keys: &[TagKey]) -> Option<Vec<String>> {
    let sealed = hex::decode(request.sealed.as_ref()?).ok()?;
    let key = keys.iter().find(|key| key.id() == request.tag_key)?;
    serde_json::from_str(&Seal::of_persons(key).ok()?.open(&sealed)?).ok()
}

impl Ledger {
    /// The rule that was carried out for requests and has erased or changed a person's home row since the request was opened.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn done_to_home(&mut self, request: &PersonRequest, key: &[String]) -> Result<Option<String>> {
        let keys: Vec<_> = std::iter::once(&self.tag_key).chain(&self.older_tag_keys).collect();
        let answers = |rule: &str| id_in_file(rule) != rule;
        let home = (request.home.as_str(), key);
        let rule = prove::done_by(&mut self.store, &keys, home, request.opened_at, &answers).await?;
        Ok(rule.map(|rule| id_in_file(&rule).to_owned()))
    }

    /// Rows went for a request only if a batch took them, and is not counted yet: whatever else is not there any more, or belongs to
    /// somebody else now, went another way.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn only_committed(
        &mut self,
        stored: &[PersonRequest],
        all: &mut BTreeMap<u64, RequestProgress>,
    ) -> Result<()> {
        let is_done =
            |request: &&PersonRequest| all.get(&request.id).is_some_and(|progress| !progress.disposed.is_empty());
        let Some(first) = stored.iter().filter(is_done).map(|request| request.approved_in).min() else { return Ok(()) };
        let batches = request_history::batches(&mut self.store, first).await?;
        for request in stored {
            let Some(progress) = all.get_mut(&request.id) else { continue };
            cap(&mut progress.disposed, request, &batches);
        }
        Ok(())
    }

    /// Opens requests: all of them, or none.
    ///
    /// # Errors
    /// [`Error::Refused`] when a person has such a request open already.
    pub async fn open_requests(&mut self, new: Vec<NewRequest>) -> Result<Vec<PersonRequest>> {
        self.store.begin().await?;
        let opened = self.write_requests(new).await;
        self.end(opened).await
    }

    /// Lets runs take a request along. `stays` is what the person has that stays all the same.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not open, or approved already and nothing else stays than was known.
    pub async fn approve_request(&mut self, id: u64, by: &str, stays: Vec<Staying>) -> Result<PersonRequest> {
        self.store.begin().await?;
        let approved = self.write_approval(id, by, stays).await;
        self.end(approved).await
    }

    /// Notes what a run did for requests.
    pub async fn serve_requests(&mut self, all: Vec<RequestProgress>) -> Result<()> {
        self.store.begin().await?;
        let served = self.write_progress(all).await;
        self.end(served).await
    }

    /// Notes that what is held about the person was written down for them.
    ///
    /// # Errors
    /// [`Error::Refused`] when the request is not open.
    pub async fn disclose_request(&mut self, id: u64, disclosed: Disclosed) -> Result<PersonRequest> {
        self.store.begin().await?;
        let noted = self.write_disclosure(id, disclosed).await;
        self.end(noted).await
    }

    /// Ends a request: the key of its person is forgotten. `stays` is what the person still has, where it could be looked at.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not open.
    pub async fn close_request(
        &mut self,
        id: u64,
        outcome: RequestOutcome,
        (by, reason): (&str, &str),
        stays: Option<Vec<Staying>>,
    ) -> Result<PersonRequest> {
        self.store.begin().await?;
        let closed = self.write_closing(id, outcome, (by, reason), stays).await;
        self.end(closed).await
    }

    async fn write_requests(&mut self, all: Vec<NewRequest>) -> Result<Vec<PersonRequest>> {
        // another key of the ledger may have made a tag: then the person's own key tells
        let mut open: BTreeMap<_, _> = BTreeMap::new();
        for known in self.store.open_requests().await? {
            let is_older = known.tag_key != self.tag_key.id();
            let key = if is_older { person_of(&known, &self.older_tag_keys) } else { None };
            let tag = key.map(|key| hex::encode(self.tag_key.person_tag(&known.home, &known.subject, &key)));
            open.insert((known.kind, tag.unwrap_or(known.tag)), (known.id, known.reference));
        }
        let mut next = self.store.next_request().await?;
        let (mut opened, mut events) = (Vec::new(), Vec::new());
        for new in all {
            let tag = hex::encode(self.tag_key.person_tag(&new.home, &new.subject, &new.key));
            if let Some((id, reference)) = open.get(&(new.kind, tag.clone())) {
                return Err(Error::Refused(format!("request {id} ({reference}) of this person is open already")));
            }
            let text = serde_json::to_string(&new.key).map_err(|_| Error::Refused("no such key".to_owned()))?;
            let identity = hex::encode(self.tag_key.identity_tag(&new.subject, &new.identity));
            let request = PersonRequest {
                id: next,
                identity,
                kind: new.kind,
                subject: new.subject,
                home: new.home,
                sealed: Some(hex::encode(Seal::of_persons(&self.tag_key)?.seal(&text)?)),
                tag,
                tag_key: self.tag_key.id().to_owned(),
                received: new.received,
                due: new.due,
                reference: new.reference,
                identified: new.identified,
                opened_at: now(&self.clock),
                approval: None,
                stays: Vec::new(),
                stays_at: None,
                served: BTreeMap::new(),
                approved_in: 0,
                complete_at: None,
                closing: None,
            };
            next += 1;
            self.store.keep_request(&request).await?;
            events.push(Event::RequestOpened {
                request: request.id,
                kind: request.kind,
                person: request.subject.clone(),
                table: request.home.clone(),
                tag: request.tag.clone(),
                tag_key: request.tag_key.clone(),
                received: request.received,
                due: request.due,
                reference: request.reference.clone(),
                identified_by: request.identified.by.clone(),
                identified_how: request.identified.how.clone(),
            });
            open.insert((request.kind, request.tag.clone()), (request.id, request.reference.clone()));
            opened.push(request);
        }
        self.write(events, &[]).await?;
        Ok(opened)
    }

    async fn open_request(&mut self, id: u64) -> Result<PersonRequest> {
        let request = self.store.request(id).await?.filter(PersonRequest::is_open);
        request.ok_or_else(|| {
            Error::Refused(format!("no request {id} is open: `sunset request list` shows those that are"))
        })
    }

    async fn write_approval(&mut self, id: u64, by: &str, stays: Vec<Staying>) -> Result<PersonRequest> {
        let mut request = self.open_request(id).await?;
        if let Some(approval) = request.approval.as_ref().filter(|_| request.stays == stays) {
            return Err(Error::Refused(format!("request {id} was approved by {} at {}", approval.by, approval.at)));
        }
        request.approval = Some(Approval { at: now(&self.clock), by: by.to_owned() });
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for staying in &stays {
            *rows.entry(staying.table.clone()).or_default() += staying.rows;
        }
        (request.stays, request.stays_at) = (stays, None);
        let written =
            self.write(vec![Event::RequestApproved { request: id, by: by.to_owned(), stays: rows }], &[]).await?;
        if request.approved_in == 0 {
            request.approved_in = written.first().copied().unwrap_or(0);
        }
        self.store.keep_request(&request).await?;
        Ok(request)
    }

    async fn write_progress(&mut self, all: Vec<RequestProgress>) -> Result<()> {
        let at = now(&self.clock);
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        let mut known = Vec::new();
        for progress in all {
            // it may have been closed while the run was at work; what was done is done all the same
            known.extend(self.store.request(progress.request).await?.map(|request| (request, progress)));
        }
        // another run may have counted batches of this one
        let done = known.iter().filter(|(_, progress)| !progress.disposed.is_empty());
        let batches = match done.map(|(request, _)| request.approved_in).min() {
            Some(first) => request_history::batches(&mut self.store, first).await?,
            None => Vec::new(),
        };
        for (mut request, mut progress) in known {
            cap(&mut progress.disposed, &request, &batches);
            for (rule, rows) in &progress.disposed {
                let served = request.served.entry(rule.clone()).or_default();
                *served = Served { rows: served.rows + rows, run: self.run.clone(), at: Some(at), ..Served::default() };
            }
            for rule in progress.left.keys().chain(progress.waiting.keys()) {
                request.served.entry(rule.clone()).or_default();
            }
            for (rule, served) in &mut request.served {
                let of = |rows: &BTreeMap<String, u64>| rows.get(rule).copied().unwrap_or(0);
                (served.left, served.waiting) = (of(&progress.left), of(&progress.waiting));
            }
            request.complete_at = if progress.complete { request.complete_at.or(Some(at)) } else { None };
            requests.push(request);
            let RequestProgress { request, disposed, left, waiting, complete } = progress;
            events.push(Event::RequestServed { request, disposed, left, waiting, complete });
        }
        for request in &requests {
            self.store.keep_request(request).await?;
        }
        self.write(events, &[]).await?;
        Ok(())
    }

    async fn write_disclosure(&mut self, id: u64, disclosed: Disclosed) -> Result<PersonRequest> {
        let mut request = self.open_request(id).await?;
        request.complete_at = Some(now(&self.clock));
        self.store.keep_request(&request).await?;
        let Disclosed { rows, left_out, digest } = disclosed;
        self.write(vec![Event::RequestDisclosed { request: id, rows, left_out, digest }], &[]).await?;
        Ok(request)
    }

    async fn write_closing(
        &mut self,
        id: u64,
        outcome: RequestOutcome,
        (by, reason): (&str, &str),
        stays: Option<Vec<Staying>>,
    ) -> Result<PersonRequest> {
        let mut request = self.open_request(id).await?;
        if let Some(stays) = stays {
            (request.stays, request.stays_at) = (stays, Some(now(&self.clock)));
        }
        let (by, reason) = (by.to_owned(), reason.to_owned());
        request.closing = Some(Closing { at: now(&self.clock), by: by.clone(), outcome, reason: reason.clone() });
        request.sealed = None;
        self.store.keep_request(&request).await?;
        self.write(vec![Event::RequestClosed { request: id, outcome, by, reason }], &[]).await?;
        Ok(request)
    }
}

/// No more rows than all batches took that can have been for the request, without those that are counted.
fn cap(disposed: &mut BTreeMap<String, u64>, request: &PersonRequest, batches: &[(u64, String, u64)]) {
    for (rule, rows) in disposed.iter_mut() {
        let own = batches.iter().filter(|(entry, of, _)| *entry > request.approved_in && of == rule);
        let counted = request.served.get(rule).map_or(0, |served| served.rows);
        *rows = own.map(|(_, _, rows)| rows).sum::<u64>().saturating_sub(counted).min(*rows);
    }
    disposed.retain(|_, rows| *rows > 0);
}
