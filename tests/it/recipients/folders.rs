//! A vendor is one folder of `src/recipients`: its connector, its stand-in, its keys for tests, and its tests.

use std::{
    fs,
    path::{Path, PathBuf},
};
use sunset::recipients::KINDS;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/recipients");

/// Files of this name in the folder, however deep.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, name));
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_kind_with_a_stand_in_has_it_and_its_tests_beside_its_connector() {
    let connectors = files(Path::new(FOLDER), "mod.rs");
    for kind in KINDS.iter().filter(|kind| kind.stand_in.is_some()) {
        let name = format!("    name: \"{}\",", kind.name);
        let is_its_own = |path: &&PathBuf| text(path).lines().any(|line| line == name);
        let connector = connectors.iter().find(is_its_own).unwrap_or_else(|| panic!("no folder has {}", kind.name));
        let folder = connector.parent().unwrap();
        assert!(folder.join("stand_in.rs").exists(), "{} has no stand-in", kind.name);
        let is_tested = folder.ancestors().take_while(|folder| *folder != Path::new(FOLDER));
        assert!(is_tested.map(|folder| folder.join("integration.rs")).any(|file| file.exists()), "{}", kind.name);
    }
}

#[test]
fn tests_in_the_folders_are_part_of_this_binary() {
    let lists: Vec<_> = [Path::new(file!()).with_file_name("mod.rs")]
        .into_iter()
        .map(|list| Path::new(env!("CARGO_MANIFEST_DIR")).join(list))
        .chain(files(Path::new(FOLDER), "integration.rs"))
        .collect();
    for file in files(Path::new(FOLDER), "integration.rs") {
        let is_named = lists.iter().any(|list| {
            let paths = text(list);
            let paths = paths.lines().filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            let mut named = paths.map(|path| list.parent().unwrap().join(path).canonicalize());
            named.any(|named| named.is_ok_and(|named| named == file.canonicalize().unwrap()))
        });
        assert!(is_named, "no list of tests names {}", file.display());
    }
}

/// What both took from one place, both could misread in the same way.
#[test]
fn a_stand_in_shares_no_code_with_its_connector() {
    for file in files(Path::new(FOLDER), "stand_in.rs").iter().filter(|file| file.parent() != Some(Path::new(FOLDER))) {
        let text = text(file);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for used in flat.split("use crate::").skip(1).filter_map(|after| after.split(';').next()) {
            let known = ["recipients::stand_in::", "recipients::{ google::stand_in::"];
            assert!(known.iter().any(|known| used.starts_with(known)), "{}: {used}", file.display());
        }
        assert!(!text.contains("super::"), "{}", file.display());
    }
}
