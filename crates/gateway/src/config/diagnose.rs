//! Every fault of a document against the shapes, at once.

use forebay_pipeline::units::{ByteSize, Period};

use super::describe::{expected, found, in_words, listed};
use super::document::{Entry, Node, Value, enter_index, enter_key};
use super::fault::{Fault, Position, did_you_mean, nearest};
use super::scalar::Scalar;
use super::shape::{Form, Property, Record, Setting, Shape, Shapes, Variant, Word};

/// All that is wrong with `root`, in no particular order.
pub fn diagnose(shapes: &Shapes, root: &Node) -> Vec<Fault> {
    let mut checker = Checker { shapes, path: String::new(), faults: Vec::new() };
    checker.check(&shapes.root, root, root.at);
    checker.faults
}

struct Checker<'s> {
    shapes: &'s Shapes,
    path: String,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    /// `at` is where to point for the node as a whole.
    fn check(&mut self, setting: &Setting, node: &Node, at: Position) {
        let shape = self.shapes.resolve(setting);
        match (shape, &node.value) {
            (Shape::Any, _) => {}
            (Shape::Optional(_), Value::Scalar(Scalar::Null)) => {}
            (Shape::Optional(inner), _) => self.check(inner, node, at),
            (Shape::Bool, Value::Scalar(Scalar::Bool(_))) => {}
            (Shape::Integer { min, max }, Value::Scalar(Scalar::Integer(number))) => {
                if number < min || number > max {
                    self.unexpected(shape, node, at);
                }
            }
            (Shape::Number { min, max }, Value::Scalar(Scalar::Integer(number))) => {
                self.number(*number as f64, (*min, *max), shape, node, at);
            }
            (Shape::Number { min, max }, Value::Scalar(Scalar::Float(number))) => {
                self.number(*number, (*min, *max), shape, node, at);
            }
            (Shape::Text { form, .. }, Value::Scalar(Scalar::Integer(number))) => {
                self.number_as_text(*form, *number, shape, node, at);
            }
            (Shape::Text { min, max, form }, Value::Scalar(Scalar::Text(text))) => {
                self.text(text, (*min, *max), *form, node, at);
            }
            (Shape::List { item, min, max }, Value::Sequence(items)) => {
                self.list(item, items, (*min, *max), at);
            }
            (Shape::Map(values), Value::Mapping(entries)) => {
                for entry in entries {
                    self.entry(values, entry);
                }
            }
            (Shape::Record(record), Value::Mapping(entries)) => self.record(record, entries, None, at),
            (Shape::Tagged { tag, variants }, Value::Mapping(entries)) => {
                self.tagged(tag, variants, entries, at);
            }
            (Shape::Choice { words, forms }, Value::Scalar(Scalar::Text(text))) => {
                self.word(words, forms, text, node, at);
            }
            (Shape::Choice { forms, .. }, Value::Mapping(entries)) if !forms.is_empty() => {
                self.form(forms, entries, at);
            }
            (Shape::Alternatives(settings), _) => self.alternatives(settings, shape, node, at),
            _ => self.unexpected(shape, node, at),
        }
    }

    fn fault(&mut self, at: Position, message: impl Into<String>) {
        self.hinted(at, message, None);
    }

    fn hinted(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(Fault::new(&self.path, at, message).with_hint(hint));
    }

    fn unexpected(&mut self, shape: &Shape, node: &Node, at: Position) {
        let message = format!("expected {}, found {}", expected(self.shapes, shape), found(node));
        let is_word =
            matches!(node.value, Value::Scalar(Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_)));
        let wants_text = matches!(shape, Shape::Text { form: Form::Plain | Form::Ip, .. });
        let hint = if is_word && wants_text { Some("put it in quotes".to_owned()) } else { None };
        self.hinted(at, message, hint);
    }

    fn number(&mut self, number: f64, (min, max): (f64, f64), shape: &Shape, node: &Node, at: Position) {
        if number < min || number > max {
            self.unexpected(shape, node, at);
        }
    }

    /// A bare number is a size in bytes, and zero is a duration; no other text is written so.
    fn number_as_text(&mut self, form: Form, number: i128, shape: &Shape, node: &Node, at: Position) {
        match form {
            Form::Bytes | Form::Duration => {
                self.text(&number.to_string(), (0, u64::MAX), form, node, at);
            }
            Form::Plain | Form::Ip => self.unexpected(shape, node, at),
        }
    }

    fn text(&mut self, text: &str, (min, max): (u64, u64), form: Form, node: &Node, at: Position) {
        let length = text.chars().count() as u64;
        if length < min || length > max {
            let wanted = in_words(min, max, "character");
            self.fault(at, format!("expected text of {wanted}, found {length}"));
        }
        let problem = match form {
            Form::Plain => None,
            Form::Bytes => text.parse::<ByteSize>().err().map(|error| error.to_string()),
            Form::Duration => text.parse::<Period>().err().map(|error| error.to_string()),
            Form::Ip => match text.parse::<std::net::IpAddr>() {
                Ok(_) => None,
                Err(_) => Some("not an IP address".to_owned()),
            },
        };
        if let Some(problem) = problem {
            self.fault(at, format!("{}: {problem}", found(node)));
        }
    }

    fn list(&mut self, item: &Setting, items: &[Node], (min, max): (u64, u64), at: Position) {
        let length = items.len() as u64;
        if length < min || length > max {
            self.fault(at, format!("expected {}, found {length}", in_words(min, max, "item")));
        }
        for (index, node) in items.iter().enumerate() {
            let parent = enter_index(&mut self.path, index);
            self.check(item, node, node.at);
            self.path.truncate(parent);
        }
    }

    fn entry(&mut self, setting: &Setting, entry: &Entry) {
        let parent = enter_key(&mut self.path, &entry.key);
        self.check(setting, &entry.node, entry.place());
        self.path.truncate(parent);
    }

    /// `tag` is a key that the record itself does not list.
    fn record(&mut self, record: &Record, entries: &[Entry], tag: Option<&str>, at: Position) {
        for entry in entries {
            if tag == Some(entry.key.as_str()) {
                continue;
            }
            match record.properties.iter().find(|property| property.name == entry.key) {
                Some(property) => self.entry(&property.setting, entry),
                None => self.unknown_key(entry, &record.properties),
            }
        }
        for property in &record.properties {
            if property.required && !entries.iter().any(|entry| entry.key == property.name) {
                let parent = enter_key(&mut self.path, &property.name);
                self.fault(at, "missing, and it has no default");
                self.path.truncate(parent);
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, properties: &[Property]) {
        let names = || properties.iter().map(|property| property.name.as_str());
        let hint = match nearest(&entry.key, names()) {
            Some(name) => did_you_mean(name),
            None if properties.is_empty() => "there are no settings here".to_owned(),
            None => format!("known here: {}", listed(names())),
        };
        let parent = enter_key(&mut self.path, &entry.key);
        self.hinted(entry.key_at, "unknown setting", Some(hint));
        self.path.truncate(parent);
    }

    fn tagged(&mut self, tag: &str, variants: &[Variant], entries: &[Entry], at: Position) {
        let names = || variants.iter().map(|variant| variant.name.as_str());
        let parent = enter_key(&mut self.path, tag);
        let Some(entry) = entries.iter().find(|entry| entry.key == tag) else {
            let near = entries.iter().find(|entry| nearest(&entry.key, std::iter::once(tag)).is_some());
            let hint = near.map(|entry| format!("`{}` should perhaps be `{tag}`", entry.key));
            self.hinted(at, format!("missing; it is one of {}", listed(names())), hint);
            self.path.truncate(parent);
            return;
        };
        let chosen = match &entry.node.value {
            Value::Scalar(Scalar::Text(name)) => variants.iter().find(|variant| variant.name == *name),
            _ => None,
        };
        if chosen.is_none() {
            self.not_one_of(names, &entry.node, entry.place());
        }
        self.path.truncate(parent);
        if let Some(variant) = chosen {
            self.record(&variant.record, entries, Some(tag), at);
        }
    }

    fn word(&mut self, words: &[Word], forms: &[Property], text: &str, node: &Node, at: Position) {
        if words.iter().any(|word| word.name == text) {
            return;
        }
        if !node.foreign && forms.iter().any(|form| form.name == text) {
            self.fault(at, format!("`{text}` needs a value: write `{text}: ...`"));
            return;
        }
        self.not_one_of(|| words.iter().map(|word| word.name.as_str()), node, at);
    }

    /// A mapping with exactly one of the known keys.
    fn form(&mut self, forms: &[Property], entries: &[Entry], at: Position) {
        let [entry] = entries else {
            let names = listed(forms.iter().map(|form| form.name.as_str()));
            self.fault(at, format!("expected exactly one of {names}, found {} keys", entries.len()));
            return;
        };
        match forms.iter().find(|form| form.name == entry.key) {
            Some(form) => self.entry(&form.setting, entry),
            None => self.unknown_key(entry, forms),
        }
    }

    fn not_one_of<'n, I>(&mut self, names: impl Fn() -> I, node: &Node, at: Position)
    where
        I: Iterator<Item = &'n str>,
    {
        let hint = match &node.value {
            // Even how close a secret is to a valid name says something about it.
            Value::Scalar(Scalar::Text(text)) if !node.foreign => nearest(text, names()).map(did_you_mean),
            _ => None,
        };
        self.hinted(at, format!("expected one of {}, found {}", listed(names()), found(node)), hint);
    }

    /// An untagged enum: one alternative must fit. Of several that could, the one with the fewest faults speaks.
    fn alternatives(&mut self, settings: &[Setting], whole: &Shape, node: &Node, at: Position) {
        if matches!(&node.value, Value::Mapping(entries) if entries.is_empty())
            && !settings.iter().any(|setting| self.misfits(setting, node) == Some(0))
        {
            // Nothing says which one was meant.
            self.unexpected(whole, node, at);
            return;
        }
        let mut best: Option<Vec<Fault>> = None;
        for setting in self.likeliest(settings, node) {
            let mut trial = Checker { shapes: self.shapes, path: self.path.clone(), faults: Vec::new() };
            trial.check(setting, node, at);
            if best.as_ref().is_none_or(|fewest| trial.faults.len() < fewest.len()) {
                best = Some(trial.faults);
            }
        }
        match best {
            Some(faults) => self.faults.extend(faults),
            None => self.unexpected(whole, node, at),
        }
    }

    /// The alternatives of the right kind which the keys of the node fit best.
    ///
    /// Judging by the keys alone first keeps the trials from multiplying with every level of nesting.
    fn likeliest<'a>(&self, settings: &'a [Setting], node: &Node) -> Vec<&'a Setting> {
        let mut fewest = usize::MAX;
        let mut kept = Vec::new();
        for setting in settings {
            let Some(misfits) = self.misfits(setting, node) else { continue };
            if misfits < fewest {
                fewest = misfits;
                kept.clear();
            }
            if misfits == fewest {
                kept.push(setting);
            }
        }
        kept
    }

    /// Keys that are unknown or missing; `None` where the node is of another kind altogether.
    fn misfits(&self, setting: &Setting, node: &Node) -> Option<usize> {
        match (self.shapes.resolve(setting), &node.value) {
            (Shape::Any | Shape::Alternatives(_), _) => Some(0),
            (Shape::Optional(_), Value::Scalar(Scalar::Null)) => Some(0),
            (Shape::Optional(inner), _) => self.misfits(inner, node),
            (Shape::Bool, Value::Scalar(Scalar::Bool(_))) => Some(0),
            (Shape::Integer { .. } | Shape::Number { .. }, Value::Scalar(Scalar::Integer(_))) => Some(0),
            (Shape::Number { .. }, Value::Scalar(Scalar::Float(_))) => Some(0),
            (Shape::Text { form: Form::Bytes | Form::Duration, .. }, Value::Scalar(Scalar::Integer(_))) => {
                Some(0)
            }
            (Shape::Text { .. } | Shape::Choice { .. }, Value::Scalar(Scalar::Text(_))) => Some(0),
            (Shape::List { .. }, Value::Sequence(_)) => Some(0),
            (Shape::Map(_) | Shape::Tagged { .. }, Value::Mapping(_)) => Some(0),
            (Shape::Choice { forms, .. }, Value::Mapping(entries)) => Some(key_misfits(forms, entries)),
            (Shape::Record(record), Value::Mapping(entries)) => {
                Some(key_misfits(&record.properties, entries))
            }
            _ => None,
        }
    }
}

fn key_misfits(properties: &[Property], entries: &[Entry]) -> usize {
    let known = |entry: &&Entry| properties.iter().any(|property| property.name == entry.key);
    let absent =
        |property: &&Property| property.required && !entries.iter().any(|entry| entry.key == property.name);
    entries.len() - entries.iter().filter(known).count() + properties.iter().filter(absent).count()
}
