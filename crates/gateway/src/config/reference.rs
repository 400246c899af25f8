//! The reference page and the JSON schema file, generated from the same schema that files are checked against.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

use schemars::Schema;
use serde_json::Value as Json;

use super::describe::{expected, listed};
use super::shape::{Property, Record, Setting, Shape, Shapes, Variant, Word};

/// The JSON schema as a file for editors, ending in a line break.
pub fn schema_json(schema: &Schema) -> String {
    format!("{:#}\n", schema.as_value())
}

/// The reference as Markdown: a section for each group of settings, a row for each setting.
///
/// # Errors
/// The constructs of the schema that have no shape, as [`Shapes::compile`] gives them.
pub fn reference_markdown(schema: &Schema) -> Result<String, Vec<String>> {
    let shapes = Shapes::compile(schema)?;
    let mut writer =
        Writer { shapes: &shapes, out: String::new(), queue: VecDeque::new(), titles: BTreeSet::new() };
    writer.out.push_str("# Settings\n\n");
    paragraph(&mut writer.out, &shapes.root.description);
    writer.out.push_str(NOTATION);
    writer.enqueue(Group::of(&shapes, &shapes.root, ""), "Top level".to_owned());
    while let Some(section) = writer.queue.pop_front() {
        // What a section refers to comes right after it, before its siblings.
        let siblings = std::mem::take(&mut writer.queue);
        writer.section(&section);
        writer.queue.extend(siblings);
    }
    Ok(writer.out)
}

const NOTATION: &str = "\
Sizes are written as `4MiB`, `64 KiB`, `10MB` or a bare number of bytes; durations as `200ms`, `8s`, `1m30s`.\n\
In every value, `${NAME}` stands for an environment variable, `${NAME:-default}` for one that may be unset or empty,\n\
`${file:/path}` for the content of a file without its last line break, and `$${` for a literal `${`. A value that is\n\
not in quotes is typed after that; put a secret that may look like a number in quotes. `<name>` is a name of your\n\
choice; `[]` marks the items of a list.\n";

struct Writer<'s> {
    shapes: &'s Shapes,
    out: String,
    queue: VecDeque<Section<'s>>,
    titles: BTreeSet<String>,
}

struct Section<'s> {
    title: String,
    /// The path that its rows continue.
    path: String,
    description: String,
    body: Body<'s>,
}

enum Body<'s> {
    Settings(&'s Record),
    Types { tag: &'s str, variants: &'s [Variant] },
    Forms { words: &'s [Word], forms: &'s [Property] },
}

/// The first group of settings inside a value: below any lists, maps and options around it.
struct Group<'s> {
    path: String,
    /// The names of the types on the way, outermost first.
    names: Vec<&'s str>,
    description: &'s str,
    bodies: Vec<Body<'s>>,
}

impl<'s> Group<'s> {
    fn of(shapes: &'s Shapes, setting: &'s Setting, path: &str) -> Self {
        let mut group = Self {
            path: path.to_owned(),
            names: Vec::new(),
            description: &setting.description,
            bodies: Vec::new(),
        };
        group.descend(shapes, setting);
        group
    }

    fn descend(&mut self, shapes: &'s Shapes, setting: &'s Setting) {
        if let Shape::Named(name) = &setting.shape {
            if let (true, Some(definition)) = (self.names.is_empty(), shapes.named.get(name)) {
                self.description = &definition.description;
            }
            self.names.push(name);
        }
        match shapes.resolve(setting) {
            Shape::Record(record) => self.bodies.push(Body::Settings(record)),
            Shape::Tagged { tag, variants } => self.bodies.push(Body::Types { tag, variants }),
            Shape::Choice { words, forms } if !forms.is_empty() => {
                self.bodies.push(Body::Forms { words, forms });
            }
            Shape::Optional(inner) => self.descend(shapes, inner),
            Shape::Map(values) => {
                self.path.push_str(if self.path.is_empty() { "<name>" } else { ".<name>" });
                self.descend(shapes, values);
            }
            Shape::List { item, .. } => {
                self.path.push_str("[]");
                self.descend(shapes, item);
            }
            Shape::Alternatives(settings) => {
                for alternative in settings {
                    // Each begins from the same place; a list among them does not move the others.
                    let path = self.path.clone();
                    self.descend(shapes, alternative);
                    self.path = path;
                }
            }
            _ => {}
        }
    }
}

impl<'s> Writer<'s> {
    /// Plans the sections of a group and returns the title of the first, if there is any.
    fn enqueue(&mut self, group: Group<'s>, title: String) -> Option<String> {
        if group.bodies.is_empty() {
            return None;
        }
        // A type that contains itself has one section under its own name, or the page would never end.
        let title = match group.names.iter().find(|name| recurs(self.shapes, name)) {
            Some(name) => format!("`{name}`"),
            None => title,
        };
        if self.titles.contains(&title) {
            return Some(title);
        }
        self.titles.insert(title.clone());
        for (index, body) in group.bodies.into_iter().enumerate() {
            let numbered = if index == 0 { title.clone() } else { format!("{title} (form {})", index + 1) };
            let description = group.description.to_owned();
            self.queue.push_back(Section { title: numbered, path: group.path.clone(), description, body });
        }
        Some(title)
    }

    fn section(&mut self, section: &Section<'s>) {
        let _ = write!(self.out, "\n## {}\n\n", section.title);
        if section.title != "Top level" {
            paragraph(&mut self.out, &section.description);
        }
        match section.body {
            Body::Settings(record) => self.settings(&record.properties, &section.path),
            Body::Types { tag, variants } => self.types(tag, variants, section),
            Body::Forms { words, forms } => {
                for word in words {
                    self.item(&format!("`{}`", word.name), &word.description);
                }
                self.out.push_str(if words.is_empty() { "Exactly" } else { "\nor exactly" });
                self.out.push_str(" one of these keys:\n\n");
                self.forms(forms, &section.path);
            }
        }
    }

    fn types(&mut self, tag: &'s str, variants: &'s [Variant], section: &Section<'s>) {
        let _ = writeln!(self.out, "`{tag}` says which:\n");
        for variant in variants {
            let title = format!("`{}` of type `{}`", section.path, variant.name);
            let first_line = variant.description.split("\n\n").next().unwrap_or_default();
            let entry = link(&title, &format!("`{}`", variant.name));
            self.item(&entry, first_line);
            self.queue.push_back(Section {
                title,
                path: section.path.clone(),
                description: variant.description.clone(),
                body: Body::Settings(&variant.record),
            });
        }
    }

    fn item(&mut self, name: &str, description: &str) {
        let line = format!("- {name} {}", one_line(description));
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn settings(&mut self, properties: &'s [Property], path: &str) {
        if properties.is_empty() {
            self.out.push_str("It has no settings.\n");
            return;
        }
        self.out.push_str("| setting | value | default | meaning |\n|---|---|---|---|\n");
        for property in properties {
            let (value, grouped) = self.value(property, path);
            let default = match (&property.setting.default, property.required) {
                (_, true) => "required".to_owned(),
                (Some(default), false) => shown_default(default, grouped),
                (None, false) => "unset".to_owned(),
            };
            let meaning = self.meaning(&property.setting);
            let _ = writeln!(self.out, "| `{}` | {value} | {} | {meaning} |", property.name, cell(&default));
        }
    }

    fn forms(&mut self, forms: &'s [Property], path: &str) {
        self.out.push_str("| key | value | meaning |\n|---|---|---|\n");
        for form in forms {
            let (value, _) = self.value(form, path);
            let meaning = self.meaning(&form.setting);
            let _ = writeln!(self.out, "| `{}` | {value} | {meaning} |", form.name);
        }
    }

    /// What the setting takes, and whether it has a section of its own, which it then links to.
    fn value(&mut self, property: &'s Property, path: &str) -> (String, bool) {
        let mut below = path.to_owned();
        super::document::enter_key(&mut below, &property.name);
        let group = Group::of(self.shapes, &property.setting, &below);
        let title = format!("`{}`", group.path);
        let section = self.enqueue(group, title);
        let mut value = expected(self.shapes, self.shapes.resolve(&property.setting));
        if let Some(heading) = &section {
            let _ = write!(value, ": {}", link(heading, heading));
        }
        (cell(&value), section.is_some())
    }

    /// The description of the setting, else that of its type; and what each word means.
    fn meaning(&self, setting: &Setting) -> String {
        let mut description = setting.description.as_str();
        if let (true, Shape::Named(name)) = (description.is_empty(), &setting.shape) {
            description = self.shapes.named.get(name).map_or("", |definition| &definition.description);
        }
        let mut meaning = if setting.deprecated { "Deprecated. ".to_owned() } else { String::new() };
        meaning.push_str(description);
        if let Shape::Choice { words, forms } = self.shapes.resolve(setting)
            && forms.is_empty()
        {
            for word in words.iter().filter(|word| !word.description.is_empty()) {
                let _ = write!(meaning, " `{}`: {}", word.name, word.description);
            }
        }
        cell(&meaning)
    }
}

/// Whether a definition contains itself, directly or through others.
fn recurs(shapes: &Shapes, name: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut pending = vec![name];
    while let Some(next) = pending.pop() {
        let Some(definition) = shapes.named.get(next) else { continue };
        for reference in definition.references() {
            if reference == name {
                return true;
            }
            if seen.insert(reference) {
                pending.push(reference);
            }
        }
    }
    false
}

fn shown_default(default: &Json, has_section: bool) -> String {
    match default {
        Json::Null => "unset".to_owned(),
        Json::String(text) if text.is_empty() => "empty".to_owned(),
        Json::String(text) => format!("`{text}`"),
        Json::Object(members) if !members.is_empty() && has_section => "as below".to_owned(),
        Json::Array(items) if !items.is_empty() && items.iter().all(Json::is_string) => {
            listed(items.iter().filter_map(Json::as_str))
        }
        other => format!("`{other}`"),
    }
}

fn paragraph(out: &mut String, text: &str) {
    if !text.is_empty() {
        out.push_str(text);
        out.push_str("\n\n");
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

/// A link to a heading, by the rule that GitHub makes its anchors.
fn link(title: &str, text: &str) -> String {
    let mut anchor = String::new();
    for character in title.to_lowercase().chars() {
        match character {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(character),
            other if other.is_alphanumeric() => anchor.push(other),
            _ => {}
        }
    }
    format!("[{text}](#{anchor})")
}
