//! What people have said of assertions that no program can check.

use super::{Error, Store};
use crate::evidence::Attestation;
use std::collections::BTreeMap;

impl Store {
    /// The newest attestation of each assertion.
    pub async fn attestations(&mut self) -> Result<BTreeMap<String, Attestation>, Error> {
        let rows: Vec<(String,)> = self.fetch("select attestation from attestations", vec![]).await?;
        let read = |(text,): (String,)| {
            let attestation: Attestation =
                serde_json::from_str(&text).map_err(|_| Error::Damaged("an attestation cannot be read".to_owned()))?;
            Ok((attestation.assertion.clone(), attestation))
        };
        rows.into_iter().map(read).collect()
    }

    /// Keeps an attestation in place of the one before. The ledger calls this together with its entry.
    pub(crate) async fn keep_attestation(&mut self, attestation: &Attestation) -> Result<(), Error> {
        let text = serde_json::to_string(attestation)
            .map_err(|_| Error::Failed("an attestation cannot be written".to_owned()))?;
        let id = attestation.assertion.clone();
        self.execute("delete from attestations where assertion = $1", vec![id.clone().into()]).await?;
        let sql = "insert into attestations (assertion, attestation) values ($1, $2)";
        self.execute(sql, vec![id.into(), text.into()]).await
    }
}
