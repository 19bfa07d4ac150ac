//! Who is to stay: for recipients that cannot remove one person, and get a whole list anew instead.

use std::{collections::BTreeMap, fmt::Debug};

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
