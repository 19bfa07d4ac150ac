//! Outward first: recipients delete their copies, then the rows go.
//!
//! The row is its own outbox. A page of due rows is read; whoever is not settled is asked about; the rows whose
//! recipients have all reached the grade that the rule asks for are changed; the others simply stay due. What was
//! answered is kept by keyed tag, so that nobody is asked twice; the ledger has an entry before and after each call.

use super::{
    Failure, Surroundings,
    batch::{Batches, Changed},
    book::{Book, Pages},
    held::{self, HeldPersons},
    holds_in,
    members::Staying,
    milliseconds, pace,
    quotas::StoredQuotas,
    report::{DOUBTED, RecipientReport},
    walk,
    worker::Worker,
};
use crate::{
    database::{
        self, Dialect, Lock, RecipientWork, Row,
        statements::{self, KeySelection},
    },
    evidence::{
        Grade,
        keys::Keys,
        tag::{BatchEvidence, Tag},
    },
    failpoint,
    ledger::{self, Event, Ledger, entry::MOST_REQUEST_IDS},
    plan::{self, OpenDatabase, Prepared, PreparedStep, Step, StillUsed},
    recipients::{
        self, Answer, Facts, Members, Plumbing, Quota, Recipient, Sender, State, Subject, asking::Asking, identity,
    },
    settings::Settings,
    store::{Remembered, Validity},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

/// So many rows are read and served together, at least.
const SMALLEST_PAGE: u64 = 100;

/// Nor more than this, whatever a recipient's batches hold: memory stays flat.
const LARGEST_PAGE: u64 = 10_000;

/// What a page may take the slowest recipient, in seconds: a run that is asked to stop ends after its page.
const PAGE_SECONDS: f64 = 10.0;

/// What is kept of answers is called by this operation.
const DELETE: &str = "delete";

/// The state of persons who are not asked about, since rows that stay have the same identifiers.
const SHARED: &str = "shared";

/// The recipients that a run asks, each opened once: they keep their pace over all rules.
#[derive(Default)]
pub struct Recipients {
    opened: BTreeMap<String, Opened>,
    /// Who stays, where lists are made anew.
    staying: Option<Arc<Staying>>,
    /// Counts calls of daily quotas.
    quotas: Option<Arc<StoredQuotas>>,
}

struct Opened {
    recipient: Box<dyn Recipient>,
    /// How many persons it can be asked about in the time that a page may take.
    page: u64,
    /// How many at once, before holds are looked at again.
    turn: usize,
}

impl Recipients {
    /// Opens those that the plan's steps name, for a run: calls count against their daily quotas. No call is made.
    ///
    /// # Errors
    /// A secret or a URL cannot be used.
    pub fn open(settings: &Settings, keys: &Keys, prepared: &Prepared) -> anyhow::Result<Self> {
        let quotas = Arc::new(StoredQuotas::new(settings, prepared.plan.now));
        Self::open_with(settings, keys, prepared, Some(quotas))
    }

    /// Opens the recipients for a look at their credentials, which leaves no trace.
    ///
    /// # Errors
    /// As [`Recipients::open`].
    pub fn to_check(settings: &Settings, keys: &Keys, prepared: &Prepared) -> anyhow::Result<Self> {
        Self::open_with(settings, keys, prepared, None)
    }

    fn open_with(
        settings: &Settings,
        keys: &Keys,
        prepared: &Prepared,
        quotas: Option<Arc<StoredQuotas>>,
    ) -> anyhow::Result<Self> {
        let planned = prepared.plan.steps.iter().flat_map(|step| &step.recipients);
        let names: BTreeSet<_> = planned.map(|recipient| recipient.name.as_str()).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let plumbing = Plumbing::new().map_err(|reason| anyhow::anyhow!("recipients cannot be asked: {reason}"))?;
        let mut plumbing = plumbing.of(sender(settings, keys));
        let staying = match keys.tag.first().filter(|_| !prepared.members.is_empty()) {
            Some(tag_key) => Some(Arc::new(Staying::new(settings, prepared, tag_key.clone())?)),
            None => None,
        };
        if let Some(quotas) = &quotas {
            plumbing.quotas = quotas.clone();
        }
        plumbing.members = staying.clone().map(|staying| staying as Arc<dyn Members>);
        let mut opened = BTreeMap::new();
        for settings in names.into_iter().filter_map(|name| settings.recipients.get(name)) {
            let facts = (settings.kind.facts)(settings);
            // a list is made anew with all of them, or not at all
            let is_list = staying.as_ref().is_some_and(|staying| staying.serves(&settings.name));
            let (page, turn) = (page(&facts), if is_list { usize::MAX } else { turn(&facts) });
            let recipient = recipients::open(settings, &plumbing)?;
            opened.insert(settings.name.clone(), Opened { recipient, page, turn });
        }
        Ok(Self { opened, staying, quotas })
    }

    /// The recipient of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Recipient> {
        self.opened.get(name).map(|opened| opened.recipient.as_ref())
    }

    /// Ends a run: what was taken of a daily quota and not used is given back.
    pub(super) async fn close(&self) {
        if let Some(quotas) = &self.quotas
            && let Err(error) = quotas.give_back().await
        {
            tracing::warn!(reason = %error, "some calls of this day count as made that were not");
        }
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Recipient)> {
        self.opened.iter().map(|(name, opened)| (name.as_str(), opened.recipient.as_ref()))
    }
}

/// How many persons a recipient can be asked about in the time that a page may take, by its documented limits.
fn page(facts: &Facts) -> u64 {
    batches_in(PAGE_SECONDS, facts).saturating_mul(facts.batch as u64).clamp(SMALLEST_PAGE, LARGEST_PAGE)
}

/// How many persons a recipient can be asked about in about a second, in whole batches.
fn turn(facts: &Facts) -> usize {
    let batches = usize::try_from(batches_in(1.0, facts)).unwrap_or(usize::MAX);
    batches.saturating_mul(facts.batch.max(1))
}

/// How many batches a recipient takes in so many seconds: one at least.
fn batches_in(seconds: f64, facts: &Facts) -> u64 {
    let spaced = facts.rates.iter().filter(|rate| !rate.is_quota());
    let batches = spaced.map(|rate| f64::from(rate.calls) * seconds / rate.per.as_secs_f64());
    // nor more than a day has calls for
    let day = Quota::of(&facts.rates).map(|quota| f64::from(quota.calls));
    let batches = batches.chain(day).fold(f64::MAX, f64::min) / f64::from(facts.calls.max(1));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number; `as` saturates")]
    let batches = batches as u64;
    batches.max(1)
}

/// Asks what became of accepted work whose time has come: once for a run, whatever its rules. Gives the answers by
/// recipient.
pub(super) async fn poll(
    around: &Surroundings<'_>,
    ledger: &mut Ledger,
) -> Result<BTreeMap<String, RecipientReport>, ledger::Error> {
    let mut polled: BTreeMap<String, RecipientReport> = BTreeMap::new();
    for (name, recipient) in around.recipients.iter() {
        let mut pending = ledger.store().pending(name, around.now).await?;
        if pending.is_empty() || around.stop.is_cancelled() {
            continue;
        }
        let all = pending.len();
        let held = held_persons(around, name, ledger).await?;
        pending.retain(|pending| !held.concern(name, &pending.tags) && held.know(name, &pending.sources));
        if pending.len() < all {
            let tickets = all - pending.len();
            tracing::info!(
                recipient = name,
                tickets,
                "work that is or may be about persons under a hold is not looked at"
            );
        }
        if let Some(reason) = held.unknown(name) {
            tracing::warn!(
                recipient = name,
                reason,
                "nobody can tell whom holds are about: accepted work is not looked at"
            );
            continue;
        }
        if pending.is_empty() {
            continue;
        }
        let tags: Vec<Tag> = pending.iter().flat_map(|pending| pending.tags.iter().copied()).collect();
        let asked = asked(around, None, name, "poll", &tags);
        let number = ledger.append(vec![asked], &[]).await?.first().copied().unwrap_or(0);
        let tickets: Vec<_> = pending.iter().map(|pending| pending.ticket.clone()).collect();
        let began = Instant::now();
        let answers = recipient.poll(&tickets).await;
        let report = polled.entry(name.to_owned()).or_default();
        // what was said, what is made of it, and what is kept
        let (mut told, mut counted, mut known) = (Vec::new(), Vec::new(), Vec::new());
        let persons = |wanted: fn(&State) -> bool| -> usize {
            let ended = pending.iter().zip(&answers).filter(|(_, answer)| wanted(&answer.state));
            ended.map(|(pending, _)| pending.tags.len()).sum()
        };
        let (gone, ended) = (
            persons(|state| matches!(state, State::Gone)),
            persons(|state| matches!(state, State::Gone | State::Confirmed)),
        );
        let doubted = doubt(around, name, gone, ended).inspect(|doubt| {
            tracing::error!(recipient = name, reason = doubt, "what it says of accepted work is not believed");
        });
        for (pending, answer) in pending.iter().zip(answers) {
            told.extend(std::iter::repeat_n(answer.clone(), pending.tags.len()));
            if let (State::Gone, Some(doubt)) = (&answer.state, &doubted) {
                report.doubt(pending.tags.len() as u64);
                ledger.store().doubt_pending(name, &pending.ticket, doubt).await?;
                continue;
            }
            let answer = match answer.state {
                // whatever the recipient has forgotten since, it had refused
                State::Forgotten { ref reason } if pending.is_refused => Answer::refused(reason),
                _ => answer,
            };
            counted.extend(std::iter::repeat_n(answer.clone(), pending.tags.len()));
            match answer.state {
                State::Refused { .. } | State::Unreachable { .. } => {
                    ledger.store().keep_waiting(name, &pending.ticket, &answer, around.now).await?;
                }
                _ => known.extend(pending.tags.iter().map(|tag| Remembered::new(*tag, DELETE, &answer, around.now))),
            }
        }
        report.note(&counted);
        ledger.store().remember(name, &known).await?;
        ledger.append(vec![answered(number, name, &told, began)], &[]).await?;
        tracing::info!(recipient = name, tickets = tickets.len(), persons = tags.len(), "recipient polled");
    }
    Ok(polled)
}

/// The persons of held rows at a recipient. What cannot be asked makes everybody there unknown.
async fn held_persons(
    around: &Surroundings<'_>,
    name: &str,
    ledger: &mut Ledger,
) -> Result<HeldPersons, ledger::Error> {
    let holds = holds_in(ledger.store()).await?;
    let names = BTreeSet::from([name.to_owned()]);
    let held = HeldPersons::of(around, &names, &holds).await;
    Ok(held.unwrap_or_else(|error| HeldPersons::nobody_knows(&names, &format!("{error:#}"))))
}

/// The persons of held rows at the recipients of a step.
async fn held_in_pass(
    around: &Surroundings<'_>,
    batches: &Batches<'_>,
    book: &Book<'_>,
) -> Result<HeldPersons, Failure> {
    let names: BTreeSet<_> = batches.work.recipients.iter().map(|work| work.name.clone()).collect();
    if around.holds.mark.0 == 0 || names.is_empty() {
        return Ok(HeldPersons::default());
    }
    let holds = holds_in(book.pages().await.store()).await.map_err(ledger::Error::from)?;
    let held = HeldPersons::of(around, &names, &holds).await;
    Ok(held.unwrap_or_else(|error| HeldPersons::nobody_knows(&names, &format!("{error:#}"))))
}

/// How many persons are too few to say anything of a share, and how many to say that nobody is known.
const FEWEST_OF_A_SHARE: usize = 20;
const FEWEST_OF_ALL: usize = 3;

/// Why it is not believed that so many persons are `gone` already, of those with whom the recipient says to be through.
fn doubt(around: &Surroundings<'_>, recipient: &str, gone: usize, ended: usize) -> Option<String> {
    let most = around.job.settings.recipients.get(recipient)?.max_gone();
    #[expect(clippy::cast_precision_loss, reason = "persons of one run")]
    let share = 100.0 * gone as f64 / ended.max(1) as f64;
    let is_everybody = gone == ended && ended >= FEWEST_OF_ALL;
    let is_too_many = share > most && ended >= FEWEST_OF_A_SHARE;
    (most < 100.0 && (is_everybody || is_too_many)).then(|| {
        format!(
            "{recipient} says that it does not know {gone} of {ended} persons, and `max_gone` allows {most} %: its \
             credentials may be another account's, or the rule's column may hold other ids; if it is right, set `max_gone` \
             of `{recipient}` in sunset.yaml"
        )
    })
}

/// Tells recipients whose lists are made anew whom the run will ask about, and those who stay whom they have been asked
/// about before. A rule whose rows cannot be read now will say so when its turn comes.
pub(super) async fn announce(
    around: &Surroundings<'_>,
    prepared: &Prepared,
    ledger: &mut Ledger,
) -> Result<(), ledger::Error> {
    let Some(staying) = &around.recipients.staying else { return Ok(()) };
    for (name, _) in around.recipients.iter().filter(|(name, _)| staying.serves(name)) {
        let mut leaving = ledger.store().leaving(name, around.now).await?;
        if !leaving.is_empty() {
            // whoever came under a hold stays on the list
            let held = held_persons(around, name, ledger).await?;
            leaving.retain(|(tag, source)| {
                let is_known = held.unknown(name).is_none() && held.know(name, &[source.clone()].into());
                is_known && !held.concern(name, &[*tag])
            });
        }
        staying.leave_out(name, leaving.into_iter().map(|(tag, _)| tag));
    }
    for (step, ready) in prepared.plan.steps.iter().zip(&prepared.steps) {
        let Some(database) = prepared.databases.get(&step.database) else { continue };
        if let Err(error) = announce_step(around, ready, database).await {
            tracing::warn!(rule = step.rule, reason = %error, "who is to go cannot be told beforehand");
        }
    }
    Ok(())
}

async fn announce_step(
    around: &Surroundings<'_>,
    ready: &PreparedStep,
    database: &OpenDatabase,
) -> Result<(), database::Error> {
    let staying = around.recipients.staying.as_deref();
    let works = ready.work.recipients.iter().filter(|work| staying.is_some_and(|staying| staying.serves(&work.name)));
    let works: Vec<_> = works.collect();
    if works.is_empty() {
        return Ok(());
    }
    let selection = KeySelection::of(&ready.work);
    let mut connection = database.database.connect_to_count().await?;
    let mut after: Option<Vec<String>> = None;
    loop {
        let rows = ready.work.disposable_rows();
        let page = statements::page(database.dialect, &ready.work, &selection, rows, after.as_deref(), LARGEST_PAGE);
        let rows = connection.fetch(&page).await?;
        for work in &works {
            let subjects: Vec<_> = rows.iter().map(|row| subject(around, &selection, work, row)).collect();
            if let Some(recipient) = around.recipients.get(&work.name) {
                recipient.announce(&subjects);
            }
        }
        match rows.last().filter(|_| rows.len() as u64 == LARGEST_PAGE) {
            Some(row) => after = Some(selection.locator(row)),
            None => break,
        }
    }
    connection.close().await;
    Ok(())
}

/// Rows that stay because of their recipients.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the first recipient that keeps the row.
    recipients: BTreeMap<String, Held>,
    /// Served, but somebody changed them in between: they are asked about again.
    changed: u64,
    /// A recipient that could be reached about nobody ended the pass; rows behind that point wait for it.
    silent: Option<String>,
}

#[derive(Debug, Default)]
struct Held {
    rows: u64,
    /// Whose recipient may not take any longer.
    late: u64,
    /// By the state that keeps them.
    states: BTreeMap<&'static str, u64>,
    /// The first reason that was given.
    reason: Option<String>,
}

/// What is known about one subject after it was asked about.
struct Standing {
    state: &'static str,
    grade: Option<Grade>,
    reason: Option<String>,
    /// The recipient may take longer.
    in_time: bool,
}

/// What a pass knows of each recipient.
#[derive(Default)]
struct Known {
    /// Whose copies rows that stay still need.
    used: BTreeMap<String, StillUsed>,
    /// Persons with whom it says to be through, in this pass: those who were gone already, and all.
    gone: BTreeMap<String, (usize, usize)>,
    /// Persons of held rows.
    held: HeldPersons,
    /// Rows that a restore has brought back.
    returned: BTreeSet<Tag>,
}

/// One pass over all disposable rows.
pub(super) async fn pass(
    around: &Surroundings<'_>,
    step: &Step,
    batches: &Batches<'_>,
    worker: &mut Worker,
    book: &Book<'_>,
    dialect: &dyn Dialect,
    report: &mut BTreeMap<String, RecipientReport>,
) -> Result<Waiting, Failure> {
    let held = held_in_pass(around, batches, book).await?;
    let pages = batches.work.recipients.iter().filter_map(|r| around.recipients.opened.get(&r.name)).map(|o| o.page);
    let limit = pages.min().unwrap_or(SMALLEST_PAGE);
    let mut waiting = Waiting::default();
    let mut size = walk::first_size(batches, &book.pace.settings);
    let mut last: Option<Row> = None;
    let mut turns = book.pace.turns();
    let alone = AtomicBool::new(false);
    let returned = book.pages().await.store().returned(&step.full_table()).await.map_err(ledger::Error::from)?;
    let mut known = Known { held, returned, ..Known::default() };
    for work in &batches.work.recipients {
        let used = StillUsed::read(worker.connection.as_mut(), dialect, batches.work, work).await?;
        known.used.insert(work.name.clone(), used);
    }
    loop {
        walk::wait(std::slice::from_mut(worker), book, &mut turns, &alone).await?;
        let rows = batches.page(worker.connection.as_mut(), last.as_ref(), limit).await?;
        let Some(row) = rows.last() else { return Ok(waiting) };
        last = Some(row.clone());
        // what recipients have erased does not come back
        book.schema.look_at_all(worker.connection.as_mut()).await?;
        let served = serve(around, step, batches, book, &rows, &mut known, report).await?;
        let ready: Vec<_> = rows.iter().zip(&served.keeper).filter(|(_, keeper)| keeper.is_none()).collect();
        for (_, (name, standing)) in
            rows.iter().zip(&served.keeper).filter_map(|(row, keeper)| Some((row, keeper.as_ref()?)))
        {
            waiting.add(name, standing);
        }
        let ready: Vec<_> = ready.into_iter().map(|(row, _)| row).collect();
        waiting.changed += change(around, batches, worker, book, &ready, &mut size, &mut turns).await?;
        if (rows.len() as u64) < limit {
            return Ok(waiting);
        }
        if let Some(silent) = served.silent {
            // whoever is down now is not asked about every row of the table
            tracing::warn!(
                rule = step.rule,
                recipient = silent,
                "recipient answers nothing; the rest waits for the next run"
            );
            waiting.silent = Some(silent);
            return Ok(waiting);
        }
    }
}

/// What came of asking about a page of rows.
struct Served {
    /// For each row, the recipient that keeps it.
    keeper: Vec<Option<(String, Standing)>>,
    /// A recipient that could be reached about nobody.
    silent: Option<String>,
}

/// Asks all recipients, side by side, about everybody on the page who is not settled.
async fn serve(
    around: &Surroundings<'_>,
    step: &Step,
    batches: &Batches<'_>,
    book: &Book<'_>,
    rows: &[Row],
    pass: &mut Known,
    report: &mut BTreeMap<String, RecipientReport>,
) -> Result<Served, Failure> {
    let zone = &around.job.settings.time_zone;
    count_again(around, step, batches, book, rows, &mut pass.returned).await?;
    let mut all = Vec::new();
    for work in &batches.work.recipients {
        if work.identifiers.is_empty() {
            // there is nothing to ask by; the report names the recipient all the same
            report.entry(work.name.clone()).or_default().holds_nothing(rows.len() as u64);
            continue;
        }
        let subjects: Vec<_> = rows.iter().map(|row| subject(around, batches.selection(), work, row)).collect();
        let tags: Vec<Tag> = subjects.iter().map(Subject::tag).collect::<BTreeSet<_>>().into_iter().collect();
        let validity = validity(around, &work.name);
        let known =
            book.pages().await.store().remembered(&work.name, &tags, validity).await.map_err(ledger::Error::from)?;
        if let Some(doubted) = known.values().find(|known| known.state == DOUBTED && !known.is_open()) {
            return Err(Failure::Refused(doubted.reason.clone().unwrap_or_default()));
        }
        let in_time = |asked| !plan::is_late(work.deadline, asked, around.now, zone);
        let mut standing: BTreeMap<Tag, Standing> = BTreeMap::new();
        let mut open: BTreeMap<Tag, Subject> = BTreeMap::new();
        for subject in subjects.iter().filter(|subject| !subject.is_empty()) {
            // what is accepted is polled when its time has come, and not asked for again
            if known.get(&subject.tag()).is_some_and(|known| !known.is_open()) {
                continue;
            }
            if subject.identifiers().all(|(_, text)| identity::is_placeholder(text)) {
                standing.insert(subject.tag(), Standing::placeholder());
                continue;
            }
            if let Some(reason) = pass.held.unknown(&work.name) {
                standing.insert(subject.tag(), Standing::unknown(reason));
                continue;
            }
            if pass.held.need(subject, &work.name) {
                standing.insert(subject.tag(), Standing::shared());
                continue;
            }
            if pass.used.get(&work.name).is_some_and(|used| used.needs(subject)) {
                standing.insert(subject.tag(), Standing::shared());
                continue;
            }
            open.entry(subject.tag()).or_insert_with(|| subject.clone());
        }
        for (tag, known) in known {
            standing.entry(tag).or_insert_with(|| Standing {
                state: word(&known.state),
                grade: known.grade,
                reason: known.reason,
                in_time: in_time(known.first_asked_at),
            });
        }
        all.push((work, subjects, open.into_values().collect::<Vec<_>>(), standing));
    }

    let due: Vec<_> = all.iter().enumerate().filter(|(_, (_, _, open, _))| !open.is_empty()).map(|(i, _)| i).collect();
    let announcements: Vec<_> = due
        .iter()
        .map(|&i| {
            let (work, _, open, _) = &all[i];
            let tags: Vec<_> = open.iter().map(Subject::tag).collect();
            asked(around, Some(&step.rule), &work.name, DELETE, &tags)
        })
        .collect();
    let mut silent = None;
    if !announcements.is_empty() {
        let (numbers, askings) = {
            let mut pages = book.pages().await;
            pages.check_holds(around.holds).await?;
            let numbers = pages.append(announcements).await?;
            let mut askings = Vec::new();
            for &i in &due {
                let (work, _, open, _) = &mut all[i];
                let tags: Vec<_> = open.iter().map(Subject::tag).collect();
                let validity = validity(around, &work.name);
                let source = held::source(&step.database, &step.table, work);
                let asking = pages.store().begin_asking(&work.name, (&tags, &source), around.now, validity).await;
                let asking = asking.map_err(ledger::Error::from)?;
                for subject in open.iter_mut() {
                    if let Some(asking) = asking.get(&subject.tag()) {
                        *subject = subject.clone().asked_in(asking);
                    }
                }
                askings.push(asking);
            }
            (numbers, askings)
        };
        failpoint::reach("before_call");
        let calls = due.iter().map(|&i| {
            let (work, _, open, _) = &all[i];
            ask(around, work, open, book)
        });
        let results = join_all(calls).await;
        failpoint::reach("after_call");
        let mut events = Vec::new();
        let mut pages = book.pages().await;
        let (mut doubted, mut stopped) = (None, None);
        for (((&i, number), asking), (answers, began, ended_by)) in due.iter().zip(numbers).zip(&askings).zip(results) {
            let (work, _, open, standing) = &mut all[i];
            stopped = stopped.or(ended_by);
            let (gone, ended) = pass.gone.entry(work.name.clone()).or_default();
            for (subject, answer) in open.iter().zip(&answers) {
                let is_news = !asking.get(&subject.tag()).is_some_and(Asking::explains_gone);
                *gone += usize::from(answer.state == State::Gone && is_news);
                *ended += usize::from(answer.state == State::Confirmed || answer.state == State::Gone && is_news);
            }
            let doubt = doubt(around, &work.name, *gone, *ended);
            let known: Vec<_> = open
                .iter()
                .zip(&answers)
                .map(|(subject, answer)| {
                    let known = Remembered::new(subject.tag(), DELETE, answer, around.now);
                    if doubt.is_some() && answer.state == State::Gone { known.doubted() } else { known }
                })
                .collect();
            pages.store().remember(&work.name, &known).await.map_err(ledger::Error::from)?;
            events.push(answered(number, &work.name, &answers, began));
            report.entry(work.name.clone()).or_default().note(&answers);
            doubted = doubted.or(doubt);
            if answers.iter().all(|answer| matches!(answer.state, State::Unreachable { .. })) {
                silent.get_or_insert_with(|| work.name.clone());
            }
            let in_time = |asked| !plan::is_late(work.deadline, asked, around.now, zone);
            for (subject, answer) in open.iter().zip(answers) {
                // a letter is a request from the day on which it went out
                let in_time =
                    answer.notice().is_some() || asking.get(&subject.tag()).is_none_or(|asking| in_time(asking.since));
                standing.insert(subject.tag(), Standing::of(&answer, in_time));
            }
        }
        failpoint::reach("after_answer");
        pages.append(events).await?;
        if let Some(doubted) = doubted {
            return Err(Failure::Refused(doubted));
        }
        if let Some(failure) = stopped {
            return Err(failure);
        }
    }

    let keeper = (0..rows.len())
        .map(|row| {
            all.iter_mut().find_map(|(work, subjects, _, standing)| {
                let subject = &subjects[row];
                let standing = standing.get(&subject.tag());
                let satisfied =
                    standing.and_then(|standing| standing.grade).is_some_and(|grade| grade <= work.required);
                // a row without identifiers names nobody to this recipient
                if subject.is_empty() || satisfied {
                    return None;
                }
                let unknown = || Standing { state: "unreachable", grade: None, reason: None, in_time: true };
                Some((work.name.clone(), standing.map_or_else(unknown, Standing::without_grade)))
            })
        })
        .collect();
    Ok(Served { keeper, silent })
}

/// One recipient about its subjects: one answer for each. A slow one is asked for long, and somebody may come under a hold
/// meanwhile: before each turn holds are looked at again. Delivers why the rest was not asked about.
async fn ask(
    around: &Surroundings<'_>,
    work: &RecipientWork,
    open: &[Subject],
    book: &Book<'_>,
) -> (Vec<Answer>, Instant, Option<Failure>) {
    let began = Instant::now();
    let mut answers = Vec::with_capacity(open.len());
    let opened = around.recipients.opened.get(&work.name);
    for turn in open.chunks(opened.map_or(usize::MAX, |opened| opened.turn)) {
        // the caller has just looked
        if !answers.is_empty()
            && let Err(failure) = book.check_holds().await
        {
            answers.resize_with(open.len(), || Answer::unreachable("not asked: holds were changed meanwhile", None));
            return (answers, began, Some(failure));
        }
        let mut told = match opened {
            Some(opened) => opened.recipient.delete(turn).await,
            None => Vec::new(),
        };
        // whom a connector forgets is asked about again
        told.resize_with(turn.len(), || Answer::unreachable("the recipient gave no answer", None));
        answers.extend(told);
    }
    (answers, began, None)
}

/// Changes rows whose recipients are served, batch after batch. Delivers how many did not go after all.
pub(super) async fn change(
    around: &Surroundings<'_>,
    batches: &Batches<'_>,
    worker: &mut Worker,
    book: &Book<'_>,
    rows: &[&Row],
    size: &mut pace::Size,
    turns: &mut pace::Turns<'_, '_>,
) -> Result<u64, Failure> {
    let pace = &around.job.settings.pace;
    let mut changed_meanwhile = 0;
    let (mut begin, mut attempt) = (0, 0);
    let alone = AtomicBool::new(false);
    while begin < rows.len() && turns.next(&alone).await? {
        let end = rows.len().min(begin + usize::try_from(size.current()).unwrap_or(usize::MAX));
        let chosen = &rows[begin..end];
        let ended = match batches.change_chosen(worker.connection.as_mut(), chosen, Some(Lock::Waiting)).await {
            Ok((changed, places)) => settle(around, batches, worker, book, chosen, changed, &places, size).await,
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(disposed) => {
                changed_meanwhile += (chosen.len() - disposed) as u64;
                (begin, attempt) = (end, 0);
            }
            Err(Failure::TooLarge { rows, most }) if end - begin > 1 => size.limit((end - begin) as u64, rows, most),
            Err(failure) if failure.is_worth_another_try() && attempt < pace.retries => {
                attempt += 1;
                size.shrink();
                tracing::warn!(attempt, reason = %failure, "batch is tried again, smaller");
                tokio::time::sleep(pace::pause(attempt)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    turns.ended();
    Ok(changed_meanwhile)
}

/// What recipients have confirmed of persons counts once more where a restore has brought their rows back: nobody is asked
/// twice about the same row.
async fn count_again(
    around: &Surroundings<'_>,
    step: &Step,
    batches: &Batches<'_>,
    book: &Book<'_>,
    rows: &[Row],
    returned: &mut BTreeSet<Tag>,
) -> Result<(), Failure> {
    if returned.is_empty() {
        return Ok(());
    }
    let (table, selection) = (step.full_table(), batches.selection());
    let tagged = rows.iter().map(|row| (around.tag_key.tag(&table, &selection.key(row)), row));
    let (tags, rows): (Vec<_>, Vec<_>) = tagged.filter(|(tag, _)| returned.remove(tag)).unzip();
    if tags.is_empty() {
        return Ok(());
    }
    let persons = batches.work.recipients.iter().map(|work| {
        let persons = rows.iter().map(|row| subject(around, selection, work, row).tag());
        (work.name.clone(), persons.collect())
    });
    let counted = book.pages().await.store().count_again(&table, &tags, &persons.collect()).await;
    Ok(counted.map_err(ledger::Error::from)?)
}

/// Announces and commits a batch; whom its rows were about is asked about anew when he comes back.
#[expect(clippy::too_many_arguments, reason = "one batch with all that it concerns")]
async fn settle(
    around: &Surroundings<'_>,
    batches: &Batches<'_>,
    worker: &mut Worker,
    book: &Book<'_>,
    chosen: &[&Row],
    changed: Changed,
    places: &[usize],
    size: &mut pace::Size,
) -> Result<usize, Failure> {
    size.took(chosen.len() as u64, changed.longest);
    book.settle(worker, changed).await?;
    for work in &batches.work.recipients {
        let of = |place: &usize| subject(around, batches.selection(), work, chosen[*place]).tag();
        let tags: Vec<_> = places.iter().map(of).collect();
        book.pages()
            .await
            .store()
            .use_up(&work.name, &tags, &around.run, around.now)
            .await
            .map_err(ledger::Error::from)?;
    }
    Ok(places.len())
}

fn subject(around: &Surroundings<'_>, selection: &KeySelection, work: &RecipientWork, row: &Row) -> Subject {
    let identifiers = work.identifiers.iter().filter_map(|(name, column)| {
        let text = row.get(selection.position(&column.name)?)?.clone()?;
        Some((name.clone(), text))
    });
    Subject::new(&work.name, identifiers.collect(), &around.tag_key)
}

/// Which answers of a recipient still count.
fn validity<'a>(around: &'a Surroundings<'_>, recipient: &str) -> Validity<'a> {
    let settings = &around.job.settings;
    let since = settings.recipients.get(recipient).map(|known| known.valid_since(around.now, &settings.time_zone));
    Validity { since: since.unwrap_or(Timestamp::MIN), run: Some(&around.run) }
}

fn asked(around: &Surroundings<'_>, rule: Option<&str>, recipient: &str, operation: &str, tags: &[Tag]) -> Event {
    let mut evidence = BatchEvidence::new(recipient, &around.tag_key);
    tags.iter().for_each(|tag| evidence.push(*tag));
    let tags = evidence.finish();
    Event::Asked {
        rule: rule.map(str::to_owned),
        recipient: recipient.to_owned(),
        operation: operation.to_owned(),
        subjects: tags.count,
        root: hex::encode(tags.root),
        tag_key: tags.tag_key,
    }
}

fn answered(asked: u64, recipient: &str, answers: &[Answer], began: Instant) -> Event {
    let (mut counts, mut grades) = (BTreeMap::new(), BTreeMap::new());
    let mut request_ids = BTreeSet::new();
    for answer in answers {
        *counts.entry(answer.state.word().to_owned()).or_default() += 1;
        if let Some(grade) = answer.grade {
            *grades.entry(grade.to_string()).or_default() += 1;
        }
        if request_ids.len() < MOST_REQUEST_IDS {
            request_ids.extend(answer.request_id.clone());
        }
    }
    Event::Answered {
        asked,
        recipient: recipient.to_owned(),
        answers: counts,
        grades,
        request_ids: request_ids.into_iter().collect(),
        milliseconds: milliseconds(began),
    }
}

/// The word of a state that the store remembers.
fn word(state: &str) -> &'static str {
    ["confirmed", "gone", "accepted", "not_possible", "refused"]
        .into_iter()
        .find(|word| *word == state)
        .unwrap_or("unreachable")
}

impl Standing {
    fn of(answer: &Answer, in_time: bool) -> Self {
        let reason = answer.state.reason().map(str::to_owned);
        Self { state: word(answer.state.word()), grade: answer.grade, reason, in_time }
    }

    /// Rows that stay have the same identifiers.
    fn shared() -> Self {
        Self { state: SHARED, grade: None, reason: None, in_time: true }
    }

    /// Nobody can tell whether the person is under a hold.
    fn unknown(reason: &str) -> Self {
        Self { state: "unreachable", grade: None, reason: Some(format!("not asked: {reason}")), in_time: true }
    }

    /// The row's columns hold what people write where they know nobody.
    fn placeholder() -> Self {
        let reason = "not asked: what stands in the row's columns, such as `n/a`, names nobody; set them to null";
        Self { state: "refused", grade: None, reason: Some(reason.to_owned()), in_time: true }
    }

    fn without_grade(&self) -> Self {
        Self { state: self.state, grade: None, reason: self.reason.clone(), in_time: self.in_time }
    }
}

impl Pages<'_> {
    async fn append(&mut self, events: Vec<Event>) -> Result<Vec<u64>, Failure> {
        Ok(self.ledger().append(events, &[]).await?)
    }
}

impl Waiting {
    fn add(&mut self, recipient: &str, standing: &Standing) {
        let held = self.recipients.entry(recipient.to_owned()).or_default();
        held.rows += 1;
        held.late += u64::from(!standing.in_time);
        *held.states.entry(standing.state).or_default() += 1;
        if held.reason.is_none() {
            held.reason.clone_from(&standing.reason);
        }
    }

    /// All rows of which a reason is known.
    fn rows(&self) -> u64 {
        self.recipients.values().map(|held| held.rows).sum::<u64>() + self.changed
    }

    /// Of `left` disposable rows, those that no recipient explains. Rows behind the point where a silent recipient ended
    /// the pass wait for that one.
    pub fn explain(&mut self, left: u64) -> u64 {
        let behind = left.saturating_sub(self.rows());
        let Some(silent) = self.silent.take().filter(|_| behind > 0) else { return behind };
        let held = self.recipients.entry(silent).or_default();
        held.rows += behind;
        *held.states.entry("unreachable").or_default() += behind;
        0
    }

    /// Rows that stay, by reason.
    pub fn reasons(&self) -> impl Iterator<Item = (String, u64)> {
        let recipients = self.recipients.iter().map(|(name, held)| (format!("waiting_for_{name}"), held.rows));
        recipients.chain([("changed_meanwhile".to_owned(), self.changed)]).filter(|(_, rows)| *rows > 0)
    }

    /// Says what all of this makes of the rule.
    pub fn judge(&self, batches: &Batches<'_>, report: &mut BTreeMap<String, RecipientReport>) -> Verdict {
        let mut verdict = Verdict { temporary: self.changed > 0, ..Verdict::default() };
        for work in &batches.work.recipients {
            let Some(held) = self.recipients.get(&work.name).filter(|held| held.rows > 0) else { continue };
            let past = held.late;
            let states: Vec<_> =
                held.states.iter().map(|(state, rows)| format!("{rows} {}", state.replace('_', " "))).collect();
            let mut words = format!("{} rows wait for {} ({})", held.rows, work.name, states.join(", "));
            if past > 0 {
                words += &format!("; {past} of them past its deadline");
            }
            if let Some(reason) = &held.reason {
                words += &format!("; it said: {reason}");
            }
            verdict.words.push(words);
            let report = report.entry(work.name.clone()).or_default();
            (report.waiting, report.past_deadline) = (held.rows, past);
            // whoever is through and has not reached the grade will not: a person has to look, as at a refusal
            let permanent = held.states.keys().any(|state| !["accepted", "unreachable", SHARED].contains(state));
            verdict.failed |= permanent || past > 0;
            verdict.temporary |= held.states.contains_key("unreachable");
        }
        verdict
    }
}

/// What waiting rows make of a rule.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub words: Vec<String>,
    /// A person has to look: refused, impossible, or past the deadline.
    pub failed: bool,
    /// The next run may help.
    pub temporary: bool,
}

/// In whose name recipients are written to.
pub(super) fn sender(settings: &Settings, keys: &Keys) -> Sender {
    Sender {
        job: settings.name.clone(),
        directory: settings.directory.clone(),
        time_zone: settings.time_zone.clone(),
        signing_key: keys.signing.first().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::rate::Rate;

    fn facts(batch: usize, calls: u32, rates: &[Rate]) -> Facts {
        let (deleted, kept, sources) = ("", "", &[][..]);
        Facts { batch, calls, rates: rates.to_vec(), grade: Grade::E1, deleted, kept, sources }
    }

    #[test]
    fn a_page_takes_the_slowest_recipient_no_longer_than_a_run_may_take_to_stop() {
        assert_eq!(page(&facts(1, 1, &[Rate::per_second(25)])), 250);
        assert_eq!(page(&facts(1, 2, &[Rate::per_second(25), Rate::per_second(100)])), 125);
        assert_eq!(page(&facts(1, 1, &[Rate::per_day(500)])), 500);
        assert_eq!(page(&facts(10_000, 1, &[Rate::per_hour(5000)])), LARGEST_PAGE);
        assert_eq!(page(&facts(usize::MAX, 0, &[])), LARGEST_PAGE);
        assert_eq!(turn(&facts(50, 1, &[Rate::per_second(5)])), 250);
        assert_eq!(turn(&facts(usize::MAX, 0, &[])), usize::MAX);
        assert_eq!(turn(&facts(10, 1, &[Rate::per_hour(60)])), 10);
    }
}
