//! `sunset.yaml`: databases, time zone, limits, pace, keys, store. The only place where secrets come in.
//!
//! `${NAME}` takes an environment variable, `${file:/path}` a file's content without its last line break. Neither is
//! ever echoed: values that held one are kept as [`SecretString`]. Only URLs, paths and keys may hold them; what decides
//! over rows stands in the file that people review.

use crate::{
    catalog::Engine,
    clock::period::Parameter,
    diagnostic::{Code, Diagnostic, Errors, Place, Places, Severity},
    evidence::keys::KeySettings,
    language::{
        format,
        node::Node,
        shape::{self, Format, Kinds, Shape},
    },
    recipients::{
        self, Options, RecipientSettings, client, members,
        recipe::{self, Recipe},
        secrets::{self, scalars, secrets_of},
    },
    rules::{At, Limits, limits},
    settings::language::SETTINGS,
};
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

mod accepted_gap;
pub mod anchor;
pub mod language;
pub mod pace;
mod requests;
mod subjects;

pub use accepted_gap::{AcceptedGap, Gap};
pub use anchor::{AnchorPlace, AnchorSettings, BucketSettings};
pub use pace::{Activity, DatabasePace, Load, Pace, Replica, UnreachableReplica, WhenTimeIsUp};
pub use requests::{RequestSettings, Withheld};
pub use subjects::{Identifier, LinkedColumn, Subject, SubjectLink};

/// The settings after all checks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The job's name: the ledger's origin and the first part of every lock's name.
    pub name: String,
    /// The directory that holds `sunset.yaml`; relative paths start here.
    pub directory: PathBuf,
    pub time_zone: TimeZone,
    pub databases: BTreeMap<String, DatabaseSettings>,
    pub parameters: BTreeMap<String, Parameter>,
    /// Third parties that hold copies, by the names that rules use.
    pub recipients: BTreeMap<String, RecipientSettings>,
    /// For a whole run.
    pub limits: Limits,
    pub pace: Pace,
    pub store: StoreSettings,
    /// Places outside that keep the ledger's checkpoints.
    pub anchors: Vec<AnchorSettings>,
    pub keys: KeySettings,
    /// Five-field cron expression for rules without their own.
    pub schedule: Option<String>,
    pub serve: ServeSettings,
    /// Who the data is about, by name.
    pub subjects: BTreeMap<String, Subject>,
    pub requests: RequestSettings,
    /// What `sunset coverage` finds and somebody answers for.
    pub accepted_gaps: Vec<AcceptedGap>,
    /// Rules that are gone on purpose.
    pub retired: BTreeSet<String>,
    /// Databases whose URL is not known because its variable is not there. Only with [`Severity::Warning`] for absent
    /// variables, that is, without connecting; [`Settings::databases`] has none of them.
    pub unresolved: BTreeSet<String>,
}

impl Settings {
    /// The pace of a database: its own words over the job's.
    pub fn pace_of(&self, database: &str) -> Pace {
        let own = self.databases.get(database);
        own.map_or_else(|| self.pace.clone(), |database| self.pace.of(database))
    }
}

/// How to reach one database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub name: String,
    pub engine: Engine,
    /// `postgres://…`, `mysql://…`, `mariadb://…` or `sqlite:path`, with the TLS parameters of the engine's own users.
    /// A relative SQLite path starts at the job directory.
    pub url: SecretString,
    /// Plain TCP to another machine is refused unless this is set.
    pub allow_plaintext: bool,
    /// PostgreSQL: the schemas in which names without one are looked up, after the server's own.
    pub search_path: Vec<String>,
    /// Its copies that a run does not leave behind, by name.
    pub replicas: BTreeMap<String, Replica>,
    /// What it does not share with the other databases.
    pub pace: DatabasePace,
}

/// How `sunset serve` keeps the schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// How long after its time a run may begin.
    pub catch_up: Duration,
    /// Everything begins up to so long after its time.
    pub jitter: Duration,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self { catch_up: Duration::from_secs(60 * 60), jitter: Duration::ZERO }
    }
}

/// Where ledger, holds and row tags are kept.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// A SQLite file; `sunset.db` in the job directory's `state/` by default.
    Sqlite(PathBuf),
    Postgres(SecretString),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    Environment(String),
    /// The content without its last line break. Absolute.
    File(PathBuf),
}

/// Reads the settings. What is wrong goes to `diagnostics`; there are no settings if anything is an error.
///
/// `directory` is the job directory, `file` the path shown to people, and `absent` how bad it is when `lookup` knows no
/// value for a variable: a warning, where nothing will connect.
pub fn parse(
    directory: &Path,
    file: &str,
    source: &str,
    lookup: &dyn Fn(&Variable) -> Option<String>,
    absent: Severity,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Settings> {
    let node = match Node::parse(file, source) {
        Ok(Node::Null) => {
            let message = "the file is empty";
            let help = "it needs `time_zone` and `databases`";
            diagnostics.push(Diagnostic::error(Code::MissingKey, Place::file(file), message).help(help));
            return None;
        }
        Ok(node) => node,
        Err(error) => {
            diagnostics.push(*error);
            return None;
        }
    };
    let root = At { node: &node, place: Place::root(file) };
    let mut found = Vec::new();
    shape::check(&SETTINGS, &node, &root.place, &mut found);
    let places = Places::of(source);
    let mut reader = Reader { directory, places: &places, lookup, absent, diagnostics: &mut found };
    let settings = reader.settings(&root);
    let broken = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    diagnostics.append(&mut found);
    settings.filter(|_| !broken)
}

/// The text with what may be a secret made unreadable and everything at its place: what diagnostics may show.
///
/// Settings should hold no secrets, but this is where people see them when they do, in a log that many can read.
pub fn redact(source: &str) -> String {
    let is_long = |token: &Range<usize>| {
        const SHORTEST_KEY: usize = 32;
        let token = &source[token.clone()];
        let has = |sort: fn(&u8) -> bool| token.as_bytes().iter().any(sort);
        token.len() >= SHORTEST_KEY && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
    };
    let in_key = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut bytes = source.as_bytes().to_vec();
    for range in passwords(source).into_iter().chain(runs(source, in_key).filter(is_long)).chain(literal_keys(source)) {
        // Line breaks stay, and with them every position.
        bytes[range].iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b'x');
    }
    // Whole characters were replaced by as many ASCII letters as they had bytes.
    String::from_utf8(bytes).unwrap_or_default()
}

/// What stands under `keys` and is no variable. Where the text is not YAML: behind what looks like a key's name.
fn literal_keys(source: &str) -> Vec<Range<usize>> {
    let Ok(node) = Node::parse("", source) else {
        let names = ["tag:", "signing:", "pseudonym:"].into_iter().flat_map(|name| source.match_indices(name));
        let lines = names.map(|(start, name)| {
            let start = start + name.len();
            start..source[start..].find('\n').map_or(source.len(), |end| start + end)
        });
        return lines.filter(|line| !source[line.clone()].contains("${")).collect();
    };
    let root = At { node: &node, place: Place::root("") };
    let keys = root.get("keys");
    let named = ["recipients", "anchor"].into_iter().filter_map(|section| Some((section, root.get(section)?)));
    let named: Vec<At> = named
        .flat_map(|(section, at)| {
            at.entries().flat_map(|(name, at)| secrets_of_kind(section, name, &at)).collect::<Vec<_>>()
        })
        .collect();
    let values =
        keys.iter().flat_map(At::entries).flat_map(|(_, value)| value.items().chain([value]).collect::<Vec<_>>());
    let literal = values.chain(named).filter(|value| value.text().is_some_and(|text| !text.contains("${")));
    let places = Places::of(source);
    let inside = |value: At| {
        if places.scalar(value.place.steps()) != value.text() {
            // Where it stands is not known, so nothing is shown.
            return 0..source.len();
        }
        let range = places.locate(&value.place.spot);
        let written = &source[range.clone()];
        match written.chars().next() {
            Some('"' | '\'') => range.start + 1..(range.end - 1).max(range.start + 1),
            Some('|' | '>') => range.start + written.find('\n').unwrap_or(0)..range.end,
            _ => range,
        }
    };
    literal.map(inside).collect()
}

/// The values of a recipient or an anchor that are secrets, or may be: keys, what its kind leaves open, and what is no key
/// of it. `section` is the key of `sunset.yaml` under which it stands.
fn secrets_of_kind<'a>(section: &str, name: &str, at: &At<'a>) -> Vec<At<'a>> {
    let Shape::Map(job) = SETTINGS else { return scalars(at.clone()) };
    let shape = job.fields.iter().find(|field| field.name == section).map(|field| field.shape);
    match shape {
        Some(Shape::Kinds(kinds)) => match kinds.of(name, at.node) {
            Some((_, map)) => secrets_of(map.fields, at),
            None => scalars(at.clone()),
        },
        _ => scalars(at.clone()),
    }
}

/// The longest ranges of characters of one sort.
fn runs(text: &str, sort: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(&sort)?;
        at = text[start..].find(|c| !sort(c)).map_or(text.len(), |end| start + end);
        Some(start..at)
    })
}

/// Where passwords stand in URLs, variables left out.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for word in runs(text, |c| !c.is_whitespace() && !matches!(c, '"' | '\'')) {
        let url = &text[word.clone()];
        if let Some(start) = url.find("://").map(|at| at + "://".len())
            && let Some(end) = url.rfind('@').filter(|end| *end > start)
            && let Some(colon) = url[start..end].find(':')
        {
            found.push(word.start + start + colon + 1..word.start + end);
        }
        for name in ["password=", "passwd=", "pwd="] {
            for (at, _) in url.match_indices(name) {
                let start = at + name.len();
                let end = url[start..].find(['&', ',', ';', '}']).map_or(url.len(), |end| start + end);
                // The end of a variable is no end.
                let end = if url[start..].starts_with("${") { start } else { end };
                found.push(word.start + start..word.start + end);
            }
        }
    }
    let literal = |range: Range<usize>| {
        let mut parts = Vec::new();
        let mut at = range.start;
        while let Some(start) = text[at..range.end].find("${").map(|start| at + start) {
            parts.push(at..start);
            at = text[start..range.end].find('}').map_or(range.end, |end| start + end + 1);
        }
        parts.push(at..range.end);
        parts
    };
    found.into_iter().flat_map(literal).filter(|range| !range.is_empty()).collect()
}

/// A value after its variables have been put in.
struct Expanded {
    text: String,
    had_variable: bool,
}

/// Reads one part of the settings after another. What the shape has refused already is passed over in silence.
struct Reader<'a> {
    directory: &'a Path,
    /// The file's text.
    places: &'a Places<'a>,
    lookup: &'a dyn Fn(&Variable) -> Option<String>,
    absent: Severity,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, place, message).help(help));
    }

    fn settings(&mut self, root: &At) -> Option<Settings> {
        let name = self.name(root);
        let time_zone = root.text_of("time_zone").and_then(|name| TimeZone::get(&name).ok());
        let (databases, unresolved) = self.databases(root);
        let store = self.store(root.get("store").as_ref());
        let anchors = self.anchors(root.get("anchor").as_ref());
        let keys = self.keys(root.get("keys").as_ref());
        let recipients = self.recipients(root.get("recipients").as_ref());
        let subjects = self.subjects(root.get("subjects").as_ref(), &databases, &unresolved);
        Some(Settings {
            name: name?,
            directory: self.directory.to_owned(),
            time_zone: time_zone?,
            databases,
            parameters: parameters(root.get("parameters").as_ref()),
            limits: limits(root.get("limits").as_ref()),
            pace: self.pace(root.get("pace").as_ref()),
            recipients,
            store,
            anchors,
            keys,
            schedule: root.text_of("schedule"),
            serve: serve(root.get("serve").as_ref()),
            subjects,
            requests: requests::read(root.get("requests").as_ref()),
            accepted_gaps: accepted_gap::read_all(root.get("accepted_gaps").as_ref()),
            retired: root
                .get("retired")
                .iter()
                .flat_map(At::items)
                .filter_map(|rule| rule.text().map(str::to_owned))
                .collect(),
            unresolved,
        })
    }

    fn name(&mut self, root: &At) -> Option<String> {
        if let Some(name) = root.text_of("name") {
            return Some(name);
        }
        let name = self.directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if (format::JOB_NAME.check)(name).is_ok() {
            return Some(name.to_owned());
        }
        let message = "`name` is missing, and the directory's name cannot serve as the job's";
        self.error(Code::MissingKey, root.place.clone(), message, "for example `name: demo`");
        None
    }

    fn databases(&mut self, root: &At) -> (BTreeMap<String, DatabaseSettings>, BTreeSet<String>) {
        let (mut databases, mut unresolved) = (BTreeMap::new(), BTreeSet::new());
        for (name, at) in root.get("databases").iter().flat_map(At::entries) {
            if at.text().is_none() && at.get("url").is_none() {
                continue;
            }
            match self.reachable(name, &at) {
                Some(settings) => {
                    let replicas = self.replicas(at.get("replicas").as_ref(), settings.engine);
                    let pace = self.database_pace(at.get("pace").as_ref(), settings.engine);
                    databases.insert(name.to_owned(), DatabaseSettings { replicas, pace, ..settings });
                }
                None => drop(unresolved.insert(name.to_owned())),
            }
        }
        (databases, unresolved)
    }

    /// The URL is never shown: even its scheme may be a secret put into the wrong place.
    fn url(&mut self, at: &At) -> Option<(Engine, SecretString)> {
        if let Some(password) = passwords(at.text()?).into_iter().next() {
            let help = "put the password into a variable, or a file, and `${NAME}` or `${file:/path}` here";
            self.error(Code::SecretInRules, at.place.within(password), "a password stands in the file", help);
            return None;
        }
        let text = self.expand(at, &format::URL)?.text;
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let engine = match scheme {
            "postgres" | "postgresql" if rest.starts_with("//") => Engine::Postgres,
            "mysql" | "mariadb" if rest.starts_with("//") => Engine::Mysql,
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    self.error(
                        Code::BadUrl,
                        at.place.clone(),
                        "the URL names no file",
                        "write `sqlite:path/to/file.db`",
                    );
                    return None;
                }
                let memory = path.starts_with(":memory:");
                let path = if memory { path.into() } else { self.directory.join(path).display().to_string() };
                return Some((Engine::Sqlite, format!("sqlite:{path}").into()));
            }
            _ => {
                let help = "`postgres://…`, `mysql://…`, `mariadb://…` or `sqlite:path`";
                self.error(Code::BadUrl, at.place.clone(), "the URL is of no kind that Sunset knows", help);
                return None;
            }
        };
        Some((engine, text.into()))
    }

    fn store(&mut self, at: Option<&At>) -> StoreSettings {
        if let Some(url) = at.and_then(|at| at.get("url")) {
            match self.url(&url) {
                Some((Engine::Postgres, url)) => return StoreSettings::Postgres(url),
                Some(_) => {
                    let help = "write `path: state/sunset.db` for a SQLite file";
                    self.error(Code::BadUrl, url.place, "a store's URL is one of PostgreSQL", help);
                }
                None => {}
            }
        }
        let path = at.and_then(|at| at.get("path")).and_then(|path| self.expand(&path, &format::PATH));
        let path = path.map_or_else(|| "state/sunset.db".to_owned(), |path| path.text);
        StoreSettings::Sqlite(self.directory.join(path))
    }

    fn keys(&mut self, at: Option<&At>) -> KeySettings {
        let Some(at) = at else { return KeySettings::default() };
        let mut list = |name: &str| -> Vec<SecretString> {
            let Some(keys) = at.get(name) else { return Vec::new() };
            let one = keys.text().map(|_| keys.clone());
            one.into_iter().chain(keys.items()).filter_map(|key| self.key(&key)).collect()
        };
        KeySettings { tag: list("tag"), signing: list("signing"), pseudonym: list("pseudonym").pop() }
    }

    fn recipients(&mut self, at: Option<&At>) -> BTreeMap<String, RecipientSettings> {
        let entries = at.into_iter().flat_map(At::entries);
        entries.filter_map(|(name, at)| Some((name.to_owned(), self.recipient(name, &at)?))).collect()
    }

    fn recipient(&mut self, name: &str, at: &At) -> Option<RecipientSettings> {
        let kind = recipients::kind(name).or_else(|| recipients::kind(at.get(Kinds::KEY)?.text()?))?;
        let mut complete = !Errors::of(self.diagnostics).are_in(&at.place);
        let mut options = Vec::new();
        let mut staying = None;
        for field in kind.settings {
            let Some(value) = at.get(field.name) else { continue };
            if field.name == members::FIELD.name {
                // what decides over rows has no variables
                staying = members::Source::read(&value, self.places, self.diagnostics);
                complete &= staying.is_some();
                continue;
            }
            match self.with_variables(&value, field.shape) {
                Some(node) => options.push((field.name.to_owned(), node)),
                None => complete = false,
            }
        }
        let recipe = match at.get("recipe").filter(|_| std::ptr::eq(kind, &raw const recipients::http::KIND)) {
            None => None,
            Some(recipe) => Some(self.recipe(&recipe)?),
        };
        if let Some(recipe) = &recipe {
            options = recipe.under(options);
        }
        let beneath = recipe.as_ref().map(|recipe| At { node: &recipe.http, place: Place::root(&recipe.name) });
        let common = |key: &str| at.get(key).or_else(|| beneath.as_ref()?.get(key));
        let url = common("url").map(|url| self.recipient_url(&url));
        // what is wrong with it, or absent, has been told
        complete &= url != Some(None);
        let settings = RecipientSettings {
            name: name.to_owned(),
            kind,
            url: url.flatten(),
            timeout: common("timeout").and_then(|timeout| format::duration(timeout.text()?)),
            rate: common("rate").and_then(|rate| format::rate(rate.text()?)),
            valid_for: common("valid_for").and_then(|period| period.text()?.parse().ok()),
            max_gone_percent: common("max_gone").and_then(|share| format::percent(share.text()?)),
            members: staying,
            options: Options::new(Node::Map(options)),
        };
        if complete && let Err(misfit) = (kind.check)(&settings) {
            let place = misfit.at.iter().fold(at.place.clone(), |place, key| place.key(key));
            self.error(Code::BadRecipient, place, misfit.problem, misfit.help);
        }
        Some(settings)
    }

    /// A recipe of the company's own, or one that comes with Sunset.
    fn recipe(&mut self, at: &At) -> Option<Recipe> {
        let name = at.text()?;
        let file = format!("{}/{name}.yaml", recipe::DIRECTORY);
        let own = (self.lookup)(&Variable::File(self.directory.join(&file)));
        let text = match (&own, recipe::shipped(name)) {
            (Some(text), _) => text.as_str(),
            (None, Some(text)) => text,
            (None, None) => {
                let known = recipe::SHIPPED.iter().map(|(name, _)| *name);
                let nearest = shape::nearest(known, name).map(|name| format!("; do you mean `{name}`?"));
                let message = format!("there is no recipe `{name}`{}", nearest.unwrap_or_default());
                let help = format!("`sunset recipes` lists those that there are; one of your own is the file `{file}`");
                self.error(Code::BadRecipient, at.place.clone(), message, help);
                return None;
            }
        };
        let recipe = Recipe::read(&file, text, self.diagnostics)?;
        if recipe.name != name {
            let message = format!("the file `{file}` has a recipe of the name `{}`", recipe.name);
            self.error(Code::BadRecipient, at.place.clone(), message, "give both the same name");
            return None;
        }
        Some(recipe)
    }

    fn recipient_url(&mut self, at: &At) -> Option<String> {
        let text = self.expand(at, &format::RECIPIENT_URL)?.text;
        let text = text.trim_end_matches('/');
        match client::check_url(text) {
            Ok(_) => Some(text.to_owned()),
            Err(problem) => {
                let help = "`https://…`, or `http://127.0.0.1:…` for what runs beside";
                self.error(Code::BadUrl, at.place.clone(), problem, help);
                None
            }
        }
    }

    /// The node with its variables put in. Where one cannot be, there is none.
    fn with_variables(&mut self, at: &At, shape: Shape) -> Option<Node> {
        Some(match at.node {
            Node::Text(_) if matches!(shape, Shape::Text(format) if secrets::is_key(format)) => {
                Node::Text(self.literal_or_key(at)?)
            }
            // Without connecting, an absent variable is a warning, and the rest is read as it stands.
            Node::Text(text) if text.contains("${") => match self.expand(at, &format::SETTING) {
                Some(expanded) => Node::Text(expanded.text),
                None if self.absent == Severity::Warning => Node::Text(without_variables(text)),
                None => return None,
            },
            Node::List(_) => {
                // All are looked at, so that every mistake is found.
                let items: Vec<_> = at.items().map(|item| self.with_variables(&item, Shape::Any)).collect();
                Node::List(items.into_iter().collect::<Option<_>>()?)
            }
            Node::Map(_) => {
                let entries: Vec<_> = at
                    .entries()
                    .map(|(key, value)| Some((key.to_owned(), self.with_variables(&value, Shape::Any)?)))
                    .collect();
                Node::Map(entries.into_iter().collect::<Option<_>>()?)
            }
            node => node.clone(),
        })
    }

    fn literal_or_key(&mut self, at: &At) -> Option<String> {
        self.key(at).map(|key| key.expose_secret().to_owned())
    }

    fn key(&mut self, at: &At) -> Option<SecretString> {
        // Text without `${` has been refused by its format; an escaped one has not.
        let key = self.expand(at, &format::KEY)?;
        if !key.had_variable && at.text().is_some_and(|text| text.contains("${")) {
            let help = "put it into a variable or file, and `${NAME}` or `${file:/path}` here";
            self.error(Code::SecretInRules, at.place.clone(), "a key stands in the file", help);
            return None;
        }
        Some(key.text.into())
    }

    /// Puts in the variables; `None` when one of them cannot be.
    fn expand(&mut self, at: &At, format: &Format) -> Option<Expanded> {
        let text = at.text()?;
        let mut expanded = Expanded { text: String::new(), had_variable: false };
        let (mut from, mut complete) = (0, true);
        while let Some(start) = text[from..].find("${").map(|start| from + start) {
            if text[from..start].ends_with('$') {
                expanded.text += &text[from..start - 1];
                expanded.text += "${";
                from = start + "${".len();
                continue;
            }
            expanded.text += &text[from..start];
            let Some(end) = text[start..].find('}').map(|end| start + end) else {
                let place = at.place.within(start..text.len());
                self.error(
                    Code::MissingVariable,
                    place,
                    "`${` without `}`",
                    "write `${NAME}`, or `$${` for the characters",
                );
                return None;
            };
            let place = at.place.within(start..end + 1);
            match self.value(&text[start + "${".len()..end], &place) {
                Some(value) => expanded.text += &value,
                None => complete = false,
            }
            expanded.had_variable = true;
            from = end + 1;
        }
        expanded.text += &text[from..];
        if complete && expanded.text.trim().is_empty() {
            let message = format!("{} is empty", format.what);
            self.error(format.code, at.place.clone(), message, format!("for example `{}`", format.example));
            return None;
        }
        complete.then_some(expanded)
    }

    fn value(&mut self, name: &str, place: &Place) -> Option<String> {
        let (variable, what) = match name.strip_prefix("file:") {
            Some(path) if !path.is_empty() => (Variable::File(self.directory.join(path)), format!("the file `{path}`")),
            None if is_variable(name) => (Variable::Environment(name.to_owned()), format!("the variable `{name}`")),
            _ => {
                let message = "this is not a variable's name";
                self.error(Code::MissingVariable, place.clone(), message, "write `${NAME}` or `${file:/path}`");
                return None;
            }
        };
        let value = (self.lookup)(&variable);
        let (message, help) = match (&value, &variable) {
            (Some(value), _) if !value.is_empty() => return Some(value.clone()),
            (Some(_), _) => (format!("{what} is empty"), "give it a value"),
            (None, Variable::Environment(_)) => {
                (format!("{what} is not set"), "set it in the environment of this command")
            }
            (None, Variable::File(_)) => (format!("{what} cannot be read"), "look at its path and permissions"),
        };
        let diagnostic = Diagnostic::error(Code::MissingVariable, place.clone(), message).help(help);
        self.diagnostics.push(Diagnostic { severity: self.absent, ..diagnostic });
        None
    }
}

/// The text with `absent` for each variable.
fn without_variables(text: &str) -> String {
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole += "absent";
        whole += part.split_once('}').map_or("", |(_, rest)| rest);
    }
    whole
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn parameters(at: Option<&At>) -> BTreeMap<String, Parameter> {
    let parameter = |at: At| match at.node {
        Node::Bool(value) => Parameter::Flag(*value),
        Node::Text(text) => {
            let (month, day) = format::month_day(text).unwrap_or((12, 31));
            Parameter::DayOfYear { month, day }
        }
        _ => Parameter::Days(at.items().filter_map(|day| format::date(day.text()?)).collect()),
    };
    at.into_iter().flat_map(At::entries).map(|(name, at)| (name.to_owned(), parameter(at))).collect()
}

fn serve(at: Option<&At>) -> ServeSettings {
    let default = ServeSettings::default();
    let duration = |key: &str| format::duration(at?.get(key)?.text()?);
    ServeSettings {
        catch_up: duration("catch_up").unwrap_or(default.catch_up),
        jitter: duration("jitter").unwrap_or(default.jitter),
    }
}

/// The reference page of `sunset.yaml`, `docs/settings.md`.
pub fn page() -> String {
    let introduction = "`sunset.yaml` stands in the job directory, beside `rules/`. Its URLs, paths and keys may take \
                        `${NAME}` (an environment variable) and `${file:/path}` (a file's content; a relative path starts \
                        at the job directory); `$${` stands for `${`. `sunset schema settings` prints the same as JSON \
                        Schema, for editors.";
    crate::language::reference::reference(
        &language::SETTINGS,
        "Settings",
        "src/settings/language.rs and src/recipients",
        introduction,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Sources, render_text};
    use secrecy::ExposeSecret;

    fn lookup(variable: &Variable) -> Option<String> {
        match variable {
            Variable::Environment(name) => match name.as_str() {
                "CORE_URL" => Some("postgres://sunset:hunter2@db.example.com/core".to_owned()),
                "PASSWORD" => Some("hunter2".to_owned()),
                "WRONG" => Some("hunter2".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            },
            Variable::File(path) => (path == Path::new("/jobs/demo/keys/tag")).then(|| "hunter2".to_owned()),
        }
    }

    fn read(source: &str, absent: Severity) -> (Option<Settings>, Vec<Diagnostic>, String) {
        let mut diagnostics = Vec::new();
        let settings = parse(Path::new("/jobs/demo"), "sunset.yaml", source, &lookup, absent, &mut diagnostics);
        let sources = Sources::from([("sunset.yaml".to_owned(), redact(source))]);
        let text = render_text(&diagnostics, &sources, false);
        assert!(!format!("{settings:?}{diagnostics:?}{text}").contains("hunter2"), "a secret is shown: {text}");
        (settings, diagnostics, text)
    }

    const GOOD: &str = "time_zone: Asia/Tokyo\ndatabases:\n  core: ${CORE_URL}\n  shop: {url: \"mysql://u:${PASSWORD}@h/d\", \
                        allow_plaintext: true}\n  local: sqlite:data/local.db\nparameters: {law: true, loss: [2024-03-31], none: \
                        []}\nlimits: {max_rows: 10, max_share: 0.5%}\npace: {batch_target: 20 ms, lock_timeout: 2 min}\nkeys: {tag: \
                        \"${file:keys/tag}\", signing: [\"${PASSWORD}\", \"${WRONG}\"]}\nschedule: 30 2 * * *\nserve: {catch_up: 90 min}\n";

    #[test]
    fn reads_settings() {
        let (settings, diagnostics, _) = read(GOOD, Severity::Error);
        assert_eq!(diagnostics, []);
        let settings = settings.expect("settings");
        assert_eq!(settings.name, "demo");
        assert_eq!(settings.databases["core"].url.expose_secret(), "postgres://sunset:hunter2@db.example.com/core");
        assert_eq!(settings.databases["shop"].url.expose_secret(), "mysql://u:hunter2@h/d");
        assert!(settings.databases["shop"].allow_plaintext);
        assert_eq!(settings.databases["local"].url.expose_secret(), "sqlite:/jobs/demo/data/local.db");
        assert_eq!(
            settings.databases.values().map(|database| database.engine).collect::<Vec<_>>(),
            [Engine::Postgres, Engine::Sqlite, Engine::Mysql]
        );
        assert_eq!(settings.parameters["law"], Parameter::Flag(true));
        assert_eq!(settings.parameters["none"], Parameter::Days(Vec::new()));
        assert_eq!(settings.limits, Limits { max_rows: Some(10), max_share_percent: Some(0.5), lost_starts: None });
        assert_eq!(settings.pace.batch_target, Duration::from_millis(20));
        assert_eq!(settings.pace.lock_timeout, Duration::from_secs(120));
        let catch_up = Duration::from_secs(90 * 60);
        assert_eq!(settings.serve, ServeSettings { catch_up, ..ServeSettings::default() });
        assert_eq!(settings.keys.tag.len(), 1);
        assert_eq!(settings.keys.signing.len(), 2);
        let StoreSettings::Sqlite(path) = settings.store else { panic!("{:?}", settings.store) };
        assert_eq!(path, Path::new("/jobs/demo/state/sunset.db"));
    }

    #[test]
    fn dollars_can_be_escaped() {
        let (settings, ..) = read("time_zone: UTC\ndatabases: {a: \"sqlite:$${x}$y\"}\n", Severity::Error);
        assert_eq!(settings.expect("settings").databases["a"].url.expose_secret(), "sqlite:/jobs/demo/${x}$y");
    }

    #[test]
    fn tells_all_mistakes_and_no_secret() {
        let (settings, _, text) = read(
            "time_zone: Asia/Tokio\ndatabases:\n  a: ${NOWHERE}\n  b: postgres://u:hunter2@h/d\n  c: ${WRONG}\n  d: {url: \
             \"mysql://h/d?password=hunter2\", ulr: x}\n  e: ${not a name}\n  f: sqlite:${EMPTY}\n  g: ${file:/nowhere}\nkeys: {tag: \
             hunter2}\nname: ${PASSWORD}\nrecipients: {stripe: {key: \"${PASSWORD}\"}}\nlimits: {max_rows: 0}\npace: {retries: \
             many, lock_timeout: 5}\nstore: {url: sqlite:x, path: y}\n",
            Severity::Error,
        );
        assert!(settings.is_none());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn absent_variables_can_be_warnings() {
        let source = "time_zone: UTC\ndatabases: {a: \"${NOWHERE}\", b: \"sqlite:x\"}\n";
        let (settings, diagnostics, _) = read(source, Severity::Warning);
        let settings = settings.expect("settings");
        assert_eq!(settings.unresolved, BTreeSet::from(["a".to_owned()]));
        assert_eq!(diagnostics.iter().map(|diagnostic| diagnostic.severity).collect::<Vec<_>>(), [Severity::Warning]);
        assert!(read(source, Severity::Error).0.is_none());
    }

    #[test]
    fn shows_no_secret_of_a_file_that_is_no_yaml() {
        let source =
            "keys: {tag: sunset-tag-0123456789abcdefghijklmnopqrstuv\ndatabases: {core: postgres://u:hünter2@h/d}: x\n";
        let redacted = redact(source);
        assert_eq!(redacted.len(), source.len());
        assert!(!redacted.contains("nter2") && !redacted.contains("0123456789"), "{redacted}");
        assert!(redacted.contains("postgres://u:xxxxxxxx@h/d"), "{redacted}");
        assert_eq!(redact("a: \"mysql://u:${PW}@h/d?password=${X}\""), "a: \"mysql://u:${PW}@h/d?password=${X}\"");
        assert_eq!(redact("a: mysql://u:a${PW}b@h"), "a: mysql://u:x${PW}x@h");
        let keys =
            "keys:\n  tag: [\"s\\\"e!c\", 's ''t', \"${A}\"]\n  signing: |\n    se!c\n    ret\n  pseudonym: s'!t\n";
        assert_eq!(redact("{ tag: short\n"), "{ tag: xxxxx\n");
        let redacted = redact(keys);
        let expected =
            "keys:\n  tag: [\"xxxxxx\", 'x xxx', \"${A}\"]\n  signing: |\n    xxxx\n    xxx\n  pseudonym: xxxx\n";
        assert_eq!(redacted, expected);
    }
}
