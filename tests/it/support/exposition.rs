//! Reads Prometheus' text format, and refuses what its rules forbid.

use std::collections::{BTreeMap, BTreeSet};

/// Metrics as they were exposed: series to value.
#[derive(Debug)]
pub struct Exposition(pub BTreeMap<String, f64>);

impl Exposition {
    /// Reads the text. Each metric has its HELP and TYPE once and before its samples, which stand together; no series
    /// comes twice; counters end in `_total`; the buckets of a histogram only grow and end with its count.
    pub fn parse(text: &str) -> Self {
        let (mut series, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut current: Option<(String, String)> = None;
        let mut help = None;
        assert!(text.ends_with('\n'), "the last line does not end");
        for line in text.lines() {
            if let Some(words) = line.strip_prefix("# HELP ") {
                let (name, words) = words.split_once(' ').unwrap();
                assert!(!words.trim().is_empty(), "{name} has no help");
                help = Some(name.to_owned());
            } else if let Some(words) = line.strip_prefix("# TYPE ") {
                let (name, kind) = words.split_once(' ').unwrap();
                assert_eq!(help.as_deref(), Some(name), "TYPE without HELP");
                assert!(seen.insert(name.to_owned()), "{name} is described twice");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                current = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let metric = name.split('{').next().unwrap();
                let (family, kind) = current.as_ref().unwrap();
                let suffix = metric.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} under {family}"));
                let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line}");
                labels(name);
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(series.insert(name.to_owned(), value).is_none(), "twice: {name}");
            }
        }
        let exposition = Self(series);
        exposition.check_histograms();
        exposition
    }

    fn check_histograms(&self) {
        for (name, count) in self.0.iter().filter(|(name, _)| name.split('{').next().unwrap().ends_with("_count")) {
            let labels = name.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let bucket = name.split('{').next().unwrap().replace("_count", "_bucket");
            let mut buckets: Vec<(f64, f64)> = self
                .0
                .iter()
                .filter(|(series, _)| series.starts_with(&format!("{bucket}{{{labels}")))
                .map(|(series, value)| {
                    let bound = series.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
                    (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *value)
                })
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: buckets shrink");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name}");
        }
    }

    /// The value of a series that counts; the test fails where there is none.
    pub fn count(&self, series: &str) -> i64 {
        let value = self.value(series);
        assert!(value.fract() == 0.0 && value.abs() < 1e15, "{series} is {value}");
        #[expect(clippy::cast_possible_truncation, reason = "asked just before")]
        let count = value as i64;
        count
    }

    /// The value of a series; the test fails where there is none.
    pub fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    pub fn has(&self, series: &str) -> bool {
        self.0.contains_key(series)
    }

    /// The names of all labels.
    pub fn labels(&self) -> BTreeSet<String> {
        self.0.keys().flat_map(|series| labels(series)).collect()
    }
}

/// The names of a series' labels; each comes once.
fn labels(series: &str) -> Vec<String> {
    let Some((_, rest)) = series.split_once('{') else { return Vec::new() };
    let rest = rest.strip_suffix('}').unwrap();
    let names: Vec<_> = rest
        .split(',')
        .map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{series}");
            name.to_owned()
        })
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{series}");
    names
}
