//! What a configuration may look like: the few shapes that settings have.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// A JSON schema compiled for checking and for the reference.
#[derive(Debug)]
pub struct Shapes {
    pub root: Setting,
    /// What `$ref` refers to, by name.
    pub named: BTreeMap<String, Setting>,
}

/// A shape and what is said about it.
#[derive(Debug, Clone)]
pub struct Setting {
    pub shape: Shape,
    pub description: String,
    pub default: Option<Json>,
    pub deprecated: bool,
}

#[derive(Debug, Clone)]
pub enum Shape {
    Any,
    Bool,
    Integer {
        min: i128,
        max: i128,
    },
    Number {
        min: f64,
        max: f64,
    },
    Text {
        min: u64,
        max: u64,
        form: Form,
    },
    List {
        item: Box<Setting>,
        min: u64,
        max: u64,
    },
    Map(Box<Setting>),
    Record(Record),
    /// An internally tagged enum: the value of `tag` says which record it is.
    Tagged {
        tag: String,
        variants: Vec<Variant>,
    },
    /// An externally tagged enum: one of some words, or a mapping with exactly one of some keys.
    Choice {
        words: Vec<Word>,
        forms: Vec<Property>,
    },
    /// An untagged enum.
    Alternatives(Vec<Setting>),
    /// `Option`: the shape, or nothing.
    Optional(Box<Setting>),
    Named(String),
}

/// How a text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// `forebay_pipeline::units::ByteSize`, which may also be a bare number.
    Bytes,
    /// `forebay_pipeline::units::Period`.
    Duration,
    Ip,
}

/// The settings of a struct. Other keys are always faults, whether or not serde would refuse them.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub properties: Vec<Property>,
}

impl Record {
    fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.properties.iter().map(|property| &property.setting)
    }
}

#[derive(Debug, Clone)]
pub struct Property {
    pub name: String,
    pub required: bool,
    pub setting: Setting,
}

#[derive(Debug, Clone)]
pub struct Variant {
    pub name: String,
    pub description: String,
    /// Without the tag.
    pub record: Record,
}

#[derive(Debug, Clone)]
pub struct Word {
    pub name: String,
    pub description: String,
}

impl Setting {
    /// A shape of which nothing more is said.
    pub fn bare(shape: Shape) -> Self {
        Self { shape, description: String::new(), default: None, deprecated: false }
    }

    /// The names that occur anywhere inside it.
    pub fn references(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut pending = vec![self];
        while let Some(setting) = pending.pop() {
            match &setting.shape {
                Shape::Named(name) => names.push(name.as_str()),
                Shape::List { item: inner, .. } | Shape::Map(inner) | Shape::Optional(inner) => {
                    pending.push(inner);
                }
                Shape::Record(record) => pending.extend(record.settings()),
                Shape::Tagged { variants, .. } => {
                    pending.extend(variants.iter().flat_map(|variant| variant.record.settings()));
                }
                Shape::Choice { forms, .. } => pending.extend(forms.iter().map(|form| &form.setting)),
                Shape::Alternatives(settings) => pending.extend(settings),
                Shape::Any
                | Shape::Bool
                | Shape::Integer { .. }
                | Shape::Number { .. }
                | Shape::Text { .. } => {}
            }
        }
        names
    }
}

impl Shapes {
    /// Follows names to a shape that is none.
    ///
    /// A name that leads back to itself cannot come from a Rust type; it ends as [`Shape::Any`].
    pub fn resolve<'a>(&'a self, setting: &'a Setting) -> &'a Shape {
        const NOTHING_MORE: &Shape = &Shape::Any;
        let mut shape = &setting.shape;
        for _ in 0..=self.named.len() {
            match shape {
                Shape::Named(name) => shape = self.named.get(name).map_or(NOTHING_MORE, |found| &found.shape),
                other => return other,
            }
        }
        NOTHING_MORE
    }
}
