//! Removal from audiences: what is sent about people is sent once, however many rows are about a person.
//!
//! Some audiences take a person as a whole ([`Once`]). Others know people by identifiers of several types ([`People`]): each type goes
//! into calls of its own, each identifier once, and a person is served when all identifiers are.

use super::Answer;
use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Something as it is sent, such as an identifier, and the people whom it is about, by their positions.
pub type Entry<T = String> = (T, Vec<usize>);

/// What is to be sent about people, in the order in which it came up.
pub struct Once<T> {
    entries: Vec<Entry<T>>,
    known: HashMap<T, usize>,
}

impl<T: Clone + Eq + Hash> Once<T> {
    pub fn new() -> Self {
        Self { entries: Vec::new(), known: HashMap::new() }
    }

    /// This is to be sent about the person.
    pub fn about(&mut self, item: T, person: usize) {
        if let Some(at) = self.known.get(&item) {
            self.entries[*at].1.push(person);
        } else {
            self.known.insert(item.clone(), self.entries.len());
            self.entries.push((item, vec![person]));
        }
    }

    pub fn entries(self) -> Vec<Entry<T>> {
        self.entries
    }
}

/// What is to be asked about people, and what was answered.
pub struct People {
    answers: Vec<Option<Answer>>,
    /// By type, in the order in which the types came up.
    identifiers: Vec<(&'static str, BTreeMap<String, Vec<usize>>)>,
}

impl People {
    pub fn new(number: usize) -> Self {
        Self { answers: vec![None; number], identifiers: Vec::new() }
    }

    /// The person is known by this. The same identifier twice in one call would spoil counts.
    pub fn known_by(&mut self, kind: &'static str, text: String, person: usize) {
        let at = self.identifiers.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.identifiers.push((kind, BTreeMap::new()));
            self.identifiers.len() - 1
        });
        self.identifiers[at].1.entry(text).or_default().push(person);
    }

    /// The identifiers in batches of one type each, and of at most so many.
    pub fn batches(&mut self, most: usize) -> Vec<(&'static str, Vec<Entry>)> {
        let mut batches = Vec::new();
        for (kind, identifiers) in self.identifiers.drain(..) {
            let mut entries: Vec<Entry> = identifiers.into_iter().collect();
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(most));
                batches.push((kind, std::mem::replace(&mut entries, rest)));
            }
        }
        batches
    }

    /// One of the person's identifiers got this answer: the worst counts.
    pub fn answered(&mut self, person: usize, answer: Answer) {
        let worst = &mut self.answers[person];
        *worst = Some(match worst.take() {
            Some(worst) => worst.or_worse(answer),
            None => answer,
        });
    }

    /// One answer for each; `nobody` is the reason for people of whom there was nothing to send.
    pub fn answers(self, nobody: &str) -> Vec<Answer> {
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(|| Answer::not_possible(nobody))).collect()
    }
}

/// One answer for all people whom these entries are about.
pub fn same<T>(entries: &[Entry<T>], answer: &Answer) -> Vec<(usize, Answer)> {
    entries.iter().flat_map(|(_, people)| people).map(|person| (*person, answer.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Grade, State},
        *,
    };

    #[test]
    fn each_identifier_goes_once_and_each_type_alone() {
        let mut people = People::new(3);
        for (kind, text, person) in
            [("phone", "1", 0), ("email", "b", 1), ("email", "a", 0), ("email", "b", 2), ("email", "c", 2)]
        {
            people.known_by(kind, text.to_owned(), person);
        }
        let entry = |text: &str, people: &[usize]| (text.to_owned(), people.to_vec());
        let wanted = [
            ("phone", vec![entry("1", &[0])]),
            ("email", vec![entry("a", &[0]), entry("b", &[1, 2])]),
            ("email", vec![entry("c", &[2])]),
        ];
        assert_eq!(people.batches(2), wanted);
    }

    #[test]
    fn what_is_sent_about_several_rows_goes_once() {
        let mut once = Once::new();
        for (item, person) in [("b", 0), ("a", 1), ("b", 2)] {
            once.about(item, person);
        }
        let entries = once.entries();
        assert_eq!(entries, [("b", vec![0, 2]), ("a", vec![1])]);
        let answer = Answer::confirmed(Grade::E2);
        let told = same(&entries, &answer).into_iter().map(|(person, _)| person);
        assert_eq!(told.collect::<Vec<_>>(), [0, 2, 1]);
    }

    #[test]
    fn a_person_is_served_when_all_identifiers_are() {
        let mut people = People::new(2);
        people.answered(0, Answer::unreachable("down", None));
        people.answered(0, Answer::confirmed(Grade::E2));
        let answers = people.answers("nobody");
        assert!(matches!(answers[0].state, State::Unreachable { .. }));
        assert_eq!(answers[1], Answer::not_possible("nobody"));
    }
}
