//! LINE's user ids, and the file of those who stay.

use crate::recipients::client::Upload;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The 32 hexadecimal digits of a user id. A million of them may be held at a time.
pub type Person = [u8; 16];

/// Bytes of a line: `U`, the digits, and the line's end.
const LINE: usize = 34;

/// Lines in one part of a body.
const PART: usize = 2000;

/// No name, id or digest holds it: it stands alone on a line with strokes before it.
const BOUNDARY: &str = "sunset-8f2d1c5b7e9a4036";

/// Of an upload.
const MOST: usize = 1_500_000;

/// The person of a user id: `U` and 32 small hexadecimal digits; `None` where the text is none.
pub fn person(text: &str) -> Option<Person> {
    let digits = text.trim().strip_prefix('U')?;
    let mut person = Person::default();
    let small = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (small && hex::decode_to_slice(digits, &mut person).is_ok()).then_some(person)
}

/// The upload of an audience: its name, the mark of its people, and the people, one a line. It is written while it is sent.
pub struct Audience {
    people: Vec<Person>,
    head: String,
}

impl Audience {
    /// Sorts the people, so that the same people have the same mark.
    pub fn new(mut people: Vec<Person>) -> Self {
        people.sort_unstable();
        people.dedup();
        Self { people, head: String::new() }
    }

    pub fn people(&self) -> usize {
        self.people.len()
    }

    pub fn is_too_large(&self) -> bool {
        self.people.len() > MOST
    }

    /// The first half of the SHA-256 of the people, in hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.people.chunks(PART).for_each(|people| hash.update(lines(people)));
        hex::encode(&hash.finalize()[..16])
    }

    /// The form's fields before the file.
    #[must_use]
    pub fn named(self, name: &str, mark: &str) -> Self {
        let field = |name: &str, value: &str| {
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"members.txt\"\r\nContent-Type: \
             text/plain\r\n\r\n"
        );
        let head =
            [field("description", name), field("isIfaAudience", "false"), field("uploadDescription", mark), file];
        Self { head: head.concat(), ..self }
    }
}

fn lines(people: &[Person]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(people.len() * LINE);
    for person in people {
        lines.push(b'U');
        lines.extend_from_slice(hex::encode(person).as_bytes());
        lines.push(b'\n');
    }
    lines
}

fn tail() -> String {
    format!("\r\n--{BOUNDARY}--\r\n")
}

impl Upload for Audience {
    fn content_type(&self) -> &str {
        "multipart/form-data; boundary=sunset-8f2d1c5b7e9a4036"
    }

    fn length(&self) -> u64 {
        (self.head.len() + self.people.len() * LINE + tail().len()) as u64
    }

    fn part(&self, number: usize) -> Option<Vec<u8>> {
        let parts = self.people.len().div_ceil(PART);
        match number {
            0 => Some(self.head.clone().into_bytes()),
            number if number <= parts => {
                let end = (number * PART).min(self.people.len());
                Some(lines(&self.people[(number - 1) * PART..end]))
            }
            number if number == parts + 1 => Some(tail().into_bytes()),
            _ => None,
        }
    }
}

/// How many, not who.
impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Audience").field("people", &self.people.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_its_form() {
        let id = "U4af4980629f1b1c2d3e4f5a6b7c8d9e0";
        assert_eq!(person(id), person(&format!(" {id}\n")));
        assert!(person(id).is_some());
        for text in ["", "U", &id[1..], &id[..32], &format!("{id}0"), &id.to_uppercase(), &id.replace('U', "C"), "n/a"]
        {
            assert_eq!(person(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_written_in_parts_of_the_length_that_was_said() {
        for number in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let person = |at: usize| {
                let mut person = Person::default();
                person[..8].copy_from_slice(&(at as u64).to_be_bytes());
                person
            };
            let audience = Audience::new((0..number).map(person).chain([person(0)]).collect()).named("会員 #1", "mark");
            let body: Vec<u8> = (0..).map_while(|number| audience.part(number)).flatten().collect();
            assert_eq!(body.len() as u64, audience.length());
            let text = String::from_utf8(body).unwrap();
            assert_eq!(text.matches("\nU00").count() + text.matches("\r\n\r\nU00").count() - 1, number.max(1));
            assert!(text.contains("name=\"description\"\r\n\r\n会員 #1\r\n"));
        }
    }
}
