//! Outward first: recipients delete their copies, then the rows go.
//!
//! The row is its own outbox. A page of due rows is read; whoever is not settled is asked about; the rows whose
//! recipients have all reached the grade that the rule asks for are changed; the others simply stay due. What was
//! answered is kept by keyed tag, so that nobody is asked twice; the ledger has an entry before and after each call.

use super::{
    Failure, Surroundings,
    batch::{Batches, Changed},
    book::{Book, Pages},
    members::Staying,
    milliseconds, pace,
    quotas::StoredQuotas,
    report::RecipientReport,
    walk,
    worker::Worker,
};
use crate::{
    database::{
        self, Connection, Dialect, RecipientWork, Row,
        statements::{self, KeySelection},
    },
    failpoint,
    ledger::{self, BatchEvidence, Event, Keys, Ledger, Tag, entry::MOST_REQUEST_IDS},
    plan::{OpenDatabase, Prepared, PreparedStep, Step},
    recipients::{self, Answer, Facts, Grade, Members, Plumbing, Quota, Recipient, Sender, State, Subject},
    settings::Settings,
    store::Remembered,
};
use futures_util::future::join_all;
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

    /// The same for a look at their credentials, which leaves no trace.
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
        let mut plumbing = plumbing.of(Sender::new(settings, keys));
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
            let page = page(&(settings.kind.facts)(settings));
            let recipient = recipients::open(settings, &plumbing)?;
            opened.insert(settings.name.clone(), Opened { recipient, page });
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
    let spaced = facts.rates.iter().filter(|rate| !rate.is_quota());
    let batches = spaced.map(|rate| f64::from(rate.calls) * PAGE_SECONDS / rate.per.as_secs_f64());
    // nor more than a day has calls for
    let day = Quota::of(&facts.rates).map(|quota| f64::from(quota.calls));
    let batches = batches.chain(day).fold(f64::MAX, f64::min) / f64::from(facts.calls.max(1));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number; `as` saturates")]
    let batches = batches as u64;
    (batches.max(1).saturating_mul(facts.batch as u64)).clamp(SMALLEST_PAGE, LARGEST_PAGE)
}

/// Asks what became of accepted work whose time has come: once for a run, whatever its rules. Gives the answers by
/// recipient.
pub(super) async fn poll(
    around: &Surroundings<'_>,
    ledger: &mut Ledger,
) -> Result<BTreeMap<String, RecipientReport>, ledger::Error> {
    let mut polled: BTreeMap<String, RecipientReport> = BTreeMap::new();
    for (name, recipient) in around.recipients.iter() {
        let pending = ledger.store().pending(name, around.now).await?;
        if pending.is_empty() || around.stop.is_cancelled() {
            continue;
        }
        let tags: Vec<Tag> = pending.iter().flat_map(|pending| pending.tags.iter().copied()).collect();
        let asked = asked(around, None, name, "poll", &tags);
        let number = ledger.append(vec![asked], &[]).await?.first().copied().unwrap_or(0);
        let tickets: Vec<_> = pending.iter().map(|pending| pending.ticket.clone()).collect();
        let began = Instant::now();
        let answers = recipient.poll(&tickets).await;
        let mut counted = Vec::new();
        let mut known = Vec::new();
        for (pending, answer) in pending.iter().zip(&answers) {
            for tag in &pending.tags {
                counted.push(answer.clone());
                // without an answer the ticket is given up and the person asked about anew: a recipient may have
                // forgotten the work, and asking twice is harmless
                known.push(Remembered::new(*tag, DELETE, answer, around.now));
            }
        }
        polled.entry(name.to_owned()).or_default().note(&counted);
        ledger.store().remember_polled(name, &known).await?;
        ledger.append(vec![answered(number, name, &counted, began)], &[]).await?;
        tracing::info!(recipient = name, tickets = tickets.len(), persons = tags.len(), "recipient polled");
    }
    Ok(polled)
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
        staying.leave_out(name, ledger.store().leaving(name, around.now).await?);
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
}

/// One pass over all disposable rows.
pub(super) async fn pass(
    around: &Surroundings<'_>,
    step: &Step,
    batches: &Batches<'_>,
    worker: &mut Worker,
    book: &Book<'_>,
    report: &mut BTreeMap<String, RecipientReport>,
) -> Result<Waiting, Failure> {
    let pages = batches.work.recipients.iter().filter_map(|r| around.recipients.opened.get(&r.name)).map(|o| o.page);
    let limit = pages.min().unwrap_or(SMALLEST_PAGE);
    let mut waiting = Waiting::default();
    let mut size = walk::first_size(batches, &book.pace.settings);
    let mut last: Option<Row> = None;
    let mut turns = book.pace.turns();
    let alone = AtomicBool::new(false);
    loop {
        walk::wait(std::slice::from_mut(worker), book, &mut turns, &alone).await?;
        let rows = batches.page(worker.connection.as_mut(), last.as_ref(), limit).await?;
        let Some(row) = rows.last() else { return Ok(waiting) };
        last = Some(row.clone());
        let served = serve(around, step, batches, book, &rows, report).await?;
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
    report: &mut BTreeMap<String, RecipientReport>,
) -> Result<Served, Failure> {
    let mut all = Vec::new();
    for work in &batches.work.recipients {
        if work.identifiers.is_empty() {
            // there is nothing to ask by; the report names the recipient all the same
            report.entry(work.name.clone()).or_default().holds_nothing(rows.len() as u64);
            continue;
        }
        let subjects: Vec<_> = rows.iter().map(|row| subject(around, batches.selection(), work, row)).collect();
        let tags: Vec<Tag> = subjects.iter().map(Subject::tag).collect::<BTreeSet<_>>().into_iter().collect();
        let known =
            book.pages().await.store().remembered(&work.name, &tags, around.now).await.map_err(ledger::Error::from)?;
        let mut open: BTreeMap<Tag, Subject> = BTreeMap::new();
        for subject in subjects.iter().filter(|subject| !subject.is_empty()) {
            // what is accepted is polled when its time has come, and not asked for again
            if known.get(&subject.tag()).is_none_or(Remembered::is_open) {
                open.entry(subject.tag()).or_insert_with(|| subject.clone());
            }
        }
        let standing: BTreeMap<Tag, Standing> = known
            .into_iter()
            .map(|(tag, known)| (tag, Standing { state: word(&known.state), grade: known.grade, reason: known.reason }))
            .collect();
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
        let numbers = {
            let mut pages = book.pages().await;
            pages.check_holds(around.holds).await?;
            pages.append(announcements).await?
        };
        failpoint::reach("before_call");
        let calls = due.iter().map(|&i| {
            let (work, _, open, _) = &all[i];
            ask(around, work, open)
        });
        let results = join_all(calls).await;
        failpoint::reach("after_call");
        let mut events = Vec::new();
        let mut pages = book.pages().await;
        for ((&i, number), (answers, began)) in due.iter().zip(numbers).zip(results) {
            let (work, _, open, standing) = &mut all[i];
            let known: Vec<_> = open
                .iter()
                .zip(&answers)
                .map(|(subject, answer)| Remembered::new(subject.tag(), DELETE, answer, around.now))
                .collect();
            pages.store().remember(&work.name, &known).await.map_err(ledger::Error::from)?;
            events.push(answered(number, &work.name, &answers, began));
            report.entry(work.name.clone()).or_default().note(&answers);
            if answers.iter().all(|answer| matches!(answer.state, State::Unreachable { .. })) {
                silent.get_or_insert_with(|| work.name.clone());
            }
            for (subject, answer) in open.iter().zip(answers) {
                standing.insert(subject.tag(), Standing::of(&answer));
            }
        }
        failpoint::reach("after_answer");
        pages.append(events).await?;
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
                let (state, reason) = standing.map_or(("unreachable", None), |s| (s.state, s.reason.clone()));
                Some((work.name.clone(), Standing { state, grade: None, reason }))
            })
        })
        .collect();
    Ok(Served { keeper, silent })
}

/// One recipient about its subjects: one answer for each.
async fn ask(around: &Surroundings<'_>, work: &RecipientWork, open: &[Subject]) -> (Vec<Answer>, Instant) {
    let began = Instant::now();
    let mut answers = match around.recipients.get(&work.name) {
        Some(recipient) => recipient.delete(open).await,
        None => Vec::new(),
    };
    // whom a connector forgets is asked about again
    answers.resize_with(open.len(), || Answer::unreachable("the recipient gave no answer", None));
    (answers, began)
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
        let ended = match batches.change_chosen(worker.connection.as_mut(), chosen).await {
            Ok((changed, places)) => settle(around, batches, worker, book, chosen, changed, &places, size).await,
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(disposed) => {
                changed_meanwhile += (chosen.len() - disposed) as u64;
                (begin, attempt) = (end, 0);
            }
            Err(Failure::TooLarge { rows, most }) if end - begin > 1 => size.limit((end - begin) as u64, rows, most),
            Err(failure) if walk::is_worth_another_try(&failure) && attempt < pace.retries => {
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
        book.pages().await.store().use_up(&work.name, &tags, around.now).await.map_err(ledger::Error::from)?;
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
    fn of(answer: &Answer) -> Self {
        let reason = answer.state.reason().map(str::to_owned);
        Self { state: answer.state.word(), grade: answer.grade, reason }
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

    /// Counts what is past the recipients' deadlines, and says what all of this makes of the rule.
    pub async fn judge(
        &self,
        connection: &mut dyn Connection,
        dialect: &dyn Dialect,
        batches: &Batches<'_>,
        report: &mut BTreeMap<String, RecipientReport>,
    ) -> Result<Verdict, Failure> {
        let mut verdict = Verdict { temporary: self.changed > 0, ..Verdict::default() };
        for work in &batches.work.recipients {
            let Some(held) = self.recipients.get(&work.name).filter(|held| held.rows > 0) else { continue };
            let past = match &work.late {
                Some(late) => {
                    let statement = statements::count_disposable(dialect, batches.work, late);
                    let rows = connection.fetch(&statement).await?;
                    let count = rows.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok());
                    count.unwrap_or(0).min(held.rows)
                }
                None => 0,
            };
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
            let permanent = held.states.keys().any(|state| !["accepted", "unreachable"].contains(state));
            verdict.failed |= permanent || past > 0;
            verdict.temporary |= held.states.contains_key("unreachable");
        }
        Ok(verdict)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipients::Rate;

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
    }
}
