//! `sunset schema`: the JSON Schema of rule files or settings, for editors.

use crate::{cli::SchemaKind, language::schema::schema, rules, settings};

/// The schema's text, which is all of the command's output.
pub fn run(kind: SchemaKind) -> String {
    let schema = match kind {
        SchemaKind::Rules => schema(&rules::language::RULE_FILE, "Sunset rule file"),
        SchemaKind::Settings => schema(&settings::language::SETTINGS, "Sunset settings (sunset.yaml)"),
    };
    format!("{schema:#}\n")
}
