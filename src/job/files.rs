//! Which entries of `rules/` are rule files. What looks like one and is none is an error: a rule that nobody reads
//! deletes nothing, and nobody hears of it.

use super::{RULES_DIRECTORY, unreadable};
use crate::{
    diagnostic::{Code, Diagnostic, Place},
    file,
    recipients::recipe,
};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// What is made of one entry of the directory.
enum Entry {
    Rules,
    /// It is not about rules: what editors, Git and Kubernetes make, and what explains the directory to people.
    PassedOver,
    /// Why it is not read, and what to do about it.
    Wrong(String, String),
}

/// The rule files as paths in the job directory, sorted: those that end in `.yaml` or `.yml`, be they files or links to
/// files. Hidden entries, `*.md` and `lost+found` are passed over; everything else is an error.
pub(super) fn rule_files(directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let names = file::within(directory, RULES_DIRECTORY)
        .and_then(fs::read_dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
    let mut names = match names {
        Ok(names) => names,
        Err(error) => {
            diagnostics.push(unreadable(directory, RULES_DIRECTORY, &error));
            return Vec::new();
        }
    };
    names.sort();
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for name in &names {
        let shown = format!("{RULES_DIRECTORY}/{}", name.to_string_lossy());
        match judge(&directory.join(RULES_DIRECTORY), name) {
            Entry::Rules => files.push(shown),
            Entry::PassedOver => {}
            Entry::Wrong(message, help) => {
                let message = format!("{shown} {message}");
                found.push(Diagnostic::error(Code::NotRead, Place::file(shown), message).help(help));
            }
        }
    }
    if files.is_empty() {
        let message = format!("there is no rule file in {RULES_DIRECTORY}/");
        let diagnostic = Diagnostic::error(Code::Unreadable, Place::file(RULES_DIRECTORY), message);
        diagnostics.push(diagnostic.help("write one file per data category, such as rules/customers.yaml"));
    }
    diagnostics.append(&mut found);
    files
}

/// The company's own recipes as paths in the job directory, sorted. There need not be any.
pub(super) fn recipe_files(directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let names = file::within(directory, recipe::DIRECTORY)
        .and_then(fs::read_dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
    let mut names = match names {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            diagnostics.push(unreadable(directory, recipe::DIRECTORY, &error));
            return Vec::new();
        }
    };
    names.sort();
    let recipes = names.iter().filter_map(|name| name.to_str().filter(|name| name.ends_with(".yaml")));
    recipes.map(|name| format!("{}/{name}", recipe::DIRECTORY)).collect()
}

fn judge(rules: &Path, name: &OsStr) -> Entry {
    let path = rules.join(name);
    let wrong = |message: &str, help: &str| Entry::Wrong(message.to_owned(), help.to_owned());
    let Some(name) = name.to_str() else {
        return wrong("is not read: its name is not text in UTF-8", "give it a name of plain letters");
    };
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_read = matches!(extension, "yaml" | "yml");
    let is_yaml = extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml");
    // follows links: Kubernetes mounts each file as one
    let target = fs::metadata(&path);
    if name.starts_with('.') {
        // locks of Emacs lead to nowhere; macOS keeps a file's attributes beside it on foreign disks
        return match target {
            Ok(target) if target.is_file() && is_yaml && !name.starts_with("._") => wrong(
                "is hidden and not read",
                "take the dot away from the front of its name, or move it out of rules/",
            ),
            _ => Entry::PassedOver,
        };
    }
    if name == "lost+found" || extension.eq_ignore_ascii_case("md") {
        return Entry::PassedOver;
    }
    match target {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let to = fs::read_link(&path).unwrap_or_else(|_| PathBuf::from("nothing"));
            let message = format!("is a link to {}, which is not there", to.display());
            Entry::Wrong(message, "put the file back, or remove the link".to_owned())
        }
        Err(error) => Entry::Wrong(format!("cannot be read: {error}"), "make it readable, or remove it".to_owned()),
        Ok(target) if target.is_dir() => wrong(
            "is a folder, and folders are not read",
            "move its rule files into rules/ itself, and other files out of it",
        ),
        Ok(target) if !target.is_file() => wrong("is not a regular file", "remove it from rules/"),
        Ok(_) if is_read => Entry::Rules,
        Ok(_) if is_yaml => {
            let stem = &name[..name.len() - extension.len()];
            Entry::Wrong("is not read".to_owned(), format!("rename it to {stem}{}", extension.to_lowercase()))
        }
        Ok(_) => wrong(
            "is not read: only files that end in .yaml or .yml are",
            "rename it to end in .yaml, or move it out of rules/",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

    /// The files that are read, and those that are errors.
    fn judged(make: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = directory.path().join(RULES_DIRECTORY);
        fs::create_dir(&rules).expect("a directory");
        make(&rules);
        let mut found = Vec::new();
        let files = rule_files(directory.path(), &mut found);
        let name = |diagnostic: Diagnostic| {
            assert!(diagnostic.help.is_some(), "{}", diagnostic.message);
            diagnostic.place.expect("a place").file
        };
        (files, found.into_iter().map(name).collect())
    }

    fn write(rules: &Path, names: &[&str]) {
        for name in names {
            fs::write(rules.join(name), "").expect("a file");
        }
    }

    #[test]
    fn reads_yaml_and_passes_over_what_tools_make() {
        let (files, wrong) = judged(|rules| {
            write(rules, &["b.yaml", "a.yml", ".gitkeep", ".a.yml.swp", "._a.yml", "README.md", "notes.MD"]);
            symlink("me@host.1234", rules.join(".#b.yaml")).expect("a link");
            fs::create_dir(rules.join("lost+found")).expect("a directory");
            fs::create_dir(rules.join(".git")).expect("a directory");
        });
        assert_eq!((files, wrong), (vec!["rules/a.yml".to_owned(), "rules/b.yaml".to_owned()], Vec::new()));
    }

    #[test]
    fn reads_what_kubernetes_mounts() {
        let (files, wrong) = judged(|rules| {
            let version = rules.join("..2026_11_22_03_00_00.1234");
            fs::create_dir(&version).expect("a directory");
            write(&version, &["a.yaml"]);
            symlink("..2026_11_22_03_00_00.1234", rules.join("..data")).expect("a link");
            symlink("..data/a.yaml", rules.join("a.yaml")).expect("a link");
        });
        assert_eq!((files, wrong), (vec!["rules/a.yaml".to_owned()], Vec::new()));
    }

    #[test]
    fn names_what_is_not_read() {
        let names = ["#b.yaml#", ".b.yaml", "b.YAML", "b.json", "b.yaml.bak", "b.yaml~", "b.yamll", "b", "b.yaml "];
        let (files, wrong) = judged(|rules| {
            write(rules, &["a.yaml"]);
            write(rules, &names);
            fs::create_dir(rules.join("c")).expect("a directory");
            fs::create_dir(rules.join("d.yaml")).expect("a directory");
            symlink("nowhere", rules.join("e.yaml")).expect("a link");
            fs::write(rules.join(OsStr::from_bytes(b"f\xff.yaml")), "").expect("a file");
        });
        assert_eq!(files, ["rules/a.yaml"]);
        let mut expected: Vec<_> = names.iter().map(|name| format!("rules/{name}")).collect();
        expected.extend(["rules/c", "rules/d.yaml", "rules/e.yaml", "rules/f\u{fffd}.yaml"].map(str::to_owned));
        expected.sort();
        let mut wrong = wrong;
        wrong.sort();
        assert_eq!(wrong, expected);
    }
}
