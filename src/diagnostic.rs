//! What is wrong with a rule file or a setting: a code, a place in the text, and what would be right.
//!
//! Diagnostics are values. They are collected, many at a time, and rendered at the edge: as text the way rustc does,
//! as JSON lines, or as SARIF for a pull request.

use std::{collections::BTreeMap, ops::Range};

mod errors;
mod locate;
mod render;
mod tree;

pub use errors::Errors;
pub use locate::Places;
pub(crate) use locate::{floor, without_byte_order_mark};
pub use render::{render_json, render_sarif, render_text, summary};

/// One step from a YAML node to a node inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The value under this key of a map (the first one, should the key be there twice).
    Key(String),
    /// The item with this index of a list.
    Item(usize),
    /// The entry with this index of a map, whatever its key.
    Entry(usize),
}

/// A place in a file: a YAML node, or one of its keys, or a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path as shown to people, relative to the job directory: the key in [`Sources`].
    pub file: String,
    pub spot: Spot,
}

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The file as a whole.
    File,
    /// The node that the steps lead to, or the nearest parent that exists.
    Node(Vec<Step>),
    /// The key (not the value) of the entry that the steps lead to.
    Name(Vec<Step>),
    /// Part of the scalar that the steps lead to: bytes from the scalar's first character (after an opening quote).
    Within(Vec<Step>, Range<usize>),
    /// Bytes of the file.
    Bytes(Range<usize>),
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), spot: Spot::File }
    }

    /// The document's root node.
    pub fn root(file: impl Into<String>) -> Self {
        Self { file: file.into(), spot: Spot::Node(Vec::new()) }
    }

    /// The steps to the node that the place is, or lies in; none for a place that is not a node.
    pub fn steps(&self) -> &[Step] {
        match &self.spot {
            Spot::Node(steps) | Spot::Name(steps) | Spot::Within(steps, _) => steps,
            Spot::File | Spot::Bytes(_) => &[],
        }
    }

    /// The node one step further in.
    #[must_use]
    pub fn step(&self, step: Step) -> Self {
        let mut steps = self.steps().to_vec();
        steps.push(step);
        Self { file: self.file.clone(), spot: Spot::Node(steps) }
    }

    /// The value under `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The item at `index`.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    /// The key that leads to this node, instead of the node.
    #[must_use]
    pub fn name(&self) -> Self {
        Self { file: self.file.clone(), spot: Spot::Name(self.steps().to_vec()) }
    }

    /// A part of this node's text.
    #[must_use]
    pub fn within(&self, range: Range<usize>) -> Self {
        Self { file: self.file.clone(), spot: Spot::Within(self.steps().to_vec(), range) }
    }
}

/// How bad it is: an error stops the rule (or everything, when it stands in the settings), a warning is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The headline, lowercase, without a full stop.
    pub message: String,
    pub place: Option<Place>,
    /// What stands beside the underlined text.
    pub label: String,
    /// A further place that has to do with it, with what stands beside its text.
    pub also: Option<(Place, String)>,
    /// What would be right.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        let (place, label) = (Some(place), String::new());
        Self { code, severity: Severity::Error, message: message.into(), place, label, also: None, help: None }
    }

    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// A second place, which is underlined as well.
    #[must_use]
    pub fn also(self, place: Place, label: impl Into<String>) -> Self {
        Self { also: Some((place, label.into())), ..self }
    }

    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The files that were read, by the path shown to people: what a [`Place`] refers to.
pub type Sources = BTreeMap<String, String>;

macro_rules! codes {
    ($($variant:ident $code:literal $text:literal,)*) => {
        /// What kind of mistake it is. The printed code never changes its meaning; new ones are added at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $text] $variant,)* }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The printed form, for example `E0301`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means in general.
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    // E01: the text
    Syntax "E0101" "the file is not valid YAML",
    DuplicateKey "E0102" "a key stands twice in one map",
    UnknownKey "E0103" "a key that the language does not know",
    MissingKey "E0104" "a required key is missing",
    WrongType "E0105" "a value of the wrong type",
    UnknownWord "E0106" "a word that is not one of those offered here",
    Unreadable "E0107" "the file or directory cannot be read",
    BadName "E0108" "a name that cannot be one, or of the wrong form",
    NotRead "E0109" "an entry of rules/ that looks like rules and is not read",
    Foreign "E0110" "the file has none of the keys that such a file must have, so nothing of it is shown",
    // E02: settings
    UnknownTimeZone "E0201" "the time zone is not in the IANA database",
    MissingVariable "E0202" "an environment variable or secret file that the settings name is not there",
    BadUrl "E0203" "the URL of a database or store cannot be used",
    SecretInRules "E0204" "rule files hold no variables and no secrets",
    BadKey "E0205" "a ledger key cannot be read",
    BadLimit "E0206" "a limit that cannot be",
    BadRecipient "E0207" "the settings of a recipient that cannot be",
    BadPace "E0208" "a pace that cannot be kept",
    BadSubject "E0209" "a subject that cannot be",
    // E03: the rule itself
    BadPeriod "E0301" "the period cannot be read, or is ambiguous",
    PeriodOrder "E0302" "the retention period is longer than the regular deletion period",
    BadSchedule "E0303" "the schedule is not a five-field cron expression",
    BadCondition "E0304" "the condition is not one boolean expression of the allowed kind",
    UnknownParameter "E0305" "a switch names a parameter that the settings do not declare",
    DuplicateRule "E0306" "two rules have the same id",
    FalseDisposition "E0307" "the disposition is not what it claims to be",
    MissingColumns "E0308" "the disposition needs columns, or cannot have them",
    NoFixpoint "E0309" "a technique without a fixpoint needs a marker column",
    UnknownRecipient "E0310" "a recipient that the settings or this version do not know",
    BadTemplate "E0311" "a replacement text cannot be used",
    OverlappingRules "E0312" "two rules claim the same rows",
    BadDate "E0313" "a date or day of the year that does not exist",
    BadTechnique "E0314" "the arguments of a technique cannot be",
    UnknownIdentifier "E0315" "an identifier that the recipient does not know",
    MissingIdentifier "E0316" "the recipient needs an identifier that the rule does not give",
    BeyondGrade "E0317" "evidence that the recipient cannot give",
    NoWholePartition "E0318" "whole partitions cannot go under this rule",
    KAnonymity "E0319" "the groups of anonymized rows cannot be kept as large as the rule asks",
    RuleDestroys "E0320" "a rule destroys what another rule still needs",
    RuleOrder "E0321" "no order of the rules lets each of them see the rows as they were",
    OutlastingRule "E0322" "a rule of its own may keep a dependent for longer than the rule that takes it along",
    BadOnRequest "E0323" "what a rule does on request that it cannot do",
    // E04: rule against live schema
    UnknownDatabase "E0401" "the database is not in the settings",
    UnknownTable "E0402" "the table is not in the database",
    UnknownColumn "E0403" "the column is not in the table",
    StartingPointType "E0404" "the starting point's column does not hold a point in time",
    NoPrimaryKey "E0405" "the table has no primary key",
    UnnamedForeignKey "E0406" "a foreign key points here and the rule does not name its table",
    NotADependent "E0407" "a dependent that no foreign key connects",
    ForeignKeyCycle "E0408" "the foreign keys form a circle",
    NoPath "E0409" "the related table cannot be reached through this column",
    ConditionType "E0410" "a value in the condition does not fit its column",
    NotATable "E0411" "views and foreign tables hold no rows of their own",
    RowSecurity "E0412" "row security hides rows from this database user",
    Privilege "E0413" "the database user lacks a privilege that the rule needs",
    UnsuitedTable "E0414" "a change of the table's rows would not be what it claims",
    // E05: technique against column
    NotNull "E0501" "the technique would write null into a column that refuses it",
    UniqueColumn "E0502" "the technique would write equal values into a unique column",
    TooLong "E0503" "the technique's value does not fit the column's length",
    TechniqueType "E0504" "the technique does not fit the column's type",
    KeyColumn "E0505" "the column belongs to the primary key",
    GeneratedColumn "E0506" "the column is generated by the database",
    ReferencingColumn "E0507" "the column is part of a foreign key, or referenced by one",
    MarkerColumn "E0508" "the marker column cannot serve as one",
    // E07: coverage
    UngovernedTable "E0701" "a table looks personal and no rule governs it",
    UngovernedColumn "E0702" "a column looks personal and no rule changes it",
    UnservedRecipient "E0703" "no rule asks the recipient to delete its copies",
    UnseenTables "E0704" "the database user does not see all tables",
    // E08: aggregates
    BadAggregate "E0801" "an aggregate that cannot be",
    AggregateKey "E0802" "the groups are not told apart by a key of the table that they are added up in",
    AggregateType "E0803" "a column does not fit what an aggregate takes from it or puts into it",
    AggregateColumn "E0804" "a column of the table that rows are added up in would stay without a value",
    // W: worth a look
    NoIndex "W0601" "no index serves the starting point",
    NoDependentIndex "W0602" "no index serves the foreign key of a dependent",
    Trigger "W0603" "a trigger fires for each changed row",
    CascadesFurther "W0604" "the database itself will change further rows",
    RemainingIdentifier "W0605" "a column that looks personal is left as it is",
    NothingNamed "W0606" "something is declared and never used",
    LongSlack "W0607" "the regular deletion period is much longer than the retention period",
    Unwatched "W0608" "something that a run should mind cannot be watched",
    StaleGap "W0609" "a gap was accepted that is none, or no longer",
    NoSuchValue "W0610" "a condition that no row meets, or a value in it that no row has",
    GoneRule "W0611" "a rule that was in a run is in no file any more",
    LostStart "W0612" "rows have no starting point any more",
    RecipientRemark "W0613" "a recipient's setting does less than it says, or will end",
    SubjectRemark "W0614" "a subject's table is searched slowly, or an identifier names more than one person",
    UnreachedTable "W0615" "a table looks personal and no subject reaches it",
    Restored "W0616" "a database was put back to an earlier state, or is another one",
    HoldInDoubt "W0630" "a hold may not mean the rows that it is applied to, or cannot be applied",
}
