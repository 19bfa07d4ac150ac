//! The language as reference pages in Markdown: `docs/rules.md` and `docs/settings.md`.

use crate::language::shape::{Format, MapShape, Shape, Word};
use std::fmt::Write;

/// The page of files of this shape: a section for each map, in the order in which they come up.
pub fn reference(shape: &Shape, title: &str, source: &str, introduction: &str) -> String {
    let mut page = format!("# {title}\n\n<!-- Made from {source}; do not edit. -->\n\n{introduction}\n");
    let mut sections = Vec::new();
    collect(shape, &mut sections);
    for section in sections {
        match section {
            Section::Map(map) => write_map(&mut page, map),
            Section::Words(name, words) => write_words(&mut page, name, words),
        }
    }
    page
}

enum Section {
    Map(&'static MapShape),
    Words(&'static str, &'static [Word]),
}

fn collect(shape: &Shape, sections: &mut Vec<Section>) {
    match shape {
        Shape::Map(map) => collect_map(map, sections),
        Shape::Named { value: inner, .. } | Shape::List { item: inner, .. } => {
            collect(inner, sections);
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| collect(shape, sections)),
        Shape::Kinds(kinds) => (kinds.all)().iter().for_each(|(_, map)| collect_map(map, sections)),
        _ => {}
    }
}

fn collect_map(map: &'static MapShape, sections: &mut Vec<Section>) {
    if sections.iter().any(|section| matches!(section, Section::Map(other) if other.what == map.what)) {
        return;
    }
    sections.push(Section::Map(map));
    let several = |words: &&'static [Word]| words.len() > 1;
    let words =
        map.fields.iter().filter_map(|field| Some(Section::Words(field.name, words_of(&field.shape).filter(several)?)));
    sections.extend(words);
    map.fields.iter().for_each(|field| collect(&field.shape, sections));
}

fn words_of(shape: &Shape) -> Option<&'static [Word]> {
    match shape {
        Shape::Words(words) => Some(words),
        Shape::Either(shapes) => shapes.iter().find_map(words_of),
        Shape::Named { value: inner, .. } | Shape::List { item: inner, .. } => words_of(inner),
        _ => None,
    }
}

fn write_map(page: &mut String, map: &MapShape) {
    let _ = write!(page, "\n## {}\n\n", heading(map.what));
    let keys = |group: &&[&str]| group.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" with ");
    let choices: Vec<_> = map.groups.iter().filter(|group| !group.is_empty()).map(keys).collect();
    if !choices.is_empty() {
        let least = if map.groups.iter().any(|group| group.is_empty()) { "At most one of" } else { "Exactly one of" };
        let _ = write!(page, "{least}: {}.\n\n", choices.join("; "));
    }
    match map.count {
        (1, 1) if map.fields.len() > 1 => page.push_str("Exactly one of these keys.\n\n"),
        (1, _) if map.fields.len() > 1 => page.push_str("At least one of these keys.\n\n"),
        _ => {}
    }
    page.push_str("| key | | value | example |\n| --- | --- | --- | --- |\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for field in map.fields {
        let needed = if field.required { "**required** " } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {needed}{} | {} | `{}` |",
            field.name,
            cell(field.doc),
            cell(&value(&field.shape)),
            cell(field.example),
        );
    }
    if let Some((key, shape)) = map.rest {
        let _ = writeln!(
            page,
            "| *{}* | | {} | `{}: {}` |",
            article_off(key),
            cell(&value(shape)),
            key.example,
            shape.example().unwrap_or_default(),
        );
    }
}

fn write_words(page: &mut String, name: &str, words: &[Word]) {
    let _ = write!(page, "\n### Words of `{name}`\n\n");
    for word in words {
        let _ = writeln!(page, "- `{}`: {}", word.word, word.doc);
    }
}

/// What may stand there, with links to the sections of maps.
fn value(shape: &Shape) -> String {
    match shape {
        Shape::Map(map) => format!("[{}](#{})", map.what, anchor(map.what)),
        Shape::Named { key, value: inner } => format!("map from {} to {}", article_off(key), value(inner)),
        Shape::Kinds(kinds) => {
            let links = (kinds.all)().iter().map(|(_, map)| format!("[{}](#{})", map.what, anchor(map.what)));
            format!("map from names, each to {}", links.collect::<Vec<_>>().join(" or "))
        }
        Shape::List { item, .. } => format!("list, each {}", value(item)),
        Shape::Words(words) if words.len() > 4 => "one of the words below".to_owned(),
        Shape::Either(shapes) => {
            let all: Vec<_> = shapes.iter().map(value).collect();
            all.join(" or ")
        }
        shape => shape.describe(),
    }
}

fn article_off(format: &Format) -> &str {
    format.what.trim_start_matches("a ")
}

fn heading(what: &str) -> String {
    let what = what.strip_prefix("a ").or_else(|| what.strip_prefix("an ")).unwrap_or(what);
    let mut letters = what.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// As GitHub makes it from a heading.
fn anchor(what: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading(what).to_lowercase().chars().filter(|c| kept(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use crate::{rules::rules_page, settings};

    /// Set `SUNSET_UPDATE_DOCS` to write the pages anew.
    #[test]
    fn the_pages_are_those_of_the_language() {
        for (path, page) in [("docs/rules.md", rules_page()), ("docs/settings.md", settings::page())] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            if std::env::var_os("SUNSET_UPDATE_DOCS").is_some() {
                std::fs::create_dir_all(path.parent().expect("docs/")).expect("docs/");
                std::fs::write(&path, &page).expect("a page");
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == page, "{} is old: run the tests once with SUNSET_UPDATE_DOCS=1", path.display());
        }
    }
}
