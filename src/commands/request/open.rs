//! `sunset request open`: exactly one person, or many from a file, all or none.

use super::ledger;
use crate::{
    cli::{Global, RequestOpenArgs, one_line},
    clock,
    commands::{Stop, console::Console, job as loading, person},
    file,
    job::Job,
    outcome::Outcome,
    plan::{
        self, OpenDatabase,
        subject::{self, Named},
    },
    rules::RequestKind,
    settings::Subject,
    store::{Identified, NewRequest},
};
use anyhow::Context as _;
use jiff::civil::Date;
use std::{collections::BTreeMap, path::Path};

/// No file with more requests is read: a night has no room for more.
const MOST: usize = 100_000;

/// So many mistakes are told of.
const MOST_MISTAKES: usize = 20;

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &RequestOpenArgs,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let today = clock::today(loading::now(global, job)?, &job.settings.time_zone);
    let mut homes = Homes { job, open: BTreeMap::new() };
    let new = match &args.file {
        Some(path) => from_file(&mut homes, path, today).await?,
        None => vec![homes.request(&asked(args)?, today).await?],
    };
    let mut ledger = ledger(job).await?;
    let opened = ledger.open_requests(new).await?;
    ledger.into_store().close().await?;
    for request in &opened {
        let (id, due) = (request.id, request.due);
        if opened.len() == 1 {
            console.note(&format!(
                "request {id} is open, to be answered by {due}: `sunset request plan {id}` shows what would go"
            ));
        }
        console.print(&format!("{id}\n"))?;
    }
    if opened.len() > 1 {
        console.note(&format!("{} requests are open", opened.len()));
    }
    Ok(Outcome::Done)
}

/// What somebody asks for, before anybody has looked for them.
struct Asked {
    kind: RequestKind,
    subject: String,
    named: Named,
    received: Date,
    reference: String,
    identified: Identified,
}

fn asked(args: &RequestOpenArgs) -> anyhow::Result<Asked> {
    let text = |name: &str, text: &Option<String>| match text.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Stop::invalid(format!("--{name} is missing"))),
    };
    let (Some(kind), Some(received)) = (args.kind, args.received) else {
        return Err(Stop::invalid("--kind and --received are missing"));
    };
    Ok(Asked {
        kind,
        subject: text("subject", &args.person.subject)?,
        named: person::named(&args.person, &args.key)?,
        received,
        reference: text("reference", &args.reference)?,
        identified: Identified {
            by: text("identified-by", &args.identified_by)?,
            how: text("identified-how", &args.identified_how)?,
        },
    })
}

/// The home databases, each opened once.
struct Homes<'a> {
    job: &'a Job,
    open: BTreeMap<String, OpenDatabase>,
}

impl Homes<'_> {
    async fn request(&mut self, asked: &Asked, today: Date) -> anyhow::Result<NewRequest> {
        let job = self.job;
        let subject = person::subject_of(job, &asked.subject)?;
        if asked.received > today {
            return Err(Stop::invalid(format!("a request that is received on {} lies in the future", asked.received)));
        }
        let home = self.home(subject).await?;
        let person = match subject::find(subject, home, &asked.named).await? {
            Ok(person) => person,
            Err(not_one) => return Err(person::refused(&not_one)),
        };
        let identity = subject::identity(subject, home, &person.key).await?.map_err(Stop::invalid)?;
        if identity.is_empty() {
            return Err(Stop::invalid(format!(
                "nothing in {} tells this person from somebody else who gets the key: no identifier and no link of subject `{}` \
                 has a value",
                subject.home, subject.name
            )));
        }
        let table = subject::home_of(subject, &home.catalog).map_err(Stop::invalid)?;
        Ok(NewRequest {
            identity,
            kind: asked.kind,
            subject: subject.name.clone(),
            home: format!("{}.{}", subject.home.database, table.name),
            key: person.key,
            received: asked.received,
            due: job.settings.requests.due(asked.received),
            reference: asked.reference.clone(),
            identified: asked.identified.clone(),
        })
    }

    async fn home(&mut self, subject: &Subject) -> anyhow::Result<&mut OpenDatabase> {
        let name = &subject.home.database;
        if !self.open.contains_key(name) {
            let settings = self.job.settings.databases.get(name);
            let settings = settings.ok_or_else(|| Stop::invalid(format!("database `{name}` is not in sunset.yaml")))?;
            let open = plan::open_database(settings, &self.job.settings.pace).await?;
            self.open.insert(name.clone(), open);
        }
        self.open.get_mut(name).context("it was opened")
    }
}

/// All requests of a file, or what is wrong with it, by lines.
async fn from_file(homes: &mut Homes<'_>, path: &Path, today: Date) -> anyhow::Result<Vec<NewRequest>> {
    let text = file::read_text(path, file::LONGEST_DOCUMENT)
        .map_err(|error| Stop::invalid(format!("{} cannot be read: {error}", path.display())))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns: Vec<String> = reader
        .headers()
        .map_err(|_| Stop::invalid(format!("{} is no CSV file", path.display())))?
        .iter()
        .map(str::to_owned)
        .collect();
    let (mut new, mut mistakes) = (Vec::new(), Vec::new());
    if let Some(twice) =
        columns.iter().enumerate().find_map(|(at, name)| columns[..at].contains(name).then_some(at + 1))
    {
        return Err(Stop::invalid(format!("column {twice} of {} has the name of an earlier one", path.display())));
    }
    let mut lines: BTreeMap<(RequestKind, String, Vec<String>), u64> = BTreeMap::new();
    for record in reader.records() {
        let (line, read) = match &record {
            Ok(record) => (line_of(text, record), of_line(&columns, record)),
            // its own words would quote the line
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                (line, Err(Stop::invalid("it has not as many fields as the first line")))
            }
        };
        let found = match read {
            Ok(asked) => homes.request(&asked, today).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(request) => {
                let person = (request.kind, request.home.clone(), request.key.clone());
                match lines.get(&person) {
                    Some(first) => mistakes.push(format!("line {line}: the person of line {first} asks for the same")),
                    None => {
                        lines.insert(person, line);
                        new.push(request);
                    }
                }
            }
            // a database that fails would fail for every line
            Err(error) if error.downcast_ref::<Stop>().is_none() => return Err(error),
            Err(error) => mistakes.push(format!("line {line}: {error}")),
        }
        if new.len() > MOST || mistakes.len() == MOST_MISTAKES {
            break;
        }
    }
    match () {
        () if !mistakes.is_empty() => {
            let path = path.display();
            Err(Stop::invalid(format!("no request of {path} is opened:\n  {}", mistakes.join("\n  "))))
        }
        () if new.is_empty() => Err(Stop::invalid(format!("{} has no requests", path.display()))),
        () if new.len() > MOST => Err(Stop::invalid(format!("{} has more than {MOST} requests", path.display()))),
        () => Ok(new),
    }
}

/// The line on which a record begins. The reader counts from where the one before ended, blank lines included.
fn line_of(text: &str, record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let rest = usize::try_from(position.byte()).ok().and_then(|at| text.get(at..)).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    position.line() + rest[..blank].matches('\n').count() as u64
}

fn of_line(columns: &[String], record: &csv::StringRecord) -> anyhow::Result<Asked> {
    let field = |name: &str| {
        let at = columns.iter().position(|column| column == name);
        at.and_then(|at| record.get(at)).filter(|text| !text.is_empty())
    };
    let required = |name: &str| field(name).ok_or_else(|| Stop::invalid(format!("`{name}` is missing")));
    let words =
        |name: &str| one_line(required(name)?).map_err(|why| Stop::invalid(format!("`{name}` cannot be kept: {why}")));
    let kind = required("kind")?;
    let kind = <RequestKind as clap::ValueEnum>::from_str(kind, false)
        .map_err(|_| Stop::invalid("`kind` is erasure, cease, disclosure or correction"))?;
    let received =
        required("received")?.parse().map_err(|_| Stop::invalid("`received` is no day such as 2026-11-20"))?;
    let known = ["kind", "subject", "received", "reference", "identified_by", "identified_how", "key"];
    let identifiers = columns.iter().filter(|column| !known.contains(&column.as_str()));
    let identifiers: Vec<_> = identifiers.filter_map(|name| Some((name.clone(), field(name)?.to_owned()))).collect();
    let named = match (field("key"), identifiers.is_empty()) {
        (Some(key), true) => Named::Key(vec![key.to_owned()]),
        (None, false) => Named::Identifiers(identifiers),
        (Some(_), false) => return Err(Stop::invalid("it has a `key` and identifiers: one of them names the person")),
        (None, true) => return Err(Stop::invalid("nobody is named: it has no `key` and no identifier")),
    };
    Ok(Asked {
        kind,
        subject: required("subject")?.to_owned(),
        named,
        received,
        reference: words("reference")?,
        identified: Identified { by: words("identified_by")?, how: words("identified_how")? },
    })
}
