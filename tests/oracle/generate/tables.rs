//! Tables: keys of all kinds, columns that tell time, columns for conditions, columns that rules change, foreign keys.

use super::{Dice, Features, Roles};
use crate::oracle::{
    language::As,
    schema::{Case, Column, Foreign, Table},
    value::{Alike, Engine, Kind},
};

pub const NAMES: [&str; 4] = ["customers", "orders", "items", "notes"];

pub fn make(case: &mut Case, features: Features, dice: &mut Dice) -> Vec<Roles> {
    let count = dice.one_of(&[1, 2, 2, 3, 3, 4]);
    let mut roles = Vec::new();
    for number in 0..count {
        let (table, role) = table(case, number, features, dice);
        case.tables.push(table);
        roles.push(role);
    }
    roles
}

fn key_kinds(engine: Engine, features: Features) -> Vec<Kind> {
    if features.portable {
        return vec![Kind::Int, Kind::Big, Kind::Text(Alike::Exact)];
    }
    let plain = [Kind::Int, Kind::Int, Kind::Big, Kind::Text(Alike::Exact)];
    let hostile: &[Kind] = match engine {
        Engine::Postgres => &[
            Kind::Text(Alike::Loose),
            Kind::Decimal,
            Kind::Date,
            Kind::Wall,
            Kind::Uuid,
            Kind::Bytes,
            Kind::Char,
            Kind::Text(Alike::Other),
        ],
        Engine::Maria => &[
            Kind::Text(Alike::Loose),
            Kind::Decimal,
            Kind::Date,
            Kind::Wall,
            Kind::Uuid,
            Kind::Bytes,
            Kind::Char,
            Kind::Text(Alike::Other),
            Kind::Unsigned,
        ],
        Engine::Sqlite => &[Kind::Text(Alike::Loose), Kind::Text(Alike::Other), Kind::Bytes, Kind::Double, Kind::Date],
    };
    let hostile = if features.hostile_kinds { hostile } else { &[] };
    [&plain, hostile].concat().into_iter().filter(|kind| features.uuids || *kind != Kind::Uuid).collect()
}

fn condition_kinds(engine: Engine, features: Features) -> Vec<Kind> {
    if features.portable {
        return vec![Kind::Int, Kind::Big, Kind::Bool, Kind::Double, Kind::Decimal];
    }
    let mut kinds = vec![
        Kind::Int,
        Kind::Big,
        Kind::Bool,
        Kind::Text(Alike::Exact),
        Kind::Text(Alike::Loose),
        Kind::Double,
        Kind::Decimal,
        Kind::Decimal,
    ];
    if features.hostile_kinds {
        kinds.push(Kind::Text(Alike::Other));
        kinds.push(Kind::Char);
        match engine {
            Engine::Postgres => kinds.extend([Kind::Enum, Kind::Uuid]),
            Engine::Maria => kinds.extend([Kind::Enum, Kind::Uuid, Kind::Unsigned]),
            Engine::Sqlite => kinds.push(Kind::Untyped),
        }
    }
    if features.dates_in_conditions {
        kinds.push(Kind::Date);
    }
    kinds.retain(|kind| features.uuids || *kind != Kind::Uuid);
    kinds
}

fn table(case: &Case, number: usize, features: Features, dice: &mut Dice) -> (Table, Roles) {
    let engine = case.engine;
    let name = NAMES[number];
    let letter = &name[..1];
    let mut table = Table {
        name: name.into(),
        columns: vec![column("mark", Kind::Int, true)],
        key: Vec::new(),
        foreign: Vec::new(),
        partitioned: None,
        without_rowid: false,
        indexes: Vec::new(),
        trigger: dice.chance(8),
        hidden: false,
    };
    let mut roles = Roles::default();
    let add = |table: &mut Table, name: String, kind: Kind, not_null: bool| {
        table.columns.push(column(&name, kind, not_null));
        table.columns.len() - 1
    };

    let key = add(&mut table, format!("{letter}_id"), dice.one_of(&key_kinds(engine, features)), true);
    table.key.push(key);
    if dice.chance(20) {
        let mut kinds = key_kinds(engine, features);
        if features.hostile_kinds && !features.portable && engine != Engine::Sqlite {
            kinds.push(Kind::Enum);
        }
        let kind = dice.one_of(&kinds);
        let second = add(&mut table, format!("{letter}_part"), kind, true);
        table.key.push(second);
        if dice.chance(30) {
            table.key.reverse();
        }
    }
    table.without_rowid = engine == Engine::Sqlite && dice.chance(15);

    for time in 0..dice.one_of(&[1, 1, 2]) {
        let text = Kind::Text(Alike::Exact);
        let (kind, reading) = dice.one_of(&[
            (Kind::Date, None),
            (Kind::Date, None),
            (Kind::Wall, None),
            (Kind::Instant, None),
            (Kind::Big, Some(As::EpochSeconds)),
            (Kind::Big, Some(As::EpochMilliseconds)),
            (text, Some(As::IsoText)),
            (text, Some(As::IsoTextWithOffset)),
        ]);
        // SQLite has no type for points in time.
        let no_instants = engine == Engine::Sqlite || features.portable;
        let kind = if no_instants && kind == Kind::Instant { Kind::Wall } else { kind };
        let at = add(&mut table, format!("{letter}_at{time}"), kind, false);
        roles.times.push((at, reading));
        if dice.chance(30) && kind != text {
            table.indexes.push(at);
        }
    }
    for place in 0..dice.one_of(&[0, 1, 2, 2]) {
        let kind = dice.one_of(&condition_kinds(engine, features));
        let at = add(&mut table, format!("{letter}_w{place}"), kind, false);
        roles.conditions.push(at);
        if dice.chance(20) {
            table.indexes.push(at);
        }
    }
    for place in 0..dice.one_of(&[1, 2, 3]) {
        let kind = dice.one_of(&[
            Kind::Text(Alike::Exact),
            Kind::Text(Alike::Exact),
            Kind::Date,
            Kind::Int,
            Kind::Wall,
            Kind::Big,
        ]);
        roles.changed.push(add(&mut table, format!("{letter}_x{place}"), kind, false));
    }
    if engine == Engine::Postgres
        && features.partitions
        && !features.portable
        && dice.chance(15)
        && table.key.len() == 1
    {
        let at = table.columns.len();
        table.columns.push(column(&format!("{letter}_on"), Kind::Date, true));
        roles.times.insert(0, (at, None));
        table.key.push(at);
        table.partitioned = Some(at);
    }
    if table.partitioned.is_none() && dice.chance(15) {
        table.columns.push(Column { unique: true, ..column(&format!("{letter}_number"), Kind::Big, true) });
    }
    foreign_keys(case, number, &mut table, features, dice);
    (table, roles)
}

fn foreign_keys(case: &Case, number: usize, table: &mut Table, features: Features, dice: &mut Dice) {
    let letter = table.name[..1].to_owned();
    let keys = match number {
        0 => 0,
        _ if features.by_key => dice.one_of(&[0, 1, 1, 1, 2]),
        _ => dice.one_of(&[0, 1, 1, 1]),
    };
    for key in 0..keys {
        // Chains are longer where a table references the one before.
        let to = if dice.chance(50) { number - 1 } else { dice.below(number) };
        let parent = &case.tables[to];
        let nullable = dice.chance(70);
        let mut columns = Vec::new();
        let unique = (0..parent.columns.len()).find(|&column| parent.columns[column].unique);
        let referenced_columns = match unique {
            Some(unique) if dice.chance(50) => vec![unique],
            _ => parent.key.clone(),
        };
        for (part, &referenced) in referenced_columns.iter().enumerate() {
            let name = format!("{letter}_{}{key}{}", parent.name, if part == 0 { "" } else { "_part" });
            table.columns.push(column(&name, parent.columns[referenced].kind, !nullable));
            columns.push(table.columns.len() - 1);
        }
        let on_delete = match dice.below(6) {
            0 | 1 => "cascade",
            2 if nullable => "set null",
            3 => "restrict",
            _ => "",
        };
        // PostgreSQL and SQLite make no index of their own.
        if dice.chance(60) {
            table.indexes.push(columns[0]);
        }
        table.foreign.push(Foreign {
            columns,
            table: to,
            to: referenced_columns,
            on_delete,
            declared: true,
            hidden: false,
        });
    }
    if features.self_references && table.key.len() == 1 && dice.chance(12) {
        let kind = table.columns[table.key[0]].kind;
        table.columns.push(column(&format!("{letter}_self"), kind, false));
        let columns = vec![table.columns.len() - 1];
        let on_delete = dice.one_of(&["", "cascade", "set null"]);
        table.foreign.push(Foreign {
            columns,
            table: number,
            to: table.key.clone(),
            on_delete,
            declared: true,
            hidden: false,
        });
    }
}

fn column(name: &str, kind: Kind, not_null: bool) -> Column {
    Column { name: name.into(), kind, not_null, unique: false, hidden: false }
}
