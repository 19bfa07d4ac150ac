//! Sets of transactions by their global ids, as MySQL and MariaDB print them.
//!
//! Sources: MySQL's page on GTID sets (`gtid_executed`: `uuid:1-5:7, uuid:tag:1-3`), MariaDB's on `gtid_current_pos`
//! (`domain-server-sequence`, the newest of each domain).

use std::collections::BTreeMap;

/// Of each source, which transactions there are: first and last of each gapless stretch.
#[derive(Debug, PartialEq, Eq)]
pub struct Transactions(BTreeMap<String, Vec<(u64, u64)>>);

impl Transactions {
    /// Reads what a server prints; `None` where it is neither server's form, or tells of no transaction.
    pub fn read(text: &str) -> Option<Self> {
        let mut sources: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if part.contains(':') {
                executed(part, &mut sources)?;
            } else {
                let mut numbers = part.split('-').map(|number| number.parse::<u64>().ok());
                let (domain, _server, sequence) = (numbers.next()??, numbers.next()??, numbers.next()??);
                if numbers.next().is_some() {
                    return None;
                }
                sources.entry(format!("domain {domain}")).or_default().push((1, sequence));
            }
        }
        for stretches in sources.values_mut() {
            stretches.sort_unstable();
        }
        (!sources.is_empty()).then_some(Self(sources))
    }

    /// A source of which this set lacks something that `other` has.
    pub fn lacks_of(&self, other: &Self) -> Option<String> {
        let has = |source: &str, first: u64, last: u64| {
            let stretches = self.0.get(source).map(Vec::as_slice).unwrap_or_default();
            stretches.iter().any(|(own_first, own_last)| *own_first <= first && last <= *own_last)
        };
        let lacking = |(source, stretches): &(&String, &Vec<(u64, u64)>)| {
            stretches.iter().any(|(first, last)| !has(source, *first, *last))
        };
        other.0.iter().find(lacking).map(|(source, _)| source.clone())
    }
}

/// One source of MySQL: its id, and stretches; tags stand between them.
fn executed(part: &str, sources: &mut BTreeMap<String, Vec<(u64, u64)>>) -> Option<()> {
    let mut words = part.split(':').map(str::trim);
    let id = words.next()?.to_lowercase();
    let mut source = id.clone();
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => sources.entry(source.clone()).or_default().push((first, last)),
            _ if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => source = format!("{id}:{word}"),
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3E11FA47-71CA-11E1-9E33-C80AA9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn lacks(now: &str, before: &str) -> bool {
        Transactions::read(now).unwrap().lacks_of(&Transactions::read(before).unwrap()).is_some()
    }

    #[test]
    fn executed_sets_contain_each_other_or_not() {
        assert!(!lacks(&format!("{A}:1-5"), &format!("{A}:1-5")));
        assert!(!lacks(&format!("{A}:1-9:11,\n{B}:1"), &format!("{A}:2-5:7")));
        assert!(lacks(&format!("{A}:1-5:7"), &format!("{A}:1-7")));
        assert!(lacks(&format!("{A}:1-99"), &format!("{A}:1-5,{B}:1")));
        assert!(!lacks(&format!("{}:1-5", A.to_lowercase()), &format!("{A}:1-5")));
        assert!(lacks(&format!("{A}:1-5"), &format!("{A}:1-5:deploy:1-3")));
        assert!(!lacks(&format!("{A}:1-5:deploy:1-4"), &format!("{A}:1-5:deploy:1-3")));
    }

    #[test]
    fn positions_of_mariadb_are_compared_by_domain() {
        assert!(!lacks("0-2-101,1-1-7", "0-1-100,1-1-7"));
        assert!(lacks("0-2-99", "0-1-100"));
        assert!(lacks("0-2-101", "0-1-100,1-1-7"));
    }

    #[test]
    fn what_is_no_set_is_none() {
        for text in ["", " ", "0-1", "0-1-2-3", "x-y-z", &format!("{A}:x-y:!")] {
            assert_eq!(Transactions::read(text), None, "{text}");
        }
    }
}
