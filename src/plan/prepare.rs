//! Connects, reads the live schemas, resolves every rule, counts: the whole of planning in one call.

use super::{
    Counts, DatabaseFacts, FORMAT, HeldBy, Plan, Step, Unplanned, WholePartition,
    access::{self, Walk},
    aggregate,
    assertion::{self, CheckedAssertion},
    count, guard,
    holds::{self, Bound, Hold},
    indexes::{self, MissingIndex},
    interplay::{
        self,
        conflict::{Because, Precedence},
    },
    k_anonymity::{self, Gate},
    members,
    open::{OpenDatabase, Unavailable, open_databases},
    options::{Before, Options},
    order, outlast, pace, partitions,
    read_tables::{Needs, ReadTable, held_rows, read_tables},
    recipients,
    requests::{self, Asking, PlannedRequest, Requested, Turn, Variant},
    resolve::{self, Resolved},
    restored, sample,
    schema::{self, PlannedSchema},
    shown::planned_statements,
    subject::{self, Persons},
    surroundings::surroundings,
    unmatched,
};
use crate::{
    catalog::{Catalog, Engine, Table},
    clock,
    database::{
        self, Change, Connection, Course, Dialect, ErrorKind, KeyColumn, MembersWork, Watched, Work, statements,
    },
    diagnostic::{Code, Diagnostic, Place, Severity},
    job::{self, Job},
    language::shape::nearest,
    outcome::Outcome,
    rules::{Disposition, Limits, Rule, id_in_file},
    settings::Settings,
    sql::Sql,
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};
use tokio::sync::Mutex;

/// A plan with what it takes to execute it.
pub struct Prepared {
    pub plan: Plan,
    /// In the order of the plan's steps.
    pub steps: Vec<PreparedStep>,
    pub databases: BTreeMap<String, OpenDatabase>,
    /// Who stays, by recipient, where its list is made anew.
    pub members: BTreeMap<String, MembersWork>,
    pub warnings: Vec<Diagnostic>,
    /// The number of holds in force and the sum of their ids, by which a run sees that one was added meanwhile.
    pub holds: (u64, u64),
    /// The persons whom holds are about, to be looked up again while the run goes on.
    pub persons: Mutex<Persons>,
    /// What persons have asked for.
    pub requested: Requested,
    /// These persons, to be looked up again while the run goes on.
    pub asking: Mutex<Persons>,
    /// Databases that may not go on from where the last run left them, or do not.
    pub courses: BTreeMap<String, Course>,
    /// When planning began: a run's time counts from here.
    pub began: Instant,
}

/// The executable side of a step.
#[derive(Clone)]
pub struct PreparedStep {
    pub rule: Rule,
    pub work: Work,
    /// What is counted after the work.
    pub gate: Option<Gate>,
    pub walk: Walk,
    pub index: Option<String>,
    /// Those that go whole.
    pub partitions: Vec<WholePartition>,
    /// An earlier run has set rows of a partition aside, and left them there.
    pub set_aside: bool,
    /// Rules that have to have done their part before: they need what this one destroys.
    pub behind: Vec<String>,
    /// What all rules read in its database, and held rows.
    pub read: Vec<ReadTable>,
    /// The schema that all of this relies on.
    pub schema: PlannedSchema,
}

/// The databases that these rules' rows, and those who stay with their recipients, are read from.
pub fn databases_of<'a>(job: &'a Job, rules: &[&'a Rule]) -> BTreeSet<&'a str> {
    let members = members::sources(job, rules).map(|(_, source)| source.table.database.as_str());
    members.chain(rules.iter().map(|rule| rule.table.database.as_str())).collect()
}

/// Makes the plan.
///
/// # Errors
/// `Ok(Err(diagnostics))` when rules do not fit their databases; nothing is planned then.
pub async fn prepare(
    job: &Job,
    holds: &[Hold],
    now: Timestamp,
    options: &Options,
) -> anyhow::Result<Result<Prepared, Vec<Diagnostic>>> {
    let began = Instant::now();
    let mut found = Vec::new();
    let rules = chosen(job, &options.rules, &options.tags, &mut found);
    let mut names = databases_of(job, &rules);
    if options.said.is_some() {
        names.extend(assertion::databases_of(job));
    }
    let asked = options.requests.iter().filter_map(|request| job.settings.subjects.get(&request.subject));
    names.extend(asked.flat_map(|subject| subject.databases()));
    if !options.requests.is_empty() {
        // any other rule may keep what a request would take
        names.extend(job.rules().map(|rule| rule.table.database.as_str()));
    }
    let (mut databases, mut unavailable) = open_databases(job, names).await;
    let persons = Persons::look_up(job, holds).await?;
    persons.close_off(&mut databases, &mut unavailable);
    let noted = options.before.as_ref().map(|before| &before.positions);
    let courses = match noted {
        Some(noted) => restored::courses(job, &mut databases, noted).await?,
        None => BTreeMap::new(),
    };
    let members = members::resolve(job, &databases, &rules, &mut found);
    found.extend(interplay::check(job));
    let today = clock::today(now, &job.settings.time_zone);
    let tasks = options.said.as_ref().map(|said| (assertion::resolve(job, &databases, today, &mut found), said));

    let bound = holds::bind(job, &mut databases, holds, &persons).await?;
    // what a rule may do depends on all others, whether they run now or not
    let mut resolved: Vec<(&Rule, Resolved)> = Vec::new();
    for rule in job.rules() {
        let (Some(open), Some(holds)) = (databases.get(&rule.table.database), bound.get(&rule.table.database)) else {
            continue;
        };
        match resolve::resolve_rule(rule, &surroundings(job, open, holds, now, options.pseudonym_key.as_deref())) {
            Ok(fits) => resolved.push((rule, fits)),
            Err(diagnostics) if rules.iter().any(|chosen| chosen.id == rule.id) => found.extend(diagnostics),
            // whoever runs it is told
            Err(_) => {}
        }
    }
    let (mut order, mut needs, mut read) = (Order::default(), Needs::new(), Vec::new());
    if !has_errors(&found) {
        let together = interplay::together(&mut databases, &resolved, &job.settings).await?;
        found.extend(together.found);
        for ((rule, fits), read) in resolved.iter_mut().zip(&together.read) {
            watch(rule, fits, &databases, read);
        }
        (needs, read) = (together.needs, together.read);
        match in_order(&resolved, &databases, together.order) {
            Ok(decided) => order = decided,
            Err(circle) => found.push(circle),
        }
    }
    if !has_errors(&found) {
        found.extend(outlast::check(job.rules(), &databases, &resolved));
    }
    found.extend(ask_for_units(&mut databases, &resolved, &rules).await);
    let (watched, unwatched): (Vec<_>, Vec<_>) =
        pace::check(job, &databases).await.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    found.extend(watched);
    recipients::find_uses(&mut resolved, &job.settings);
    let mut asking = Asking::of(job, (&options.requests, holds), &mut databases, &unavailable).await?;
    let about = (now, options.pseudonym_key.as_deref());
    let mut variants = match has_errors(&found) {
        true => Vec::new(),
        false => asking.variants(&resolved, &databases, &bound, &|first, then| order.needs(first, then), about),
    };
    if !has_errors(&found) {
        find_uses_of(&mut variants, &resolved, &job.settings);
        for variant in &mut variants {
            watch(&variant.rule, &mut variant.fits, &databases, &read[variant.position]);
        }
    }
    let is_chosen = |rule: &Rule| rules.iter().any(|chosen| chosen.id == rule.id);
    if has_errors(&found) {
        for (_, resolved) in resolved.iter_mut().filter(|(rule, _)| is_chosen(rule)) {
            found.append(&mut resolved.warnings);
        }
        return Ok(Err(found));
    }

    let mut unplanned: Vec<_> = unavailable.iter().map(|(name, why)| waiting(job, name, why, &rules)).collect();
    let can_be_asked = |rule: &Rule| databases_of(job, &[rule]).into_iter().all(|name| !unavailable.contains_key(name));
    let chosen: Vec<_> = order
        .positions
        .iter()
        .copied()
        .filter(|at| is_chosen(resolved[*at].0) && can_be_asked(resolved[*at].0))
        .collect();
    let planning = Planning {
        job,
        resolved: &resolved,
        order: &order,
        needs: &needs,
        members: &members,
        bound: &bound,
        options,
        now,
    };
    let mut planned = Vec::new();
    for &position in chosen.iter().filter(|_| !options.on_request_only) {
        let (rule, fits) = &resolved[position];
        let (mut fits, mut counted) = left_to_others(position, fits, &resolved, &order);
        let open = databases.get(&rule.table.database);
        if let Some(theirs) = open.and_then(|open| asking.kept_in_sight(rule, &fits.work, open)) {
            let others = theirs.negated();
            requests::spare(&mut fits.work, &others);
            requests::spare(&mut counted, &others);
        }
        planned.push(planning.step((position, rule, None), &fits, &counted, &mut databases, &is_chosen).await?);
    }
    let all_are_chosen = options.takes_home_rows.unwrap_or(options.rules.is_empty() && options.tags.is_empty());
    // rows that tell which others are a person's go last
    for turn in [Turn::Early, Turn::Late, Turn::Home] {
        let has_turn = |one: &&mut Variant| {
            one.answer.turn == turn && chosen.contains(&one.position) && (turn == Turn::Early || all_are_chosen)
        };
        for variant in variants.iter_mut().filter(has_turn) {
            let (fits, counted) = left_to_others(variant.position, &variant.fits, &resolved, &order);
            let own = (variant.position, &variant.rule, variant.holds.as_ref());
            let step = planning.step(own, &fits, &counted, &mut databases, &is_chosen).await?;
            variant.answer.is_planned = step.is_ok();
            planned.push(step);
        }
    }
    for variant in &mut variants {
        let Some(open) = databases.get_mut(&variant.answer.database) else { continue };
        variant.answer.before = variant.answer.remaining(open.connection.as_mut()).await?;
    }
    asking.requested.answers = variants.into_iter().map(|variant| variant.answer).collect();
    let (mut steps, mut prepared) = (Vec::new(), Vec::new());
    for step in planned {
        match step {
            Ok((step, ready)) => {
                steps.push(step);
                prepared.push(ready);
            }
            // the others go on
            Err(why) => unplanned.push(why),
        }
    }

    let assertions = match &tasks {
        Some((tasks, said)) => assertion::check(tasks, &mut databases, &unavailable, said, today).await,
        None => Vec::new(),
    };
    let warned = resolved.into_iter().filter(|(rule, _)| rules.iter().any(|chosen| chosen.id == rule.id));
    let doubts = bound.into_values().flat_map(|bound| bound.warnings);
    let warnings = doubts.chain(warned.flat_map(|(_, resolved)| resolved.warnings)).chain(unwatched).collect();
    let gone = options.before.as_ref().map(|before| before.gone(job)).unwrap_or_default();
    let put_back = noted.map(|noted| restored::refusals(&courses, noted)).unwrap_or_default();
    let asked_for = asking.planned();
    let asked_for = (asked_for, all_are_chosen);
    let plan = assemble(job, now, steps, &databases, unplanned, assertions, gone, asked_for, put_back)?;
    let in_force = || holds.iter().filter(|hold| !hold.is_of_requests());
    let (holds, persons) = ((in_force().count() as u64, in_force().map(|hold| hold.id).sum()), Mutex::new(persons));
    let (requested, asking) = (asking.requested, Mutex::new(asking.persons));
    let steps = prepared;
    Ok(Ok(Prepared { plan, steps, databases, members, warnings, holds, persons, requested, asking, courses, began }))
}

/// What `sunset validate` wants to know.
pub struct Checked {
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// How many databases were asked.
    pub databases: usize,
    pub unavailable: BTreeMap<String, Unavailable>,
}

/// Holds all rules against the live schemas and counts nothing.
///
/// # Errors
/// A database fails while it is asked.
pub async fn check(job: &Job, holds: &[Hold], now: Timestamp, options: &Options) -> anyhow::Result<Checked> {
    let (mut diagnostics, mut resolved) = (Vec::new(), Vec::new());
    let rules: Vec<_> = job.rules().collect();
    let mut names = databases_of(job, &rules);
    names.extend(assertion::databases_of(job));
    names.extend(subject::databases_of(job));
    let (mut databases, unavailable) = open_databases(job, names).await;
    assertion::resolve(job, &databases, clock::today(now, &job.settings.time_zone), &mut diagnostics);
    members::resolve(job, &databases, &rules, &mut diagnostics);
    diagnostics.extend(subject::check(job, &databases));
    if let Some(before) = &options.before {
        let courses = restored::courses(job, &mut databases, &before.positions).await?;
        let put_back = restored::refusals(&courses, &before.positions).into_iter();
        diagnostics
            .extend(put_back.map(|what| Diagnostic::warning(Code::Restored, Place::file(job::SETTINGS_FILE), what)));
    }
    let persons = Persons::look_up(job, holds).await?;
    let bound = holds::bind(job, &mut databases, holds, &persons).await?;
    for bound in bound.values() {
        diagnostics.extend(bound.warnings.iter().cloned());
        let lost =
            bound.lost.iter().map(|lost| Diagnostic::warning(Code::HoldInDoubt, Place::file("holds"), lost.clone()));
        diagnostics.extend(lost);
    }
    for rule in rules {
        let (Some(open), Some(holds)) = (databases.get(&rule.table.database), bound.get(&rule.table.database)) else {
            continue;
        };
        match resolve::resolve_rule(rule, &surroundings(job, open, holds, now, options.pseudonym_key.as_deref())) {
            Ok(fits) => {
                diagnostics.extend(fits.warnings.iter().cloned());
                resolved.push((rule, fits));
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    if !has_errors(&diagnostics) {
        let together = interplay::together(&mut databases, &resolved, &job.settings).await?;
        diagnostics.extend(together.found);
        diagnostics.extend(outlast::check(job.rules(), &databases, &resolved));
        diagnostics.extend(in_order(&resolved, &databases, together.order).err());
    }
    let all: Vec<_> = job.rules().collect();
    diagnostics.extend(ask_for_units(&mut databases, &resolved, &all).await);
    diagnostics.extend(pace::check(job, &databases).await);
    Ok(Checked { diagnostics, databases: databases.len(), unavailable })
}

/// The rules that the options choose, in the order of the files; `found` gets the names that choose none.
pub fn chosen<'a>(job: &'a Job, rules: &[String], tags: &[String], found: &mut Vec<Diagnostic>) -> Vec<&'a Rule> {
    let ids: BTreeSet<_> = job.rules().map(|rule| rule.id.as_str()).collect();
    let known_tags: BTreeSet<_> = job.rules().flat_map(|rule| &rule.tags).map(String::as_str).collect();
    let mut check = |option, names: &[String], known: &BTreeSet<&str>, problem: &dyn Fn(&str) -> String| {
        for name in names.iter().filter(|name| !known.contains(name.as_str())) {
            let error = Diagnostic::error(Code::UnknownWord, Place::file(option), problem(name));
            found.push(match nearest(known.iter().copied(), name) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            });
        }
    };
    check("--rule", rules, &ids, &|id| format!("there is no rule `{id}`"));
    check("--tag", tags, &known_tags, &|tag| format!("no rule bears the tag `{tag}`"));
    let is_chosen = |rule: &&Rule| rules.contains(&rule.id) || rule.tags.iter().any(|tag| tags.contains(tag));
    let all = rules.is_empty() && tags.is_empty();
    job.rules().filter(|rule| all || is_chosen(rule)).collect()
}

fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// In which order rules go, by their positions, and why.
#[derive(Default)]
struct Order {
    positions: Vec<usize>,
    precedence: Vec<Precedence>,
}

impl Order {
    /// The first rule needs what the other one destroys.
    fn needs(&self, first: usize, then: usize) -> bool {
        let needed = |one: &Precedence| one.first == first && one.then == then && one.because == Because::Needed;
        self.precedence.iter().any(needed)
    }

    /// Rules on other tables that need what this one destroys.
    fn behind(&self, position: usize, resolved: &[(&Rule, Resolved)]) -> Vec<usize> {
        let own = &resolved[position].1.work.table;
        let before = self.precedence.iter().filter(|one| one.then == position && one.because == Because::Needed);
        let mut first: Vec<_> =
            before.map(|one| one.first).filter(|first| resolved[*first].1.work.table != *own).collect();
        first.dedup();
        first
    }
}

/// Columns that count time from 1970 in another unit than their rules say.
async fn ask_for_units(
    databases: &mut BTreeMap<String, OpenDatabase>,
    resolved: &[(&Rule, Resolved)],
    chosen: &[&Rule],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (rule, resolved) in resolved.iter().filter(|(rule, _)| chosen.iter().any(|chosen| chosen.id == rule.id)) {
        let Some((epoch, open)) = resolved.epoch.as_ref().zip(databases.get_mut(&rule.table.database)) else {
            continue;
        };
        let statement = statements::epoch_bounds(open.dialect, &epoch.table, &epoch.column, epoch.kind);
        // a database that fails here fails when rows are counted, and is told of there
        let Ok(rows) = open.connection.fetch(&statement).await else { continue };
        let mut bounds = [None; 3];
        for (bound, text) in bounds.iter_mut().zip(rows.into_iter().flatten()) {
            *bound = text.and_then(|text| text.parse().ok());
        }
        if let Some((when, help)) = epoch.misfit(bounds) {
            let message = format!("read so, all values of `{}.{}` lie {when}", epoch.table, epoch.column);
            let place = rule.place.key("starting_point");
            found.push(Diagnostic::error(Code::StartingPointType, place, message).help(help));
        }
    }
    found
}

/// Puts the rules in order, or tells of two of which each would have to go first.
fn in_order(
    resolved: &[(&Rule, Resolved)],
    databases: &BTreeMap<String, OpenDatabase>,
    precedence: Vec<Precedence>,
) -> Result<Order, Diagnostic> {
    let items: Vec<_> = resolved
        .iter()
        .map(|(rule, resolved)| order::Item {
            rule: &rule.id,
            database: &rule.table.database,
            table: &resolved.work.table,
        })
        .collect();
    let mut kept = Vec::new();
    for (parent, (rule, fits)) in resolved.iter().enumerate().filter(|(_, (_, fits))| fits.work.waiting.is_some()) {
        for named in fits.dependents.iter().filter(|named| named.work.is_none()) {
            let erases = |(_, (other, fits)): &(usize, &(&Rule, Resolved))| {
                other.disposition == Disposition::Erase
                    && other.table.database == rule.table.database
                    && fits.work.table == named.table
            };
            kept.extend(resolved.iter().enumerate().filter(erases).map(|(child, _)| (child, parent)));
        }
    }
    let catalogs = databases.iter().map(|(name, open)| (name.clone(), &open.catalog)).collect();
    let circle = |order::Circle(first, then): order::Circle| {
        let (a, b) = (resolved[first].0, resolved[then].0);
        let message = format!("rules `{}` and `{}` would each have to go before the other", a.id, b.id);
        Diagnostic::error(Code::RuleOrder, b.place.key("table"), message)
            .label(format!("`{}` changes what `{}` still reads, and so comes after it", b.id, a.id))
            .also(a.place.key("table"), format!("`{}` has to wait for `{}`", a.id, b.id))
            .help("let one of them count from, ask for, or keep something that the other does not change")
    };
    match order::order(&items, &catalogs, &precedence, &kept) {
        Ok(positions) => Ok(Order { positions, precedence }),
        Err(found) => Err(circle(found)),
    }
}

/// Where triggers fire for changed rows, what rules read of these rows is compared before and after.
fn watch(rule: &Rule, fits: &mut Resolved, databases: &BTreeMap<String, OpenDatabase>, read: &[String]) {
    let Some(open) = databases.get(&rule.table.database) else { return };
    let Some(table) = open.catalog.get(&fits.work.table) else { return };
    let fires = table.triggers.iter().filter(|trigger| trigger.on_update);
    let triggers: Vec<_> = fires.map(|trigger| trigger.name.clone()).collect();
    let is_read = |name: &str| match open.catalog.engine {
        Engine::Postgres => read.iter().any(|column| column == name),
        Engine::Mysql | Engine::Sqlite => read.contains(&name.to_lowercase()),
    };
    let columns = table.columns.iter().filter(|column| is_read(&column.name)).map(KeyColumn::from);
    let watched = Watched { triggers, columns: columns.collect() };
    if watched.triggers.is_empty() || watched.columns.is_empty() {
        return;
    }
    let measures = fits.gate.iter_mut().flat_map(|gate| &mut gate.measures).map(|measure| &mut measure.work);
    for work in measures.chain([&mut fits.work]).filter(|work| !matches!(work.change, Change::Erase)) {
        work.watched = Some(watched.clone());
    }
}

/// A rule leaves rows alone that are due under another rule which still needs what it would change. What is executed, and
/// the work by which rows are counted: rows that the other rule only changes are still there for this one afterwards.
fn left_to_others(position: usize, fits: &Resolved, resolved: &[(&Rule, Resolved)], order: &Order) -> (Resolved, Work) {
    let (mut fits, mut counted) = (fits.clone(), fits.work.clone());
    let own = resolved[position].0;
    let erases = |first: usize| resolved[first].0.disposition == Disposition::Erase;
    let weighty = |one: &&Precedence| {
        one.then == position
            && match one.because {
                Because::Needed => true,
                // two rules that only change rows would leave them to each other
                Because::Trigger => erases(one.first),
                Because::Read | Because::Counted => false,
            }
    };
    // the weightiest reason for each
    let first = order.precedence.iter().filter(weighty).map(|one| (one.first, one.because));
    let first: BTreeMap<usize, Because> = first.fold(BTreeMap::new(), |mut first, (other, because)| {
        let known = first.entry(other).or_insert(because);
        *known = because.max(*known);
        first
    });
    for (other, because) in first {
        let (rule, claimed) = &resolved[other];
        if claimed.work.table != fits.work.table || rule.table.database != own.table.database {
            continue;
        }
        // A row that the other rule needs waits for it. Where only a trigger might touch what it reads, and it cannot go
        // anyway, nothing is gained by leaving the row as it is: each batch compares what it reads.
        let spared = match because {
            Because::Trigger => claimed.work.disposable_rows().negated(),
            Because::Counted | Because::Read | Because::Needed => claimed.work.due_rows().negated(),
        };
        let without = |work: &mut Work| work.condition = Some(Sql::all(work.condition.iter().chain([&spared])));
        without(&mut fits.work);
        if erases(other) {
            without(&mut counted);
        }
    }
    (fits, counted)
}

/// Why a rule cannot go now: another one, which needs what it destroys, has rows to dispose of and is not part of this run.
async fn still_to_run(
    open: &mut OpenDatabase,
    behind: &[usize],
    resolved: &[(&Rule, Resolved)],
    is_chosen: &dyn Fn(&Rule) -> bool,
) -> Result<Vec<String>, database::Error> {
    let mut absent = Vec::new();
    for (rule, fits) in behind.iter().map(|first| &resolved[*first]).filter(|(rule, _)| !is_chosen(rule)) {
        let statement =
            open.dialect.finish(statements::some_row(open.dialect, &fits.work.table, &fits.work.disposable_rows()));
        if !open.connection.fetch(&statement).await?.is_empty() {
            absent.push(format!(
                "rule `{}` needs what this one destroys, and has rows to dispose of: run both together",
                rule.id
            ));
        }
    }
    Ok(absent)
}

/// Finds where persons may still be needed whom a rule asks recipients about at their own request.
fn find_uses_of(variants: &mut [Variant], resolved: &[(&Rule, Resolved)], settings: &Settings) {
    let natural = resolved.iter().map(|(rule, fits)| (*rule, fits.clone()));
    let mut all: Vec<_> = natural.chain(variants.iter().map(|one| (&one.rule, one.fits.clone()))).collect();
    recipients::find_uses(&mut all, settings);
    let found: Vec<_> = all.into_iter().skip(resolved.len()).map(|(_, fits)| fits.work.recipients).collect();
    for (variant, recipients) in variants.iter_mut().zip(found) {
        variant.fits.work.recipients = recipients;
    }
}

/// What steps are planned from.
struct Planning<'a> {
    job: &'a Job,
    resolved: &'a [(&'a Rule, Resolved)],
    order: &'a Order,
    needs: &'a Needs,
    members: &'a BTreeMap<String, MembersWork>,
    bound: &'a BTreeMap<String, Bound>,
    options: &'a Options,
    now: Timestamp,
}

impl Planning<'_> {
    /// The step of a rule at a position, or why there is none. `holds`: others than those of its database.
    async fn step(
        &self,
        (position, rule, holds): (usize, &Rule, Option<&Bound>),
        fits: &Resolved,
        counted: &Work,
        databases: &mut BTreeMap<String, OpenDatabase>,
        is_chosen: &dyn Fn(&Rule) -> bool,
    ) -> anyhow::Result<Result<(Step, PreparedStep), Unplanned>> {
        let &Self { job, resolved, order, needs, members, bound, options, now } = self;
        let name = &rule.table.database;
        let behind = order.behind(position, resolved);
        let open = databases.get_mut(name).context("a resolved rule has its database open")?;
        let holds = holds.or_else(|| bound.get(name)).context("holds are found in every open database")?;
        let absent = still_to_run(open, &behind, resolved, is_chosen).await?;
        let subject = Subject { job, rule, resolved: fits, counted, members, holds, options, now };
        match plan_step(&subject, open).await {
            Ok((mut step, mut ready)) => {
                step.refusals.extend(absent);
                let all: Vec<_> = resolved.iter().filter(|(other, _)| other.table.database == *name).collect();
                let all: Vec<_> = all.into_iter().map(|(_, fits)| fits).collect();
                ready.read = read_tables(open, needs, &all);
                ready.read.extend(held_rows(open, holds));
                ready.behind = behind.into_iter().map(|first| resolved[first].0.id.clone()).collect();
                Ok(Ok((step, ready)))
            }
            Err(error) => Ok(Err(Unplanned {
                database: name.clone(),
                rules: vec![rule.id.clone()],
                outcome: match error.kind.outcome() {
                    Outcome::Temporary => Outcome::Temporary,
                    _ => Outcome::Failed,
                },
                reason: error.to_string(),
            })),
        }
    }
}

/// What a step is planned from.
struct Subject<'a> {
    job: &'a Job,
    rule: &'a Rule,
    resolved: &'a Resolved,
    /// By which rows are counted.
    counted: &'a Work,
    members: &'a BTreeMap<String, MembersWork>,
    holds: &'a Bound,
    options: &'a Options,
    now: Timestamp,
}

async fn plan_step(subject: &Subject<'_>, open: &mut OpenDatabase) -> Result<(Step, PreparedStep), database::Error> {
    let &Subject { job, rule, resolved, counted, members, holds, options, now } = subject;
    let OpenDatabase { database, connection, catalog, facts, dialect, .. } = open;
    let (connection, dialect) = (connection.as_mut(), *dialect);
    let work = &resolved.work;
    let gone = || database::Error::new(ErrorKind::Other, format!("table {} is gone", work.table));
    let table: &Table = catalog.get(&work.table).ok_or_else(gone)?;
    let limits = guard::effective(&rule.limits, &job.settings.limits);
    let in_file = id_in_file(&rule.id);
    let mut counts = count::counts(connection, dialect, table, counted, &limits, options.thorough).await?;
    let held_by = match counts.held {
        0 => Vec::new(),
        _ => held_by(connection, dialect, catalog, table, counted, holds).await?,
    };
    if options.before.is_some() && in_file == rule.id {
        counts.starts = count::starts(connection, dialect, table, counted).await?;
    }
    let lost_starts = lost_starts(options, rule, &limits, &counts);
    let is_new = |before: &&Before| !before.reviewed && !before.disposed.contains(in_file);
    let first_run = options.before.as_ref().filter(is_new).is_some();
    let due = counts.disposable();
    let (index, reviewed) = (resolved.index.as_deref(), options.walks.get(&rule.id).map(String::as_str));
    let pace = job.settings.pace_of(&rule.table.database);
    let walk = access::walk(catalog, table, work, index.is_some(), due, pace.batch_rows, reviewed);
    let access = count::access(connection, dialect, catalog.engine, work, index, &walk).await?;
    let dependents = count::dependents(connection, dialect, counted, &resolved.dependents, due > 0).await?;
    let known = recipients::Known { members, answers: options.answers.as_ref() };
    let recipients =
        recipients::planned(connection, dialect, &job.settings, (rule, now), counted, known, &counts).await?;
    let gate = rule.k_anonymity.as_ref().zip(resolved.gate.as_ref());
    let gate = k_anonymity::plan(connection, dialect, gate, &rule.id, counts.due, options, now).await?;
    let along: u64 = dependents.iter().filter_map(|dependent| dependent.rows).sum();
    let samples = match options.samples {
        0 => Vec::new(),
        limit => sample::samples(connection, dialect, table, work, limit).await?,
    };
    let whole = partitions::Subject { rule, resolved, table, catalog, job: &job.settings, disposable: due > 0 };
    let partitions = partitions::plan(database.as_ref(), connection, dialect, &whole).await?;
    let (partitions, whole) = partitions.map_or((None, Vec::new()), |(planned, whole)| (Some(planned), whole));
    let aggregate = match &rule.aggregate {
        Some(adding) => aggregate::planned(connection, dialect, adding, work, due > 0).await?,
        None => None,
    };
    let doubts = match &work.aggregate {
        Some(adding) if due > 0 => aggregate::doubts(connection, dialect, work, adding).await?,
        _ => Vec::new(),
    };
    let missing_indexes = missing_indexes(resolved, &counts);
    let mut warnings = warnings(resolved);
    warnings.extend(not_maintained(connection, dialect, rule, work).await?);
    if options.thorough {
        warnings.extend(unmatched::warnings(connection, dialect, table, rule, work, &counts).await?);
    }
    if lost_starts > 0 {
        warnings.push(lost_words(lost_starts));
    }
    // after the counts: what they were read under is what is compared with what the rule was resolved with
    let schema = schema::read(connection, dialect, catalog, facts, resolved, holds).await?;
    let erase = rule.disposition == Disposition::Erase;
    let step = Step {
        rule: rule.id.clone(),
        category: rule.category.clone(),
        purpose: rule.purpose.clone(),
        legal_basis: rule.legal_basis.clone(),
        database: rule.table.database.clone(),
        table: work.table.clone(),
        disposition: rule.disposition,
        techniques: rule.columns.iter().map(|(name, technique)| (name.clone(), technique.label())).collect(),
        cut_off: resolved.cut_off.clone(),
        refusals: (guard::refusals(&limits, &counts).into_iter())
            .chain(if first_run { guard::first_refusals(&limits, &counts) } else { Vec::new() })
            .chain(doubts)
            .chain(holds.lost.iter().cloned())
            .collect(),
        first_run: first_run && guard::first(&limits, counts.table_rows).is_some(),
        lost_starts,
        lost_holds: holds.lost.clone(),
        held_by,
        counts,
        dependents,
        recipients,
        k_anonymity: gate,
        access,
        aggregate,
        partitions,
        missing_indexes,
        estimated_seconds: pace::seconds(&pace, due, count::estimated_seconds(catalog.engine, erase, due + along)),
        limits,
        evidence: rule.evidence,
        after: rule.after,
        warnings,
        holds: resolved.holds.clone(),
        schema: schema.facts.digest(),
        statements: planned_statements(dialect, work, &walk, members)
            .into_iter()
            .chain(resolved.gate.iter().flat_map(|gate| k_anonymity::planned_statements(dialect, gate)))
            .collect(),
        samples,
    };
    let ready = PreparedStep {
        rule: rule.clone(),
        work: work.clone(),
        gate: resolved.gate.clone(),
        walk,
        index: resolved.index.clone(),
        set_aside: step.partitions.as_ref().is_some_and(|planned| planned.set_aside.is_some()),
        partitions: whole,
        behind: Vec::new(),
        read: Vec::new(),
        schema,
    };
    Ok((step, ready))
}

/// How many of the due rows each hold keeps.
async fn held_by(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    catalog: &Catalog,
    table: &Table,
    work: &Work,
    holds: &Bound,
) -> Result<Vec<HeldBy>, database::Error> {
    let row = dialect.row(&work.table);
    let mut concerned = Vec::new();
    for hold in holds.each() {
        let one = Some(hold.id);
        let concerns = holds.concerns(dialect, catalog, (table, &row), &work.change, &work.dependents, one);
        concerned.extend(concerns.map(|concerns| (hold, concerns)));
    }
    let mut found = Vec::new();
    for some in concerned.chunks(HOLDS_AT_ONCE) {
        let conditions: Vec<_> = some.iter().map(|(_, concerns)| concerns.clone()).collect();
        let rows = connection.fetch(&statements::held_by(dialect, work, &conditions)).await?;
        let counts = rows.into_iter().flatten().map(|text| text.and_then(|text| text.parse().ok()).unwrap_or(0));
        let held = some.iter().zip(counts).filter(|(_, rows)| *rows > 0);
        found.extend(held.map(|((hold, _), rows)| HeldBy {
            hold: hold.id,
            matter: hold.matter.clone(),
            table: hold.table.clone(),
            rows,
        }));
    }
    Ok(found)
}

/// A statement has room for so many.
const HOLDS_AT_ONCE: usize = 20;
/// Rows that have lost their starting points since the rule's last run, beyond what its limits allow.
fn lost_starts(options: &Options, rule: &Rule, limits: &Limits, counts: &Counts) -> u64 {
    let then = options.before.as_ref().and_then(|before| before.starts.get(&rule.id));
    let lost = then.zip(counts.starts).map_or(0, |(then, now)| now.lost_since(then));
    if lost > limits.lost_starts.unwrap_or(0) { lost } else { 0 }
}

/// What has happened to them, and the way out.
pub fn lost_words(rows: u64) -> String {
    format!(
        "{}: {rows} rows had a starting point at the rule's last run and have none now: they would stay for ever; find out \
         what took it away, and when it is all right, allow it: `limits: {{lost_starts: {rows}}}`",
        Code::LostStart.as_str()
    )
}

/// Those that matter now that the rows were counted. Each once: several foreign keys may need the same.
fn missing_indexes(resolved: &Resolved, counts: &Counts) -> Vec<MissingIndex> {
    let small = counts.table_rows_exact && !indexes::matters(counts.table_rows);
    let mut missing: Vec<MissingIndex> = Vec::new();
    for index in resolved.missing_indexes.iter().filter(|index| !small || index.table != resolved.work.table) {
        if !missing.iter().any(|known| known.sql == index.sql) {
            missing.push(index.clone());
        }
    }
    missing
}

/// Tables that the rule would have cleaned up, and that this user may not.
async fn not_maintained(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    rule: &Rule,
    work: &Work,
) -> Result<Option<String>, database::Error> {
    let tables: Vec<_> =
        work.leaves.iter().chain(work.dependents.iter().map(|dependent| &dependent.table)).cloned().collect();
    let (Some(after), Some(statement)) = (rule.after, dialect.not_maintained(&tables)) else { return Ok(None) };
    let names: Vec<_> = connection.fetch(&statement).await?.into_iter().flatten().flatten().collect();
    let words = |names: &[String]| {
        let code = Code::Privilege.as_str();
        format!("{code}: this database user may not {after} {}: see `sunset grants`", names.join(", "))
    };
    Ok((!names.is_empty()).then(|| words(&names)))
}

/// Missing indexes stand for themselves.
fn warnings(resolved: &Resolved) -> Vec<String> {
    let others = resolved.warnings.iter().filter(|w| !matches!(w.code, Code::NoIndex | Code::NoDependentIndex));
    others.map(|warning| format!("{}: {}", warning.code.as_str(), warning.message)).collect()
}

/// The rules that a database which cannot be used keeps waiting.
fn waiting(job: &Job, database: &str, why: &Unavailable, rules: &[&Rule]) -> Unplanned {
    let kept = rules.iter().filter(|rule| databases_of(job, &[*rule]).contains(database));
    Unplanned {
        database: database.to_owned(),
        rules: kept.map(|rule| rule.id.clone()).collect(),
        reason: why.reason.clone(),
        outcome: if why.temporary { Outcome::Temporary } else { Outcome::Invalid },
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a plan is made of")]
fn assemble(
    job: &Job,
    now: Timestamp,
    steps: Vec<Step>,
    databases: &BTreeMap<String, OpenDatabase>,
    unplanned: Vec<Unplanned>,
    assertions: Vec<CheckedAssertion>,
    gone_rules: Vec<String>,
    (requests, takes_home_rows): (Vec<PlannedRequest>, bool),
    put_back: Vec<String>,
) -> anyhow::Result<Plan> {
    let rows = steps
        .iter()
        .map(|step| step.counts.disposable() + step.dependents.iter().filter_map(|d| d.rows).sum::<u64>())
        .sum();
    let facts =
        |open: &OpenDatabase| DatabaseFacts { engine: open.catalog.engine, version: open.catalog.version.clone() };
    let mut plan = Plan {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        job: job.settings.name.clone(),
        now,
        time_zone: job.settings.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        rules_digest: job.digest(),
        databases: databases.iter().map(|(name, open)| (name.clone(), facts(open))).collect(),
        steps,
        unplanned,
        pace: pace::lines(job, databases),
        assertions,
        gone_rules,
        takes_home_rows: takes_home_rows && !requests.is_empty(),
        requests,
        limits: job.settings.limits,
        refusals: put_back.into_iter().chain(guard::run_refusals(&job.settings.limits, rows)).collect(),
        work_digest: String::new(),
        digest: String::new(),
    };
    plan.seal()?;
    Ok(plan)
}
