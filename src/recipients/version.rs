//! Versions of vendors' APIs. Each connector is written against one; the setting `api_version` names another. Vendors serve a
//! version for some time, and then every call fails: that is told before it is likely.

use super::{Misfit, RecipientSettings};
use crate::language::{
    format,
    shape::{Field, Shape},
};
use jiff::{Span, civil::Date};

/// The key in the settings.
const KEY: &str = "api_version";

/// The versions of one API.
pub struct Versions {
    /// What has them, such as `Meta's Graph API`.
    pub api: &'static str,
    /// The one that the connector was written against.
    pub written_for: &'static str,
    /// When that was: it was the newest one then.
    pub written_on: Date,
    /// After so many months it is told of: as long as the vendor says that it serves a version, and a year where it says
    /// nothing.
    pub months: i32,
    /// Where the vendor tells which versions it serves.
    pub source: &'static str,
}

impl Versions {
    /// The key for the settings.
    pub const fn field(doc: &'static str, example: &'static str) -> Field {
        Field::optional(KEY, doc, Shape::Text(&format::SETTING), example)
    }

    /// The version that these settings ask for.
    pub fn of<'a>(&self, settings: &'a RecipientSettings) -> &'a str {
        settings.options.text(KEY).unwrap_or(self.written_for)
    }

    /// Versions look like the one that the connector was written against: the same signs around other digits.
    ///
    /// # Errors
    /// This one does not.
    pub fn check(&self, settings: &RecipientSettings) -> Result<(), Misfit> {
        let version = self.of(settings);
        if shape(version) == shape(self.written_for) {
            return Ok(());
        }
        Err(Misfit {
            at: vec![KEY],
            problem: format!("this is no version of {}", self.api),
            help: format!("for example `{}`", self.written_for),
        })
    }

    /// What is to be said of the version on this day.
    pub fn remark(&self, settings: &RecipientSettings, today: Date) -> Option<Misfit> {
        let Self { api, written_for, written_on, months, source } = self;
        let version = self.of(settings);
        let remark = |problem: String, help: String| Some(Misfit { at: vec![KEY], problem, help });
        let (own, known) = (numbers(version), numbers(written_for));
        if own < known {
            let problem =
                format!("`{version}` of {api} is older than `{written_for}`, which Sunset was written against");
            return remark(problem, format!("take `{KEY}` away, or look at {source}"));
        }
        let aged = written_on.checked_add(Span::new().months(*months)).is_ok_and(|end| end <= today);
        if own == known && aged {
            let problem = format!(
                "`{version}` of {api} was the newest in {}, {months} months ago or more, and may not be served much longer",
                written_on.strftime("%Y-%m")
            );
            let help = format!("look at {source}, and name a newer one in `{KEY}`, or update Sunset");
            return remark(problem, help);
        }
        None
    }
}

/// The text without the digits themselves: `v0.0` for `v26.0`.
fn shape(version: &str) -> String {
    let mut shape = String::new();
    for character in version.chars() {
        let character = if character.is_ascii_digit() { '0' } else { character };
        if character != '0' || !shape.ends_with('0') {
            shape.push(character);
        }
    }
    shape
}

fn numbers(version: &str) -> Vec<u32> {
    let numbers = version.split(|character: char| !character.is_ascii_digit());
    numbers.filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        language::node::Node,
        recipients::{Options, meta},
    };
    use jiff::civil::date;

    const GRAPH: Versions = Versions {
        api: "the Graph API",
        written_for: "v26.0",
        written_on: date(2026, 11, 1),
        months: 24,
        source: "its changelog",
    };

    fn asking_for(version: &str) -> RecipientSettings {
        let options = Options::new(Node::parse("", &format!("{{{KEY}: {version}}}")).unwrap());
        RecipientSettings { options, ..RecipientSettings::bare(&meta::KIND) }
    }

    #[test]
    fn what_is_no_version_is_found() {
        assert_eq!(GRAPH.check(&RecipientSettings::bare(&meta::KIND)), Ok(()));
        for good in ["v27.0", "v9.1"] {
            assert_eq!(GRAPH.check(&asking_for(good)), Ok(()), "{good}");
        }
        for bad in ["27.0", "v27", "v27.0/me", "latest", "v..", "v27.0 "] {
            assert!(GRAPH.check(&asking_for(&format!("\"{bad}\""))).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_old_version_is_told_of() {
        let told = |version: &str, today| {
            let settings = asking_for(version);
            GRAPH.remark(&settings, today).map(|remark| remark.problem)
        };
        assert_eq!(told("v26.0", date(2028, 10, 31)), None);
        assert_eq!(
            told("v26.0", date(2028, 11, 1)).unwrap(),
            "`v26.0` of the Graph API was the newest in 2026-11, 24 months ago or more, and may not be served much longer"
        );
        assert_eq!(told("v27.0", date(2040, 1, 1)), None, "nobody knows when that one came");
        assert_eq!(
            told("v9.0", date(2026, 11, 1)).unwrap(),
            "`v9.0` of the Graph API is older than `v26.0`, which Sunset was written against"
        );
    }
}
