//! The language as JSON Schema (draft 2020-12), for editors.

use crate::language::{
    format,
    node::Node,
    shape::{Bounds, Field, Format, Kinds, MapShape, Pattern, Shape, Word},
};
use serde_json::{Map, Value, json};

/// The schema of files of this shape. It accepts what the check of the shape accepts, but for what no schema can say:
/// see the codes in this module's tests.
pub fn schema(shape: &Shape, title: &str) -> Value {
    let mut schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title });
    extend(&mut schema, of_shape(shape));
    schema
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Map(map) => of_map(map),
        Shape::Named { key, value } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": of_format(key),
            "additionalProperties": of_shape(value),
        }),
        Shape::Kinds(kinds) => of_kinds(kinds),
        Shape::List { item, least, unique } => {
            let mut schema = json!({ "type": "array", "items": of_shape(item) });
            if *least > 0 {
                schema["minItems"] = (*least).into();
            }
            if *unique {
                schema["uniqueItems"] = true.into();
            }
            schema
        }
        Shape::Words(words) => of_words(words),
        Shape::Text(format) => of_format(format),
        Shape::Integer(bounds) => of_bounds("integer", bounds),
        Shape::Number(bounds) => of_bounds("number", bounds),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::True => json!({ "const": true }),
        Shape::Null => json!({ "type": "null" }),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of_shape).collect::<Vec<_>>() }),
        Shape::Any => json!({}),
    }
}

fn of_map(map: &MapShape) -> Value {
    let property = |field: &Field| {
        let mut schema = json!({ "description": field.doc });
        if let Ok(example) = Node::parse("", field.example)
            && !field.example.contains('…')
        {
            schema["examples"] = json!([example.to_json()]);
        }
        extend(&mut schema, of_shape(&field.shape));
        (field.name.to_owned(), schema)
    };
    let properties: Map<_, _> = map.fields.iter().map(property).collect();
    let mut schema = json!({
        "type": "object",
        "title": map.what,
        "properties": properties,
        "additionalProperties": map.rest.map_or(Value::Bool(false), |(_, shape)| of_shape(shape)),
    });
    if let Some((format, _)) = map.rest {
        schema["propertyNames"] = of_format(format);
    }
    let required: Vec<_> = map.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let (least, most) = map.count;
    if least > 0 {
        schema["minProperties"] = least.into();
    }
    if most < map.fields.len() {
        schema["maxProperties"] = most.into();
    }
    if !map.groups.is_empty() {
        let choice = |group: &&[&str]| {
            let others = map.groups.iter().copied().flatten().filter(|key| !group.contains(key));
            let absent: Map<_, _> = others.map(|key| ((*key).to_owned(), false.into())).collect();
            json!({ "required": group, "properties": absent })
        };
        schema["oneOf"] = map.groups.iter().map(choice).collect();
    }
    schema
}

/// An entry that has a kind's own name need not name it again.
fn of_kinds(kinds: &Kinds) -> Value {
    let named = (kinds.all)().iter().map(|(kind, map)| ((*kind).to_owned(), of_map(map)));
    let others = (kinds.all)().iter().map(|(_, map)| {
        let mut schema = of_map(map);
        match schema.get_mut("required").and_then(Value::as_array_mut) {
            Some(required) => required.push(Kinds::KEY.into()),
            None => schema["required"] = json!([Kinds::KEY]),
        }
        schema
    });
    json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": of_format(&format::NAME),
        "properties": named.collect::<Map<_, _>>(),
        "additionalProperties": { "anyOf": others.collect::<Vec<_>>() },
    })
}

fn of_words(words: &[Word]) -> Value {
    let doc = |word: &Word| json!({ "const": word.word, "description": word.doc });
    json!({ "type": "string", "oneOf": words.iter().map(doc).collect::<Vec<_>>() })
}

fn of_format(format: &Format) -> Value {
    let pattern = match format.pattern {
        Pattern::Fixed(pattern) => pattern.to_owned(),
        Pattern::Made(make) => make(),
    };
    let mut schema = json!({ "type": "string" });
    if !pattern.is_empty() {
        schema["pattern"] = pattern.into();
    }
    schema
}

fn of_bounds(sort: &str, bounds: &Bounds) -> Value {
    let mut schema = json!({ "type": sort });
    let whole = |bound: f64| {
        serde_json::Number::from_f64(bound).map_or(Value::Null, |number| {
            // Bounds are whole numbers: `1` reads better than `1.0`.
            format!("{bound}").parse::<i64>().map_or(Value::Number(number), Value::from)
        })
    };
    if let Some(least) = bounds.least {
        schema[if bounds.above { "exclusiveMinimum" } else { "minimum" }] = whole(least);
    }
    if let Some(most) = bounds.most {
        schema["maximum"] = whole(most);
    }
    schema
}

fn extend(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        for (key, value) in more {
            schema.entry(key).or_insert(value);
        }
    }
}
