//! `sunset recipes`: the vendors that are described in YAML, one of them in full, and their examples played on loopback.

use super::{Stop, console::Console};
use crate::{
    cli::{Global, RecipesArgs, RecipesCommand},
    diagnostic::{Sources, render_text},
    file,
    outcome::Outcome,
    output::{Format, table},
    recipients::recipe::{self, Recipe},
};
use anyhow::Context as _;
use serde_json::json;
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// A recipe's file: its text, and whether it is the company's own.
struct Source {
    text: String,
    is_own: bool,
}

/// Runs `sunset recipes`. Knows the formats text and JSON. A job need not be there: then the recipes are those that come with
/// Sunset.
///
/// # Errors
/// A recipe of the company's own cannot be read, or there is none of that name.
pub async fn run(global: &Global, args: &RecipesArgs, console: &mut Console) -> anyhow::Result<Outcome> {
    let mut all = sources(&global.jobs)?;
    match &args.command {
        None => list(global, &all, console),
        Some(RecipesCommand::Show { recipe }) => {
            let source = all.remove(recipe).ok_or_else(|| unknown(recipe))?;
            console.print(&source.text)?;
            Ok(Outcome::Done)
        }
        #[cfg(feature = "demo")]
        Some(RecipesCommand::Test { recipes }) => {
            let chosen = match recipes.as_slice() {
                [] => all.into_iter().collect(),
                names => {
                    let one = |name: &String| {
                        let source = all.remove(name).ok_or_else(|| unknown(name))?;
                        Ok((name.clone(), source))
                    };
                    names.iter().map(one).collect::<anyhow::Result<Vec<_>>>()?
                }
            };
            test(&chosen, console).await
        }
    }
}

fn unknown(name: &str) -> anyhow::Error {
    Stop::invalid(format!("there is no recipe `{name}`: `sunset recipes` lists those that there are"))
}

/// Those that come with Sunset, and those of the job, which go before.
fn sources(jobs: &Path) -> anyhow::Result<BTreeMap<String, Source>> {
    let shipped = recipe::SHIPPED.iter();
    let mut all: BTreeMap<_, _> =
        shipped.map(|(name, text)| ((*name).to_owned(), Source { text: (*text).to_owned(), is_own: false })).collect();
    let directory = jobs.join(recipe::DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(error).with_context(|| directory.display().to_string()),
    };
    for entry in entries {
        let path = entry.with_context(|| directory.display().to_string())?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".yaml")) else { continue };
        let text = file::read_text(&path, file::LONGEST_YAML).with_context(|| path.display().to_string())?;
        let is_own = recipe::shipped(name) != Some(text.as_str());
        all.insert(name.to_owned(), Source { text, is_own });
    }
    Ok(all)
}

/// Reads a recipe; what is wrong with it is printed.
fn read(name: &str, source: &Source, console: &mut Console) -> anyhow::Result<Option<Recipe>> {
    let file = format!("{}/{name}.yaml", recipe::DIRECTORY);
    let mut diagnostics = Vec::new();
    let read = Recipe::read(&file, &source.text, &mut diagnostics);
    if !diagnostics.is_empty() {
        let sources = Sources::from([(file, source.text.clone())]);
        console.print(&render_text(&diagnostics, &sources, false))?;
    }
    Ok(read)
}

fn list(global: &Global, all: &BTreeMap<String, Source>, console: &mut Console) -> anyhow::Result<Outcome> {
    let (mut recipes, mut outcome) = (Vec::new(), Outcome::Done);
    for (name, source) in all {
        match read(name, source, console)? {
            Some(recipe) => recipes.push((recipe, source.is_own)),
            None => outcome = Outcome::Invalid,
        }
    }
    if global.format == Format::Json {
        let one = |(recipe, is_own): &(Recipe, bool)| {
            json!({
                "recipe": recipe.name, "vendor": recipe.vendor, "own": is_own, "deleted": recipe.deleted,
                "kept": recipe.kept, "settings": recipe.settings, "checked": recipe.checked, "sources": recipe.sources,
            })
        };
        let list: Vec<_> = recipes.iter().map(one).collect();
        console.print(&(serde_json::to_string_pretty(&list)? + "\n"))?;
        return Ok(outcome);
    }
    let row = |(recipe, is_own): &(Recipe, bool)| {
        let whose = if *is_own { "this job" } else { "Sunset" };
        vec![recipe.name.clone(), recipe.vendor.clone(), whose.to_owned(), recipe.deleted.clone()]
    };
    let rows = recipes.iter().map(row).collect();
    console.print(&(table(&["recipe", "vendor", "from", "what goes"], rows) + "\n"))?;
    Ok(outcome)
}

#[cfg(feature = "demo")]
async fn test(chosen: &[(String, Source)], console: &mut Console) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    for (name, source) in chosen {
        let Some(recipe) = read(name, source, console)? else {
            outcome = Outcome::Invalid;
            continue;
        };
        for (example, number) in recipe.examples.iter().zip(1..) {
            let problems = crate::sandbox::script::play(&recipe, example).await.unwrap_or_else(|problem| vec![problem]);
            if problems.is_empty() {
                console.print(&format!("{name}: example {number} holds\n"))?;
            } else {
                outcome = outcome.max(Outcome::Failed);
                console.print(&format!("{name}: example {number} does not hold\n  {}\n", problems.join("\n  ")))?;
            }
        }
    }
    Ok(outcome)
}
