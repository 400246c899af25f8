//! From a JSON schema, as schemars writes it, to [`Shapes`].
//!
//! Compiling is strict. A keyword that no shape stands for is an error, so that nothing in a schema can pass
//! unchecked; a test over the schema of the real configuration holds it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::shape::{Form, Property, Record, Setting, Shape, Shapes, Variant, Word};

impl Shapes {
    /// # Errors
    /// Every construct that has no shape, with its JSON pointer.
    pub fn compile(schema: &schemars::Schema) -> Result<Self, Vec<String>> {
        let mut compiler = Compiler::default();
        let root = compiler.setting(schema.as_value(), "#");
        let mut named = BTreeMap::new();
        if let Some(Json::Object(definitions)) = schema.get("$defs") {
            for (name, definition) in definitions {
                let setting = compiler.setting(definition, &format!("#/$defs/{name}"));
                named.insert(name.clone(), setting);
            }
        }
        for (name, pointer) in &compiler.references {
            if !named.contains_key(name) {
                compiler.unsupported.push(format!("{pointer}: no definition of `{name}`"));
            }
        }
        if compiler.unsupported.is_empty() { Ok(Self { root, named }) } else { Err(compiler.unsupported) }
    }
}

type Object = serde_json::Map<String, Json>;

/// Keywords that say nothing about which values are valid.
const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "writeOnly",
    "readOnly",
];

#[derive(Default)]
struct Compiler {
    unsupported: Vec<String>,
    /// Names that were referred to, and from where.
    references: Vec<(String, String)>,
}

impl Compiler {
    fn setting(&mut self, schema: &Json, pointer: &str) -> Setting {
        let mut setting = Setting::bare(Shape::Any);
        match schema {
            Json::Bool(true) => {}
            Json::Object(object) => {
                setting.description = text(object, "description");
                setting.default = object.get("default").cloned();
                setting.deprecated = object.get("deprecated") == Some(&Json::Bool(true));
                setting.shape = self.shape(object, pointer);
            }
            _ => self.refuse(pointer, "a schema that nothing satisfies"),
        }
        setting
    }

    fn shape(&mut self, object: &Object, pointer: &str) -> Shape {
        if let Some(Json::String(reference)) = object.get("$ref") {
            self.only(object, pointer, &["$ref"]);
            return self.reference(reference, pointer);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(Json::Array(alternatives)) = object.get(keyword) {
                self.only(object, pointer, &[keyword]);
                return self.alternatives(alternatives, &format!("{pointer}/{keyword}"));
            }
        }
        match object.get("type") {
            Some(Json::String(kind)) => self.typed(kind, object, pointer),
            Some(Json::Array(kinds)) => self.several_types(kinds, object, pointer),
            _ => {
                self.only(object, pointer, &[]);
                Shape::Any
            }
        }
    }

    fn reference(&mut self, reference: &str, pointer: &str) -> Shape {
        match reference.strip_prefix("#/$defs/") {
            Some(name) => {
                self.references.push((name.to_owned(), pointer.to_owned()));
                Shape::Named(name.to_owned())
            }
            None => self.refused(pointer, &format!("the reference `{reference}`")),
        }
    }

    /// `["T", "null"]` is an `Option<T>`; the one other list is the string or integer of a size.
    fn several_types(&mut self, kinds: &[Json], object: &Object, pointer: &str) -> Shape {
        let mut names: Vec<&str> = kinds.iter().filter_map(Json::as_str).collect();
        let before = names.len();
        names.retain(|name| *name != "null");
        let optional = names.len() < before;
        let shape = match names.as_slice() {
            [kind] => self.typed(kind, object, pointer),
            ["string", "integer"] if object.get("format") == Some(&Json::from("bytes")) => {
                self.typed("string", object, pointer)
            }
            _ => self.refused(pointer, &format!("the list of types {names:?}")),
        };
        if !optional {
            return shape;
        }
        Shape::Optional(Box::new(Setting::bare(shape)))
    }

    fn typed(&mut self, kind: &str, object: &Object, pointer: &str) -> Shape {
        match kind {
            "boolean" => {
                self.only(object, pointer, &["type"]);
                Shape::Bool
            }
            "integer" => self.integer(object, pointer),
            "number" => self.number(object, pointer),
            "string" => self.string(object, pointer),
            "array" => {
                self.only(object, pointer, &["type", "items", "minItems", "maxItems"]);
                let (min, max) = limits(object, "minItems", "maxItems");
                let items = object.get("items").unwrap_or(&Json::Bool(true));
                let item = Box::new(self.setting(items, &format!("{pointer}/items")));
                Shape::List { item, min, max }
            }
            "object" => self.object(object, pointer),
            _ => self.refused(pointer, &format!("the type `{kind}`")),
        }
    }

    fn integer(&mut self, object: &Object, pointer: &str) -> Shape {
        self.only(object, pointer, &["type", "format", "minimum", "maximum"]);
        let (low, high) = match text(object, "format").as_str() {
            "uint8" => (0, i128::from(u8::MAX)),
            "uint16" => (0, i128::from(u16::MAX)),
            "uint32" => (0, i128::from(u32::MAX)),
            "uint64" | "uint" => (0, i128::from(u64::MAX)),
            "int8" => (i128::from(i8::MIN), i128::from(i8::MAX)),
            "int16" => (i128::from(i16::MIN), i128::from(i16::MAX)),
            "int32" => (i128::from(i32::MIN), i128::from(i32::MAX)),
            "int64" | "int" => (i128::from(i64::MIN), i128::from(i64::MAX)),
            other => return self.refused(pointer, &format!("the integer format `{other}`")),
        };
        let min = object.get("minimum").and_then(whole).map_or(low, |min| min.max(low));
        let max = object.get("maximum").and_then(whole).map_or(high, |max| max.min(high));
        Shape::Integer { min, max }
    }

    fn number(&mut self, object: &Object, pointer: &str) -> Shape {
        self.only(object, pointer, &["type", "format", "minimum", "maximum"]);
        let bound = |keyword| object.get(keyword).and_then(Json::as_f64);
        Shape::Number {
            min: bound("minimum").unwrap_or(f64::NEG_INFINITY),
            max: bound("maximum").unwrap_or(f64::INFINITY),
        }
    }

    fn string(&mut self, object: &Object, pointer: &str) -> Shape {
        if object.contains_key("const") || object.contains_key("enum") {
            self.only(object, pointer, &["type", "const", "enum"]);
            return Shape::Choice { words: words(object), forms: Vec::new() };
        }
        self.only(object, pointer, &["type", "format", "minLength", "maxLength"]);
        let (min, max) = limits(object, "minLength", "maxLength");
        let form = match text(object, "format").as_str() {
            "" => Form::Plain,
            "bytes" => Form::Bytes,
            "duration" => Form::Duration,
            "ip" => Form::Ip,
            other => return self.refused(pointer, &format!("the text format `{other}`")),
        };
        Shape::Text { min, max, form }
    }

    fn object(&mut self, object: &Object, pointer: &str) -> Shape {
        self.only(object, pointer, &["type", "properties", "required", "additionalProperties"]);
        match object.get("additionalProperties") {
            None | Some(Json::Bool(false)) => Shape::Record(self.record(object, pointer)),
            Some(_) if object.contains_key("properties") => {
                self.refused(pointer, "settings together with free keys")
            }
            Some(values) => {
                Shape::Map(Box::new(self.setting(values, &format!("{pointer}/additionalProperties"))))
            }
        }
    }

    fn record(&mut self, object: &Object, pointer: &str) -> Record {
        let mut record = Record::default();
        let required = object.get("required").and_then(Json::as_array);
        let Some(Json::Object(properties)) = object.get("properties") else {
            return record;
        };
        for (name, schema) in properties {
            let required = required.is_some_and(|names| names.iter().any(|item| item == name));
            let setting = self.setting(schema, &format!("{pointer}/properties/{name}"));
            record.properties.push(Property { name: name.clone(), required, setting });
        }
        record
    }

    fn alternatives(&mut self, schemas: &[Json], pointer: &str) -> Shape {
        let null = |schema: &Json| schema.get("type") == Some(&Json::from("null"));
        if let [some, none] = schemas
            && null(none)
        {
            return Shape::Optional(Box::new(self.setting(some, &format!("{pointer}/0"))));
        }
        if let Some(tag) = common_tag(schemas) {
            return self.tagged(tag, schemas, pointer);
        }
        if schemas.iter().all(|schema| is_words(schema) || is_form(schema)) {
            return self.choice(schemas, pointer);
        }
        let mut settings = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            settings.push(self.setting(schema, &format!("{pointer}/{index}")));
        }
        Shape::Alternatives(settings)
    }

    fn tagged(&mut self, tag: &str, schemas: &[Json], pointer: &str) -> Shape {
        let mut variants = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            let setting = self.setting(schema, &format!("{pointer}/{index}"));
            if let (Some(name), Shape::Record(mut record)) = (tag_value(schema, tag), setting.shape) {
                record.properties.retain(|property| property.name != tag);
                variants.push(Variant { name: name.to_owned(), description: setting.description, record });
            }
        }
        Shape::Tagged { tag: tag.to_owned(), variants }
    }

    fn choice(&mut self, schemas: &[Json], pointer: &str) -> Shape {
        let mut all_words = Vec::new();
        let mut forms = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            let setting = self.setting(schema, &format!("{pointer}/{index}"));
            match setting.shape {
                Shape::Choice { words, .. } => all_words.extend(words),
                Shape::Record(record) => {
                    for mut property in record.properties {
                        if property.setting.description.is_empty() {
                            property.setting.description.clone_from(&setting.description);
                        }
                        forms.push(property);
                    }
                }
                _ => {}
            }
        }
        Shape::Choice { words: all_words, forms }
    }

    /// Every keyword must be one that the caller takes into account.
    fn only(&mut self, object: &Object, pointer: &str, known: &[&str]) {
        for keyword in object.keys() {
            if !known.contains(&keyword.as_str()) && !ANNOTATIONS.contains(&keyword.as_str()) {
                self.refuse(pointer, &format!("the keyword `{keyword}`"));
            }
        }
    }

    fn refuse(&mut self, pointer: &str, what: &str) {
        self.unsupported.push(format!("{pointer}: {what} is not supported"));
    }

    fn refused(&mut self, pointer: &str, what: &str) -> Shape {
        self.refuse(pointer, what);
        Shape::Any
    }
}

fn text(object: &Object, keyword: &str) -> String {
    object.get(keyword).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn limits(object: &Object, min: &str, max: &str) -> (u64, u64) {
    let limit = |keyword| object.get(keyword).and_then(Json::as_u64);
    (limit(min).unwrap_or(0), limit(max).unwrap_or(u64::MAX))
}

/// A bound of an integer; schemars also writes them as `1.0`.
fn whole(bound: &Json) -> Option<i128> {
    let exact = bound.as_i64().map(i128::from).or_else(|| bound.as_u64().map(i128::from));
    exact.or_else(|| bound.as_f64().map(|number| number as i128))
}

/// The words of a `const` or an `enum`; a null among them belongs to the `Option` around.
fn words(object: &Object) -> Vec<Word> {
    let description = text(object, "description");
    if let Some(Json::String(name)) = object.get("const") {
        return vec![Word { name: name.clone(), description }];
    }
    let mut words = Vec::new();
    for value in object.get("enum").and_then(Json::as_array).into_iter().flatten() {
        if let Json::String(name) = value {
            words.push(Word { name: name.clone(), description: String::new() });
        }
    }
    words
}

/// The property which every alternative requires and fixes to a value of its own.
fn common_tag(schemas: &[Json]) -> Option<&str> {
    let properties = schemas.first()?.get("properties")?.as_object()?;
    let fixed = |name: &str| schemas.iter().all(|schema| tag_value(schema, name).is_some());
    properties.keys().map(String::as_str).find(|name| fixed(name))
}

fn tag_value<'a>(schema: &'a Json, tag: &str) -> Option<&'a str> {
    let required = schema.get("required")?.as_array()?.iter().any(|name| name == tag);
    let value = schema.get("properties")?.get(tag)?.get("const")?.as_str();
    if required { value } else { None }
}

fn is_words(schema: &Json) -> bool {
    schema.get("const").is_some_and(Json::is_string) || schema.get("enum").is_some()
}

/// A mapping with exactly one key: a variant with content of an externally tagged enum.
fn is_form(schema: &Json) -> bool {
    let one = schema.get("properties").and_then(Json::as_object).is_some_and(|all| all.len() == 1);
    let required = schema.get("required").and_then(Json::as_array).is_some_and(|all| all.len() == 1);
    one && required && schema.get("additionalProperties") == Some(&Json::Bool(false))
}
