//! Who is to stay: for recipients that cannot remove one person, and get a whole list anew instead.

use super::{Answer, State};
use crate::{
    catalog::TablePath,
    diagnostic::{Diagnostic, Place, Places},
    language::{
        format,
        shape::{Field, MapShape, Shape},
    },
    rules::{At, Condition, language},
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

    /// Asks about people, each with all marks of theirs: the answer that the list got which was made without them, or that of a
    /// new one. A list that could not be made because nobody answered is tried again.
    pub async fn ask(&self, people: impl IntoIterator<Item = Vec<Mark>>, make: impl Future<Output = Answer>) -> Answer {
        let mut made = self.made.lock().await;
        // Whoever was asked about before, or was not announced, wants a new list.
        let mut announced = true;
        for marks in people.into_iter().filter(|marks| !marks.is_empty()) {
            let mut known = self.marks();
            let awaited = marks.into_iter().filter_map(|mark| known.insert(mark, false)).filter(|waits| *waits);
            announced &= awaited.count() > 0;
        }
        // Whoever is announced while the list is made may be in it, so the number is that of before.
        let number = self.marks().len();
        if let Some((without, answer)) = &*made
            && announced
            && *without == number
        {
            return answer.clone();
        }
        let answer = make.await;
        if !matches!(answer.state, State::Unreachable { .. }) {
            *made = Some((number, answer.clone()));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Asks about people; the ticket tells the lists apart that were made. `during` are announced while one is.
    async fn ask(leaving: &Leaving<u8>, lists: &AtomicU64, people: &[&[u8]], during: &[u8]) -> Answer {
        let make = async {
            leaving.announce(during.iter().copied());
            Answer::accepted(lists.fetch_add(1, Ordering::Relaxed).to_string(), std::time::Duration::ZERO)
        };
        leaving.ask(people.iter().map(|marks| marks.to_vec()), make).await
    }

    #[tokio::test]
    async fn one_list_is_made_for_all_who_were_announced() {
        let (leaving, lists) = (Leaving::default(), AtomicU64::new(0));
        leaving.announce([1, 2, 3, 4]);
        let first = ask(&leaving, &lists, &[&[1, 2]], &[]).await;
        // two people have a mark in common, and one person has none
        assert_eq!(ask(&leaving, &lists, &[&[2, 3], &[]], &[]).await, first);
        assert_eq!(ask(&leaving, &lists, &[&[4]], &[]).await, first);
        assert_ne!(ask(&leaving, &lists, &[&[4]], &[]).await, first, "asked about once more");
        assert_ne!(ask(&leaving, &lists, &[&[5]], &[]).await, first, "nobody announced that one");
        assert_eq!(lists.into_inner(), 3);
        assert!(leaving.holds(&5) && !leaving.holds(&6));
    }

    #[tokio::test]
    async fn whoever_is_announced_while_a_list_is_made_is_not_served_by_it() {
        let (leaving, lists) = (Leaving::default(), AtomicU64::new(0));
        leaving.announce([1]);
        let first = ask(&leaving, &lists, &[&[1]], &[2]).await;
        assert_ne!(ask(&leaving, &lists, &[&[2]], &[]).await, first);
    }

    #[tokio::test]
    async fn a_list_that_nobody_answered_about_is_made_again() {
        let leaving = Leaving::default();
        leaving.announce([1, 2]);
        let down = leaving.ask([vec![1]], async { Answer::unreachable("down", None) }).await;
        let up = leaving.ask([vec![2]], async { Answer::confirmed(Grade::E1) }).await;
        assert_ne!(down, up);
    }
}
