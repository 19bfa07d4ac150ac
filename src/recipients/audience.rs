//! People in an audience that knows them by identifiers of several types: each type goes into calls of its own, each identifier
//! once, and a person is served when all identifiers are.

use super::{Answer, State};
use std::collections::BTreeMap;

/// One identifier as it is sent, and the people who have it, by their positions.
pub type Entry = (String, Vec<usize>);

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
        if worst.as_ref().is_none_or(|worst| rank(worst) < rank(&answer)) {
            *worst = Some(answer);
        }
    }

    /// One answer for each; `nobody` is the reason for people of whom there was nothing to send.
    pub fn answers(self, nobody: &str) -> Vec<Answer> {
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(|| Answer::not_possible(nobody))).collect()
    }
}

/// The same answer for all people of these identifiers.
pub fn same(entries: &[Entry], answer: &Answer) -> Vec<(usize, Answer)> {
    entries.iter().flat_map(|(_, people)| people).map(|person| (*person, answer.clone())).collect()
}

fn rank(answer: &Answer) -> u8 {
    match answer.state {
        State::Gone => 0,
        State::Confirmed => 1,
        State::Accepted { .. } => 2,
        State::NotPossible { .. } => 3,
        State::Refused { .. } => 4,
        State::Unreachable { .. } | State::Forgotten { .. } | State::Elapsed => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};

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
    fn a_person_is_served_when_all_identifiers_are() {
        let mut people = People::new(2);
        people.answered(0, Answer::unreachable("down", None));
        people.answered(0, Answer::confirmed(Grade::E2));
        let answers = people.answers("nobody");
        assert!(matches!(answers[0].state, State::Unreachable { .. }));
        assert_eq!(answers[1], Answer::not_possible("nobody"));
    }
}
