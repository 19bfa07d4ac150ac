//! A case as SQL, as rule files, and as calls of the program.

use super::{
    language::{
        Action, As, Comparison, Condition, CountedFrom, Disposition, Expression, Held, Hold, Literal, Missing, Rule,
        Source, Technique, Test, Through,
    },
    schema::{Case, Edit, MARK, Mark, Row, Table},
    value::{Engine, Value},
};
use crate::oracle::calendar;

/// How rules call the database.
pub const DATABASE: &str = "core";

/// Types and collations that the tables use, made once for each database.
pub const PREPARATION: &str = "create extension if not exists citext;\n\
    create collation if not exists alike (provider = icu, locale = 'und-u-ks-level1', deterministic = false);\n\
    do $$ begin create type word as enum ('new', 'old', 'archived', 'Zapped'); exception when duplicate_object then null; end $$;\n";

impl Case {
    /// The statements that make tables and rows.
    pub fn sql(&self) -> Vec<String> {
        let shown = || (0..self.tables.len()).filter(|&table| !self.tables[table].hidden);
        let mut statements: Vec<String> = shown().map(|table| self.create(table)).collect();
        for table in shown() {
            for &column in &self.tables[table].indexes {
                if !self.tables[table].columns[column].hidden {
                    let (name, column) = (&self.tables[table].name, &self.tables[table].columns[column].name);
                    statements.push(format!("create index {name}_{column} on {name}({column})"));
                }
            }
        }
        for table in shown() {
            let mut rows: Vec<&Row> = self.rows[table].values().collect();
            // Rows that reference their own table come after those that they reference.
            if self.backwards && self.tables[table].foreign.iter().all(|foreign| foreign.table != table) {
                rows.reverse();
            }
            statements.extend(rows.into_iter().map(|row| self.insert(table, row)));
        }
        statements
    }

    fn create(&self, number: usize) -> String {
        let table = &self.tables[number];
        let names = |table: &Table, columns: &[usize]| {
            columns.iter().map(|&column| table.columns[column].name.clone()).collect::<Vec<String>>().join(", ")
        };
        let mut parts = Vec::new();
        for (place, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.hidden) {
            let mut part = format!("{} {}", column.name, column.kind.declared(self.engine));
            // The first `timestamp` of a MariaDB table would otherwise be one that changes by itself.
            part += if column.not_null || table.key.contains(&place) { " not null" } else { " null" };
            if column.unique {
                part += " unique";
            }
            parts.push(part);
        }
        parts.push(format!("primary key ({})", names(table, &table.key)));
        for foreign in table.foreign.iter().filter(|foreign| foreign.declared && !foreign.hidden) {
            let to = &self.tables[foreign.table];
            let mut part = format!(
                "foreign key ({}) references {}({})",
                names(table, &foreign.columns),
                to.name,
                names(to, &foreign.to)
            );
            if !foreign.on_delete.is_empty() {
                part += &format!(" on delete {}", foreign.on_delete);
            }
            parts.push(part);
        }
        let name = &table.name;
        let mut end = String::from(if table.without_rowid { " without rowid" } else { "" });
        if let Some(column) = table.partitioned {
            end += &format!(" partition by range ({})", table.columns[column].name);
            let ranges =
                [("old", "from (minvalue) to ('2020-01-01')"), ("late", "from ('2020-01-01') to ('2025-07-01')")];
            for (part, range) in ranges {
                end += &format!(";\ncreate table {name}_{part} partition of {name} for values {range}");
            }
            end += &format!(";\ncreate table {name}_rest partition of {name} default");
        }
        if table.trigger {
            end += &self.trigger(name);
        }
        format!("create table {name}(\n  {}\n){end}", parts.join(",\n  "))
    }

    /// One that does no harm: it writes down that something happened.
    fn trigger(&self, name: &str) -> String {
        let note = "insert into trail values (1)";
        let trail = "create table if not exists trail(what integer)";
        match self.engine {
            Engine::Postgres => format!(
                ";\n{trail};\ncreate function {name}_seen() returns trigger language plpgsql as\n\
                 $$ begin {note}; return null; end $$;\n\
                 create trigger {name}_seen after delete or update on {name} for each row execute function {name}_seen()"
            ),
            Engine::Maria => format!(
                ";\n{trail};\ncreate trigger {name}_seen after delete on {name} for each row {note};\n\
                 create trigger {name}_changed after update on {name} for each row {note}"
            ),
            Engine::Sqlite => format!(
                ";\n{trail};\ncreate trigger {name}_seen after delete on {name} begin {note}; end;\n\
                 create trigger {name}_changed after update on {name} begin {note}; end"
            ),
        }
    }

    fn insert(&self, table: usize, row: &Row) -> String {
        let shown = || self.tables[table].columns.iter().zip(row).filter(|(column, _)| !column.hidden);
        let names: Vec<&str> = shown().map(|(column, _)| column.name.as_str()).collect();
        let values: Vec<String> = shown().map(|(_, value)| value.literal(self.engine)).collect();
        format!("insert into {}({}) values ({})", self.tables[table].name, names.join(", "), values.join(", "))
    }

    pub fn edit(&self, edit: &Edit) -> String {
        let name = |table: usize| &self.tables[table].name;
        match edit {
            Edit::Insert { table, row } => self.insert(*table, row),
            Edit::Set { table, mark, column, value } => {
                let (column, value) = (&self.tables[*table].columns[*column].name, value.literal(self.engine));
                format!("update {} set {column} = {value} where mark = {mark}", name(*table))
            }
            Edit::Delete { table, mark } => format!("delete from {} where mark = {mark}", name(*table)),
        }
    }

    /// The rule files: name and text.
    pub fn rule_files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = (0..self.files.max(1))
            .map(|file| (format!("c{file}.yaml"), format!("category: c{file}\nrules:\n")))
            .collect();
        let count = files.len();
        for (place, rule) in self.rules.iter().enumerate() {
            files[place % count].1 += &self.rule(rule);
        }
        files.retain(|(_, text)| !text.ends_with("rules:\n"));
        files
    }

    fn rule(&self, rule: &Rule) -> String {
        let table = &self.tables[rule.table];
        let mut lines = vec![
            format!("  - id: {}", rule.id),
            format!("    table: {DATABASE}.{}", table.name),
            format!("    starting_point: {}", self.start(rule)),
            format!("    retention_period: {}", rule.period.words()),
        ];
        match &rule.condition {
            Condition::Map(tests) if tests.is_empty() => {}
            condition => lines.push(format!("    where: {}", self.condition(table, condition))),
        }
        match &rule.disposition {
            Disposition::Erase => lines.push("    disposition: erase".into()),
            Disposition::Anonymize(columns) => {
                lines.push("    disposition: anonymize".into());
                lines.push(format!("    columns: {}", self.columns(table, columns)));
            }
            Disposition::Unlink(columns) => {
                let names: Vec<&str> = columns.iter().map(|&column| table.columns[column].name.as_str()).collect();
                lines.push("    disposition: unlink".into());
                lines.push(format!("    columns: [{}]", names.join(", ")));
            }
        }
        if !rule.dependents.is_empty() {
            lines.push("    dependents:".into());
            lines.extend(self.dependents(rule));
        }
        if let Some(rows) = rule.max_rows {
            lines.push(format!("    limits: {{max_rows: {rows}}}"));
        }
        lines.join("\n") + "\n"
    }

    /// By table where one key of it is named, by key where several are.
    fn dependents(&self, rule: &Rule) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, table) in self.tables.iter().enumerate() {
            let named: Vec<_> = rule.dependents.iter().filter(|(key, _)| key.table == number).collect();
            let words: Vec<String> = match named.as_slice() {
                [] => continue,
                [(_, action)] => vec![match action {
                    Action::Erase => "erase".into(),
                    Action::Keep => "keep".into(),
                    Action::Unlink => "unlink".into(),
                    Action::Anonymize(columns) => format!("{{anonymize: {}}}", self.columns(table, columns)),
                }],
                several => several
                    .iter()
                    .map(|(key, action)| {
                        let by = &table.columns[table.foreign[key.number].columns[0]].name;
                        match action {
                            Action::Erase => format!("{{by: {by}, erase: true}}"),
                            Action::Keep => format!("{{by: {by}, keep: true}}"),
                            Action::Unlink => format!("{{by: {by}, unlink: true}}"),
                            Action::Anonymize(columns) => {
                                format!("{{by: {by}, anonymize: {}}}", self.columns(table, columns))
                            }
                        }
                    })
                    .collect(),
            };
            let words = if named.len() > 1 { format!("[{}]", words.join(", ")) } else { words.concat() };
            lines.push(format!("      {DATABASE}.{}: {words}", table.name));
        }
        lines
    }

    fn start(&self, rule: &Rule) -> String {
        let start = &rule.start;
        let own = |column: usize| self.tables[rule.table].columns[column].name.as_str();
        let mut parts = match start.source {
            Source::Column(column) => vec![format!("column: {}", own(column))],
            Source::Related { table, column, through, latest } => {
                let other = &self.tables[table];
                let word = if latest { "latest" } else { "earliest" };
                let through = match through {
                    Through::Theirs(column) => other.columns[column].name.as_str(),
                    Through::Ours(column) => own(column),
                };
                vec![
                    format!("{word}: {DATABASE}.{}.{}", other.name, other.columns[column].name),
                    format!("through: {through}"),
                ]
            }
        };
        parts.extend(start.reading.map(|reading| {
            let word = match reading {
                As::EpochSeconds => "epoch_seconds",
                As::EpochMilliseconds => "epoch_milliseconds",
                As::IsoText => "iso_text",
                As::IsoTextWithOffset => "iso_text_with_offset",
            };
            format!("as: {word}")
        }));
        parts.extend(start.zone.map(|zone| format!("zone: {}", zone.name())));
        parts.extend(start.counted_from.map(|from| match from {
            CountedFrom::MonthEnd => "counted_from: month_end".into(),
            CountedFrom::CalendarYearEnd => "counted_from: calendar_year_end".into(),
            CountedFrom::FiscalYearEnd { month, day, plus } => {
                let plus = plus.map(|plus| format!(", plus: {}", plus.words())).unwrap_or_default();
                format!("counted_from: {{fiscal_year_end: {month:02}-{day:02}{plus}}}")
            }
        }));
        match start.missing {
            Missing::Report => {}
            Missing::Ignore => parts.push("missing: ignore".into()),
            Missing::Due => parts.push("missing: due".into()),
        }
        format!("{{{}}}", parts.join(", "))
    }

    fn columns(&self, table: &Table, columns: &[(usize, Technique)]) -> String {
        let words = columns.iter().map(|(column, technique)| {
            let technique = match technique {
                Technique::Suppress => "suppress".into(),
                Technique::Replace(Value::Text(text)) => format!("{{replace: {}}}", quoted(text)),
                Technique::Replace(Value::Day(day)) => format!("{{replace: {}}}", quoted(&calendar::written(*day))),
                Technique::Replace(value) => format!("{{replace: {}}}", quoted(&value.literal(Engine::Maria))),
                Technique::Mask { first: 0, last: 0 } => "mask".into(),
                Technique::Mask { first, last } => format!("{{mask: {{keep_first: {first}, keep_last: {last}}}}}"),
                Technique::Month => "{generalize: month}".into(),
                Technique::Year => "{generalize: year}".into(),
                Technique::Decade => "{generalize: decade}".into(),
                Technique::Bucket(step) => format!("{{generalize: {{bucket: {step}}}}}"),
                Technique::PostalCode(letters) => format!("{{generalize: {{postal_code: {letters}}}}}"),
                Technique::Truncate(letters) => format!("{{truncate: {letters}}}"),
                Technique::TopCode(top) => format!("{{top_code: {top}}}"),
                Technique::BottomCode(bottom) => format!("{{bottom_code: {bottom}}}"),
            };
            format!("{}: {technique}", table.columns[*column].name)
        });
        format!("{{{}}}", words.collect::<Vec<String>>().join(", "))
    }

    fn condition(&self, table: &Table, condition: &Condition) -> String {
        let tests = match condition {
            Condition::Map(tests) => tests,
            Condition::Sql(expression) => return quoted(&self.expression(table, expression)),
        };
        let words = tests.iter().map(|(column, test)| {
            let test = match test {
                Test::OneOf(literals) => list(literals),
                Test::Not(literals) => format!("{{not: {}}}", list(literals)),
                Test::Compare(comparison, literal) => {
                    let word = match comparison {
                        Comparison::LessThan => "less_than",
                        Comparison::AtMost => "at_most",
                        Comparison::MoreThan => "more_than",
                        Comparison::AtLeast => "at_least",
                    };
                    format!("{{{word}: {}}}", yaml(literal))
                }
            };
            format!("{}: {test}", table.columns[*column].name)
        });
        format!("{{{}}}", words.collect::<Vec<String>>().join(", "))
    }

    pub fn expression(&self, table: &Table, expression: &Expression) -> String {
        let name = |column: usize| table.columns[column].name.as_str();
        let inner = |expression: &Expression| self.expression(table, expression);
        match expression {
            Expression::And(left, right) => format!("({} and {})", inner(left), inner(right)),
            Expression::Or(left, right) => format!("({} or {})", inner(left), inner(right)),
            Expression::Not(one) => format!("not ({})", inner(one)),
            Expression::IsNull(column) => format!("{} is null", name(*column)),
            Expression::Equals(column, literal) => format!("{} = {}", name(*column), sql(literal)),
            Expression::Compare(column, comparison, literal) => {
                let sign = match comparison {
                    Comparison::LessThan => "<",
                    Comparison::AtMost => "<=",
                    Comparison::MoreThan => ">",
                    Comparison::AtLeast => ">=",
                };
                format!("{} {sign} {}", name(*column), sql(literal))
            }
            Expression::In(column, literals) => {
                format!("{} in ({})", name(*column), literals.iter().map(sql).collect::<Vec<String>>().join(", "))
            }
        }
    }

    /// The arguments of `sunset hold add`; nothing if the row is not there.
    pub fn hold(&self, hold: &Hold, rows: &super::schema::State) -> Option<Vec<String>> {
        let table = &self.tables[hold.table];
        let mut words: Vec<String> = ["hold", "add", "--matter", "42", "--reason", "a claim", "--owner", "legal"]
            .into_iter()
            .chain(["--review", "2030-01-01", "--table"])
            .map(str::to_owned)
            .collect();
        words.push(format!("{DATABASE}.{}", table.name));
        match &hold.what {
            Held::Row(mark) => {
                for &column in &table.key {
                    words.push(format!("--key={}", self.key_word(hold.table, *mark, column, rows)?));
                }
            }
            Held::Condition(expression) => {
                words.push("--where".into());
                words.push(self.expression(table, expression));
            }
        }
        Some(words)
    }

    fn key_word(&self, table: usize, mark: Mark, column: usize, rows: &super::schema::State) -> Option<String> {
        let value = &rows[table].get(&mark)?[column];
        Some(match value {
            Value::Text(text) => text.clone(),
            Value::Real(number) => number.to_string(),
            Value::Bytes(_) if self.engine == Engine::Postgres => {
                value.literal(self.engine).trim_matches('\'').to_owned()
            }
            // Bytes as hexadecimal digits
            other => other.literal(self.engine).trim_start_matches(['x', '\'', '\\']).trim_end_matches('\'').to_owned(),
        })
    }

    /// The whole case, to be read and to be run by hand.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for statement in self.sql() {
            text += &format!("{statement};\n");
        }
        for (name, file) in self.rule_files() {
            text += &format!("--- rules/{name}\n{file}");
        }
        text += &format!("--- time_zone {}, {} workers\n", self.zone.name(), self.workers);
        for (number, night) in self.nights.iter().enumerate() {
            for edit in &night.edits {
                text += &format!("{};\n", self.edit(edit));
            }
            for hold in self.holds.iter().filter(|hold| hold.night == number) {
                let words = self.hold(hold, &self.rows);
                text += &format!("sunset {:?}\n", words.unwrap_or_else(|| vec![format!("hold {hold:?}")]));
            }
            if let Some(rival) = &night.rival {
                text += &format!("{}; -- while the run stands at {}\n", self.edit(&rival.edit), rival.moment);
            }
            text += &format!("sunset run --now {}", calendar::written(night.now));
            text +=
                &night.killed_after.map(|after| format!(" (killed after {after} ms, then again)")).unwrap_or_default();
            text += "\n";
        }
        text
    }

    /// The query that shows all of a table, its marks first.
    pub fn query(&self, table: usize) -> String {
        let table = &self.tables[table];
        let shown = table.columns.iter().filter(|column| !column.hidden).map(|column| {
            let name = &column.name;
            match self.engine {
                Engine::Postgres => format!("{name}::text"),
                Engine::Maria if column.kind == super::value::Kind::Bytes => format!("hex({name})"),
                Engine::Maria => name.clone(),
                Engine::Sqlite => format!("quote({name})"),
            }
        });
        let mark = &table.columns[MARK].name;
        format!("select {} from {} order by {mark}", shown.collect::<Vec<String>>().join(", "), table.name)
    }
}

fn list(literals: &[Literal]) -> String {
    match literals {
        [one] => yaml(one),
        several => format!("[{}]", several.iter().map(yaml).collect::<Vec<String>>().join(", ")),
    }
}

fn yaml(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".into(),
        Literal::Number(text) => text.clone(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Text(text) => quoted(text),
    }
}

fn sql(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".into(),
        Literal::Number(text) => text.clone(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

/// A text in YAML's double quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
