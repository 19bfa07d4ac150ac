//! Which tables the triggers of others may write, where triggers are known by their texts.

use super::{FactKind, Facts, TableName};
use std::collections::BTreeSet;

/// Tables that the triggers of `fired` may change, directly, over the triggers of tables that they change, or because the
/// database changes rows along that reference theirs. A table counts as soon as its name occurs. `None` where a text calls
/// a routine, which may change anything.
pub fn reached(facts: &Facts, fired: &BTreeSet<TableName>, routines: &[String]) -> Option<BTreeSet<TableName>> {
    let texts = |table: &TableName| -> Vec<String> {
        let of = facts.0.iter().filter(|fact| fact.kind == FactKind::Trigger && fact.table == *table);
        // a quote is doubled within a quoted name
        of.map(|fact| fact.definition.to_lowercase().replace("\"\"", "\"").replace("``", "`")).collect()
    };
    let tables: BTreeSet<_> =
        facts.0.iter().filter(|fact| fact.kind == FactKind::Table).map(|fact| &fact.table).collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = fired.iter().flat_map(texts).collect();
    while let Some(text) = open.pop() {
        let calls = |routine: &String| text.contains(&routine.to_lowercase());
        if text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "call") || routines.iter().any(calls) {
            return None;
        }
        let mut named: Vec<_> = tables.iter().filter(|table| text.contains(&table.name.to_lowercase())).collect();
        while let Some(table) = named.pop() {
            if reached.insert((*table).clone()) {
                open.extend(texts(table));
                // the definitions of foreign keys name what they refer to
                let referring = |fact: &&super::Fact| {
                    fact.kind == FactKind::ForeignKey
                        && fact.definition.to_lowercase().contains(&table.name.to_lowercase())
                };
                let children: BTreeSet<_> = facts.0.iter().filter(referring).map(|fact| &fact.table).collect();
                named.extend(tables.iter().filter(|table| children.contains(*table)));
            }
        }
    }
    Some(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Fact;

    fn table(name: &str) -> TableName {
        TableName { schema: "main".to_owned(), name: name.to_owned() }
    }

    fn facts(facts: &[(FactKind, &str, &str)]) -> Facts {
        let fact = |(kind, name, definition): &(FactKind, &str, &str)| Fact {
            kind: *kind,
            table: table(name),
            name: String::new(),
            definition: (*definition).to_owned(),
        };
        Facts(facts.iter().map(fact).collect())
    }

    #[test]
    fn tables_are_reached_over_triggers_and_foreign_keys() {
        use FactKind::*;
        let schema = facts(&[
            (Table, "orders", ""),
            (Table, "log", ""),
            (Table, "customers", ""),
            (Table, "addresses", ""),
            (Table, "others", ""),
            (Trigger, "orders", "create trigger a after delete on orders begin insert into \"LOG\" values (1); end"),
            (Trigger, "log", "create trigger b after insert on log begin delete from customers; end"),
            (ForeignKey, "addresses", "customer_id customers id CASCADE"),
        ]);
        let found = reached(&schema, &BTreeSet::from([table("orders")]), &[]).unwrap();
        let names: Vec<_> = found.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["addresses", "customers", "log", "orders"]);
        assert_eq!(reached(&schema, &BTreeSet::from([table("customers")]), &[]), Some(BTreeSet::new()));
    }

    #[test]
    fn a_routine_may_reach_anything() {
        use FactKind::*;
        let schema = facts(&[(Table, "t", ""), (Trigger, "t", "AFTER DELETE call forget(old.id)")]);
        assert_eq!(reached(&schema, &BTreeSet::from([table("t")]), &[]), None);
        let schema = facts(&[(Table, "t", ""), (Trigger, "t", "AFTER DELETE set @x = Forgotten(old.id)")]);
        assert_eq!(reached(&schema, &BTreeSet::from([table("t")]), &["forgotten".to_owned()]), None);
        assert!(reached(&schema, &BTreeSet::from([table("t")]), &[]).is_some());
    }
}
