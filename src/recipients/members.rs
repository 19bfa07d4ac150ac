//! Who is to stay: for recipients that cannot remove one person, and get a whole list anew instead.

use super::{Answer, State};
use crate::{
    diagnostic::{Diagnostic, Place, Places},
    rules::{
        At, Condition, TablePath, format, language,
        shape::{Field, MapShape, Shape},
    },
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The key of such a recipient in `sunset.yaml`.
pub const FIELD: Field = Field::optional(
    "members",
    "Who stays, for lists that are made anew: the table that has everybody who may be in the list, without those who are \
          asked about.",
    Shape::Map(&SHAPE),
    "{table: core.customers, columns: {email: email, phone: phone}, where: {newsletter: true}}",
);

static SHAPE: MapShape = MapShape::new(
    "`members`",
    &[
        Field::required(
            "table",
            "`database.table`, or `database.schema.table`. It needs a primary key.",
            Shape::Text(&format::TABLE),
            "core.customers",
        ),
        Field::required(
            "columns",
            "The columns that hold the identifiers, by the identifiers' names: at least those that rules map.",
            Shape::Named { key: &format::IDENTIFIER, value: &Shape::Text(&format::COLUMN) },
            "{email: email, phone: phone}",
        ),
        Field::optional(
            "where",
            "Only these rows, written as a rule's `where`. It has no variables.",
            language::WHERE,
            "{newsletter: true}",
        ),
    ],
);

/// Where those who stay are read, as `sunset.yaml` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub table: TablePath,
    /// Identifier to the column that holds it.
    pub columns: Vec<(String, String)>,
    pub condition: Option<Condition>,
    pub place: Place,
}

impl Source {
    /// Reads what the shape has not refused; `source` is the file's text.
    pub(crate) fn read(at: &At, places: &Places, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let table: TablePath = at.get("table")?.text()?.parse().ok()?;
        let columns = at.get("columns")?;
        let columns = columns.entries().filter_map(|(name, column)| Some((name.to_owned(), column.text()?.to_owned())));
        let columns = columns.collect();
        let condition =
            at.get("where").and_then(|condition| crate::rules::condition_of(&condition, &table, places, diagnostics));
        Some(Self { table, columns, condition, place: at.place.clone() })
    }

    /// The identifiers that it has of a person.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(identifier, _)| identifier.as_str())
    }
}

/// Hands over the identifiers of everybody whom a recipient may go on holding, page by page.
///
/// **Nobody whom a rule has asked a recipient to delete may be among them**, also while the local row is still there: a list
/// that is rebuilt twice before the first answer is in would bring the person back.
#[async_trait::async_trait]
pub trait Members: Debug + Send + Sync {
    /// The page after `after`, or the first.
    ///
    /// # Errors
    /// The page cannot be read: why, without identifiers. A list that is not complete is never uploaded.
    async fn page(&self, recipient: &str, after: Option<&str>) -> Result<Page, String>;
}

/// Some of those who stay.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Of each: texts by the names that the recipient's kind gives them.
    pub members: Vec<BTreeMap<String, String>>,
    /// What leads to the next page; none: this is the last.
    pub next: Option<String>,
}

/// How many, not who.
impl Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Page").field("members", &self.members.len()).field("last", &self.next.is_none()).finish()
    }
}

/// Those who leave a list in one run, and what came of the list that was made without them. A mark is what tells people
/// apart.
///
/// The list is made once for everybody whom a run asks about, not once for each page of rows: whoever is asked about is
/// announced first, and all get the same answer.
pub struct Leaving<Mark> {
    /// Each with whether it was announced and not asked about yet. They come back into no list, whoever hands them over.
    marks: Mutex<BTreeMap<Mark, bool>>,
    /// What came of the list without so many of them. They only ever grow in number, so the same number means the same
    /// people.
    made: tokio::sync::Mutex<Option<(usize, Answer)>>,
}

impl<Mark> Default for Leaving<Mark> {
    fn default() -> Self {
        Self { marks: Mutex::default(), made: tokio::sync::Mutex::default() }
    }
}

impl<Mark: Ord> Leaving<Mark> {
    fn marks(&self) -> MutexGuard<'_, BTreeMap<Mark, bool>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They will be asked about: no list holds them from now on.
    pub fn announce(&self, marks: impl IntoIterator<Item = Mark>) {
        self.marks().extend(marks.into_iter().map(|mark| (mark, true)));
    }

    pub fn holds(&self, mark: &Mark) -> bool {
        self.marks().contains_key(mark)
    }

    /// Asks about these: the answer that the list got which was made without them, or that of a new one. A list that could
    /// not be made because nobody answered is tried again.
    pub async fn ask(&self, marks: impl IntoIterator<Item = Mark>, make: impl Future<Output = Answer>) -> Answer {
        let mut made = self.made.lock().await;
        let number = {
            let mut known = self.marks();
            // Whoever was asked about before, or was not announced, wants a new look.
            let announced = marks.into_iter().fold(true, |all, mark| all & (known.insert(mark, false) == Some(true)));
            announced.then_some(known.len())
        };
        if let (Some((without, answer)), Some(number)) = (&*made, number)
            && *without == number
        {
            return answer.clone();
        }
        let answer = make.await;
        let number = self.marks().len();
        if !matches!(answer.state, State::Unreachable { .. }) {
            *made = Some((number, answer.clone()));
        }
        answer
    }
}
