//! The job directory: `sunset.yaml` and `rules/*.yaml`, read and checked together.

mod files;

use crate::{
    anonymize::Technique,
    catalog::TablePath,
    clock::period::Switch,
    diagnostic::{Code, Diagnostic, Errors, Place, Severity, Sources, summary, without_byte_order_mark},
    file,
    language::{node::Node, shape::nearest},
    recipients::{RecipientSettings, members::Source, recipe},
    rules::{self, Assertion, Check, Condition, Rule, RuleFile, RuleRecipient, condition},
    settings::{self, DatabaseSettings, Settings, Variable},
};
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// The settings' file, in the job directory.
pub const SETTINGS_FILE: &str = "sunset.yaml";

/// The directory of the rule files, in the job directory.
pub const RULES_DIRECTORY: &str = "rules";

/// Keys of every settings file, and of every rule file.
const SETTINGS_KEYS: &[&str] = &["time_zone", "databases"];
const RULE_FILE_KEYS: &[&str] = &["category", "rules"];
const RECIPE_KEYS: &[&str] = &["recipe", "vendor"];

/// A job whose settings can be used. Its rules are those without errors; look at [`Job::diagnostics`] for the others.
#[derive(Clone, Debug)]
pub struct Job {
    /// Absolute.
    pub directory: PathBuf,
    pub settings: Settings,
    pub files: Vec<RuleFile>,
    /// What was read, with secrets made unreadable.
    pub sources: Sources,
    /// SHA-256 of each file as it was read, in hexadecimal.
    digests: BTreeMap<String, String>,
    pub diagnostics: Vec<Diagnostic>,
}

/// A job whose settings cannot be used, and everything else that is wrong with it.
#[derive(Clone, Debug)]
pub struct Unusable {
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the job directory cannot be used: {}", summary(&self.diagnostics))
    }
}

impl std::error::Error for Unusable {}

impl Job {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// SHA-256 over what `LC_ALL=C sha256sum rules/*.yaml sunset.yaml` prints in the job directory, in hexadecimal: anyone
    /// can compute it. Recipes of the company's own, `recipes/*.yaml`, come first where there are any. A usable job has no secrets in its files.
    pub fn digest(&self) -> String {
        let lines: String = self.digests.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
        hex::encode(Sha256::digest(lines))
    }

    pub fn assertions(&self) -> impl Iterator<Item = &Assertion> {
        self.files.iter().flat_map(|file| &file.assertions)
    }

    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.files.iter().flat_map(|file| &file.rules)
    }

    /// What is worth a look in the settings of recipients on this day.
    pub fn remarks(&self, today: Date) -> Vec<Diagnostic> {
        let recipients = Place::root(SETTINGS_FILE).key("recipients");
        let of = |settings: &RecipientSettings| {
            let own = recipients.key(&settings.name);
            let told = (settings.kind.remarks)(settings, today).into_iter().map(move |remark| {
                let place = remark.at.iter().fold(own.clone(), |place, key| place.key(key));
                let message = format!("recipient `{}`: {}", settings.name, remark.problem);
                Diagnostic::warning(Code::RecipientRemark, place, message).help(remark.help)
            });
            told.collect::<Vec<_>>()
        };
        self.settings.recipients.values().flat_map(of).collect()
    }
}

/// Reads a job directory. All mistakes of all files are found at once.
///
/// `absent` is how bad an absent variable is: an error, or a warning where nothing will connect.
///
/// # Errors
///
/// The settings cannot be used.
pub fn load(directory: &Path, absent: Severity) -> Result<Job, Unusable> {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let (mut diagnostics, mut sources, mut digests) = (Vec::new(), Sources::new(), BTreeMap::new());
    let mut digest = |file: &str, text: &str| digests.insert(file.to_owned(), hex::encode(Sha256::digest(text)));
    let mut recipes = BTreeMap::new();
    for file in files::recipe_files(&directory, &mut diagnostics) {
        if let Some(text) = read(&directory, &file, RECIPE_KEYS, &mut diagnostics) {
            digest(&file, &text);
            recipes.insert(directory.join(&file), text.clone());
            sources.insert(file, text);
        }
    }
    let lookup = |variable: &Variable| match variable {
        Variable::File(path) if path.parent().is_some_and(|parent| parent == directory.join(recipe::DIRECTORY)) => {
            recipes.get(path).cloned()
        }
        variable => lookup(variable),
    };
    let text = read(&directory, SETTINGS_FILE, SETTINGS_KEYS, &mut diagnostics);
    let settings = text.and_then(|text| {
        digest(SETTINGS_FILE, &text);
        sources.insert(SETTINGS_FILE.to_owned(), settings::redact(&text));
        settings::parse(&directory, SETTINGS_FILE, &text, &lookup, absent, &mut diagnostics)
    });
    let none = BTreeMap::new();
    let parameters = settings.as_ref().map_or(&none, |settings| &settings.parameters);
    let mut files = Vec::new();
    let mut found = Vec::new();
    for file in files::rule_files(&directory, &mut found) {
        if let Some(text) = read(&directory, &file, RULE_FILE_KEYS, &mut found) {
            digest(&file, &text);
            files.extend(rules::parse(&file, &text, parameters, &mut found));
            sources.insert(file, text);
        }
    }
    found.extend(rules::check_together(&files));
    if settings.is_none() {
        // Without settings, every parameter would be unknown.
        found.retain(|diagnostic| diagnostic.code != Code::UnknownParameter);
    }
    diagnostics.append(&mut found);
    match settings {
        Some(settings) => {
            let complete = !diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
            // A key whose variable is not there has been told already.
            let pseudonym = Place::root(SETTINGS_FILE).key("keys").key("pseudonym");
            let told = diagnostics.iter().filter_map(|diagnostic| diagnostic.place.as_ref());
            let told = told.filter(|place| place.file == SETTINGS_FILE).any(|place| place.steps() == pseudonym.steps());
            let has_key = told || settings.keys.pseudonym.is_some();
            diagnostics.extend(check_against_settings(&files, &settings, has_key, complete));
            let errors = Errors::of(&diagnostics);
            for file in &mut files {
                file.rules.retain(|rule| !errors.are_in(&rule.place));
                file.assertions.retain(|assertion| !errors.are_in(&assertion.place));
            }
            Ok(Job { directory, settings, files, sources, digests, diagnostics })
        }
        None => Err(Unusable { diagnostics, sources }),
    }
}

/// The value of a variable. The only place where the environment and secret files are read.
fn lookup(variable: &Variable) -> Option<String> {
    match variable {
        Variable::Environment(name) => std::env::var(name).ok(),
        Variable::File(path) => {
            let text = file::read_text(path, file::LONGEST_SECRET).ok()?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
        }
    }
}

/// The text of a file of the job directory, which has some of `keys`.
fn read(directory: &Path, file: &str, keys: &[&str], diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let text = file::within(directory, file).and_then(|path| file::read_text(&path, file::LONGEST_YAML));
    let text = text.map_err(|error| diagnostics.push(unreadable(directory, file, &error))).ok()?;
    if has_some(&text, keys) {
        return Some(text);
    }
    let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
    let message = format!("{file} has neither of {keys}: it is another sort of file, and nothing of it is shown");
    let help = "put the right file in its place";
    diagnostics.push(Diagnostic::error(Code::Foreign, Place::file(file), message).help(help));
    None
}

/// The text has one of the keys at its top, or nothing at all. Mistakes are shown with the text around them; a file that
/// came here by accident, such as a private key, must not be.
fn has_some(text: &str, keys: &[&str]) -> bool {
    let (_, text) = without_byte_order_mark(text);
    let is_key = |line: &str| {
        let line = line.trim_start_matches(['"', '\'']);
        let rest = keys.iter().find_map(|key| line.strip_prefix(key));
        rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
    };
    let has_text = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#') && line.trim() != "---";
    let in_braces = || Node::parse("", text).is_ok_and(|node| keys.iter().any(|key| node.get(key).is_some()));
    text.lines().any(is_key) || !text.lines().any(has_text) || in_braces()
}

fn unreadable(directory: &Path, file: &str, error: &io::Error) -> Diagnostic {
    let (message, help) = match error.kind() {
        io::ErrorKind::NotFound => {
            let message = format!("there is no {file} in {}", directory.display());
            (message, Some("a job directory holds sunset.yaml and rules/; name it with `--jobs`"))
        }
        io::ErrorKind::InvalidData => (format!("{file} is not text in UTF-8"), None),
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            (format!("{file} is not read: {error}"), Some("put the file itself there"))
        }
        _ => (format!("{file} cannot be read: {error}"), None),
    };
    let diagnostic = Diagnostic::error(Code::Unreadable, Place::file(file), message);
    Diagnostic { help: help.map(str::to_owned), ..diagnostic }
}

/// What can only be seen with rules and settings side by side. What nobody names is only told when the rules are
/// `complete`: a rule that could not be read may name it.
fn check_against_settings(files: &[RuleFile], settings: &Settings, has_key: bool, complete: bool) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let (mut databases, mut parameters, mut recipients) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for rule in files.iter().flat_map(|file| &file.rules) {
        databases.insert(rule.table.database.as_str());
        let choices = [Some(&rule.retention_period), rule.regular_deletion_period.as_ref()];
        for (switch, _) in choices.into_iter().flatten().flat_map(|choice| &choice.when) {
            let (Switch::Parameter(name) | Switch::FiscalYearEndingIn(name)) = switch;
            parameters.insert(name.as_str());
        }
        parameters.extend(rule.starting_point.fiscal_year_of.as_deref());
        check_table(&rule.table, rule.condition.as_ref(), &rule.place, settings, &mut diagnostics);
        check_key(rule, has_key, &mut diagnostics);
        for recipient in &rule.recipients {
            recipients.insert(recipient.name.as_str());
            check_recipient(recipient, settings, &mut diagnostics);
        }
    }
    for assertion in files.iter().flat_map(|file| &file.assertions) {
        databases.extend(assertion.database());
        check_assertion(assertion, settings, &mut diagnostics);
    }
    for recipient in settings.recipients.values() {
        let Some(members) = &recipient.members else { continue };
        databases.insert(members.table.database.as_str());
        check_table(&members.table, members.condition.as_ref(), &members.place, settings, &mut diagnostics);
        let rules = files.iter().flat_map(|file| &file.rules).flat_map(|rule| &rule.recipients);
        let rules = rules.filter(|named| named.name == recipient.name);
        check_members(recipient, members, rules, &mut diagnostics);
    }
    if complete {
        let mut unused = |list: &str, name: &str| {
            let place = Place::root(SETTINGS_FILE).key(list).key(name).name();
            let message = format!("no rule names `{name}`");
            diagnostics.push(Diagnostic::warning(Code::NothingNamed, place, message));
        };
        let all = settings.databases.keys().chain(&settings.unresolved);
        all.filter(|name| !databases.contains(name.as_str())).for_each(|name| unused("databases", name));
        let all = settings.parameters.keys();
        all.filter(|name| !parameters.contains(name.as_str())).for_each(|name| unused("parameters", name));
        let all = settings.recipients.keys();
        all.filter(|name| !recipients.contains(name.as_str())).for_each(|name| unused("recipients", name));
    }
    diagnostics
}

/// `table` names a database that there is, and `where` is SQL that it understands; `place` holds both.
fn check_table(
    table: &TablePath,
    condition: Option<&Condition>,
    place: &Place,
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let name = &table.database;
    let Some(database) = check_database(name, place.key("table").within(0..name.len()), settings, diagnostics) else {
        return;
    };
    if let Some(Condition::Sql(sql)) = condition {
        for error in condition::check(sql, database.engine).err().unwrap_or_default() {
            let place = place.key("where").within(error.range);
            let label = format!("in the SQL of {}", database.engine);
            let diagnostic = Diagnostic::error(Code::BadCondition, place, error.problem).label(label);
            diagnostics.push(Diagnostic { help: error.help, ..diagnostic });
        }
    }
}

/// The database of that name, or the diagnostic that there is none.
fn check_database<'a>(
    name: &String,
    place: Place,
    settings: &'a Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a DatabaseSettings> {
    let database = settings.databases.get(name);
    if database.is_none() && !settings.unresolved.contains(name) {
        let known = || settings.databases.keys().chain(&settings.unresolved).map(String::as_str);
        let help = match nearest(known(), name) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("the databases in sunset.yaml are {}", known().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("unknown database `{name}`");
        diagnostics.push(Diagnostic::error(Code::UnknownDatabase, place, message).help(help));
    }
    database
}

fn check_assertion(assertion: &Assertion, settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    match &assertion.check {
        Check::NoRows(no_rows) => {
            let place = assertion.place.key("no_rows");
            check_table(&no_rows.table, no_rows.condition.as_ref(), &place, settings, diagnostics);
        }
        Check::NoCardNumbers(no_cards) => {
            let place = assertion.place.key("no_card_numbers");
            check_database(&no_cards.database, place.key("database"), settings, diagnostics);
            let others = no_cards.tables.iter().map(|table| (table, "tables"));
            for (table, key) in others.chain(no_cards.except.iter().map(|(table, _)| (table, "except"))) {
                if table.database != no_cards.database {
                    let message = format!("`{table}` lies in another database than `{}`", no_cards.database);
                    let help = "write an assertion for each database";
                    diagnostics.push(Diagnostic::error(Code::UnknownTable, place.key(key), message).help(help));
                }
            }
        }
        Check::RetentionAt(at) if !settings.recipients.contains_key(&at.recipient) => {
            let place = assertion.place.key("retention_at").key("recipient");
            diagnostics.push(unknown_recipient(&at.recipient, place, settings));
        }
        Check::RetentionAt(_) | Check::AttestedEvery(_) => {}
    }
}

fn unknown_recipient(name: &str, place: Place, settings: &Settings) -> Diagnostic {
    let help = match nearest(settings.recipients.keys().map(String::as_str), name) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("add `{name}` to `recipients` in sunset.yaml"),
    };
    Diagnostic::error(Code::UnknownRecipient, place, format!("unknown recipient `{name}`")).help(help)
}

fn check_recipient(rule: &RuleRecipient, settings: &Settings, diagnostics: &mut Vec<Diagnostic>) {
    let name = &rule.name;
    let Some(recipient) = settings.recipients.get(name) else {
        diagnostics.push(unknown_recipient(name, rule.place.name(), settings));
        return;
    };
    let mut error = |code, place, message: String, help| {
        diagnostics.push(Diagnostic::error(code, place, message).help(help));
    };
    let known = recipient.identifiers();
    for (identifier, _) in rule.identifiers.iter().filter(|(identifier, _)| !known.contains(identifier)) {
        let words = known.iter().map(String::as_str).chain(["require", "deadline", "shared"]);
        let help = match nearest(words, identifier) {
            Some(known) => format!("did you mean `{known}`?"),
            None if known.is_empty() => format!("`{name}` takes no identifiers"),
            None => format!("`{name}` knows people by {}", quoted(&known)),
        };
        let place = rule.place.key(identifier).name();
        error(Code::UnknownIdentifier, place, format!("`{name}` knows no identifier `{identifier}`"), help);
    }
    let given: Vec<_> = rule.identifiers.iter().map(|(identifier, _)| identifier.as_str()).collect();
    // A misspelt one is one mistake, not two.
    if given.iter().all(|given| known.iter().any(|known| known == given))
        && let Some(group) = recipient.missing(&given)
    {
        let wanted = if group.len() > 1 { format!("one of {}", quoted(&group)) } else { quoted(&group) };
        let help = format!("name the column: `{name}: {{{}: …}}`", group[0]);
        error(Code::MissingIdentifier, rule.place.name(), format!("`{name}` needs {wanted}"), help);
    }
    let best = recipient.best_grade();
    if let Some(required) = rule.require.filter(|required| *required < best) {
        let message = format!("`{name}` cannot give evidence of grade {required}");
        let help = format!("the best that it can give is {best}");
        error(Code::BeyondGrade, rule.place.key("require"), message, help);
    }
}

/// What is read of those who stay names persons as rules do: else nobody could tell who is among them.
fn check_members<'a>(
    recipient: &RecipientSettings,
    members: &Source,
    rules: impl Iterator<Item = &'a RuleRecipient>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let name = &recipient.name;
    let (known, columns) = (recipient.identifiers(), members.place.key("columns"));
    for identifier in members.identifiers().filter(|identifier| !known.iter().any(|known| known == identifier)) {
        let help = match nearest(known.iter().map(String::as_str), identifier) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("`{name}` knows people by {}", quoted(&known)),
        };
        let message = format!("`{name}` knows no identifier `{identifier}`");
        diagnostics
            .push(Diagnostic::error(Code::UnknownIdentifier, columns.key(identifier).name(), message).help(help));
    }
    let asked_by: BTreeSet<_> = rules.flat_map(|rule| &rule.identifiers).map(|(identifier, _)| identifier).collect();
    for identifier in asked_by.into_iter().filter(|identifier| known.contains(identifier)) {
        if !members.identifiers().any(|given| given == identifier) {
            let message = format!("rules ask `{name}` by `{identifier}`, which those who stay are not known by");
            let diagnostic = Diagnostic::error(Code::MissingIdentifier, columns.clone(), message);
            diagnostics.push(
                diagnostic
                    .help(format!("name the column too, so that nobody who goes is among them: `{identifier}: …`")),
            );
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn check_key(rule: &Rule, has_key: bool, diagnostics: &mut Vec<Diagnostic>) {
    let keyed =
        |(_, technique): &&(String, Technique)| matches!(technique, Technique::Hash(_) | Technique::Tokenize(_));
    if let Some((column, _)) = rule.columns.iter().find(keyed)
        && !has_key
    {
        let message = "a keyed technique needs `keys.pseudonym` in sunset.yaml";
        let diagnostic = Diagnostic::error(Code::BadKey, rule.place.key("columns").key(column), message);
        diagnostics.push(diagnostic.help("make one with `sunset keys new`"));
    }
}

#[cfg(test)]
mod tests;
