//! A rule file's text to its rules: every check that needs neither settings (but for the parameters) nor a database.

use super::{
    Act, Aggregate, Assertion, Category, Condition, Dependent, Disposition, Limits, Match, Missing, OnRequest,
    Partitions, Rule, RuleDependent, RuleFile, RuleRecipient, StartingPoint, condition, k_anonymity,
    language::RULE_FILE,
};
use crate::{
    anonymize::{Generalize, Hash, Mask, Technique, Tokenize, Truncate},
    catalog::{Engine, Literal, TablePath},
    clock::{
        period::{Parameter, Period, PeriodChoice, Switch},
        starting_point::{Anchor, CountedFrom, Encoding, Pick, Source, Zero},
    },
    diagnostic::{Code, Diagnostic, Errors, Place, Places},
    language::{
        format::{month_day, percent},
        node::Node,
        shape::{self, nearest},
    },
};
use jiff::{
    ToSpan,
    civil::{Date, date},
};
use std::collections::{BTreeMap, BTreeSet};

/// Reads a rule file. What is wrong goes to `diagnostics`; the rules that have no error are returned even if others do.
///
/// `file` is the path shown to people, `parameters` those of the settings.
pub fn parse(
    file: &str,
    source: &str,
    parameters: &BTreeMap<String, Parameter>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<RuleFile> {
    let node = match Node::parse(file, source) {
        Ok(Node::Null) => {
            let help = "a rule file needs `category` and `rules`";
            diagnostics.push(Diagnostic::error(Code::MissingKey, Place::file(file), "the file is empty").help(help));
            return None;
        }
        Ok(node) => node,
        Err(error) => {
            diagnostics.push(*error);
            return None;
        }
    };
    let root = At { node: &node, place: Place::root(file) };
    let places = Places::of(source);
    let (mut shape, mut found) = (Vec::new(), Vec::new());
    shape::check(&RULE_FILE, &node, &root.place, &mut shape);
    let misshapen = Errors::of(&shape);
    let list = root.get("rules");
    let rules = list.iter().flat_map(At::items).filter_map(|rule| {
        let mut own = Vec::new();
        let read = Reader { places: &places, parameters, diagnostics: &mut own }.rule(&rule);
        let is_wrong = misshapen.are_in(&rule.place) || Errors::of(&own).are_in(&rule.place);
        found.append(&mut own);
        read.filter(|_| !is_wrong)
    });
    let mut rules: Vec<_> = rules.collect();
    let list = root.get("assertions");
    let assertions = list.iter().flat_map(At::items).filter(|at| !misshapen.are_in(&at.place));
    let mut assertions: Vec<_> = assertions.filter_map(|at| Assertion::read(&at, &places, &mut found)).collect();
    let id = root.get("category").filter(|at| !misshapen.are_in(&at.place)).and_then(|at| at.text());
    diagnostics.append(&mut shape);
    diagnostics.append(&mut found);
    let category = category(&root, id?);
    rules.iter_mut().for_each(|rule| rule.category.clone_from(&category.id));
    assertions.iter_mut().for_each(|assertion| assertion.category.clone_from(&category.id));
    Some(RuleFile { file: file.to_owned(), category, rules, assertions })
}

/// What can only be seen with all files at hand: categories and rules that have the same id.
pub fn check_together(files: &[RuleFile]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let (mut categories, mut rules) = (BTreeMap::new(), BTreeMap::new());
    for file in files {
        if let Some(first) = categories.insert(&file.category.id, &file.file) {
            let message = format!("the category `{}` is already described in {first}", file.category.id);
            let place = Place::root(&file.file).key("category");
            let help = "put the rules of one category into one file, or give this one another id";
            diagnostics.push(Diagnostic::error(Code::DuplicateRule, place, message).help(help));
        }
        let ids = file.rules.iter().map(|rule| (&rule.id, &rule.place));
        for (id, place) in ids.chain(file.assertions.iter().map(|assertion| (&assertion.id, &assertion.place))) {
            if let Some(first) = rules.insert(id, &file.file) {
                let message = format!("another rule with the id `{id}` stands in {first}");
                let diagnostic = Diagnostic::error(Code::DuplicateRule, place.key("id"), message);
                diagnostics.push(diagnostic.help("ids are unique in the job: plans, reports and the ledger name them"));
            }
        }
    }
    diagnostics
}

/// A text, or one per language; a plain one is English.
pub(crate) fn by_language(at: &At) -> BTreeMap<String, String> {
    match at.node {
        Node::Text(text) => BTreeMap::from([("en".to_owned(), text.clone())]),
        node => {
            let texts = node.entries().iter().filter_map(|(language, text)| Some((language, text.as_text()?)));
            texts.map(|(language, text)| (language.clone(), text.to_owned())).collect()
        }
    }
}

fn category(root: &At, id: &str) -> Category {
    let title = root.get("title").map(|title| by_language(&title));
    let keys = root.get("data_categories");
    Category {
        id: id.to_owned(),
        title: title.unwrap_or_default(),
        owner: root.text_of("owner"),
        data_categories: keys.iter().flat_map(At::items).filter_map(|key| key.text().map(str::to_owned)).collect(),
    }
}

/// A node and its place.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    pub node: &'a Node,
    pub place: Place,
}

impl<'a> At<'a> {
    pub fn get(&self, key: &str) -> Option<Self> {
        Some(Self { node: self.node.get(key)?, place: self.place.key(key) })
    }

    pub fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let place = self.place.clone();
        self.node.items().iter().enumerate().map(move |(index, node)| Self { node, place: place.item(index) })
    }

    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let place = self.place.clone();
        self.node.entries().iter().map(move |(key, node)| (key.as_str(), Self { node, place: place.key(key) }))
    }

    pub fn text(&self) -> Option<&'a str> {
        self.node.as_text()
    }

    pub fn text_of(&self, key: &str) -> Option<String> {
        Some(self.node.get(key)?.as_text()?.to_owned())
    }

    pub fn number(&self) -> Option<f64> {
        if let Node::Number(number) = self.node { number.as_f64() } else { None }
    }

    /// A whole number that is known to fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the language bounds it")]
    pub fn integer(&self) -> Option<u64> {
        self.number().filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64)
    }

    fn small(&self) -> Option<u32> {
        self.integer()?.try_into().ok()
    }
}

/// The limits of a rule or a job, as far as they can be read.
pub(crate) fn limits(at: Option<&At>) -> Limits {
    Limits {
        max_rows: at.and_then(|at| at.get("max_rows")?.integer()),
        max_share_percent: at.and_then(|at| percent(at.get("max_share")?.text()?)),
        lost_starts: at.and_then(|at| at.get("lost_starts")?.integer()),
    }
}

/// A condition on the rows of a table, as `where` has it; `places` are those of the file's text.
pub(crate) fn condition_of(
    at: &At,
    table: &TablePath,
    places: &Places,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Condition> {
    Reader { places, parameters: &BTreeMap::new(), diagnostics }.condition(at, Some(table))
}

/// The recipients of a rule. Whether there are such is seen with the settings.
fn recipients(at: &At) -> Vec<RuleRecipient> {
    let recipient = |(name, at): (&str, At)| {
        let columns = at.entries().filter(|(key, _)| !matches!(*key, "require" | "deadline" | "shared"));
        RuleRecipient {
            name: name.to_owned(),
            identifiers: columns
                .filter_map(|(identifier, column)| Some((identifier.to_owned(), column.text()?.to_owned())))
                .collect(),
            require: at.get("require").and_then(|grade| word(&grade)),
            deadline: at.get("deadline").and_then(|deadline| period(&deadline)),
            asks_shared: at.get("shared").is_some_and(|shared| shared.text() == Some("ask")),
            place: at.place,
        }
    };
    at.items().flat_map(|item| item.entries().map(recipient).collect::<Vec<_>>()).collect()
}

impl std::str::FromStr for TablePath {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split('.').map(str::to_owned).collect();
        match <[String; 3]>::try_from(parts) {
            Ok([database, schema, table]) => Ok(Self { database, schema: Some(schema), table }),
            Err(parts) => {
                let [database, table] = <[String; 2]>::try_from(parts).map_err(drop)?;
                Ok(Self { database, schema: None, table })
            }
        }
    }
}

/// Reads one rule after another. What the shape has refused already is passed over in silence.
struct Reader<'a> {
    places: &'a Places<'a>,
    parameters: &'a BTreeMap<String, Parameter>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, place, message).help(help));
    }

    /// All parts are read before the first one that is missing counts, so that every mistake is found.
    fn rule(&mut self, at: &At) -> Option<Rule> {
        let table: Option<TablePath> = at.get("table").and_then(|table| table.text()?.parse().ok());
        let starting_point = at.get("starting_point").and_then(|point| self.starting_point(&point, table.as_ref()));
        let retention_period = at.get("retention_period").and_then(|choice| self.period_choice(&choice));
        let deletion = at.get("regular_deletion_period");
        let regular_deletion_period = deletion.as_ref().and_then(|choice| self.period_choice(choice));
        if let (Some(retention), Some(at), Some(deletion)) = (&retention_period, &deletion, &regular_deletion_period) {
            self.check_order(retention, deletion, at);
        }
        let condition = at.get("where").and_then(|condition| self.condition(&condition, table.as_ref()));
        let disposition = at.get("disposition").and_then(|disposition| word(&disposition));
        let columns = self.columns(at, disposition);
        if let Some(at) = at.get("columns") {
            self.check_copies(&at, &columns, table.as_ref());
        }
        let marker = at.text_of("marker");
        self.check_marker(at, disposition, &columns);
        let gate = at.get("k_anonymity");
        let gate = gate.and_then(|gate| k_anonymity::read(&gate, disposition, &columns, self.diagnostics));
        let dependents = at.get("dependents").map(|dependents| self.dependents(&dependents, table.as_ref()));
        let aggregate = at.get("aggregate");
        let aggregate = aggregate.and_then(|at| Aggregate::read(&at, table.as_ref(), disposition, self.diagnostics));
        let on_request = at.get("on_request").map(|on| self.on_request(&on, table.as_ref())).unwrap_or_default();
        self.check_on_request(at, &on_request, gate.is_some());
        Some(Rule {
            id: at.text_of("id")?,
            category: String::new(),
            purpose: at.text_of("purpose"),
            legal_basis: at.text_of("legal_basis"),
            table: table?,
            covers: at.get("covers").and_then(|covers| word(&covers)),
            starting_point: starting_point?,
            retention_period: retention_period?,
            regular_deletion_period,
            condition,
            disposition: disposition?,
            columns,
            marker,
            k_anonymity: gate,
            dependents: dependents.unwrap_or_default(),
            recipients: at.get("recipients").as_ref().map(recipients).unwrap_or_default(),
            limits: limits(at.get("limits").as_ref()),
            partitions: self.partitions(at, disposition),
            aggregate,
            after: at.get("after").and_then(|after| word(&after)),
            evidence: at.get("evidence").and_then(|evidence| word(&evidence)).unwrap_or_default(),
            schedule: at.text_of("schedule"),
            on_request,
            tags: at.get("tags").iter().flat_map(At::items).filter_map(|tag| tag.text().map(str::to_owned)).collect(),
            place: at.place.clone(),
        })
    }

    fn starting_point(&mut self, at: &At, table: Option<&TablePath>) -> Option<StartingPoint> {
        if let Some(column) = at.text() {
            return Some(StartingPoint {
                source: Source::Column(column.to_owned()),
                event: None,
                encoding: None,
                zone: None,
                counted_from: CountedFrom::default(),
                fiscal_year_of: None,
                zero: Zero::default(),
                missing: Missing::default(),
            });
        }
        let source = match at.text_of("column") {
            Some(column) => Source::Column(column),
            None => self.related(at, table)?,
        };
        let from = at.get("counted_from");
        let year_end = from.as_ref().and_then(|from| from.get("fiscal_year_end"));
        let counted_from = from.map(|from| match from.text() {
            Some(_) => CountedFrom { anchor: word(&from).unwrap_or_default(), plus: None },
            None => {
                let anchor = match year_end.as_ref().and_then(|end| self.fiscal_year_end(end)) {
                    Some(end) => end,
                    None if from.get("calendar_year_end").is_some() => Anchor::CalendarYearEnd,
                    None if from.get("month_end").is_some() => Anchor::MonthEnd,
                    None => Anchor::Day,
                };
                CountedFrom { anchor, plus: from.get("plus").and_then(|plus| period(&plus)) }
            }
        });
        Some(StartingPoint {
            source,
            event: at.text_of("event"),
            encoding: at.get("as").and_then(|encoding| word::<Encoding>(&encoding)),
            zero: at.get("zero").and_then(|zero| word(&zero)).unwrap_or_default(),
            zone: at.text_of("zone"),
            counted_from: counted_from.unwrap_or_default(),
            fiscal_year_of: year_end
                .and_then(|end| end.text().filter(|text| month_day(text).is_none()).map(str::to_owned)),
            missing: at.get("missing").and_then(|missing| word(&missing)).unwrap_or_default(),
        })
    }

    /// A day of the year, or the parameter that says which.
    fn fiscal_year_end(&mut self, at: &At) -> Option<Anchor> {
        let text = at.text()?;
        if let Some((month, day)) = month_day(text) {
            return Some(Anchor::FiscalYearEnd { month, day });
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None; // no name either: its shape has said so
        }
        match self.parameter(text, at)? {
            Parameter::DayOfYear { month, day } => Some(Anchor::FiscalYearEnd { month: *month, day: *day }),
            Parameter::Flag(_) | Parameter::Days(_) => {
                let message = format!("`{text}` is no day of the year");
                let help = format!("write `{text}: 03-31` under `parameters` in sunset.yaml");
                self.error(Code::UnknownParameter, at.place.clone(), message, help);
                None
            }
        }
    }

    /// A parameter of the settings, or a diagnostic.
    fn parameter(&mut self, name: &str, at: &At) -> Option<&'a Parameter> {
        let parameters = self.parameters;
        let known = parameters.get(name);
        if known.is_none() {
            let help = match nearest(parameters.keys().map(String::as_str), name) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("add `{name}` to `parameters` in sunset.yaml"),
            };
            self.error(Code::UnknownParameter, at.place.clone(), format!("unknown parameter `{name}`"), help);
        }
        known
    }

    fn related(&mut self, at: &At, table: Option<&TablePath>) -> Option<Source> {
        let (pick, path) = match (at.get("latest"), at.get("earliest")) {
            (Some(path), _) => (Pick::Latest, path),
            (None, Some(path)) => (Pick::Earliest, path),
            (None, None) => return None,
        };
        let (related, column) = path.text()?.rsplit_once('.')?;
        let related: TablePath = related.parse().ok()?;
        if table.is_some_and(|table| table.database != related.database) {
            let message = format!("`{related}` is in another database than the rule's table");
            let help = "the two are joined in one statement: they must be in one database";
            self.error(Code::NoPath, path.place, message, help);
        }
        Some(Source::Related { pick, table: related, column: column.to_owned(), through: at.text_of("through")? })
    }

    fn period_choice(&mut self, at: &At) -> Option<PeriodChoice> {
        if at.text().is_some() {
            return Some(PeriodChoice { default: period(at)?, when: Vec::new() });
        }
        let when = at.get("when");
        let branches = when.iter().flat_map(At::items).map(|branch| {
            let switch = branch.get("if").and_then(|switch| self.switch(&switch));
            Some((switch?, branch.get("use").and_then(|used| period(&used))?))
        });
        let when: Option<Vec<_>> = branches.collect::<Vec<_>>().into_iter().collect();
        Some(PeriodChoice { default: at.get("default").and_then(|default| period(&default))?, when: when? })
    }

    fn switch(&mut self, at: &At) -> Option<Switch> {
        let years = at.get("fiscal_year_ending_in");
        let (named, switch): (_, fn(String) -> Switch) = match &years {
            Some(years) => (years, Switch::FiscalYearEndingIn),
            None => (at, Switch::Parameter),
        };
        let name = named.text()?;
        match (self.parameter(name, named), &years) {
            (Some(Parameter::DayOfYear { .. }), _) => {
                let message = format!("`{name}` is a day of the year, not a switch");
                let help = "a switch is true or false, or a list of fiscal years";
                self.error(Code::UnknownParameter, named.place.clone(), message, help);
            }
            (Some(Parameter::Days(_)), None) => {
                let help = format!("write `if: {{fiscal_year_ending_in: {name}}}`");
                let message = format!("`{name}` is a list of fiscal years, not a switch");
                self.error(Code::UnknownParameter, named.place.clone(), message, help);
            }
            (Some(Parameter::Flag(_)), Some(_)) => {
                let message = format!("`{name}` is true or false, not a list of fiscal years");
                self.error(Code::UnknownParameter, named.place.clone(), message, format!("write `if: {name}`"));
            }
            _ => {}
        }
        Some(switch(name.to_owned()))
    }

    /// In every state of the switches, nothing may have to be gone before it may go.
    fn check_order(&mut self, retention: &PeriodChoice, deletion: &PeriodChoice, at: &At) {
        let mut switches: Vec<&Switch> = Vec::new();
        for (switch, _) in retention.when.iter().chain(&deletion.when) {
            if !switches.contains(&switch) {
                switches.push(switch);
            }
        }
        // Beyond that, only one switch at a time.
        const ALL_STATES: usize = 8;
        let states: Vec<u64> = match switches.len() {
            count if count <= ALL_STATES => (0..1 << count).collect(),
            count => [0].into_iter().chain((0..count.min(63)).map(|switch| 1 << switch)).collect(),
        };
        let mut seen = BTreeSet::new();
        for state in states {
            let on = |switch: &Switch| {
                switches.iter().position(|other| *other == switch).is_some_and(|index| state >> index & 1 == 1)
            };
            let (_, kept) = in_force(retention, on);
            let (branch, gone) = in_force(deletion, on);
            if !seen.insert((branch, kept.to_string())) {
                continue;
            }
            let place = match branch {
                Some(index) => at.place.key("when").item(index).key("use"),
                None if at.text().is_some() => at.place.clone(),
                None => at.place.key("default"),
            };
            if let Some(day) = first_longer(kept, gone) {
                let message =
                    format!("the retention period of {kept} is longer than the regular deletion period of {gone}");
                let help = format!("a row that begins on {day} would have to be gone before it may go");
                let diagnostic = Diagnostic::error(Code::PeriodOrder, place, message);
                self.diagnostics.push(diagnostic.label("overdue before due").help(help));
            } else if branch.is_none() && state == 0 && is_long_slack(kept, gone) {
                let message = format!("rows are due after {kept} and overdue only after {gone}");
                let diagnostic = Diagnostic::warning(Code::LongSlack, place, message);
                let help = "what may go should go soon; a difference of up to a year leaves room for many nights";
                self.diagnostics.push(diagnostic.help(help));
            }
        }
    }

    fn on_request(&mut self, at: &At, table: Option<&TablePath>) -> OnRequest {
        if let Some(act) = word(at) {
            return OnRequest { act, ..OnRequest::default() };
        }
        let condition = at.get("where");
        OnRequest {
            act: at.get("act").and_then(|act| word(&act)).unwrap_or_default(),
            condition: condition.and_then(|condition| self.condition(&condition, table)),
            kinds: at.get("kinds").iter().flat_map(At::items).filter_map(|kind| word(&kind)).collect(),
            reason: at.get("reason").map(|reason| by_language(&reason)).unwrap_or_default(),
        }
    }

    fn check_on_request(&mut self, at: &At, on_request: &OnRequest, has_gate: bool) {
        let Some(at) = at.get("on_request") else { return };
        if on_request.act == Act::WhenDue {
            for key in ["where", "kinds"] {
                if let Some(needless) = at.get(key) {
                    let message = format!("`{key}` says which rows go now, and the rule's rows go when they are due");
                    let help = format!("write `act: now`, or take `{key}` out");
                    self.error(Code::BadOnRequest, needless.place.name(), message, help);
                }
            }
        } else if has_gate {
            let message = "rows of one person are a group that is too small for `k_anonymity`";
            let help =
                "leave these rows to their day (`on_request: when_due`), or give what may go now a rule of its own";
            self.error(Code::BadOnRequest, at.place, message, help);
        }
    }

    fn condition(&mut self, at: &At, table: Option<&TablePath>) -> Option<Condition> {
        if let Some(sql) = at.text() {
            self.check_sql(at, sql, table);
            return Some(Condition::Sql(sql.to_owned()));
        }
        let mut matches = Vec::new();
        for (column, value) in at.entries() {
            let column = || column.to_owned();
            match value.node {
                Node::Map(_) => {
                    for (comparison, operand) in value.entries() {
                        let literal = self.literal(&operand);
                        let found = match comparison {
                            "not" => Match::NotIn(self.literals(&operand)),
                            "less_than" => Match::LessThan(literal),
                            "at_most" => Match::AtMost(literal),
                            "more_than" => Match::MoreThan(literal),
                            "at_least" => Match::AtLeast(literal),
                            _ => continue,
                        };
                        matches.push((column(), found));
                    }
                }
                _ => matches.push((column(), Match::In(self.literals(&value)))),
            }
        }
        Some(Condition::Data(matches))
    }

    fn literals(&self, at: &At) -> Vec<Literal> {
        match at.node {
            Node::List(_) => at.items().map(|item| self.literal(&item)).collect(),
            _ => vec![self.literal(at)],
        }
    }

    fn literal(&self, at: &At) -> Literal {
        match at.node {
            Node::Bool(value) => Literal::Boolean(*value),
            Node::Text(text) => Literal::Text(text.clone()),
            // As written: a database's decimals have more digits than a machine's numbers.
            Node::Number(number) => {
                // Where the two parsers differ, the one that reads the rules is right.
                let is_same = |text: &&str| is_decimal(text) && text.parse().ok() == number.as_f64();
                let written = self.places.scalar(at.place.steps()).filter(is_same);
                Literal::Number(written.map_or_else(|| number.to_string(), str::to_owned))
            }
            Node::Null | Node::List(_) | Node::Map(_) => Literal::Null,
        }
    }

    /// The engine is not known here: the text must be a condition in one of them. Planning asks again, with the engine.
    fn check_sql(&mut self, at: &At, sql: &str, table: Option<&TablePath>) {
        let tried = [Engine::Postgres, Engine::Mysql, Engine::Sqlite].map(|engine| condition::check(sql, engine));
        if let Some(expression) = tried.iter().find_map(|tried| tried.as_ref().ok()) {
            if let Some(table) = table
                && let Some(column) = expression.stranger(&table.table)
            {
                let message = format!("a condition asks about `{}` alone", table.table);
                let help = format!("leave out what stands before `.{}`", column.name);
                self.error(Code::BadCondition, at.place.within(column.range.clone()), message, help);
            }
            return;
        }
        // The engine that got furthest is probably the one that was meant.
        let errors = tried.into_iter().filter_map(Result::err);
        let furthest = errors.max_by_key(|errors| errors.first().map_or(0, |error| error.range.start));
        for error in furthest.unwrap_or_default() {
            let place = at.place.within(error.range);
            let diagnostic = Diagnostic::error(Code::BadCondition, place, error.problem);
            self.diagnostics.push(Diagnostic { help: error.help, ..diagnostic });
        }
    }

    /// Copies that cannot be: from another database, or from a column that is itself being written. `at` is the map of
    /// the columns.
    fn check_copies(&mut self, at: &At, columns: &[(String, Technique)], table: Option<&TablePath>) {
        let copies = columns.iter().filter_map(|(column, technique)| match technique {
            Technique::Copy(source) => Some((column, source)),
            _ => None,
        });
        for (column, source) in copies.clone() {
            let place = at.place.key(column).key("copy");
            match source {
                Source::Related { table: related, .. }
                    if table.is_some_and(|table| table.database != related.database) =>
                {
                    let message = format!("`{related}` is in another database than the rule's table");
                    let help = "the two are joined in one statement: they must be in one database";
                    self.error(Code::NoPath, place, message, help);
                }
                Source::Column(from) if copies.clone().any(|(other, _)| other.eq_ignore_ascii_case(from)) => {
                    let message = format!("`{from}` is itself written by `copy`");
                    let help = "take the column that the value stands in at first";
                    self.error(Code::BadTechnique, place, message, help);
                }
                Source::Related { .. } | Source::Column(_) => {}
            }
        }
        if !columns.is_empty() && copies.count() == columns.len() {
            let message = "nothing is removed: every column keeps a value";
            let help = "say what becomes of the columns that are copied from, such as `contract_ended_on: suppress`";
            self.error(Code::FalseDisposition, at.place.clone(), message, help);
        }
    }

    fn columns(&mut self, at: &At, disposition: Option<Disposition>) -> Vec<(String, Technique)> {
        let columns = at.get("columns");
        let (Some(disposition), place) = (disposition, at.place.key("disposition")) else { return Vec::new() };
        match (disposition, &columns) {
            (Disposition::Erase, None) => Vec::new(),
            (Disposition::Erase, Some(columns)) => {
                let help = "the whole row goes: leave `columns` out, or choose another disposition";
                self.error(Code::MissingColumns, columns.place.name(), "`erase` has no columns", help);
                Vec::new()
            }
            (Disposition::Unlink, Some(columns)) if matches!(columns.node, Node::List(_)) => {
                let names = columns.items().filter_map(|name| Some((name.text()?.to_owned(), Technique::Suppress)));
                names.collect()
            }
            (Disposition::Unlink, Some(columns)) => {
                let message = "`unlink` takes a list of columns";
                self.error(Code::MissingColumns, columns.place.clone(), message, "write `columns: [customer_id]`");
                Vec::new()
            }
            (Disposition::Unlink, None) => {
                let help = "name the columns that become null: `columns: [customer_id]`";
                self.error(Code::MissingColumns, place, "`unlink` needs `columns`", help);
                Vec::new()
            }
            (_, Some(columns)) if matches!(columns.node, Node::Map(_)) => {
                let techniques = techniques(columns);
                if disposition == Disposition::Anonymize {
                    let help = "choose another technique, or write `disposition: pseudonymize`";
                    refuse_keyed(columns, help, self.diagnostics);
                }
                techniques
            }
            (_, Some(columns)) => {
                let message = format!("`{disposition}` takes a map from columns to techniques");
                self.error(
                    Code::MissingColumns,
                    columns.place.clone(),
                    message,
                    "write `columns: {full_name: suppress}`",
                );
                Vec::new()
            }
            (_, None) => {
                let help = "say what becomes of each column: `columns: {full_name: suppress}`";
                self.error(Code::MissingColumns, place, format!("`{disposition}` needs `columns`"), help);
                Vec::new()
            }
        }
    }

    /// Whole partitions go only where rows go, and where nobody has to know which they were before.
    fn partitions(&mut self, at: &At, disposition: Option<Disposition>) -> Partitions {
        let Some(partitions) = at.get("partitions") else { return Partitions::default() };
        let wanted = word(&partitions).unwrap_or_default();
        if wanted == Partitions::Rows {
            return wanted;
        }
        if disposition.is_some_and(|disposition| disposition != Disposition::Erase) {
            let message = "only rows that are erased can go with their partition";
            self.error(Code::NoWholePartition, partitions.place, message, "leave `partitions` out");
        } else if at.get("recipients").is_some() {
            let message = "rows whose recipients are asked first go one by one";
            self.error(Code::NoWholePartition, partitions.place, message, "leave `partitions` out");
        }
        wanted
    }

    fn check_marker(&mut self, at: &At, disposition: Option<Disposition>, columns: &[(String, Technique)]) {
        let keyed = columns.iter().find_map(|(column, technique)| Some((column, keyed(technique)?)));
        match (at.get("marker"), keyed) {
            (None, Some((column, technique))) if disposition == Some(Disposition::Pseudonymize) => {
                let message = format!("`{technique}` of `{column}` would be done again every night");
                let help = "add `marker:` with a column that tells a row already done";
                self.error(Code::NoFixpoint, at.place.key("columns").key(column), message, help);
            }
            (Some(marker), None) if disposition.is_some() => {
                let message = "no technique of this rule needs a marker";
                let diagnostic = Diagnostic::warning(Code::NothingNamed, marker.place.name(), message);
                self.diagnostics.push(diagnostic.help("only `hash` and `tokenize` do; leave it out"));
            }
            (Some(marker), Some(_)) if columns.iter().any(|(column, _)| marker.text() == Some(column)) => {
                let message = "the marker is one of the columns that are changed";
                self.error(Code::MarkerColumn, marker.place, message, "take a column of its own");
            }
            _ => {}
        }
    }

    fn dependents(&mut self, at: &At, table: Option<&TablePath>) -> Vec<RuleDependent> {
        let mut dependents = Vec::new();
        for (path, at) in at.entries() {
            let Ok(path) = path.parse::<TablePath>() else { continue };
            if table.is_some_and(|table| table.database != path.database) {
                let message = format!("`{path}` is in another database");
                let help = "no foreign key connects two databases; give the other table a rule of its own";
                self.error(Code::NotADependent, at.place.name(), message, help);
            }
            let items: Vec<_> = at.items().collect();
            let items = if items.is_empty() { vec![at] } else { items };
            dependents.extend(items.iter().filter_map(|at| self.dependent(path.clone(), table, at)));
        }
        dependents
    }

    fn dependent(&mut self, table: TablePath, of: Option<&TablePath>, at: &At) -> Option<RuleDependent> {
        let says = |fate: &str| at.text() == Some(fate) || at.get(fate).is_some();
        let fate = match at.get("anonymize") {
            Some(columns) => {
                let help = "choose another technique, or give the table a rule of its own";
                refuse_keyed(&columns, help, self.diagnostics);
                let techniques = techniques(&columns);
                self.check_copies(&columns, &techniques, of);
                Dependent::Anonymize(techniques)
            }
            None if says("erase") => Dependent::Erase,
            None if says("keep") => Dependent::Keep,
            None if says("unlink") => Dependent::Unlink,
            None => return None,
        };
        let texts = |at: &At| at.items().filter_map(|item| item.text().map(str::to_owned)).collect::<Vec<_>>();
        let by = at.get("by").map(|by| by.text().map_or_else(|| texts(&by), |column| vec![column.to_owned()]));
        Some(RuleDependent {
            table,
            by: by.unwrap_or_default(),
            fate,
            overrides: at.get("overrides").as_ref().map(texts).unwrap_or_default(),
            place: at.place.clone(),
        })
    }
}

pub(crate) fn period(at: &At) -> Option<Period> {
    at.text()?.parse().ok()
}

/// Whoever has the key can still relate the row: that is not anonymization.
pub(super) fn refuse_keyed(columns: &At, help: &str, diagnostics: &mut Vec<Diagnostic>) {
    for (column, at) in columns.entries() {
        if let Some(name) = technique(&at).as_ref().and_then(keyed) {
            let message = format!("`{name}` does not anonymize `{column}`: that is pseudonymization");
            let diagnostic = Diagnostic::error(Code::FalseDisposition, at.place, message);
            diagnostics.push(diagnostic.label("whoever has the key can undo this").help(help));
        }
    }
}

/// A word as the value that serde gives it.
pub(super) fn word<T: serde::de::DeserializeOwned>(at: &At) -> Option<T> {
    serde_json::from_value(at.text()?.into()).ok()
}

fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    digits(whole) && digits(fraction)
}

pub(super) fn techniques(columns: &At) -> Vec<(String, Technique)> {
    columns.entries().filter_map(|(column, at)| Some((column.to_owned(), technique(&at)?))).collect()
}

fn technique(at: &At) -> Option<Technique> {
    const TOKEN_LENGTH: u32 = 16;
    if let Some(word) = at.text() {
        return Some(match word {
            "suppress" => Technique::Suppress,
            "mask" => Technique::Mask(Mask::default()),
            "hash" => Technique::Hash(Hash {}),
            "tokenize" => Technique::Tokenize(Tokenize { prefix: String::new(), length: TOKEN_LENGTH }),
            _ => return None,
        });
    }
    let (name, argument) = at.entries().next()?;
    let part = |key: &str| argument.get(key).and_then(|number| number.small());
    Some(match name {
        "replace" => Technique::Replace(argument.text()?.to_owned()),
        "mask" => Technique::Mask(Mask {
            keep_first: part("keep_first").unwrap_or_default(),
            keep_last: part("keep_last").unwrap_or_default(),
        }),
        "generalize" => Technique::Generalize(generalize(&argument)?),
        "truncate" => Technique::Truncate(Truncate { length: argument.small()? }),
        "top_code" => Technique::TopCode(argument.number()?),
        "bottom_code" => Technique::BottomCode(argument.number()?),
        "tokenize" => Technique::Tokenize(Tokenize {
            prefix: argument.text_of("prefix").unwrap_or_default(),
            length: part("length").unwrap_or(TOKEN_LENGTH),
        }),
        "copy" => Technique::Copy(copied(&argument)?),
        _ => return None,
    })
}

/// What `copy` takes.
fn copied(at: &At) -> Option<Source> {
    if let Some(column) = at.text() {
        return Some(Source::Column(column.to_owned()));
    }
    let (pick, path) = match (at.get("latest"), at.get("earliest")) {
        (Some(path), _) => (Pick::Latest, path),
        (None, path) => (Pick::Earliest, path?),
    };
    let (table, column) = path.text()?.rsplit_once('.')?;
    Some(Source::Related {
        pick,
        table: table.parse().ok()?,
        column: column.to_owned(),
        through: at.text_of("through")?,
    })
}

fn generalize(at: &At) -> Option<Generalize> {
    match at.text() {
        Some("month") => return Some(Generalize::Month),
        Some("year") => return Some(Generalize::Year),
        Some("decade") => return Some(Generalize::Decade),
        _ => {}
    }
    let (name, argument) = at.entries().next()?;
    let bits = |key: &str| argument.get(key)?.small()?.try_into().ok();
    Some(match name {
        "bucket" => Generalize::Bucket(argument.number()?),
        "ip_prefix" => Generalize::IpPrefix { v4: bits("v4")?, v6: bits("v6")? },
        "postal_code" => Generalize::PostalCode(argument.small()?),
        _ => return None,
    })
}

/// The name of a technique whose result whoever has the key can relate.
fn keyed(technique: &Technique) -> Option<&'static str> {
    match technique {
        Technique::Hash(_) => Some("hash"),
        Technique::Tokenize(_) => Some("tokenize"),
        _ => None,
    }
}

/// The period that holds while these switches are on, and the index of its branch.
fn in_force(choice: &PeriodChoice, on: impl Fn(&Switch) -> bool) -> (Option<usize>, Period) {
    let branch = choice.when.iter().enumerate().find(|(_, (switch, _))| on(switch));
    branch.map_or((None, choice.default), |(index, (_, period))| (Some(index), *period))
}

/// The first starting day from which `kept` ends after `gone`. Months differ in length, so days of more than a whole leap
/// cycle are tried.
fn first_longer(kept: Period, gone: Period) -> Option<Date> {
    // Most periods are so far apart that no calendar is needed.
    let days = |period: Period, year: u32, month: u32| {
        u32::from(period.years) * year + u32::from(period.months) * month + period.days
    };
    if kept == gone || days(kept, 366, 31) <= days(gone, 365, 28) {
        return None;
    }
    let mut day = date(2023, 1, 1);
    while day.year() < 2028 {
        if end(day, kept) > end(day, gone) {
            return Some(day);
        }
        day = day.tomorrow().ok()?;
    }
    None
}

/// What is longer than the calendar goes ends with the calendar.
fn end(start: Date, period: Period) -> Date {
    let months = i32::from(period.years) * 12 + i32::from(period.months);
    let end = start.saturating_add(months.months());
    end.saturating_add(i64::from(period.days).days())
}

fn is_long_slack(kept: Period, gone: Period) -> bool {
    let start = date(2024, 1, 1);
    end(start, kept).saturating_add(1.year()) < end(start, gone)
}
