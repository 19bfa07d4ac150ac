//! `mode: rebuild`: a new list of those who stay takes the old one's place. It is made once for everybody whom a run asks about
//! ([`Leaving`]).

use super::{
    FROM_LINE, Stopped, YahooJapanAds, codes, id_of, refusal,
    rows::{File, Mark, Row, UploadType, mark},
    text_of, words,
};
use crate::{
    evidence::Grade,
    recipients::{
        Answer, Members, Subject,
        client::{Body, Call},
        members::Leaving,
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Lists in one removal.
const REMOVED: usize = 20;

/// Of an upload: the fewest rows, and the most bytes.
const FEWEST: usize = 100;
const LARGEST: usize = 1 << 30;

/// When an upload, which takes hours, is looked at again; and a list that is still in use.
const RECEIVING: Duration = Duration::from_secs(60 * 60);
const IN_USE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) const NO_MEMBERS: &str = "nothing says who stays, so the list cannot be rebuilt";

pub(super) struct Rebuild {
    pub list: String,
    /// Days.
    pub duration: Option<u64>,
    pub upload_type: UploadType,
    pub country: u64,
    pub members: Option<Arc<dyn Members>>,
    pub leaving: Leaving<Mark>,
}

/// A customer data list.
#[derive(Clone)]
pub(super) struct List {
    pub id: u64,
    pub name: String,
    pub description: String,
    /// Days.
    pub duration: Option<u64>,
}

enum Removal {
    Done,
    /// By an ad group or another list.
    InUse,
}

impl Rebuild {
    fn rows<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> Vec<Row> {
        self.upload_type.rows(self.country, get)
    }

    fn marks(&self, subject: &Subject) -> Vec<Mark> {
        self.rows(|name| subject.get(name)).iter().map(mark).collect()
    }

    /// They will be asked about: no list holds them from now on.
    pub fn announce(&self, subjects: &[Subject]) {
        self.leaving.announce(subjects.iter().flat_map(|subject| self.marks(subject)));
    }

    pub fn knows(&self, subject: &Subject) -> bool {
        !self.rows(|name| subject.get(name)).is_empty()
    }

    /// The lists of the name and those that were made from it, from the oldest to the newest, with their numbers.
    fn generations(&self, lists: Vec<List>) -> Vec<(u64, List)> {
        let number = |list: &List| match list.name.strip_prefix(self.list.as_str())? {
            "" => Some(0),
            rest => rest.strip_prefix(" #")?.parse().ok(),
        };
        let mut ours: Vec<_> = lists.into_iter().filter_map(|list| Some((number(&list)?, list))).collect();
        ours.sort_by_key(|(number, list)| (*number, list.id));
        ours
    }

    fn name(&self, generation: u64) -> String {
        format!("{} #{generation}", self.list)
    }

    /// The rows of all who stay. Whoever has a row in common with somebody who leaves is left out with all others of theirs.
    async fn file(&self, recipient: &str) -> Result<File, Stopped> {
        let Some(members) = &self.members else { return Err(Box::new(Answer::refused(NO_MEMBERS))) };
        let unreadable = |why: String| {
            let reason = format!("those who stay cannot be read: {why}");
            Box::new(Answer::unreachable(reason, None))
        };
        let mut rows = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = members.page(recipient, after.as_deref()).await.map_err(unreadable)?;
            for member in &page.members {
                let of_member = self.rows(|name| member.get(name).map(String::as_str));
                if !of_member.iter().any(|row| self.leaving.holds(&mark(row))) {
                    rows.extend(of_member);
                }
            }
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                Some(_) => return Err(unreadable("a page leads to itself".to_owned())),
                None => break,
            }
        }
        let file = File::new(self.upload_type, rows);
        if file.rows() < FEWEST {
            let reason = format!(
                "only {} rows would stay in the list, and Yahoo takes no upload of fewer than {FEWEST}: remove the list by \
                 hand, or use `mode: expiry`",
                file.rows()
            );
            return Err(Box::new(Answer::refused(reason)));
        }
        if file.bytes() > LARGEST {
            return Err(Box::new(Answer::refused("the list would be larger than the 1 GiB that Yahoo takes")));
        }
        Ok(file)
    }
}

impl YahooJapanAds {
    /// One new list for these and everybody who has been announced.
    pub(super) async fn rebuilt(&self, rebuild: &Rebuild, subjects: &[Subject]) -> Answer {
        let make = async { self.rebuild(rebuild).await.unwrap_or_else(|answer| *answer) };
        rebuild.leaving.ask(subjects.iter().map(|subject| rebuild.marks(subject)), make).await
    }

    /// Makes and uploads the list of those who stay, or finds the one that an earlier run has made.
    async fn rebuild(&self, rebuild: &Rebuild) -> Result<Answer, Stopped> {
        let file = rebuild.file(self.client.recipient()).await?;
        let mark = format!("sunset {}", file.digest());
        let (lists, _) = self.lists().await?;
        let ours = rebuild.generations(lists);
        let Some((last, newest)) = ours.last() else {
            let (lists, _) = self.lists_of(FROM_LINE).await?;
            let reason = match rebuild.generations(lists).is_empty() {
                true => "there is no customer data list of the name that `list` gives",
                false => {
                    "the list that `list` names comes from LINE or the Business Manager, and no upload changes it: change it there"
                }
            };
            return Err(Box::new(Answer::refused(reason)));
        };
        // An older list of the same rows does not do: a newer one may hold somebody who has come and goes again.
        let (generation, list, job) = match newest.description == mark {
            true => (*last, newest.id, self.job_of(newest.id, None).await?),
            false => {
                let Some(duration) = rebuild.duration.or(newest.duration) else {
                    let reason = "Yahoo does not say when the old list forgets: give `data_duration`";
                    return Err(Box::new(Answer::refused(reason)));
                };
                let generation = last + 1;
                (generation, self.add(&rebuild.name(generation), &mark, duration).await?, None)
            }
        };
        let job = match job {
            Some((job, status)) if matches!(status.as_str(), "RECEIVING" | "RECEIVED") => job,
            _ => self.upload(list, rebuild.upload_type, file).await?,
        };
        Ok(receiving(&format!("{list}/{generation}/{job}")))
    }

    async fn add(&self, name: &str, description: &str, duration: u64) -> Result<u64, Stopped> {
        let operation = json!({"accountId": self.account, "operand": [{
            "accountId": self.account,
            "audienceListName": name,
            "description": description,
            "audienceListContent": {
                "audienceListType": "CUSTOMER_DATA",
                "customerDataAudienceList": {"dataDuration": duration},
            },
        }]});
        let (rval, id) = self.ask(self.service("add an audience", "add", operation)).await?;
        let value = &rval["values"][0];
        match value["audienceList"]["audienceListId"].as_u64() {
            Some(list) if value["operationSucceeded"] == true => Ok(list),
            _ => Err(Box::new(Answer::refused(words("the new list was not made", &codes(value))).request_id(id))),
        }
    }

    async fn upload(&self, list: u64, upload_type: UploadType, file: File) -> Result<String, Stopped> {
        let call = Call::post("upload an audience", "/AudienceListService/uploadUserList")
            .query("accountId", self.account.to_string())
            .query("audienceListId", list.to_string())
            .query("uploadType", upload_type.word())
            .query("compressType", "NONE")
            .body(Body::Upload(Arc::new(file)));
        let (rval, id) = self.ask(call).await?;
        let value = &rval["values"][0];
        match text_of(&value["uploadJob"]["uploadJobId"]) {
            Some(job) if value["operationSucceeded"] == true => Ok(job),
            _ => Err(Box::new(Answer::refused(words("the upload was refused", &codes(value))).request_id(id))),
        }
    }

    /// An upload of a list, this one or the newest that is good: its id and status.
    async fn job_of(&self, list: u64, job: Option<&str>) -> Result<Option<(String, String)>, Stopped> {
        let mut selector = json!({"accountId": self.account, "audienceListId": list, "numberResults": 100});
        if let Some(job) = job {
            selector["uploadJobIds"] = json!([job]);
        }
        let call = self.service("look at an upload", "getUploadUserListStatus", selector);
        let (rval, _) = self.ask(call).await?;
        let of = |value: &Value| {
            let job = &value["uploadJob"];
            Some((text_of(&job["uploadJobId"])?, job["jobStatus"].as_str()?.to_owned()))
        };
        let all: Vec<_> = rval["values"].as_array().into_iter().flatten().filter_map(of).collect();
        let good = all.iter().find(|(_, status)| matches!(status.as_str(), "RECEIVING" | "RECEIVED"));
        Ok(match job {
            Some(job) => all.into_iter().find(|(id, _)| id == job),
            None => good.or(all.first()).cloned(),
        })
    }

    /// Removes lists. What is gone already counts as removed; a list that something else uses does not.
    async fn remove(&self, lists: &[u64]) -> Result<Removal, Stopped> {
        let mut removal = Removal::Done;
        for lists in lists.chunks(REMOVED) {
            let operand: Vec<_> = lists.iter().map(|list| json!({"audienceListId": list})).collect();
            let call =
                self.service("remove audiences", "remove", json!({"accountId": self.account, "operand": operand}));
            let reply = self.send(call).await?;
            let body = reply.json().unwrap_or_default();
            let values = body["rval"]["values"].as_array().map(Vec::as_slice).unwrap_or_default();
            let failed = values.iter().filter(|value| value["operationSucceeded"] != true);
            // Where everything failed, the errors may stand for the whole.
            let all = std::iter::once(&body).filter(|body| !codes(body).is_empty()).chain(failed);
            let all: Vec<Vec<String>> = all.map(codes).collect();
            if !reply.is_success() || (all.is_empty() && values.len() < lists.len()) {
                return Err(Box::new(refusal(&reply)));
            }
            let any = |codes: &[String], known: &[&str]| codes.iter().any(|code| known.contains(&code.as_str()));
            for codes in all {
                if any(&codes, &["211005", "211008", "210002"]) {
                    removal = Removal::InUse;
                } else if !any(&codes, &["I0001", "110005"]) {
                    let answer = Answer::refused(words("the old list was not removed", &codes));
                    return Err(Box::new(answer.request_id(id_of(&body))));
                }
            }
        }
        Ok(removal)
    }

    /// How far a new list is, and the old one's removal where it is there.
    pub(super) async fn look(&self, rebuild: &Rebuild, ticket: &str) -> Result<Answer, Stopped> {
        let mut parts = ticket.splitn(3, '/');
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok());
        let (Some(list), Some(generation), Some(job)) = (number(parts.next()), number(parts.next()), parts.next())
        else {
            return Err(Box::new(Answer::refused("this ticket is none of Yahoo's")));
        };
        let (lists, id) = self.lists().await?;
        let ours = rebuild.generations(lists);
        let older = ours.iter().filter(|(number, other)| *number <= generation && other.id != list);
        let older: Vec<_> = older.map(|(_, list)| list.id).collect();
        let is_there = ours.iter().any(|(_, other)| other.id == list);
        if is_there {
            match self.job_of(list, Some(job)).await?.as_ref().map(|(_, status)| status.as_str()) {
                Some("RECEIVED") => {}
                Some(status @ ("INVALID_FILE" | "FAILED")) => {
                    // Without it, the next run would take it for one that is under way.
                    self.remove(&[list]).await?;
                    let reason = format!("Yahoo did not take the new list ({status})");
                    return Err(Box::new(Answer::refused(reason).request_id(id)));
                }
                _ => return Ok(receiving(ticket).request_id(id)),
            }
        } else if !older.is_empty() {
            let reason = "the new list is gone before the old one was removed; it will be made again";
            return Err(Box::new(Answer::forgotten(reason).request_id(id)));
        } else if ours.is_empty() {
            // Lists of another account show neither, and prove nothing.
            let reason = "the account shows neither the new list nor the old one; it will be made again";
            return Err(Box::new(Answer::forgotten(reason).request_id(id)));
        }
        // Nobody who was asked about is in a newer list, so it is the older ones that count.
        Ok(match self.remove(&older).await? {
            Removal::Done => Answer::confirmed(Grade::E1),
            Removal::InUse => Answer::accepted(ticket, IN_USE).waiting_for(format!(
                "an older list is still in use: point ad groups and other lists at `{}`",
                rebuild.name(generation)
            )),
        }
        .request_id(id))
    }
}

fn receiving(ticket: &str) -> Answer {
    Answer::accepted(ticket, RECEIVING).waiting_for("Yahoo is receiving the new list")
}
