//! The gate behind an anonymizing rule: how large the groups must be that its rows form, and what becomes of the rows of
//! smaller ones. Checks that need no database.

use super::{
    At, Disposition,
    parse::{refuse_keyed, techniques, word},
};
use crate::{
    anonymize::Technique,
    diagnostic::{Code, Diagnostic, Place},
};
use serde::{Deserialize, Serialize};

/// Rows that share the values of some columns must be many (k-anonymity), and not all alike (l-diversity).
#[derive(Clone, Debug, PartialEq)]
pub struct KAnonymity {
    /// The columns that make the groups.
    pub quasi_identifiers: Vec<String>,
    /// So many rows a group has at least.
    pub k: u64,
    /// Sensitive columns, with the least number of different values in each group.
    pub l_diversity: Vec<(String, u64)>,
    /// What becomes of rows of smaller groups, one item after the other.
    pub then: Vec<Vec<(String, Technique)>>,
    pub at_last: AtLast,
    /// The node in its file.
    pub place: Place,
}

/// What becomes of rows whose group is too small all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLast {
    /// They go.
    #[default]
    Erase,
    /// Every quasi-identifier of theirs is removed. Rows without any tell nobody apart, and are counted no more.
    Suppress,
    /// They stay, and the rule fails.
    Fail,
}

impl KAnonymity {
    /// Columns that the gate may change, beside those of `then`.
    pub fn suppressed_at_last(&self) -> &[String] {
        match self.at_last {
            AtLast::Suppress => &self.quasi_identifiers,
            AtLast::Erase | AtLast::Fail => &[],
        }
    }
}

/// Reads `k_anonymity` of a rule with these `columns`.
pub(super) fn read(
    at: &At,
    disposition: Option<Disposition>,
    columns: &[(String, Technique)],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<KAnonymity> {
    if disposition.is_some_and(|disposition| disposition != Disposition::Anonymize) {
        let message = "only a rule that anonymizes leaves groups that could be counted";
        let error = Diagnostic::error(Code::KAnonymity, at.place.name(), message);
        diagnostics.push(error.help("leave `k_anonymity` out, or write `disposition: anonymize`"));
        return None;
    }
    let names = at.get("quasi_identifiers")?;
    let gate = KAnonymity {
        quasi_identifiers: names.items().filter_map(|name| name.text().map(str::to_owned)).collect(),
        k: at.get("k")?.integer()?,
        l_diversity: at
            .get("l_diversity")
            .iter()
            .flat_map(At::entries)
            .filter_map(|(column, least)| Some((column.to_owned(), least.integer()?)))
            .collect(),
        then: at.get("then").iter().flat_map(At::items).map(|item| techniques(&item)).collect(),
        at_last: at.get("at_last").and_then(|word_at| word(&word_at)).unwrap_or_default(),
        place: at.place.clone(),
    };
    for item in at.get("then").iter().flat_map(At::items) {
        refuse_keyed(&item, "choose another technique", diagnostics);
    }
    let mut check = Check { gate: &gate, columns, diagnostics };
    check.quasi_identifiers();
    check.sensitive();
    check.then();
    Some(gate)
}

struct Check<'a> {
    gate: &'a KAnonymity,
    columns: &'a [(String, Technique)],
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn error(&mut self, place: Place, message: String, help: &str) {
        self.diagnostics.push(Diagnostic::error(Code::KAnonymity, place, message).help(help));
    }

    /// What the rule itself makes of a column.
    fn technique(&self, column: &str) -> Option<&Technique> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, technique)| technique)
    }

    fn quasi_identifiers(&mut self) {
        for (index, name) in self.gate.quasi_identifiers.iter().enumerate() {
            if matches!(self.technique(name), Some(Technique::Replace(text)) if text.contains("{key}")) {
                let message = format!("`{name}` gets each row's own key: every group would have one row");
                let place = self.gate.place.key("quasi_identifiers").item(index);
                self.error(place, message, "leave it out, or choose another technique under `columns`");
            }
        }
    }

    fn sensitive(&mut self) {
        for (name, _) in &self.gate.l_diversity {
            let place = self.gate.place.key("l_diversity").key(name).name();
            if self.gate.quasi_identifiers.contains(name) {
                let message = format!("`{name}` is a quasi-identifier: it has one value in each group");
                self.error(place, message, "name it in one of the two");
            } else if self.technique(name) == Some(&Technique::Suppress) {
                let message = format!("`{name}` is removed by the rule: it has no value in any group");
                self.error(place, message, "leave it out here: nothing is left to be told apart");
            }
        }
    }

    fn then(&mut self) {
        for (index, item) in self.gate.then.iter().enumerate() {
            for (name, further) in item {
                let place = self.gate.place.key("then").item(index).key(name);
                if !self.gate.quasi_identifiers.contains(name) {
                    let message = format!("`{name}` is none of the quasi-identifiers: no group would grow by it");
                    self.error(place.name(), message, "name columns of `quasi_identifiers`");
                    continue;
                }
                if matches!(further, Technique::Replace(text) if text.contains("{key}")) {
                    let message = format!("`{name}` would get each row's own key: every group would have one row");
                    self.error(place, message, "take `suppress`, or a text that is the same for all rows");
                    continue;
                }
                let Some(first) = self.technique(name) else { continue };
                // a constant is held against the column's type, which only the database knows
                if !matches!(further, Technique::Replace(_)) && !further.rests_under(first) {
                    if *first == Technique::Suppress {
                        self.error(place, format!("`{name}` is removed by the rule already"), "leave it out");
                        continue;
                    }
                    let message = format!(
                        "`{name}` ({}) would not be coarser and come to rest under `columns` ({})",
                        further.label(),
                        first.label()
                    );
                    self.error(place, message, "take `suppress`, or the same technique with less kept");
                }
            }
        }
    }
}
