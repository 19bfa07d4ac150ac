//! Which rules' groups were found to be large enough, and when: nobody counts them again while nothing has changed.

use super::{Error, Store};
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Store {
    /// By rule: under which terms, and when. A rule that has begun to change rows since is not there.
    pub async fn passed_gates(&mut self) -> Result<BTreeMap<String, (String, Timestamp)>, Error> {
        let rows: Vec<(String, String, String)> =
            self.fetch("select rule, terms, passed_at from passed_gates order by rule", vec![]).await?;
        let read = |(rule, terms, at): (String, String, String)| {
            let at = at.parse().map_err(|_| Error::Damaged(format!("when rule {rule} was counted cannot be read")))?;
            Ok((rule, (terms, at)))
        };
        rows.into_iter().map(read).collect()
    }

    /// All groups of the rule's rows are large enough.
    pub(crate) async fn gate_passed(&mut self, rule: &str, terms: &str, at: Timestamp) -> Result<(), Error> {
        let sql = "insert into passed_gates (rule, terms, passed_at) values ($1, $2, $3)
                   on conflict (rule) do update set terms = excluded.terms, passed_at = excluded.passed_at";
        self.execute(sql, vec![rule.into(), terms.into(), at.to_string().into()]).await
    }

    /// The rule is about to change rows: what was counted before says nothing about what is there then.
    pub(crate) async fn reopen_gate(&mut self, rule: &str) -> Result<(), Error> {
        self.execute("delete from passed_gates where rule = $1", vec![rule.into()]).await
    }
}
