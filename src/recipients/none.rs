//! `none`: a recipient that holds nothing that a request could name, named so that reports are complete.

use super::{Answer, CheckError, Checked, Facts, Identifiers, Kind, Recipient, RecipientSettings, Subject, no_remarks};
use crate::{
    evidence::Grade,
    language::{
        format,
        shape::{Field, Shape},
    },
};

pub static KIND: Kind = Kind {
    name: "none",
    doc: "Holds nothing that a request could name (reCAPTCHA, social plug-ins); the reason stands in reports.",
    settings: &[Field::required(
        "reason",
        "Why nobody can be asked, for the reader of a report.",
        Shape::Text(&format::TEXT),
        "reCAPTCHA takes no requests about one person; its contract covers the rest",
    )],
    identifiers: Identifiers::Fixed { all: &[], any_of: &[] },
    check: |_| Ok(()),
    facts: |_| Facts {
        batch: usize::MAX,
        calls: 0,
        rates: Vec::new(),
        grade: Grade::E5,
        deleted: "nothing",
        kept: "what the recipient holds without a name that anybody could give it",
        sources: &[],
    },
    remarks: no_remarks,
    open: |settings, _| Ok(Box::new(Nobody { reason: reason(settings) })),
    #[cfg(feature = "demo")]
    stand_in: None,
};

struct Nobody {
    reason: String,
}

fn reason(settings: &RecipientSettings) -> String {
    settings.options.text("reason").unwrap_or_default().to_owned()
}

#[async_trait::async_trait]
impl Recipient for Nobody {
    async fn delete(&self, subjects: &[Subject]) -> Vec<Answer> {
        subjects.iter().map(|_| Answer::not_possible(&self.reason)).collect()
    }

    async fn check(&self) -> Result<Checked, CheckError> {
        Ok(Checked::Unproven { reason: "there is nobody to ask".to_owned() })
    }
}
