//! Which values of settings are secrets, or may be: those are never shown.

use super::members;
use crate::{
    language::{
        format,
        node::Node,
        shape::{Field, Format, Shape},
    },
    rules::At,
};

/// The values that are secrets, or may be, of a map with these fields.
pub(crate) fn secrets_of<'a>(fields: &[Field], at: &At<'a>) -> Vec<At<'a>> {
    let secrets = |(key, value): (&str, At<'a>)| match fields.iter().find(|field| field.name == key) {
        // it takes no variables, so nobody puts a secret there, and whoever misspells a column wants to see it
        Some(field) if field.name == members::FIELD.name => Vec::new(),
        Some(field) => secrets_in(&field.shape, value),
        None => scalars(value),
    };
    at.entries().flat_map(secrets).collect()
}

fn secrets_in<'a>(shape: &Shape, at: At<'a>) -> Vec<At<'a>> {
    match shape {
        Shape::Map(map) => secrets_of(map.fields, &at),
        Shape::List { item, .. } => at.items().flat_map(|at| secrets_in(item, at)).collect(),
        Shape::Either(shapes) => match shapes.iter().find(|shape| shape.takes(at.node)) {
            Some(shape) => secrets_in(shape, at),
            None => scalars(at),
        },
        Shape::Text(format) if is_key(format) => scalars(at),
        Shape::Named { .. } | Shape::Any => scalars(at),
        _ => Vec::new(),
    }
}

/// Every scalar in a node.
pub(crate) fn scalars(at: At) -> Vec<At> {
    match at.node {
        Node::List(_) => at.items().flat_map(scalars).collect(),
        Node::Map(_) => at.entries().flat_map(|(_, value)| scalars(value)).collect(),
        _ => vec![at],
    }
}

/// Texts of this format are secrets.
pub fn is_key(format: &Format) -> bool {
    std::ptr::eq(format, &raw const format::KEY)
}
