//! `notice`: recipients without an API, who get a deletion notice that a person confirms: debt collectors, group
//! companies, carriers, agencies, affiliate networks (the documented functions of A8.net and of ValueCommerce delete no
//! personal data: <http://document.a8.net/a8docs/ecsales-api/v3/ecsales-api-v3.html>,
//! <https://pub-docs.valuecommerce.ne.jp/docs/ec-76-order-status-api.html>).
//!
//! A notice is about one batch of persons. It is an e-mail with a file attached, or files in a folder that something
//! carries on: `ID.txt` (the letter), `ID.note` (the signature) and, last, `ID.csv` or `ID.json` (the references). Each
//! person has a `sunset_reference`, which tells nobody anything, and what the rule maps: the recipient needs something
//! to find the person by. **What is mapped leaves the house**: a `reference` that both sides know is best; names,
//! addresses and numbers are personal data, and an e-mail is encrypted on its way to the mail server and perhaps no
//! further.
//!
//! The file is signed with the job's signing key (Ed25519): `ID.note` is a C2SP signed note that names the file by its
//! SHA-256, under the public key that `sunset keys list` prints.
//!
//! The answer is accepted with grade E4, until `sunset confirm` records the written confirmation (E3). From the day
//! after the due date, a poll sends a reminder, and another after each `remind`. The same persons on the same day give
//! the same notice: a run that was cut off after the letter went out sends one with the same number and message id, or
//! writes the same files again.

pub mod folder;
pub mod letter;
pub mod mail;

use super::{
    Answer, CheckError, Checked, Facts, Identifier, Identifiers, Kind, Misfit, Notice, OpenError, Plumbing, Recipient,
    RecipientSettings, Sender, Subject, no_remarks,
    rate::{Limiter, Wait},
};
use crate::{
    clock::{self, period::Period},
    diagnostic::Code,
    evidence::Grade,
    language::{
        format,
        shape::{Bounds, Field, MapShape, Shape, Word},
    },
};
use folder::Folder;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use letter::{FileFormat, Heading, Language, Parties};
use mail::{Letter, Mail, Undelivered};
use std::{sync::Arc, time::Duration};

/// Persons in one notice, where settings say nothing.
const BATCH: u64 = 1000;

/// To confirm, and between reminders, where settings say nothing.
const DUE: Period = Period { years: 0, months: 0, days: 30 };
const REMIND: Period = Period { years: 0, months: 0, days: 14 };

/// When a reminder that did not go out is tried again.
const REMINDER_LATER: Duration = Duration::from_secs(60 * 60);

const COUNT: Bounds = Bounds { least: Some(1.0), most: Some(10_000.0), above: false, code: Code::BadLimit };
const PORT: Bounds = Bounds { least: Some(1.0), most: Some(65_535.0), above: false, code: Code::BadLimit };

/// One address or several.
const ADDRESSES: Shape = Shape::Either(&[
    Shape::Text(&format::SETTING),
    Shape::List { item: &Shape::Text(&format::SETTING), least: 1, unique: true },
]);

pub static KIND: Kind = Kind {
    name: "notice",
    doc: "A recipient without an API: it gets deletion notices by e-mail or as signed files in a folder, which a person confirms \
          with `sunset confirm`. What a rule maps leaves the house in them; a reference that both sides know is best.",
    settings: &[
        Field::optional("email", "Send notices by e-mail.", Shape::Map(&EMAIL), "{to: privacy@collector.example, …}"),
        Field::optional(
            "folder",
            "Write notices as files into this folder, which must be there; relative paths start at the job directory.",
            Shape::Text(&format::PATH),
            "outbox/collector",
        ),
        Field::required(
            "addressee",
            "Whom the letter is to.",
            Shape::Text(&format::SETTING),
            "Example Collection Inc.",
        ),
        Field::required(
            "sender",
            "Who asks for deletion and takes the confirmation, for the letter's end.",
            Shape::Text(&format::SETTING),
            "Example Shop Inc., Privacy Office, privacy@shop.example",
        ),
        Field::optional(
            "language",
            "Of the letter; `en` by default.",
            Shape::Words(&[Word { word: "en", doc: "English" }, Word { word: "ja", doc: "Japanese" }]),
            "ja",
        ),
        Field::optional(
            "format",
            "Of the file with the references; `csv` by default.",
            Shape::Words(&[
                Word {
                    word: "csv",
                    doc: "RFC 4180, in UTF-8; texts that begin like a formula get an apostrophe in front",
                },
                Word { word: "json", doc: "a JSON document" },
            ]),
            "json",
        ),
        Field::optional(
            "due",
            "How long the recipient has to confirm; `30 days` by default.",
            Shape::Text(&format::PERIOD),
            "30 days",
        ),
        Field::optional(
            "remind",
            "Between reminders from the due date on; `14 days` by default.",
            Shape::Text(&format::PERIOD),
            "14 days",
        ),
        Field::optional("batch", "Persons in one notice; 1000 by default.", Shape::Integer(COUNT), "1000"),
    ],
    identifiers: Identifiers::Fixed {
        all: &[
            Identifier {
                name: "reference",
                doc: "A number or id that both sides know.",
                example: "collector_case_number",
            },
            Identifier { name: "contract", doc: "A contract number.", example: "contract_number" },
            Identifier { name: "customer", doc: "The customer's id.", example: "customer_id" },
            Identifier {
                name: "order",
                doc: "An order number, as affiliate networks know it.",
                example: "order_number",
            },
            Identifier { name: "click", doc: "An affiliate network's click id.", example: "click_id" },
            Identifier { name: "device", doc: "A device's number (IMEI).", example: "imei" },
            Identifier { name: "phone", doc: "A telephone number. It leaves the house.", example: "phone" },
            Identifier { name: "email", doc: "An e-mail address. It leaves the house.", example: "email" },
            Identifier { name: "name", doc: "The person's name. It leaves the house.", example: "full_name" },
        ],
        any_of: &[&["reference", "contract", "customer", "order", "click", "device", "phone", "email", "name"]],
    },
    check,
    facts: |settings| Facts {
        batch: batch(settings),
        calls: 1,
        rates: settings.rates(&[]),
        grade: Grade::E3,
        deleted: "what the recipient confirms in writing",
        kept: "what the recipient must keep, which its answer should tell; the notice itself, until the recipient deletes it",
        sources: &[],
    },
    remarks: no_remarks,
    open: |settings, plumbing| Ok(Box::new(Notices::open(settings, plumbing)?)),
    #[cfg(feature = "demo")]
    stand_in: None,
};

static EMAIL: MapShape = MapShape::new(
    "how notices are mailed",
    &[
        Field::required("to", "One address or several.", ADDRESSES, "privacy@collector.example"),
        Field::required(
            "from",
            "The sender's address.",
            Shape::Text(&format::SETTING),
            "Privacy Office <privacy@shop.example>",
        ),
        Field::optional("cc", "Who gets a copy.", ADDRESSES, "legal@shop.example"),
        Field::optional("reply_to", "Where answers go.", Shape::Text(&format::SETTING), "privacy@shop.example"),
        Field::required(
            "server",
            "The mail server that takes letters from us.",
            Shape::Text(&format::SETTING),
            "smtp.shop.example",
        ),
        Field::optional("port", "465, or 587 with STARTTLS, by default.", Shape::Integer(PORT), "587"),
        Field::optional(
            "tls",
            "`implicit` by default.",
            Shape::Words(&[
                Word { word: "implicit", doc: "TLS from the first byte" },
                Word { word: "starttls", doc: "TLS before anything is said; without it, nothing is sent" },
                Word { word: "none", doc: "no TLS, on loopback alone" },
            ]),
            "starttls",
        ),
        Field::optional("user", "To sign in with.", Shape::Text(&format::SETTING), "sunset"),
        Field::optional("password", "To sign in with.", Shape::Text(&format::KEY), "\"${SMTP_PASSWORD}\""),
    ],
);

fn check(settings: &RecipientSettings) -> Result<(), Misfit> {
    let misfit = |at: &[&'static str], problem: &str, help: &str| {
        Err(Misfit { at: at.to_vec(), problem: problem.to_owned(), help: help.to_owned() })
    };
    let options = &settings.options;
    let email = match (options.inner("email"), options.node("folder")) {
        (Some(email), None) => email,
        (None, Some(_)) if settings.url.is_none() => return Ok(()),
        (None, Some(_)) => return misfit(&["url"], "a `notice` recipient has no URL", "leave it out"),
        (Some(_), Some(_)) => {
            return misfit(
                &["folder"],
                "there is `email` and `folder`",
                "make two recipients of them, or leave one out",
            );
        }
        (None, None) => {
            return misfit(&[], "there is neither `email` nor `folder`", "say how notices leave the house");
        }
    };
    if settings.url.is_some() {
        return misfit(&["url"], "a `notice` recipient has no URL", "name the mail server under `email`");
    }
    if email.node("user").is_some() != email.node("password").is_some() {
        return misfit(&["email"], "`user` and `password` come together", "give both or none");
    }
    Ok(())
}

fn batch(settings: &RecipientSettings) -> usize {
    usize::try_from(settings.options.number("batch").unwrap_or(BATCH)).unwrap_or(1).max(1)
}

fn period(settings: &RecipientSettings, key: &str, default: Period) -> Period {
    settings.options.text(key).and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Notices {
    recipient: String,
    way: Way,
    parties: Parties,
    format: FileFormat,
    due: Period,
    remind: Period,
    batch: usize,
    limiter: Limiter,
    sender: Option<Arc<Sender>>,
}

enum Way {
    Mail(Box<Mail>),
    Folder(Folder),
}

impl Notices {
    fn open(settings: &RecipientSettings, plumbing: &Plumbing) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError { recipient: settings.name.clone(), reason };
        check(settings).map_err(|misfit| wrong(misfit.problem))?;
        let options = &settings.options;
        let sender = plumbing.sender.clone();
        let way = match (options.inner("email"), options.text("folder")) {
            (Some(email), _) => {
                Way::Mail(Box::new(Mail::new(&email, settings.timeout, plumbing.backoff).map_err(wrong)?))
            }
            (None, Some(folder)) => {
                let key = sender.as_ref().filter(|sender| sender.signing_key.is_some());
                let sender = key.ok_or_else(|| wrong("the job has no signing key to sign files with".to_owned()))?;
                Way::Folder(Folder(sender.directory.join(folder)))
            }
            (None, None) => return Err(wrong("`folder` cannot be used".to_owned())),
        };
        let text = |key: &str| options.text(key).unwrap_or_default().to_owned();
        Ok(Self {
            recipient: settings.name.clone(),
            way,
            parties: Parties {
                language: if options.text("language") == Some("ja") { Language::Japanese } else { Language::English },
                addressee: text("addressee"),
                sender: text("sender"),
            },
            format: if options.text("format") == Some("json") { FileFormat::Json } else { FileFormat::Csv },
            due: period(settings, "due", DUE),
            remind: period(settings, "remind", REMIND),
            batch: batch(settings),
            limiter: plumbing.limiter(settings, &[]),
            sender,
        })
    }

    fn zone(&self) -> TimeZone {
        self.sender.as_ref().map_or(TimeZone::UTC, |sender| sender.time_zone.clone())
    }

    /// The notice for the store; its due day begins then.
    fn known(&self, heading: &Heading, reminded: bool) -> Notice {
        Notice { id: heading.id.clone(), due: clock::start_of_day(heading.due, &self.zone()), reminded }
    }

    /// From now until a day begins.
    fn until(&self, day: Date, now: Timestamp) -> Duration {
        Duration::try_from(clock::start_of_day(day, &self.zone()).duration_since(now)).unwrap_or_default()
    }

    async fn delete_batch(&self, subjects: &[&Subject]) -> Answer {
        let now = Timestamp::now();
        let today = clock::today(now, &self.zone());
        let heading = Heading::new(&self.recipient, subjects, today, after(today, self.due));
        let file = heading.file_name(self.format);
        let bytes = letter::references(&heading, subjects, self.format);
        let (subject, text) = letter::notice(&self.parties, &heading, &file, &bytes);
        let note = self.sender.as_ref().and_then(|sender| {
            let key = sender.signing_key.as_ref()?;
            Some(letter::signature(&sender.job, &self.recipient, &heading, &file, &bytes, key).into_bytes())
        });
        let note = note.map(|note| (format!("{}.note", heading.id), note));
        let sent = match &self.way {
            Way::Mail(mail) => {
                let note = note.map(|(name, bytes)| (name, "text/plain; charset=utf-8", bytes));
                let files = [(file, self.format.content_type(), bytes)].into_iter().chain(note).collect();
                let letter = Letter { subject, text, files, id: self.message_id(&heading), follows: None };
                self.mail(mail, &letter).await
            }
            Way::Folder(folder) => {
                let letter = (format!("{}.txt", heading.id), text.into_bytes());
                self.put(folder, [letter].into_iter().chain(note).chain([(file, bytes)]).collect()).await
            }
        };
        match sent {
            Ok(id) => {
                let again_after = self.until(tomorrow(heading.due), now);
                Answer::noticed(heading.ticket(), again_after, self.known(&heading, false)).request_id(id)
            }
            Err(Undelivered { reason, again_after: None }) => Answer::refused(reason),
            Err(Undelivered { reason, again_after }) => Answer::unreachable(reason, again_after),
        }
    }

    fn message_id(&self, heading: &Heading) -> String {
        format!("{}.{}.sunset", heading.id, self.recipient)
    }

    async fn mail(&self, mail: &Mail, letter: &Letter) -> Result<Option<String>, Undelivered> {
        let full = |wait: Wait| Undelivered { reason: wait.reason, again_after: wait.after.or(Some(REMINDER_LATER)) };
        self.limiter.turn().await.map_err(full)?;
        mail.send(letter).await
    }

    async fn put(&self, folder: &Folder, files: Vec<(String, Vec<u8>)>) -> Result<Option<String>, Undelivered> {
        let failed = |reason| Undelivered { reason, again_after: Some(REMINDER_LATER) };
        folder.put(files).await.map_err(failed).map(|()| None)
    }

    /// Reminds whoever is late. Whatever happens, the notice stays what was accepted.
    async fn poll_one(&self, ticket: &str) -> Answer {
        let Some(heading) = Heading::of_ticket(ticket) else {
            return Answer::refused("the ticket is none of a notice");
        };
        let now = Timestamp::now();
        let today = clock::today(now, &self.zone());
        if today <= heading.due {
            let again_after = self.until(tomorrow(heading.due), now);
            return Answer::noticed(ticket, again_after, self.known(&heading, false));
        }
        let (number, next) = self.reminder(heading.due, today);
        let (subject, text) = letter::reminder(&self.parties, &heading, number);
        let sent = match &self.way {
            Way::Mail(mail) => {
                let notice = self.message_id(&heading);
                let id = format!("{}.reminder-{number}.{}.sunset", heading.id, self.recipient);
                self.mail(mail, &Letter { subject, text, files: Vec::new(), id, follows: Some(notice) }).await
            }
            Way::Folder(folder) => {
                let name = format!("{}.reminder-{number}.txt", heading.id);
                self.put(folder, vec![(name, text.into_bytes())]).await
            }
        };
        match sent {
            Ok(id) => Answer::noticed(ticket, self.until(next, now), self.known(&heading, true)).request_id(id),
            Err(undelivered) => {
                tracing::warn!(
                    recipient = self.recipient,
                    notice = heading.id,
                    reason = undelivered.reason,
                    "a reminder did not go out"
                );
                let again_after = undelivered.again_after.unwrap_or(REMINDER_LATER);
                Answer::noticed(ticket, again_after, self.known(&heading, false))
            }
        }
    }

    /// The number of the reminder that belongs to this day, and the day of the next.
    fn reminder(&self, due: Date, today: Date) -> (i64, Date) {
        let (mut number, mut next) = (0, tomorrow(due));
        while next <= today {
            number += 1;
            // A period of zero days would never end.
            next = after(next, self.remind).max(tomorrow(next));
        }
        (number, next)
    }
}

fn after(day: Date, period: Period) -> Date {
    let Period { years, months, days } = period;
    let span = jiff::Span::new().try_years(years).and_then(|span| span.try_months(months)?.try_days(days));
    span.and_then(|span| day.checked_add(span)).unwrap_or(Date::MAX)
}

fn tomorrow(day: Date) -> Date {
    day.saturating_add(1.day())
}

#[async_trait::async_trait]
impl Recipient for Notices {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        let mut answers = vec![Answer::not_possible("the row has no identifier"); subjects.len()];
        let named: Vec<usize> = (0..subjects.len()).filter(|index| !subjects[*index].is_empty()).collect();
        for batch in named.chunks(self.batch) {
            let members: Vec<&Subject> = batch.iter().map(|index| &subjects[*index]).collect();
            let answer = self.delete_batch(&members).await;
            batch.iter().for_each(|index| answers[*index] = answer.clone());
        }
        answers
    }

    async fn poll(&self, tickets: &[String]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            answers.push(self.poll_one(ticket).await);
        }
        answers
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        match &self.way {
            Way::Mail(mail) => match mail.check().await {
                Ok(()) => Ok(Checked::Proven),
                Err(undelivered) => {
                    let temporary = undelivered.again_after.is_some();
                    Err(CheckError { reason: undelivered.reason, temporary })
                }
            },
            Way::Folder(folder) => match folder.check().await {
                Ok(()) => Ok(Checked::Proven),
                Err(reason) => Err(CheckError { reason, temporary: true }),
            },
        }
    }
}
