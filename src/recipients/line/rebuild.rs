//! `mode: rebuild`: a new audience of those who stay takes the old one's place.

use super::{
    LineAudience, NO_MEMBERS, Stopped,
    people::{Audience, Person, person},
    refusal,
};
use crate::{
    evidence::Grade,
    recipients::{
        Answer,
        client::{Body, Call},
        members::{Leaving, Members},
    },
};
use std::{sync::Arc, time::Duration};

/// When an upload is looked at again, and an audience whose deletion was answered.
const RECEIVING: Duration = Duration::from_secs(10 * 60);
const STILL_LISTED: Duration = Duration::from_secs(60 * 60);

pub(super) struct Rebuild {
    /// Where files are uploaded; without a slash at its end.
    pub uploads: String,
    pub members: Option<Arc<dyn Members>>,
    pub leaving: Leaving<Person>,
}

impl Rebuild {
    /// All who stay.
    async fn staying(&self, recipient: &str) -> Result<Audience, Stopped> {
        let Some(members) = &self.members else { return Err(Box::new(Answer::refused(NO_MEMBERS))) };
        let unreadable = |why: String| {
            let reason = format!("those who stay cannot be read: {why}");
            Box::new(Answer::unreachable(reason, None))
        };
        let mut people = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = members.page(recipient, after.as_deref()).await.map_err(unreadable)?;
            let of_page = page.members.iter().filter_map(|member| person(member.get("user")?));
            people.extend(of_page.filter(|person| !self.leaving.holds(person)));
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                Some(_) => return Err(unreadable("a page leads to itself".to_owned())),
                None => break,
            }
        }
        let audience = Audience::new(people);
        if audience.people() == 0 {
            let reason = "nobody would stay in the audience: delete it by hand, and every row of it is served";
            return Err(Box::new(Answer::refused(reason)));
        }
        if audience.is_too_large() {
            return Err(Box::new(Answer::refused(
                "more than 1,500,000 people would stay, which LINE takes in no upload",
            )));
        }
        Ok(audience)
    }
}

impl LineAudience {
    /// Uploads the audience of those who stay, or finds the one that an earlier run has uploaded.
    pub(super) async fn rebuild(&self, rebuild: &Rebuild) -> Result<Answer, Stopped> {
        self.keep_to_bot().await?;
        let audience = rebuild.staying(self.client.recipient()).await?;
        let mark = format!("sunset {}", audience.digest());
        let all = self.audiences().await?;
        let found = self.own_generations(&all)?;
        let Some((last, newest)) = found.last().copied() else {
            return Err(Box::new(Answer::refused("the channel has no such audience")));
        };
        // An older audience of the same people does not do: a newer one may hold somebody who has come and goes again.
        let is_usable = last > 0 && !["FAILED", "EXPIRED"].contains(&newest.status.as_str());
        if is_usable && self.data(newest.id).await?.1.contains(&mark) {
            return Ok(receiving(&format!("{}/{last}", newest.id)));
        }
        let generation = last + 1;
        let name = format!("{} #{generation}", self.audience);
        let call = Call::post("upload an audience", format!("{}/v2/bot/audienceGroup/upload/byFile", rebuild.uploads))
            .body(Body::Upload(Arc::new(audience.named(&name, &mark))));
        let reply = self.send(call).await?;
        let body = reply.json().unwrap_or_default();
        match body["audienceGroupId"].as_u64() {
            Some(id) if reply.status == 202 && body["description"] == name.as_str() => {
                Ok(receiving(&format!("{id}/{generation}")).request_id(reply.id("x-line-request-id")))
            }
            Some(_) if reply.status == 202 => Err(Box::new(Answer::refused("LINE's answer is about another audience"))),
            _ => Err(Box::new(refusal(&reply))),
        }
    }

    /// How far a new audience is, and the old ones' deletion where it is ready.
    pub(super) async fn look(&self, ticket: &str) -> Result<Answer, Stopped> {
        let parts = ticket.split_once('/');
        let numbers = parts.and_then(|(id, number)| Some((id.parse::<u64>().ok()?, number.parse::<u64>().ok()?)));
        let Some((id, generation)) = numbers else {
            // The settings were changed meanwhile.
            return Ok(Answer::forgotten("the audience is made anew now; asked anew"));
        };
        self.keep_to_bot().await?;
        let all = self.audiences().await?;
        // Without the new one, the list may be another channel's, and proves nothing.
        let Some((_, new)) = self.generations(&all).into_iter().find(|(_, audience)| audience.id == id) else {
            return Ok(Answer::forgotten("the channel's list does not show the new audience; it will be made again"));
        };
        match new.status.as_str() {
            "READY" => {}
            "FAILED" => {
                // It holds people for nothing.
                self.delete_audience(id).await?;
                let reason = "LINE did not take the new audience, perhaps because too few people would stay: delete the old one by \
                              hand, or use `mode: expire`";
                return Err(Box::new(Answer::refused(reason)));
            }
            "EXPIRED" => return Ok(Answer::forgotten("the new audience has expired; it will be made again")),
            _ => return Ok(receiving(ticket)),
        }
        let own = self.own_generations(&all)?;
        let older: Vec<_> =
            own.iter().filter(|(number, audience)| *number <= generation && audience.id != id).collect();
        for (_, audience) in &older {
            self.delete_audience(audience.id).await?;
        }
        let all = self.audiences().await?;
        if !all.iter().any(|audience| audience.id == id) {
            return Ok(Answer::unreachable("LINE's list shows the new audience no more", Some(STILL_LISTED)));
        }
        if older.iter().any(|(_, old)| all.iter().any(|audience| audience.id == old.id)) {
            let waiting = Answer::accepted(ticket, STILL_LISTED);
            return Ok(waiting.waiting_for("LINE still lists an audience whose deletion it has answered"));
        }
        Ok(Answer::confirmed(Grade::E1))
    }

    /// Whether it is gone, the list tells: "not found" may be about a wrong id.
    async fn delete_audience(&self, id: u64) -> Result<(), Stopped> {
        let reply = self.send(Call::delete("delete an audience", format!("/v2/bot/audienceGroup/{id}"))).await?;
        let body = reply.json().unwrap_or_default();
        let mut details = body["details"].as_array().into_iter().flatten();
        let not_found = reply.status == 400 && details.any(|detail| detail["message"] == "AUDIENCE_GROUP_NOT_FOUND");
        if reply.status == 200 || not_found { Ok(()) } else { Err(Box::new(refusal(&reply))) }
    }
}

fn receiving(ticket: &str) -> Answer {
    Answer::accepted(ticket, RECEIVING).waiting_for("LINE is receiving the new audience")
}
