//! Which nodes hold an error, asked for many nodes.

use super::{Diagnostic, Place, Severity, Step};
use std::collections::BTreeSet;

/// The places of errors.
pub struct Errors<'a>(BTreeSet<(&'a str, &'a [Step])>);

impl<'a> Errors<'a> {
    pub fn of(diagnostics: &'a [Diagnostic]) -> Self {
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        Self(
            errors.filter_map(|error| error.place.as_ref()).map(|place| (place.file.as_str(), place.steps())).collect(),
        )
    }

    /// An error stands at a node or inside it.
    pub fn are_in(&self, whole: &Place) -> bool {
        let (file, steps) = (whole.file.as_str(), whole.steps());
        // What begins with the same steps comes right behind them.
        let first = self.0.range((file, steps)..).next();
        first.is_some_and(|(found, inner)| *found == file && inner.starts_with(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn an_error_is_in_its_node_and_in_those_around_it() {
        let root = Place::root("a.yaml");
        let second = root.key("rules").item(1);
        let error = Diagnostic::error(Code::UnknownKey, second.key("table").name(), "");
        let warning = Diagnostic::warning(Code::NothingNamed, root.key("rules").item(2), "");
        let diagnostics = [error, warning];
        let errors = Errors::of(&diagnostics);
        for around in [&root, &root.key("rules"), &second, &second.key("table")] {
            assert!(errors.are_in(around), "{around:?}");
        }
        let others = [root.key("rules").item(0), root.key("rules").item(2), root.key("rules").item(11)];
        for other in others.into_iter().chain([second.key("tab"), second.key("table").key("a"), Place::root("b.yaml")])
        {
            assert!(!errors.are_in(&other), "{other:?}");
        }
    }
}
