//! YAML text as a small tree that remembers where everything stands.
//!
//! The tree is built from parser events, so that nesting, aliases and the total size are bounded while it grows,
//! and duplicate keys keep both their places. Scalars are substituted first and typed afterwards: a number may
//! come from the environment.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::fault::{Fault, Position};
use super::scalar::Scalar;
use super::substitute::{Environment, substitute};

/// Levels of sequences and mappings inside each other.
pub const MAX_DEPTH: usize = 64;

/// Upper bound of a document with its aliases expanded: one for each node and one for each byte of text.
pub const MAX_WEIGHT: usize = 4 << 20;

/// A value and the place where it begins.
///
/// It has no `Debug`, because it may hold secrets.
#[derive(Clone)]
pub struct Node {
    pub value: Value,
    pub at: Position,
    /// The value came from a `${...}` and must not be shown.
    pub foreign: bool,
}

#[derive(Clone)]
pub enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value, in the order of the file.
#[derive(Clone)]
pub struct Entry {
    pub key: String,
    pub key_at: Position,
    pub node: Node,
}

impl Entry {
    /// Where to point for a fault of this setting: at a scalar itself, else at the key, since a block begins a
    /// line later than what the reader thinks of as its place.
    pub fn place(&self) -> Position {
        match self.node.value {
            Value::Scalar(Scalar::Null) | Value::Sequence(_) | Value::Mapping(_) => self.key_at,
            Value::Scalar(_) => self.node.at,
        }
    }
}

impl Node {
    /// Whether anything in this subtree came from a substitution.
    pub fn holds_foreign(&self) -> bool {
        match &self.value {
            Value::Scalar(_) => self.foreign,
            Value::Sequence(items) => items.iter().any(Node::holds_foreign),
            Value::Mapping(entries) => entries.iter().any(|entry| entry.node.holds_foreign()),
        }
    }

    /// The value as JSON, for serde.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }

    /// Levels below and including this node, and its share of [`MAX_WEIGHT`].
    fn measure(&self) -> (usize, usize) {
        let mut depth = 0;
        let mut weight = 1;
        match &self.value {
            Value::Scalar(scalar) => return (0, 1 + scalar.text_len()),
            Value::Sequence(items) => {
                for item in items {
                    let (below, more) = item.measure();
                    depth = depth.max(below);
                    weight += more;
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    let (below, more) = entry.node.measure();
                    depth = depth.max(below);
                    weight += more + entry.key.len();
                }
            }
        }
        (depth + 1, weight)
    }
}

/// Reads one YAML document. An empty one is a null.
///
/// # Errors
/// Invalid YAML is one fault, at the place where reading had to stop, behind those found before. Failed substitutions (null in the
/// tree), duplicate keys and the like come with the tree.
pub fn parse(text: &str, environment: &dyn Environment) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        environment,
        anchors: BTreeMap::new(),
        weight: 0,
        path: String::new(),
        faults: Vec::new(),
    };
    match builder.document() {
        Ok(root) => Ok((root, builder.faults)),
        Err(fatal) => {
            builder.faults.push(explain_flow(fatal, text));
            Err(builder.faults)
        }
    }
}

/// Braces of a substitution are YAML's own inside `[ ]` and `{ }`, which the parser's message cannot know.
fn explain_flow(fault: Fault, text: &str) -> Fault {
    let line = text.lines().nth(fault.line.saturating_sub(1)).unwrap_or_default();
    if fault.hint.is_none() && line.contains("${") {
        let hint = "inside `[ ]` and `{ }`, put a `${...}` in quotes";
        return fault.with_hint(Some(hint.to_owned()));
    }
    fault
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    environment: &'t dyn Environment,
    anchors: BTreeMap<usize, Node>,
    weight: usize,
    path: String,
    faults: Vec<Fault>,
}

type Spanned<'t> = (Event<'t>, Span);

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(Fault::new("", position(span), "a second document; a configuration is one"));
                }
                _ => root = Some(self.node((event, span), 0)?),
            }
        }
        let empty = Node { value: Value::Scalar(Scalar::Null), at: Position::START, foreign: false };
        Ok(root.unwrap_or(empty))
    }

    fn next(&mut self) -> Result<Spanned<'t>, Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The node that begins with `event`, at `depth` levels below the root.
    fn node(&mut self, (event, span): Spanned<'t>, depth: usize) -> Result<Node, Fault> {
        let at = position(span);
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.charge(1 + text.len(), at)?;
                (self.scalar(&text, style, at)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                (self.sequence(at, depth + 1)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                (self.mapping(at, depth + 1)?, anchor)
            }
            _ => return Err(self.fault(at, "a value is missing here")),
        };
        if anchor != 0 {
            self.charge(node.measure().1, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// A copy of the anchored node. It keeps its own places: a fault in it is put right there.
    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.fault(at, "an alias inside the value it refers to"));
        };
        let (levels, weight) = node.measure();
        self.charge(weight, at)?;
        self.check_depth(depth + levels, at)?;
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Position) -> Result<Node, Fault> {
        let substituted = match substitute(text, self.environment) {
            Ok(substituted) => substituted,
            Err(message) => {
                let fault = self.fault(at, message);
                self.faults.push(fault);
                return Ok(Node { value: Value::Scalar(Scalar::Null), at, foreign: true });
            }
        };
        self.charge(substituted.text.len(), at)?;
        let scalar = match style {
            ScalarStyle::Plain => Scalar::from_plain(substituted.text),
            _ => Scalar::Text(substituted.text),
        };
        if matches!(scalar, Scalar::Float(number) if !number.is_finite()) {
            let fault = self.fault(at, "not a finite number");
            self.faults.push(fault);
        }
        Ok(Node { value: Value::Scalar(scalar), at, foreign: substituted.foreign })
    }

    fn sequence(&mut self, at: Position, depth: usize) -> Result<Node, Fault> {
        self.check_depth(depth, at)?;
        self.charge(1, at)?;
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node { value: Value::Sequence(items), at, foreign: false });
            }
            let parent = enter_index(&mut self.path, items.len());
            let item = self.node((event, span), depth)?;
            self.path.truncate(parent);
            items.push(item);
        }
    }

    fn mapping(&mut self, at: Position, depth: usize) -> Result<Node, Fault> {
        self.check_depth(depth, at)?;
        self.charge(1, at)?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Node { value: Value::Mapping(entries), at, foreign: false });
            }
            let key_at = position(span);
            let key = self.key(event, key_at)?;
            let parent = enter_key(&mut self.path, &key);
            if let Some(first) = lines.insert(key.clone(), key_at.line) {
                let fault = self.fault(key_at, format!("set twice; the first is on line {first}"));
                self.faults.push(fault);
            }
            let value = self.next()?;
            let node = self.node(value, depth)?;
            self.path.truncate(parent);
            entries.push(Entry { key, key_at, node });
        }
    }

    fn key(&mut self, event: Event<'t>, at: Position) -> Result<String, Fault> {
        let Event::Scalar(text, _, _, tag) = event else {
            return Err(self.fault(at, "the name of a setting must be plain text"));
        };
        self.refuse_tag(tag.is_some(), at);
        self.charge(text.len(), at)?;
        let problem = if text == "<<" {
            "merge keys (`<<`) are not supported; use an alias for a whole value"
        } else if text.contains("${") {
            "names are not substituted; use `${...}` in values only"
        } else {
            return Ok(text.into_owned());
        };
        let fault = self.fault(at, problem);
        self.faults.push(fault);
        Ok(text.into_owned())
    }

    fn refuse_tag(&mut self, tagged: bool, at: Position) {
        if tagged {
            let fault = self.fault(at, "YAML tags (`!...`) are not supported; put text in quotes instead");
            self.faults.push(fault);
        }
    }

    fn charge(&mut self, weight: usize, at: Position) -> Result<(), Fault> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT {
            return Err(self.fault(at, "the document is too large once its aliases are expanded"));
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize, at: Position) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(at, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }

    fn fault(&self, at: Position, message: impl Into<String>) -> Fault {
        Fault::new(&self.path, at, message)
    }
}

/// Appends `.key` to a path; returns the length to truncate to when leaving.
pub fn enter_key(path: &mut String, key: &str) -> usize {
    let parent = path.len();
    if parent > 0 {
        path.push('.');
    }
    path.push_str(key);
    parent
}

/// Appends `[index]` to a path; returns the length to truncate to when leaving.
pub fn enter_index(path: &mut String, index: usize) -> usize {
    let parent = path.len();
    path.push_str(&format!("[{index}]"));
    parent
}

fn position(span: Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Fault {
    let marker = error.marker();
    let at = Position { line: marker.line().max(1), column: marker.col() + 1 };
    Fault::new("", at, format!("not valid YAML: {}", error.info()))
}
