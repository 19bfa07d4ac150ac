//! GMO Payment Gateway ("PG Multi-Payment Service"): members of a site, and the cards that are stored for them.
//!
//! It has two interfaces to the same members, and a kind of recipient for each. The [protocol type](protocol) proves that a member
//! is gone. The [OpenAPI type](openapi) does not: no document says how it answers about a member that it does not know.

pub mod openapi;
pub mod protocol;

use super::{Answer, Identifier, Identifiers, Subject};
use crate::language::shape::{Field, Shape, Word};

/// Members under way at a time. GMO limits how many calls it works at for a shop, and does not publish the number.
const AT_ONCE: usize = 2;

const MEMBER: Identifiers = Identifiers::Fixed {
    all: &[Identifier { name: "member", doc: "GMO's id of the member (`MemberID`).", example: "member-001" }],
    any_of: &[&["member"]],
};

/// Which GMO: the words of the setting `environment`.
const fn environment(words: &'static [Word]) -> Field {
    let doc = "Which GMO; `live` by default.";
    Field::optional("environment", doc, Shape::Words(words), "test")
}

/// A call that did not come to the wanted end: what is to be said about the subject.
type Stopped = Box<Answer>;

/// The member's id, if it can be one: 1 to 60 letters, digits, blanks and `@_.-`, as GMO's OpenAPI document writes it.
fn member_of(subject: &Subject) -> Result<&str, Stopped> {
    let Some(id) = subject.get("member") else {
        return Err(Box::new(Answer::not_possible("the row has no member's id")));
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"@_.- ".contains(&byte);
    if matches!(id.len(), 1..=60) && id.bytes().all(fits) && id.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Box::new(Answer::refused("not asked: what the column holds is no id of a member of GMO Payment Gateway")))
}

/// A member's id that is nobody's: 15 bytes by chance.
///
/// # Errors
/// The system has no random numbers.
fn nobody() -> Result<String, super::CheckError> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes)
        .map_err(|_| super::CheckError { reason: "the system gives no random numbers".to_owned(), temporary: true })?;
    Ok(format!("sunset-{}", hex::encode(bytes)))
}
