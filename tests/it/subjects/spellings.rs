//! How values of different columns are compared: each row of a linked table says whether it is the held person's.

use super::{Company, HOLD};
use crate::support::bench::{Bench, on_every_engine};

/// A linked table of its own with one column of this type, with rows that are theirs and rows that are not.
struct Case<'a> {
    name: &'a str,
    /// The home column's type and value.
    ours: (&'a str, &'a str),
    /// The linked column's type.
    theirs: &'a str,
    form: &'a str,
    stay: &'a [&'a str],
    go: &'a [&'a str],
}

/// Literals of bytes, by engine.
fn bytes(bench: &Bench, digits: &str) -> String {
    match bench.engine {
        sunset::catalog::Engine::Postgres => format!("'\\x{digits}'"),
        _ => format!("x'{digits}'"),
    }
}

/// The company's home table and the cases' tables are in databases of two engines.
async fn compare(company: &Company, other: &Bench, database: &str, cases: &[Case<'_>]) {
    let columns: String = cases.iter().map(|case| format!(", {}_ours {}", case.name, case.ours.0)).collect();
    let values: String = cases.iter().map(|case| format!(", {}", case.ours.1)).collect();
    company
        .core
        .script(&format!(
            "create table people (id {{int}} primary key{columns}); insert into people values (1{values})"
        ))
        .await;
    let (mut links, mut rules) = (String::new(), String::new());
    for case in cases {
        let name = case.name;
        links += &format!("      {database}.{name}: {{theirs: {{column: {name}_ours, as: {}}}}}\n", case.form);
        rules += &format!(
            "- {{id: {name}, table: {database}.{name}, starting_point: day, retention_period: 1 year, disposition: erase}}\n",
            name = name.replace('_', "-")
        ).replace(&format!("table: {database}.{}", name.replace('_', "-")), &format!("table: {database}.{name}"));
        let mut rows = Vec::new();
        for (literals, fate) in [(case.stay, "stays"), (case.go, "goes")] {
            rows.extend(literals.iter().map(|literal| format!("{literal}, '{fate}'")));
        }
        let rows: Vec<_> = rows.iter().enumerate().map(|(id, row)| format!("({id}, '2001-01-01', {row})")).collect();
        let sql = format!(
            "create table {name} (id {{int}} primary key, day {{date}}, theirs {}, fate {{text}}); insert into {name} values {}",
            case.theirs,
            rows.join(", ")
        );
        other.script(&sql).await;
    }
    company.settings(&format!(
        "subjects:\n  customer:\n    home: core.people\n    country_calling_code: \"81\"\n    links:\n{links}"
    ));
    company.core.rules(&rules);
    company.core.sunset(&["validate"]).expect(0);
    company.core.sunset(&[&HOLD[..], &["--key", "1"]].concat()).expect(0);
    company.run(&[]).expect(0);
    for case in cases {
        let name = case.name;
        let left = other.lines(&format!("select id, fate from {name} order by id")).await;
        let wrong: Vec<_> = left.iter().filter(|line| line.ends_with("|goes")).collect();
        assert!(wrong.is_empty(), "{name} on {:?}: {wrong:?} should go", other.engine);
        assert_eq!(left.len(), case.stay.len(), "{name} on {:?}: of {:?} stayed {left:?}", other.engine, case.stay);
    }
}

const EMAIL: Case = Case {
    name: "email_case",
    ours: ("{text}", "' Jörg.O''Neil+x%@Example.com '"),
    theirs: "{text}",
    form: "email",
    stay: &[
        "'jörg.o''neil+x%@example.com'",
        "'JÖRG.O''NEIL+X%@EXAMPLE.COM'",
        "'JöRG.o''neil+x%@example.com'",
        "'  jörg.o''neil+x%@example.com  '",
        "'ｊörg．ｏ''neil＋ｘ％＠ＥＸＡＭＰＬＥ．ｃｏｍ'",
        "'jörg.o''neil+x%@example.com　'",
        "'jörg.o''neil+x%@example.com\u{2003}'",
        "'\u{b}jörg.o''neil\u{2009}+x%@example.com\u{202f}'",
    ],
    go: &["'jorg.o''neil+x%@example.com'", "'jörg.o''neil+xy@example.com'", "'jörg'", "null", "''", "' '"],
};

const PHONE: Case = Case {
    name: "phone_case",
    ours: ("{text}", "'090-1234-5678'"),
    theirs: "{text}",
    form: "phone",
    stay: &[
        "'09012345678'",
        "'090 1234 5678'",
        "'(090) 1234-5678'",
        "'+81 90-1234-5678'",
        "'+81 (0)90-1234-5678'",
        "'0081.90.1234.5678'",
        "'010-81-90-1234-5678'",
        "'819012345678'",
        "'９０１２３４５６７８'",
        "'０９０－１２３４－５６７８'",
        "'＋８１　９０（１２３４）５６７８'",
        "'090ー1234ー5678'",
        "'tel:090-1234-5678'",
        "'090\u{2009}1234\u{2009}5678'",
    ],
    go: &["'090-1234-5679'", "'+49 90 1234 5678'", "'9012345'", "''", "null", "'n/a'"],
};

/// A number that was dialled from abroad has lost its zeros.
const PHONE_AS_NUMBER: Case = Case {
    name: "phone_as_number",
    ours: ("{text}", "'090-1234-5678'"),
    theirs: "{bigint}",
    form: "phone",
    stay: &["9012345678", "819012345678", "10819012345678", "8109012345678"],
    go: &["9012345679", "9012345", "0", "null"],
};

const TEXT: Case = Case {
    name: "text_case",
    ours: ("char(12)", "'C-001'"),
    theirs: "{text}",
    form: "text",
    stay: &["'C-001'", "' C-001'", "'C-001  '", "'　C-001'", "'\u{2003}C-001\u{85}'"],
    go: &["'C-01'", "'C-0011'", "''", "null", "'%'", "'C_001'"],
};

const CHARACTERS: Case = Case {
    name: "characters_case",
    ours: ("{text}", "'C-001'"),
    theirs: "char(12)",
    form: "text",
    stay: &["'C-001'"],
    go: &["'C-002'", "null"],
};

const NUMBER_AS_TEXT: Case = Case {
    name: "number_as_text",
    ours: ("{int}", "42"),
    theirs: "{text}",
    form: "text",
    stay: &["'42'", "' 42 '"],
    go: &["'420'", "'042'", "null", "''"],
};

const NUMBERS: Case = Case {
    name: "numbers_case",
    ours: ("{text}", "'0042'"),
    theirs: "{text}",
    form: "number",
    stay: &["'42'", "'042'", "'+42'", "'４２'", "' 0042'"],
    go: &["'420'", "'4'", "null", "''", "'x'"],
};

const TEXT_AS_NUMBER: Case = Case {
    name: "text_as_number",
    ours: ("{text}", "'42'"),
    theirs: "{bigint}",
    form: "text",
    stay: &["42"],
    go: &["420", "4", "null"],
};

/// No number can equal it.
const WORD_AS_NUMBER: Case = Case {
    name: "word_as_number",
    ours: ("{text}", "'A-42'"),
    theirs: "{bigint}",
    form: "text",
    stay: &[],
    go: &["42", "0", "null"],
};

const ZERO: Case =
    Case { name: "zero_case", ours: ("{int}", "0"), theirs: "{int}", form: "number", stay: &["0"], go: &["1", "null"] };

const DECIMAL: Case = Case {
    name: "decimal_case",
    ours: ("{int}", "7"),
    theirs: "{numeric}",
    form: "text",
    stay: &["7", "7.00"],
    go: &["7.5", "70", "null"],
};

const UUID: Case = Case {
    name: "uuid_case",
    ours: ("{text}", "'{6F9619FF-8B86-D011-B42D-00C04FC964FF}'"),
    theirs: "{uuid}",
    form: "text",
    stay: &["'6f9619ff-8b86-d011-b42d-00c04fc964ff'"],
    go: &["'6f9619ff-8b86-d011-b42d-00c04fc964fe'", "null"],
};

const UUID_AS_TEXT: Case = Case {
    name: "uuid_as_text",
    ours: ("{uuid}", "'6f9619ff-8b86-d011-b42d-00c04fc964ff'"),
    theirs: "{text}",
    form: "text",
    stay: &["'6f9619ff-8b86-d011-b42d-00c04fc964ff'"],
    go: &["'6f9619ff-8b86-d011-b42d-00c04fc964fe'", "null"],
};

async fn values_are_found_however_they_are_spelled(core: Bench) {
    let company = Company::of(core).await;
    let (hash, other) = (bytes(&company.core, "AA11"), ["AA11", "AA12"].map(|digits| bytes(&company.web, digits)));
    let stay = [other[0].as_str()];
    let go = [other[1].as_str(), "null"];
    let hashes =
        Case { name: "bytes_case", ours: ("{bytes}", &hash), theirs: "{bytes}", form: "text", stay: &stay, go: &go };
    let of_text = Case {
        name: "bytes_of_text",
        ours: ("{text}", "'aa11'"),
        theirs: "{bytes}",
        form: "text",
        stay: &stay,
        go: &go,
    };
    let as_text = Case {
        name: "bytes_as_text",
        ours: ("{bytes}", &hash),
        theirs: "{text}",
        form: "text",
        stay: &["'aa11'", "'AA11'", "'0xaa11'", "'\\xAA11'"],
        go: &["'aa1'", "null"],
    };
    // SQLite's uuids are texts, which are compared as such
    let mut cases = vec![
        EMAIL,
        PHONE,
        PHONE_AS_NUMBER,
        TEXT,
        CHARACTERS,
        NUMBER_AS_TEXT,
        NUMBERS,
        TEXT_AS_NUMBER,
        WORD_AS_NUMBER,
        ZERO,
        DECIMAL,
        hashes,
        of_text,
        as_text,
    ];
    if company.web.engine != sunset::catalog::Engine::Sqlite {
        cases.push(UUID);
    }
    cases.push(UUID_AS_TEXT);
    compare(&company, &company.web, "web", &cases).await;
}

/// All of it once more on one engine alone.
async fn values_are_found_in_the_same_database(core: Bench) {
    let company = Company::of(core).await;
    let cases = [
        EMAIL,
        PHONE,
        PHONE_AS_NUMBER,
        TEXT,
        CHARACTERS,
        NUMBER_AS_TEXT,
        NUMBERS,
        TEXT_AS_NUMBER,
        WORD_AS_NUMBER,
        ZERO,
        DECIMAL,
    ];
    compare(&company, &company.core, "core", &cases).await;
}

on_every_engine!(values_are_found_however_they_are_spelled, values_are_found_in_the_same_database);
