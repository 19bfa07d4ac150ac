//! Conditions in SQL: what is rendered is read again as the same, in every dialect, and names no other columns.

use super::{Target, kind};
use sunset::{catalog::Engine, rules::condition};

pub static TARGET: Target = Target {
    name: "conditions",
    check,
    seeds: &[],
    words: &[
        "a = 1",
        " AND ",
        " OR ",
        "NOT ",
        " IS NULL",
        " IN (",
        ")",
        "(",
        " BETWEEN ",
        " LIKE '%'",
        " ESCAPE '\\'",
        "'",
        "''",
        "\\'",
        "\"",
        "`",
        "[a]",
        "--",
        "/*",
        "*/",
        "/*!50000 ",
        "#",
        ";",
        "||",
        "&&",
        "!",
        "~",
        "::text",
        "CAST(a AS ",
        "COLLATE ",
        "$$",
        "$1",
        "?",
        ":a",
        "@a",
        "@@a",
        "0x41",
        "x'41'",
        "b'1'",
        "e'\\''",
        "U&'\\0061'",
        "N'a'",
        "INTERVAL '1 day'",
        "DATE '2020-01-01'",
        "now()",
        "lower(",
        "CASE WHEN ",
        " THEN ",
        " ELSE ",
        " END",
        "EXISTS (SELECT 1)",
        "1e400",
        "- -1",
        "t.",
        "\u{a0}",
        "\u{0}",
        "日本",
        "NULL",
        "TRUE",
    ],
};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];

fn check(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".to_owned() };
    ENGINES.map(|engine| read(text, engine)).join(" | ")
}

fn read(text: &str, engine: Engine) -> String {
    let expression = match condition::check(text, engine) {
        Ok(expression) => expression,
        Err(errors) => {
            assert!(!errors.is_empty(), "it is refused without a reason");
            for error in &errors {
                assert!(text.get(error.range.clone()).is_some(), "the place is no part of the text: {error:?}");
            }
            return kind(&errors[0].problem);
        }
    };
    let mark = if engine == Engine::Mysql { '`' } else { '"' };
    let quote = |name: &str| format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")));
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let rendered = expression.render(&quote, &literal, "t");
    let again = condition::check(&rendered, engine)
        .unwrap_or_else(|errors| panic!("{engine:?} does not read {rendered:?} again: {errors:?}"));
    // it stands in parentheses, which are read as a group
    assert_eq!(again.render(&quote, &literal, "t"), format!("({rendered})"), "{engine:?} reads something else");
    let names = |expression: &condition::Expression| -> Vec<String> {
        expression.columns().iter().map(|column| column.name.clone()).collect()
    };
    assert_eq!(names(&again), names(&expression), "{engine:?} reads other columns in {rendered:?}");
    for column in expression.columns() {
        assert!(text.get(column.range.clone()).is_some(), "the place is no part of the text: {column:?}");
    }
    "read".to_owned()
}
