//! LINE: audiences of an official account that were made by uploading user ids (Messaging API).
//!
//! The API adds people to an audience and removes nobody (`manage-audience.yml` of <https://github.com/line/line-openapi>), so there
//! are two ways, and the settings choose:
//!
//! - `mode: rebuild`. A new audience is made from those who stay ([`Members`](crate::recipients::Members)), and when LINE has it `READY`, the old
//!   one is deleted, and the list of all audiences is read again. It is the proof: the new audience is in it, and the old one is
//!   not. The new one is named like the old one, with ` #1`, ` #2` and so on behind it: **whoever sends messages has to choose it**.
//!   LINE's guidelines forbid to make and delete audiences over and over that no message is sent to, so let the rule run seldom.
//! - `mode: expire`. Nothing is changed: LINE forgets an audience at its `expireTimestamp`, at most 180 days after it was made. The
//!   person waits for it. That nobody uploads the person anew is the settings' word, not LINE's, hence E2.
//!
//! An audience is never taken for gone because LINE says `AUDIENCE_GROUP_NOT_FOUND` about its id, which may be of another channel, or
//! wrong. The list of the channel decides. `bot` pins the official account (`/v2/bot/info`), but several channels may be linked
//! to one, and each has its own audiences. So the list has to show the new audience for the old one to count as gone.
//!
//! Audiences that were made elsewhere (`createRoute` of LINE Official Account Manager, LINE Ads, LINE Points Ads) can only be read: the
//! answer is "not possible", and somebody has to change them there. So it is with audiences of advertising ids.
//!
//! An audience's mark, a digest of its people, stands in the description of its upload, so that a run after a crash finds it and
//! goes on.
//!
//! Not confirmed by any documentation: that `jobs` has the newest upload's description; the fewest people that an audience may have
//! (LINE says `AUDIENCE_GROUP_AUDIENCE_INSUFFICIENT`, which is told); how long an upload takes; what LINE does with the people of an
//! audience that is deleted or expired; that the list of audiences has `expireTimestamp`, which one audience's own data show.

mod people;
mod rebuild;
#[cfg(feature = "demo")]
mod stand_in;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, OpenError, Plumbing, Recipient,
    RecipientSettings, State, Subject,
    client::{Auth, Call, Client, Conduct, Reply},
    members::{self, Leaving},
    no_remarks,
    retry::usual,
};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape, Word},
    },
};
use jiff::Timestamp;
use people::person;
use rebuild::Rebuild;
use secrecy::SecretString;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::sync::OnceCell;

const BASE: &str = "https://api.line.me";

/// Where files are uploaded.
const UPLOADS: &str = "https://api-data.line.me";

/// Audiences on a page of the list: the most.
const ON_A_PAGE: usize = 40;

/// A channel has 1,000 audiences at most; a list that never ends is left.
const MOST_PAGES: usize = 100;

/// The longest name of an audience, in letters: LINE takes 120, and ` #` with a number stand behind it.
const LONGEST_NAME: usize = 110;

/// When an audience that expires is looked at again at the latest.
const LATEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const NO_MEMBERS: &str = "nothing says who stays, so the audience cannot be made anew";

pub static KIND: Kind = Kind {
    name: "line",
    doc: "LINE: makes an audience of uploaded user ids anew without those who go, or waits until it expires. Nobody can be removed \
          from one. Each audience is a recipient of its own.",
    settings: &[
        Field::required(
            "channel_access_token",
            "A channel access token of the Messaging API channel that made the audience, from a variable or file.",
            Shape::Text(&format::KEY),
            "\"${LINE_TOKEN}\"",
        ),
        Field::required(
            "bot",
            "The bot's user id, as `sunset plan --check-recipients` shows it. With a token of another official account, nobody is \
                  asked about.",
            Shape::Text(&format::TEXT),
            "U0123456789abcdef0123456789abcdef",
        ),
        Field::required(
            "audience",
            "The audience's name, as it was before any ` #1`.",
            Shape::Text(&format::TEXT),
            "Members",
        ),
        Field::required(
            "mode",
            "How a person leaves the audience, since the API removes nobody.",
            Shape::Words(&[
                Word {
                    word: "rebuild",
                    doc: "a new audience is made from those who stay, and the old one is deleted when LINE has the new one; somebody \
                          has to choose the new one for messages; E1",
                },
                Word {
                    word: "expire",
                    doc: "nothing is changed: the row waits until LINE says that the audience has expired, 180 days at most; E2",
                },
            ]),
            "rebuild",
        ),
        members::FIELD,
        Field::optional(
            "upload_url",
            "Where files are uploaded; `https://api-data.line.me` by default, or `url` where that is set.",
            Shape::Text(&format::RECIPIENT_URL),
            "http://127.0.0.1:8420/line",
        ),
    ],
    identifiers: Identifiers::Fixed {
        all: &[Identifier {
            name: "user",
            doc: "The person's user id at the provider of the channel: `U` and 32 hexadecimal digits.",
            example: "U4af4980629f1b1c2d3e4f5a6b7c8d9e0",
        }],
        any_of: &[&["user"]],
    },
    check: |settings| {
        let options = &settings.options;
        let misfit = |at: &'static str, problem: &str, help: &str| {
            Err(Misfit { at: vec![at], problem: problem.to_owned(), help: help.to_owned() })
        };
        if options.text("bot").is_some_and(|bot| person(bot).is_none()) {
            return misfit(
                "bot",
                "this is no bot's user id",
                "`U` and 32 hexadecimal digits, not the basic id that begins with `@`",
            );
        }
        let is_name = |name: &str| {
            name.trim() == name
                && !name.chars().any(char::is_control)
                && matches!(name.chars().count(), 1..=LONGEST_NAME)
        };
        if !options.text("audience").is_none_or(is_name) {
            return misfit("audience", "this cannot be an audience's name", "one line of at most 110 letters");
        }
        match (options.text("mode"), &settings.members) {
            (Some("rebuild"), None) => misfit(
                "mode",
                "`rebuild` needs `members`",
                "say where those who stay are read, for example `members: {table: core.customers, columns: {user: line_user_id}}`",
            ),
            (Some("rebuild"), Some(members)) if !members.identifiers().any(|identifier| identifier == "user") => {
                misfit("members", "no column has user ids", "name the column: `columns: {user: …}`")
            }
            (Some("expire"), Some(_)) => {
                misfit("mode", "`expire` uploads nobody", "leave `members` out, or choose `rebuild`")
            }
            _ => Ok(()),
        }
    },
    facts: |settings| {
        let rebuild = settings.options.text("mode") != Some("expire");
        Facts {
            batch: usize::MAX,
            // Bot, list, one audience, upload; then list, delete, list.
            calls: if rebuild { 7 } else { 3 },
            // 60 uploads a minute: a run makes one.
            rates: settings.rates(&[]),
            grade: if rebuild { Grade::E1 } else { Grade::E2 },
            deleted: if rebuild {
                "the whole old audience; a new one without the person takes its place"
            } else {
                "nothing by this call: LINE forgets the audience when it expires"
            },
            kept: "the person's own LINE account, messages that were sent, other audiences, those that were made elsewhere or by \
                   clicks and impressions, and copies that LINE Ads or Yahoo! JAPAN Ads got over the Business Manager",
            sources: &[
                "https://developers.line.biz/en/reference/messaging-api/#manage-audience-group",
                "https://github.com/line/line-openapi",
            ],
        }
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(LineAudience::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: Some(&stand_in::STAND_IN),
};

struct LineAudience {
    client: Client,
    token: SecretString,
    bot: String,
    proven: OnceCell<()>,
    audience: String,
    way: Way,
}

enum Way {
    Expire,
    Rebuild(Box<Rebuild>),
}

/// A call that did not come to the wanted end: what is to be said about the subjects.
type Stopped = Box<Answer>;

/// An audience as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    id: u64,
    name: String,
    status: String,
    /// Uploaded by this interface, of user ids, and may be changed.
    ours: bool,
    expires: Option<i64>,
}

impl LineAudience {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let missing =
            |key: &str| OpenError { recipient: settings.name.clone(), reason: format!("there is no `{key}`") };
        let options = &settings.options;
        let text = |key: &str| options.text(key).map(str::to_owned).ok_or_else(|| missing(key));
        let way = if options.text("mode") == Some("expire") {
            Way::Expire
        } else {
            let uploads = options.text("upload_url").or(settings.url.as_deref()).unwrap_or(UPLOADS);
            Way::Rebuild(Box::new(Rebuild {
                uploads: uploads.trim_end_matches('/').to_owned(),
                members: plumbing.members.clone(),
                leaving: Leaving::default(),
            }))
        };
        Ok(Self {
            client: plumbing.client(settings, &Conduct { base: BASE, rates: &[], judge: usual })?,
            token: options.secret("channel_access_token").ok_or_else(|| missing("channel_access_token"))?,
            bot: text("bot")?,
            proven: OnceCell::new(),
            audience: text("audience")?,
            way,
        })
    }

    async fn send(&self, call: Call) -> Result<Reply, Stopped> {
        let call = call.auth(Auth::Bearer(self.token.clone()));
        self.client.send(&call).await.map_err(|failure| Box::new(failure.into()))
    }

    /// The body of HTTP 200, which has to be an object.
    async fn ask(&self, call: Call) -> Result<Value, Stopped> {
        let reply = self.send(call).await?;
        let body = reply.json().filter(|body| reply.status == 200 && body.is_object());
        body.ok_or_else(|| Box::new(refusal(&reply)))
    }

    /// The official account that the token is of.
    async fn owner(&self) -> Result<String, Stopped> {
        let body = self.ask(Call::get("look at the bot", "/v2/bot/info")).await?;
        let bot = body["userId"].as_str().filter(|bot| person(bot).is_some()).map(str::to_owned);
        bot.ok_or_else(|| Box::new(Answer::unreachable("LINE does not say whose token it is", None)))
    }

    /// Goes on only with a token of the official account that the settings name.
    async fn keep_to_bot(&self) -> Result<(), Stopped> {
        let prove = async || match self.owner().await? {
            owner if owner == self.bot => Ok(()),
            owner => {
                let reason = format!("not asked: the token is of the official account {owner}, not of {}", self.bot);
                Err(Box::new(Answer::refused(reason)))
            }
        };
        self.proven.get_or_try_init(prove).await.map(drop)
    }

    /// All audiences of the channel.
    async fn audiences(&self) -> Result<Vec<Listed>, Stopped> {
        let unreadable = || Box::new(Answer::unreachable("LINE's list of audiences cannot be read", None));
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let call = Call::get("list audiences", "/v2/bot/audienceGroup/list")
                .query("page", page.to_string())
                .query("size", ON_A_PAGE.to_string())
                // Those of other channels of the same bot are not this token's to change.
                .query("includesExternalPublicGroups", "false");
            let body = self.ask(call).await?;
            for group in body["audienceGroups"].as_array().ok_or_else(unreadable)? {
                all.push(listed(group).ok_or_else(unreadable)?);
            }
            match body["hasNextPage"].as_bool().ok_or_else(unreadable)? {
                true => {}
                false => return Ok(all),
            }
        }
        Err(unreadable())
    }

    /// The audience of the settings and those that were made from it, from the oldest to the newest, with their numbers. LINE
    /// makes no difference between capital and small letters in names.
    fn generations<'a>(&self, all: &'a [Listed]) -> Vec<(u64, &'a Listed)> {
        let wanted = self.audience.to_lowercase();
        let number = |audience: &Listed| match audience.name.to_lowercase().strip_prefix(&wanted)? {
            "" => Some(0),
            rest => rest.strip_prefix(" #")?.parse().ok().filter(|number| *number > 0),
        };
        let mut found: Vec<_> = all.iter().filter_map(|audience| Some((number(audience)?, audience))).collect();
        found.sort_by_key(|(number, audience)| (*number, audience.id));
        found
    }

    /// The audience's generations, where there is one and this interface may change all of them.
    fn own_generations<'a>(&self, all: &'a [Listed]) -> Result<Vec<(u64, &'a Listed)>, Stopped> {
        let found = self.generations(all);
        if found.is_empty() {
            let reason = "the channel has no audience of the name that `audience` gives, nor one that was made from it";
            return Err(Box::new(Answer::refused(reason)));
        }
        if found.iter().any(|(_, audience)| !audience.ours) {
            let reason = "the audience was not made by uploading user ids to this channel, so it can only be read: change it where it \
                          was made (LINE Official Account Manager, LINE Ads or LINE Points Ads)";
            return Err(Box::new(Answer::not_possible(reason)));
        }
        Ok(found)
    }

    /// One audience's own data, and the descriptions of its uploads.
    async fn data(&self, id: u64) -> Result<(Listed, Vec<String>), Stopped> {
        let body = self.ask(Call::get("look at an audience", format!("/v2/bot/audienceGroup/{id}"))).await?;
        let group = listed(&body["audienceGroup"]).filter(|group| group.id == id);
        let group = group
            .ok_or_else(|| Box::new(Answer::unreachable("LINE's answer about an audience cannot be read", None)))?;
        let jobs = body["jobs"].as_array().into_iter().flatten();
        Ok((group, jobs.filter_map(|job| job["description"].as_str()).map(str::to_owned).collect()))
    }

    /// Until when the person waits: the last of the audience's generations to expire.
    async fn expiry(&self) -> Result<Answer, Stopped> {
        self.keep_to_bot().await?;
        let all = self.audiences().await?;
        let mut last: Option<(i64, u64)> = None;
        for (_, audience) in self.own_generations(&all)? {
            if audience.status == "EXPIRED" {
                continue;
            }
            let expires = match audience.expires {
                Some(expires) => Some(expires),
                None => self.data(audience.id).await?.0.expires,
            };
            let Some(expires) = expires else {
                let reason = "LINE does not say when the audience expires: use `mode: rebuild`";
                return Err(Box::new(Answer::refused(reason)));
            };
            last = last.max(Some((expires, audience.id)));
        }
        // Whoever was in one that has expired is in none, but whether the person was in one, nobody says.
        let Some((expires, id)) = last else { return Ok(Answer::confirmed(Grade::E2)) };
        Ok(waiting(id, expires))
    }

    /// Whether an audience that was to expire has.
    async fn expired(&self, ticket: &str) -> Result<Answer, Stopped> {
        let parts = ticket.strip_prefix("expire/").and_then(|rest| rest.split_once('/'));
        let numbers = parts.and_then(|(id, expires)| Some((id.parse::<u64>().ok()?, expires.parse::<i64>().ok()?)));
        let Some((id, expires)) = numbers else {
            // The settings were changed meanwhile.
            return Ok(Answer::forgotten("the audience is no longer made anew; asked anew"));
        };
        self.keep_to_bot().await?;
        let all = self.audiences().await?;
        let passed = Timestamp::now().as_second() >= expires;
        match all.iter().find(|audience| audience.id == id) {
            Some(audience) if audience.status == "EXPIRED" => Ok(Answer::confirmed(Grade::E2)),
            // It may have been prolonged.
            Some(audience) => {
                let expires = audience.expires.unwrap_or(expires).max(expires);
                Ok(waiting(id, expires))
            }
            None if passed => Ok(Answer::confirmed(Grade::E2)),
            None => {
                Ok(Answer::forgotten("the channel's list does not show the audience that was to expire; asked anew"))
            }
        }
    }
}

/// The person waits for an audience to expire. LINE has accepted nothing, so no grade is reached.
fn waiting(id: u64, expires: i64) -> Answer {
    let left = u64::try_from(expires.saturating_sub(Timestamp::now().as_second())).unwrap_or(0);
    let soonest = Duration::from_secs(60 * 60);
    let again = Duration::from_secs(left).clamp(soonest, LATEST);
    let day = Timestamp::from_second(expires).map(|expires| expires.strftime("%F").to_string()).unwrap_or_default();
    let answer = Answer::accepted(format!("expire/{id}/{expires}"), again);
    let answer = answer.waiting_for(format!("the audience {id} expires on {day}"));
    Answer { grade: None, ..answer }
}

/// `None` where an audience's data lack what decides.
fn listed(group: &Value) -> Option<Listed> {
    let word = |name: &str| group[name].as_str();
    Some(Listed {
        id: group["audienceGroupId"].as_u64()?,
        name: word("description")?.to_owned(),
        status: word("status")?.to_owned(),
        ours: word("type") == Some("UPLOAD")
            && word("createRoute") == Some("MESSAGING_API")
            && word("permission") == Some("READ_WRITE")
            && group["isIfaAudience"] == Value::Bool(false),
        expires: group["expireTimestamp"].as_i64(),
    })
}

#[async_trait::async_trait]
impl Recipient for LineAudience {
    /// One new audience, or one date, for all of them.
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut people = BTreeSet::new();
        let own: Vec<_> = subjects
            .iter()
            .map(|subject| match subject.get("user").map(person) {
                Some(Some(person)) => {
                    people.insert(person);
                    None
                }
                Some(None) => Some(Answer::refused("not asked: what the column holds is no user id of LINE")),
                None => Some(Answer::not_possible("the row has no user id")),
            })
            .collect();
        if people.is_empty() {
            return own.into_iter().flatten().collect();
        }
        let same = match &self.way {
            Way::Expire => self.expiry().await.unwrap_or_else(|answer| *answer),
            Way::Rebuild(rebuild) => {
                let make = async { self.rebuild(rebuild).await.unwrap_or_else(|answer| *answer) };
                rebuild.leaving.ask(people.into_iter().map(|person| vec![person]), make).await
            }
        };
        own.into_iter().map(|own| own.unwrap_or_else(|| same.clone())).collect()
    }

    fn announce(&self, subjects: &[Subject]) {
        if let Way::Rebuild(rebuild) = &self.way {
            rebuild.leaving.announce(subjects.iter().filter_map(|subject| person(subject.get("user")?)));
        }
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        let mut seen: BTreeMap<&str, Answer> = BTreeMap::new();
        for ticket in tickets {
            if !seen.contains_key(ticket.as_str()) {
                let answer = match &self.way {
                    Way::Rebuild(_) => self.look(ticket).await,
                    Way::Expire => self.expired(ticket).await,
                };
                seen.insert(ticket, answer.unwrap_or_else(|answer| *answer));
            }
        }
        tickets.iter().map(|ticket| seen[ticket.as_str()].clone()).collect()
    }

    async fn account(&self) -> Result<Option<String>, CheckError> {
        self.owner().await.map(Some).map_err(|stopped| told(&stopped))
    }

    /// The token is of the bot, and the channel has the audience.
    async fn check(&self) -> Result<Checked, CheckError> {
        if matches!(&self.way, Way::Rebuild(rebuild) if rebuild.members.is_none()) {
            return Err(CheckError { reason: NO_MEMBERS.to_owned(), temporary: false });
        }
        self.keep_to_bot().await.map_err(|stopped| told(&stopped))?;
        let all = self.audiences().await.map_err(|stopped| told(&stopped))?;
        self.own_generations(&all).map(|_| Checked::Proven).map_err(|stopped| told(&stopped))
    }
}

fn told(answer: &Answer) -> CheckError {
    let temporary = matches!(answer.state, State::Unreachable { .. });
    CheckError { reason: answer.state.reason().unwrap_or_default().to_owned(), temporary }
}

fn refusal(reply: &Reply) -> Answer {
    let id = reply.id("x-line-request-id");
    let answer = match reply.status {
        200..=299 => Answer::unreachable(format!("HTTP {} with an answer that cannot be read", reply.status), None),
        300..=399 => Answer::refused("LINE's answer leads elsewhere, which is not followed: look at `url`"),
        _ => Answer::refused(words_of(reply)),
    };
    answer.request_id(id)
}

/// Status and words of `details`: `message` may quote what was sent.
fn words_of(reply: &Reply) -> String {
    let body = reply.json().unwrap_or_default();
    let details = body["details"].as_array().into_iter().flatten();
    let is_word = |word: &&str| {
        matches!(word.len(), 1..=60) && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let words: Vec<_> = details.filter_map(|detail| detail["message"].as_str()).filter(is_word).take(3).collect();
    let what = match reply.status {
        401 => "LINE does not accept the channel access token (HTTP 401)".to_owned(),
        403 => "the channel may not do this (HTTP 403)".to_owned(),
        status => format!("HTTP {status}"),
    };
    [vec![what.as_str()], words].concat().join(", ")
}
