//! Techniques without a server: what fits, what is said, and that doing it twice changes nothing.

use super::*;
use crate::{
    catalog::{ForeignKey, Index, ReferentialAction, TableKind, TableName},
    sql::PLACEHOLDER,
};

use proptest::prelude::*;

fn column(name: &str, kind: ColumnKind, sql_type: &str, max_length: Option<u32>) -> Column {
    let (name, sql_type) = (name.to_owned(), sql_type.to_owned());
    let words = if kind == ColumnKind::Enumeration { vec!["open".into(), "closed".into()] } else { Vec::new() };
    Column {
        name,
        sql_type,
        kind,
        nullable: true,
        generated: false,
        touched: false,
        has_default: false,
        max_length,
        words,
        comment: String::new(),
        codec: crate::catalog::Codec::of(crate::catalog::Values::Other, ""),
    }
}

fn table(columns: Vec<Column>) -> Table {
    let name = |name: &str| TableName { schema: "public".into(), name: name.into() };
    Table {
        name: name("customers"),
        kind: TableKind::Plain,
        columns,
        primary_key: vec!["id".into()],
        foreign_keys: vec![ForeignKey {
            name: "customers_shop_fkey".into(),
            columns: vec!["shop".into()],
            references: name("shops"),
            referenced_columns: vec!["id".into()],
            target: name("shops"),
            on_delete: ReferentialAction::NoAction,
            on_update: ReferentialAction::NoAction,
            match_full: false,
        }],
        indexes: vec![Index {
            name: "unique_email".into(),
            columns: vec!["email".into()],
            unique: true,
            partial: false,
            bytewise: false,
        }],
        triggers: Vec::new(),
        partitions: Vec::new(),
        partition_of: None,
        inherits: Vec::new(),
        owner: None,
        row_security: false,
        holds_copies: false,
        obstacle: None,
        rowid: None,
        estimated_rows: 0,
        comment: String::new(),
    }
}

fn context(engine: Engine, key: Option<&[u8]>) -> Context<'_> {
    Context {
        engine,
        column_sql: "t.c".into(),
        key_sql: "t.id".into(),
        pseudonym_key: key,
        scope: "customers.email".into(),
        copied: None,
        zone: TimeZone::get("Asia/Tokyo").unwrap(),
    }
}

/// The codes and problems of `technique` on column `name` of one table for all.
fn misfits(technique: &Technique, column: Column, engine: Engine) -> Vec<&'static str> {
    let key = super::tests::column("id", ColumnKind::Integer, "bigint", None);
    let table = table(vec![key, column.clone()]);
    let misfits = technique.fits(&column, &table, engine);
    for misfit in &misfits {
        assert!(misfit.problem.contains(&column.name) && !misfit.help.is_empty(), "{misfit:?}");
    }
    misfits.iter().map(|misfit| misfit.code.as_str()).collect()
}

fn replace(text: &str) -> Technique {
    Technique::Replace(text.into())
}

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];

#[test]
fn columns_that_no_technique_may_touch() {
    let text = |name| column(name, ColumnKind::Text, "text", None);
    for technique in [replace("x"), Technique::Mask(Mask::default()), Technique::Hash(Hash {})] {
        for engine in ENGINES {
            assert!(misfits(&technique, text("id"), engine).contains(&"E0505"));
            assert_eq!(misfits(&technique, text("shop"), engine), ["E0507"]);
            assert_eq!(misfits(&technique, Column { generated: true, ..text("c") }, engine), ["E0506"]);
            assert_eq!(misfits(&technique, text("c"), engine), [""; 0]);
        }
    }
    assert_eq!(misfits(&Technique::Suppress, text("shop"), Engine::Postgres), [""; 0]);
    assert_eq!(misfits(&Technique::Suppress, Column { nullable: false, ..text("c") }, Engine::Postgres), ["E0501"]);
}

#[test]
fn unique_columns_need_different_values() {
    let email = || column("email", ColumnKind::Text, "text", None);
    let merging = [
        replace("x"),
        Technique::Mask(Mask { keep_first: 2, keep_last: 0 }),
        Technique::Truncate(Truncate { length: 3 }),
        Technique::Generalize(Generalize::PostalCode(3)),
        Technique::Tokenize(Tokenize { prefix: String::new(), length: 8 }),
    ];
    for technique in merging {
        assert_eq!(misfits(&technique, email(), Engine::Mysql), ["E0502"], "{technique:?}");
    }
    let keeping = [
        replace("{key}@invalid.example"),
        Technique::Suppress,
        Technique::Hash(Hash {}),
        Technique::Tokenize(Tokenize { prefix: String::new(), length: 16 }),
    ];
    for technique in keeping {
        assert_eq!(misfits(&technique, email(), Engine::Mysql), [""; 0], "{technique:?}");
    }
}

#[test]
fn new_values_fit_the_columns_length() {
    let text = |length| column("c", ColumnKind::Text, "varchar", Some(length));
    let fits = |technique: &Technique, length| misfits(technique, text(length), Engine::Postgres).is_empty();
    assert!(fits(&replace("退会済み"), 4) && !fits(&replace("退会済み"), 3), "characters, not bytes");
    // A bigint has up to 20 characters.
    assert!(fits(&replace("erased-{key}"), 27) && !fits(&replace("erased-{key}"), 26));
    assert!(!fits(&replace("{key}{key}"), 39) && fits(&replace("{key}{key}"), 40));
    assert!(fits(&Technique::Hash(Hash {}), 64) && !fits(&Technique::Hash(Hash {}), 63));
    let token = Technique::Tokenize(Tokenize { prefix: "客-".into(), length: 10 });
    assert!(fits(&token, 12) && !fits(&token, 11));
    assert_eq!(
        misfits(&replace("erased "), column("c", ColumnKind::Text, "character(9)", Some(9)), ENGINES[0]),
        ["E0504"]
    );
}

#[test]
fn replacements_are_values_of_the_columns_type() {
    let cases = [
        (ColumnKind::Integer, "integer", "-5", "5.5"),
        (ColumnKind::Integer, "smallint", "32767", "32768"),
        (ColumnKind::Decimal, "numeric(5,2)", "0.25", "0.125"),
        (ColumnKind::Float, "double precision", "0.5", "half"),
        (ColumnKind::Boolean, "boolean", "false", "no"),
        (ColumnKind::Date, "date", "1970-01-01", "1970-02-30"),
        (ColumnKind::DateTime, "timestamp", "1970-01-01T00:00:00", "yesterday"),
        (ColumnKind::Instant, "timestamp", "1970-01-02T00:00:00+09:00", "1970-01-02T00:00:00"),
        (ColumnKind::Uuid, "uuid", "00000000-0000-0000-0000-00000000000F", "0"),
        (ColumnKind::Enumeration, "state", "closed", "erased"),
        (ColumnKind::Json, "jsonb", "{}", "{\"a\": 1}"),
    ];
    for (kind, sql_type, good, bad) in cases {
        let column = || column("c", kind, sql_type, None);
        assert_eq!(misfits(&replace(good), column(), Engine::Postgres), [""; 0], "{good} in {sql_type}");
        assert_eq!(misfits(&replace(bad), column(), Engine::Postgres), ["E0504"], "{bad} in {sql_type}");
        assert_eq!(misfits(&replace("{key}"), column(), Engine::Postgres), ["E0504"], "{{key}} in {sql_type}");
    }
    for kind in [ColumnKind::Bytes, ColumnKind::Other, ColumnKind::Time] {
        assert_eq!(misfits(&replace("x"), column("c", kind, "x", None), Engine::Postgres), ["E0504"]);
    }
    assert_eq!(
        misfits(&replace("1960-01-01T00:00:00Z"), column("c", ColumnKind::Instant, "timestamp", None), ENGINES[1]),
        ["E0504"]
    );
}

#[test]
fn techniques_fit_types() {
    use ColumnKind::{Date, DateTime, Decimal, Float, Inet, Instant, Integer, Text};
    let generalize = Technique::Generalize;
    let fits = |technique: &Technique, kind, sql_type, engine| {
        misfits(technique, column("c", kind, sql_type, None), engine).is_empty()
    };
    for engine in ENGINES {
        for kind in [Date, DateTime, Instant] {
            assert!(fits(&generalize(Generalize::Month), kind, "x", engine));
            assert!(!fits(&Technique::Mask(Mask::default()), kind, "x", engine));
            assert!(!fits(&Technique::TopCode(90.0), kind, "x", engine));
        }
        assert!(!fits(&generalize(Generalize::Year), Text, "text", engine));
        assert!(fits(&generalize(Generalize::PostalCode(3)), Text, "text", engine));
        assert!(fits(&generalize(Generalize::Bucket(10.0)), Integer, "integer", engine));
        assert!(!fits(&generalize(Generalize::Bucket(0.5)), Integer, "integer", engine));
        assert!(!fits(&generalize(Generalize::Bucket(-10.0)), Integer, "integer", engine));
        assert!(!fits(&generalize(Generalize::Bucket(f64::NAN)), Decimal, "numeric", engine));
        assert!(!fits(&generalize(Generalize::Bucket(0.5)), Float, "double precision", engine));
        assert!(!fits(&Technique::TopCode(99.5), Integer, "integer", engine));
        assert!(!fits(&Technique::Hash(Hash {}), Integer, "integer", engine));
    }
    assert!(fits(&generalize(Generalize::Bucket(0.5)), Decimal, "numeric(9,1)", Engine::Postgres));
    assert!(!fits(&generalize(Generalize::Bucket(0.25)), Decimal, "numeric(9,1)", Engine::Postgres));
    assert!(!fits(&generalize(Generalize::Bucket(10.0)), Float, "real", Engine::Postgres));
    let prefix = |v4, v6| generalize(Generalize::IpPrefix { v4, v6 });
    assert!(fits(&prefix(23, 45), Inet, "inet", Engine::Postgres));
    assert!(!fits(&prefix(24, 48), Text, "text", Engine::Postgres));
    assert!(fits(&prefix(24, 48), Text, "varchar(45)", Engine::Mysql));
    assert!(!fits(&prefix(23, 48), Text, "varchar(45)", Engine::Mysql));
    assert!(!fits(&prefix(24, 48), Text, "text", Engine::Sqlite));
}

#[test]
fn labels_say_what_stays() {
    let mask = |keep_first, keep_last| Technique::Mask(Mask { keep_first, keep_last });
    let labels = [
        (Technique::Suppress, "removed"),
        (replace("erased-{key}"), "replaced with `erased-{key}`"),
        (replace(""), "emptied"),
        (mask(3, 0), "first 3 characters kept, rest masked"),
        (mask(1, 0), "first 1 character kept, rest masked"),
        (mask(0, 4), "last 4 characters kept, rest masked"),
        (mask(1, 2), "first 1 and last 2 characters kept, rest masked"),
        (mask(0, 0), "masked"),
        (Technique::Generalize(Generalize::Decade), "first day of the decade"),
        (Technique::Generalize(Generalize::Bucket(0.5)), "rounded down to a multiple of 0.5"),
        (Technique::Generalize(Generalize::PostalCode(3)), "first 3 characters of the postal code kept"),
        (Technique::TopCode(90.0), "at most 90"),
        (Technique::Hash(Hash {}), "keyed hash (pseudonym)"),
    ];
    for (technique, label) in labels {
        assert_eq!(technique.label(), label);
    }
}

#[test]
fn short_values_are_masked_whole() {
    let mask = |value, keep_first, keep_last| {
        let column = column("c", ColumnKind::Text, "text", None);
        let technique = Technique::Mask(Mask { keep_first, keep_last });
        technique.apply(Some(value), &column, "1", &context(Engine::Sqlite, None)).unwrap()
    };
    assert_eq!(mask("090-1234-5678", 3, 2), "090********78");
    assert_eq!(mask("山田太郎", 1, 0), "山***");
    assert_eq!((mask("李", 1, 0), mask("ab", 1, 1), mask("", 1, 1)), ("*".into(), "**".into(), String::new()));
    assert_eq!(mask("abc", u32::MAX, u32::MAX), "***");
}

#[test]
fn keyed_techniques_need_their_key() {
    let (hash, text) = (Technique::Hash(Hash {}), column("c", ColumnKind::Text, "text", None));
    assert!(hash.is_keyed() && !hash.has_fixpoint() && !hash.in_sql(Engine::Sqlite) && hash.in_sql(Engine::Mysql));
    for engine in ENGINES {
        assert_eq!(hash.expression(&text, &context(engine, None)), None);
        assert_eq!(hash.apply(Some("x"), &text, "1", &context(engine, None)), None);
        assert_eq!(hash.pending(&text, &context(engine, Some(b"key"))), None);
        assert_eq!(hash.expression(&text, &context(engine, Some(b"key"))).is_some(), hash.in_sql(engine));
    }
    // python3: hmac(hmac(b"key", b"customers.email", sha256).digest(), "山田".encode(), sha256).hexdigest()
    let digits = "5b86ad1e5d1d39ebe855cea3b4f0f2cc88335262afbddd1f71bb74d936e86964";
    let apply = |technique: &Technique| {
        technique.apply(Some("山田"), &text, "1", &context(Engine::Sqlite, Some(b"key"))).unwrap()
    };
    assert_eq!(apply(&hash), digits);
    assert_eq!(
        apply(&Technique::Tokenize(Tokenize { prefix: "C-".into(), length: 12 })),
        format!("C-{}", &digits[..12])
    );
    let other = Context { scope: "orders.email".into(), ..context(Engine::Sqlite, Some(b"key")) };
    assert_ne!(hash.apply(Some("山田"), &text, "1", &other).unwrap(), digits, "scopes are not linked");
}

#[test]
fn secrets_and_values_are_bound() {
    for engine in ENGINES {
        let column = column("c", ColumnKind::Text, "text", None);
        let techniques = [
            replace("a'b\\{key}--"),
            Technique::Hash(Hash {}),
            Technique::Tokenize(Tokenize { prefix: "q'".into(), length: 8 }),
        ];
        for technique in techniques {
            let Some(sql) = technique.expression(&column, &context(engine, Some(b"key"))) else { continue };
            assert_eq!(sql.text.matches(PLACEHOLDER).count(), sql.args.len());
            assert!(!sql.text.contains("a'b") && !sql.text.contains("q'"), "{}", sql.text);
        }
    }
}

fn techniques() -> impl Strategy<Value = (Technique, ColumnKind, &'static str)> {
    use ColumnKind::{Date, DateTime, Decimal, Float, Integer, Text};
    let generalize = |generalize| Just(Technique::Generalize(generalize));
    let text = prop_oneof![
        "[a-z{}@客]{0,6}(\\{key\\})?".prop_map(Technique::Replace),
        (0_u32..6, 0_u32..6).prop_map(|(keep_first, keep_last)| Technique::Mask(Mask { keep_first, keep_last })),
        (0_u32..6).prop_map(|length| Technique::Truncate(Truncate { length })),
        (0_u32..6).prop_map(|length| Technique::Generalize(Generalize::PostalCode(length))),
    ];
    let dates =
        || prop_oneof![generalize(Generalize::Month), generalize(Generalize::Year), generalize(Generalize::Decade)];
    let whole = || (1_u32..500).prop_map(f64::from);
    let numbers = || {
        prop_oneof![
            whole().prop_map(|size| Technique::Generalize(Generalize::Bucket(size))),
            (-500_i32..500).prop_map(|limit| Technique::TopCode(limit.into())),
            (-500_i32..500).prop_map(|limit| Technique::BottomCode(limit.into())),
        ]
    };
    prop_oneof![
        text.prop_map(|technique| (technique, Text, "text")),
        dates().prop_map(|technique| (technique, Date, "date")),
        dates().prop_map(|technique| (technique, DateTime, "timestamp")),
        numbers().prop_map(|technique| (technique, Integer, "bigint")),
        numbers().prop_map(|technique| (technique, Decimal, "numeric")),
        numbers().prop_map(|technique| (technique, Float, "double precision")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn twice_is_once(
        (technique, kind, sql_type) in techniques(),
        engine in prop::sample::select(&ENGINES[..]),
        text in "\\PC{0,12}",
        (year, month, day) in (1_i16..=9999, 1_i8..=12, 1_i8..=28),
        number in -1e17..1e17_f64,
        small in -2000_i64..2000,
    ) {
        let column = column("c", kind, sql_type, None);
        let value = match kind {
            ColumnKind::Date => format!("{year:04}-{month:02}-{day:02}"),
            ColumnKind::DateTime => format!("{year:04}-{month:02}-{day:02} 12:34:56"),
            ColumnKind::Integer => small.to_string(),
            ColumnKind::Decimal => format!("{small}.25"),
            ColumnKind::Float => number.to_string(),
            _ => text,
        };
        let context = context(engine, None);
        let once = technique.apply(Some(&value), &column, "17", &context);
        prop_assert!(once.is_some() || kind == ColumnKind::Float, "{value} has a new value");
        prop_assert_eq!(technique.apply(once.as_deref(), &column, "17", &context), once);
        prop_assert_eq!(technique.apply(None, &column, "17", &context), None);
    }

    #[test]
    fn no_date_text_panics(value in "[0-9]{0,4}-?[0-9]{0,2}-?[0-9]{0,2}[ T]?\\PC{0,9}") {
        let column = column("c", ColumnKind::DateTime, "DATETIME", None);
        for engine in ENGINES {
            let technique = Technique::Generalize(Generalize::Month);
            let once = technique.apply(Some(&value), &column, "1", &context(engine, None));
            prop_assert_eq!(technique.apply(once.as_deref(), &column, "1", &context(engine, None)), once);
        }
    }
}

/// Techniques that go together, with columns that they fit.
fn pairs() -> Vec<(Technique, Technique)> {
    let mask = |keep_first, keep_last| Technique::Mask(Mask { keep_first, keep_last });
    let generalize = Technique::Generalize;
    let all = [
        Technique::Suppress,
        mask(0, 0),
        mask(1, 0),
        mask(3, 0),
        mask(2, 2),
        Technique::Truncate(Truncate { length: 2 }),
        Technique::Truncate(Truncate { length: 4 }),
        generalize(Generalize::PostalCode(3)),
        generalize(Generalize::Month),
        generalize(Generalize::Year),
        generalize(Generalize::Decade),
        generalize(Generalize::Bucket(5.0)),
        generalize(Generalize::Bucket(10.0)),
        generalize(Generalize::Bucket(15.0)),
        generalize(Generalize::Bucket(0.1)),
        generalize(Generalize::IpPrefix { v4: 24, v6: 48 }),
        generalize(Generalize::IpPrefix { v4: 16, v6: 48 }),
        generalize(Generalize::IpPrefix { v4: 8, v6: 64 }),
        Technique::TopCode(80.0),
        Technique::TopCode(42.0),
        Technique::BottomCode(20.0),
        Technique::BottomCode(18.0),
        replace("x"),
    ];
    all.iter().flat_map(|first| all.iter().map(move |then| (first.clone(), then.clone()))).collect()
}

#[test]
fn what_may_come_after_what() {
    let words = pairs().into_iter().filter(|(first, then)| then.rests_under(first)).fold(
        std::collections::BTreeMap::new(),
        |mut words: std::collections::BTreeMap<String, Vec<String>>, (first, then)| {
            words.entry(first.label()).or_default().push(then.label());
            words
        },
    );
    let words: Vec<_> = words.into_iter().map(|(first, then)| format!("{first} → {}", then.join(" | "))).collect();
    insta::assert_snapshot!(words.join("\n"));
}

proptest! {
    /// Whatever the value: the second technique's result is at rest for the first.
    #[test]
    fn what_may_come_after_rests(text in "[a-z0-9*\\-]{0,9}", number in -500_i64..500, day in 0_i32..40_000) {
        let date = jiff::civil::date(1930, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap().to_string();
        let values = [
            (text, column("c", ColumnKind::Text, "text", None)),
            (number.to_string(), column("c", ColumnKind::Integer, "bigint", None)),
            (format!("{number}.75"), column("c", ColumnKind::Decimal, "numeric(20,2)", None)),
            (date, column("c", ColumnKind::Date, "date", None)),
            (format!("10.{}.7.9", number.rem_euclid(256)), column("c", ColumnKind::Inet, "inet", None)),
        ];
        let context = context(Engine::Postgres, None);
        for (first, then) in pairs().iter().filter(|(first, then)| then.rests_under(first)) {
            for (value, column) in &values {
                let table = table(vec![column.clone()]);
                let fit = |technique: &Technique| technique.fits(column, &table, Engine::Postgres).is_empty();
                if !fit(first) || !fit(then) {
                    continue;
                }
                let apply = |technique: &Technique, value: Option<String>| {
                    technique.apply(value.as_deref(), column, "7", &context)
                };
                let done = apply(first, Some(value.clone()));
                let coarser = apply(then, done);
                let again = apply(first, coarser.clone());
                // a number can have other trailing zeros
                let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
                let is_number = matches!(column.kind, ColumnKind::Integer | ColumnKind::Decimal);
                if is_number && number(&again) == number(&coarser) {
                    continue;
                }
                prop_assert_eq!(&again, &coarser, "{:?} after {:?} of {}", then, first, value);
            }
        }
    }
}
