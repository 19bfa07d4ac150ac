//! `sunset why`: which rules and holds govern one row, or all rows of a person, and until when they stay.

pub(super) mod person;

use super::{
    Stop,
    console::Console,
    hold::{self, Located},
    job as loading,
};
use crate::{
    cli::{Global, WhyArgs},
    evidence::{Grade, keys::Keys, tag::TagKey},
    job::Job,
    outcome::Outcome,
    output::Format,
    plan::{
        self, Options, name_of,
        row::{Concern, How, Person, State, Verdict, concerns, verdicts},
    },
    recipients::Subject,
    rules::Rule,
    store::{self, Remembered, Store, Validity},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use std::fmt::Write as _;

/// What a rule says of the row, and how its recipients stand.
#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<AtRecipient>,
}

/// How a recipient stands to the row's person, whom nothing here names.
#[derive(Serialize)]
struct AtRecipient {
    recipient: String,
    /// The grade of evidence that the rule asks for.
    required: Grade,
    /// `confirmed`, `gone`, `accepted`, `not_possible`, `refused`, `unreachable`; `not_asked`; `nobody` where the row has
    /// nothing to ask by, `holds_nothing` where there is nothing to ask about.
    state: String,
    grade: Option<Grade>,
    /// The row need not wait for it.
    is_served: bool,
    asked_since: Option<Timestamp>,
    settled_at: Option<Timestamp>,
    /// When accepted work is looked at again.
    poll_after: Option<Timestamp>,
    /// What is waited for, or why it is not done.
    reason: Option<String>,
    /// The deletion notice that names the person, and when it is to be confirmed.
    notice: Option<String>,
    due_at: Option<Timestamp>,
}

pub async fn run(global: &Global, args: &WhyArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let job = loading::load(global, console)?;
    let now = loading::now(global, &job)?;
    let Some(named) = &args.table else { return person::run(global, &job, args, now, console).await };
    let holds = loading::holds(&job).await?;
    let Located { path, mut open, table } = hold::locate(&job, named).await?;
    hold::check_key(&table, &args.row)?;
    let rules: Vec<&Rule> = job
        .rules()
        .filter(|rule| {
            rule.table.database == path.database
                && open
                    .catalog
                    .table(rule.table.schema.as_deref(), &rule.table.table)
                    .is_some_and(|t| t.name == table.name)
        })
        .collect();
    let keys = Keys::parse(&job.settings.keys)?;
    let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
    let options = Options { pseudonym_key, ..Options::default() };
    let persons = plan::subject::Persons::look_up(&job, &holds).await?;
    let holds = plan::bind_in(&job, &path.database, &mut open, &holds, &persons).await?;
    for lost in &holds.lost {
        console.error(lost);
    }
    let verdicts = match verdicts(&job, &mut open, &rules, &holds, &args.row, now, &options).await? {
        Ok(Some(verdicts)) => verdicts,
        Ok(None) => {
            return Err(Stop::invalid(format!(
                "{named} has no row with this key; `sunset ledger prove` tells whether it was disposed of"
            )));
        }
        Err(diagnostics) => {
            console.diagnostics(&diagnostics, &job.sources)?;
            return Ok(Outcome::Invalid);
        }
    };
    let found = look_up(&job, verdicts, &keys.tag, now).await?;
    let mut concerned = concerns(&mut open, &holds, &table, &args.row, None).await?;
    for concern in found.iter().flat_map(|found| &found.verdict.holds) {
        if !concerned.iter().any(|known| known.hold == concern.hold) {
            concerned.push(concern.clone());
        }
    }
    match global.format {
        Format::Json => {
            let value = serde_json::json!({"table": named, "rules": found, "holds": concerned});
            console.print(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Format::Text | Format::Markdown | Format::Sarif => {
            console.print(&text(&job, named, &found, &concerned))?;
        }
    }
    Ok(Outcome::Done)
}

/// Adds what the store knows of the row's person at each recipient.
async fn look_up(job: &Job, verdicts: Vec<Verdict>, keys: &[TagKey], now: Timestamp) -> anyhow::Result<Vec<Found>> {
    let mut store = match Store::open_existing(&job.settings.store).await {
        Ok(store) => Some(store),
        Err(store::Error::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut all = Vec::new();
    for mut verdict in verdicts {
        let mut recipients = Vec::new();
        for person in std::mem::take(&mut verdict.persons) {
            let mut known = None;
            if let Some(store) = &mut store {
                // a run asks with the newest key, and knows nothing of what was asked with an older one
                if let Some(key) = keys.first() {
                    let tag = Subject::new(&person.recipient, person.identifiers.clone(), key).tag();
                    let settings = job.settings.recipients.get(&person.recipient);
                    let since = settings.map(|settings| settings.valid_since(now, &job.settings.time_zone));
                    let validity = Validity { since: since.unwrap_or(Timestamp::MIN), run: None };
                    known = store.remembered(&person.recipient, &[tag], validity).await?.remove(&tag);
                }
            }
            recipients.push(AtRecipient::new(person, known));
        }
        all.push(Found { verdict, recipients });
    }
    if let Some(store) = store {
        store.close().await?;
    }
    Ok(all)
}

impl AtRecipient {
    fn new(person: Person, known: Option<Remembered>) -> Self {
        let has_identifier = person.identifiers.values().any(|text| !text.trim().is_empty());
        let state = match &known {
            _ if person.holds_nothing => "holds_nothing",
            _ if !has_identifier => "nobody",
            Some(known) => &known.state,
            None => "not_asked",
        };
        let grade = known.as_ref().and_then(|known| known.grade);
        let of = |pick: fn(&Remembered) -> Option<Timestamp>| known.as_ref().and_then(pick);
        Self {
            state: state.to_owned(),
            is_served: !has_identifier || grade.is_some_and(|grade| grade <= person.required),
            asked_since: of(|known| Some(known.first_asked_at)),
            settled_at: of(|known| known.settled_at),
            poll_after: of(|known| known.poll_after),
            reason: known.as_ref().and_then(|known| known.reason.clone()),
            notice: known.as_ref().and_then(|known| known.notice.clone()),
            due_at: of(|known| known.due_at),
            recipient: person.recipient,
            required: person.required,
            grade,
        }
    }

    fn words(&self, zone: &TimeZone) -> String {
        let day =
            |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_zoned(zone.clone()).date().to_string());
        let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        let mut words = match self.state.as_str() {
            "holds_nothing" => return "nobody to ask: it holds nothing that a request could name".to_owned(),
            "nobody" => return "the row has nothing to ask by".to_owned(),
            "not_asked" => return format!("not asked yet; the rule asks for {}", self.required),
            "accepted" => format!("accepted on {}", day(self.asked_since)),
            "unreachable" => format!("asked since {}, no answer", day(self.asked_since)),
            state => match self.settled_at {
                Some(at) => format!("{} on {}", state.replace('_', " "), day(Some(at))),
                None => format!("{}, asked since {}", state.replace('_', " "), day(self.asked_since)),
            },
        };
        match (self.grade, self.is_served) {
            (Some(grade), true) => words += &format!(" ({grade}): served"),
            (Some(grade), false) => words += &format!(" ({grade}); the rule asks for {}", self.required),
            (None, _) => words += &format!("; the rule asks for {}", self.required),
        }
        if let Some(notice) = &self.notice {
            words += &format!("; notice {notice}, to be confirmed by {}", day(self.due_at));
        }
        if !self.is_served {
            if let Some(reason) = &self.reason {
                words += &format!("; it said: {reason}");
            }
            if let Some(at) = self.poll_after {
                words += &format!("; looked at again after {}", time(at));
            }
        }
        words
    }
}

fn hold_words(concern: &Concern) -> String {
    let Concern { hold, matter, table, how } = concern;
    let name = name_of(*hold, matter);
    match how {
        How::Itself => name,
        How::Belongs => format!("{name}: it belongs to a held row of {table}"),
        How::Dependent => format!("{name}: a row that depends on it is held, by a hold on {table}"),
    }
}

fn text(job: &Job, table: &str, found: &[Found], holds: &[Concern]) -> String {
    let mut out = String::new();
    if found.is_empty() {
        let _ = writeln!(out, "no rule governs {table}");
        for concern in holds {
            let _ = writeln!(out, "  hold            {}", hold_words(concern));
        }
    }
    for Found { verdict, recipients } in found {
        let _ = writeln!(out, "rule {} ({}): {}", verdict.rule, verdict.disposition, words(verdict));
        let start = verdict.starting_point.as_deref().unwrap_or("none");
        let _ = writeln!(out, "  starting point  {}: {start}", verdict.starts);
        if let Some(until) = verdict.until {
            let _ = writeln!(out, "  counted from    the day after {}", until.counted_from);
            let _ = writeln!(out, "  due from        {}", until.due);
            if let Some(overdue) = until.overdue {
                let _ = writeln!(out, "  overdue from    {overdue}");
            }
        }
        if let Some(rule) = job.rules().find(|rule| rule.id == verdict.rule)
            && let Some(legal_basis) = &rule.legal_basis
        {
            let _ = writeln!(out, "  legal basis     {legal_basis}");
        }
        for recipient in recipients {
            let words = recipient.words(&job.settings.time_zone);
            let _ = writeln!(out, "  recipient       {}: {words}", recipient.recipient);
        }
        for concern in &verdict.holds {
            let _ = writeln!(out, "  hold            {}", hold_words(concern));
        }
    }
    out
}

fn words(verdict: &Verdict) -> String {
    let due = verdict.until.map(|until| until.due.to_string()).unwrap_or_default();
    let obstacle = match (verdict.held, verdict.waiting) {
        (true, _) => ", but a hold keeps it",
        (false, true) => ", but a kept dependent still needs it",
        (false, false) => "",
    };
    match verdict.state {
        State::NotGoverned => "does not govern it: its condition does not hold".to_owned(),
        State::AlreadyDone => "has been carried out on it".to_owned(),
        State::WithoutStartingPoint => "has no starting point: its time has not begun".to_owned(),
        State::Kept => format!("it stays until {due}"),
        State::Due => format!("it has been due since {due}{obstacle}"),
        State::Overdue => format!("it is overdue; it has been due since {due}{obstacle}"),
    }
}
