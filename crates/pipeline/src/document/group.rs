//! What a run of OTLP records shares, rendered once: the logger's name, the promoted fields, and everything behind them.

use super::attributes::Attributes;
use super::draft::Draft;
use super::member::{Slots, tag_of, write_int, write_member, write_name};
use super::names::{is_taken, resource_prefix, scope_prefix};
use crate::Signal;
use crate::record::{EntityRef, GroupHead, Key, Text, Value};

/// A resource attribute that is wanted at top level too.
#[derive(Clone, Debug)]
pub(super) struct Promoted {
    name: String,
    tag: u32,
    /// `,"<name>":`
    rendered_name: Vec<u8>,
    /// The same with this group's value, or nothing.
    text: Draft,
}

impl Promoted {
    pub(super) fn new(name: &str) -> Self {
        let mut rendered_name = Draft::default();
        write_name("", Key::Plain(name.into()), &mut rendered_name);
        Self {
            name: name.to_owned(),
            tag: tag_of(name.as_bytes()),
            rendered_name: rendered_name.as_slice().to_vec(),
            text: Draft::default(),
        }
    }

    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name
    }
}

/// Rendered members of one object.
#[derive(Clone, Debug, Default)]
struct Members {
    text: Draft,
    slots: Slots,
}

impl Members {
    fn clear(&mut self) {
        self.text.clear();
        self.slots.clear();
    }

    fn push(&mut self, prefix: &str, key: Text<'_>, value: Value<'_>) {
        write_member(prefix, Key::Plain(key), value, &mut self.slots, &mut self.text);
    }
}

/// The text of one group.
#[derive(Clone, Debug)]
pub(super) struct GroupText {
    /// Whose documents are written.
    signal: Signal,
    promoted: Vec<Promoted>,
    /// `,"name":"<scope name>"`, or nothing.
    pub(super) name: Draft,
    resource: Members,
    entities: Draft,
    resource_own: Draft,
    scope: Members,
    scope_own: Draft,
    /// The end of each document: resource, scope, closing brace, line break.
    pub(super) tail: Vec<u8>,
    /// So many bytes of `tail` are the resource's.
    resource_tail: usize,
}

impl GroupText {
    pub(super) fn new(promoted: Vec<Promoted>) -> Self {
        Self {
            signal: Signal::Logs,
            promoted,
            name: Draft::default(),
            resource: Members::default(),
            entities: Draft::default(),
            resource_own: Draft::default(),
            scope: Members::default(),
            scope_own: Draft::default(),
            tail: Vec::new(),
            resource_tail: 0,
        }
    }

    /// From here on documents are of this signal.
    pub(super) fn serve(&mut self, signal: Signal) {
        self.signal = signal;
    }

    /// A new group: forgets the last one, but for a resource that is the same.
    pub(super) fn begin(&mut self, head: &GroupHead<'_>, same_resource: bool) {
        if same_resource {
            self.tail.truncate(self.resource_tail);
        } else {
            self.begin_resource(head);
        }
        self.scope.clear();
        self.name.clear();
        self.scope_own.clear();
        write_text(b",\"name\":", head.scope_name, &mut self.name);
        write_text(b",\"scope.name\":", head.scope_name, &mut self.scope_own);
        write_text(b",\"scope.version\":", head.scope_version, &mut self.scope_own);
        write_text(b",\"scope.schema_url\":", head.scope_schema_url, &mut self.scope_own);
        let dropped = head.scope_dropped_attributes;
        write_count(b",\"scope.dropped_attributes_count\":", dropped, &mut self.scope_own);
    }

    fn begin_resource(&mut self, head: &GroupHead<'_>) {
        self.tail.clear();
        self.resource_tail = 0;
        self.resource.clear();
        self.entities.clear();
        self.resource_own.clear();
        for promoted in &mut self.promoted {
            promoted.text.clear();
        }
        write_text(b",\"resource.schema_url\":", head.resource_schema_url, &mut self.resource_own);
        let dropped = head.resource_dropped_attributes;
        write_count(b",\"resource.dropped_attributes_count\":", dropped, &mut self.resource_own);
    }

    pub(super) fn resource_attribute(&mut self, key: Text<'_>, value: Value<'_>) {
        self.resource.push(resource_prefix(key.as_bytes()), key, value);
        let named = self.promoted.iter_mut().filter(|promoted| promoted.is(key.as_bytes()));
        for promoted in named.filter(|_| !is_taken(self.signal, key.as_bytes())) {
            promoted.text.clear();
            write_member("", Key::Plain(key), value, &mut Slots::default(), &mut promoted.text);
        }
    }

    pub(super) fn entity_ref(&mut self, entity: &EntityRef<'_>) {
        let start = self.entities.len();
        write_text(b",\"schema_url\":", entity.schema_url, &mut self.entities);
        write_text(b",\"type\":", entity.kind, &mut self.entities);
        write_list(b",\"id_keys\":", &entity.id_keys, &mut self.entities);
        write_list(b",\"description_keys\":", &entity.description_keys, &mut self.entities);
        self.entities.put(start, b'{');
        self.entities.literal(b"},");
    }

    pub(super) fn scope_attribute(&mut self, key: Text<'_>, value: Value<'_>) {
        self.scope.push(scope_prefix(key.as_bytes()), key, value);
    }

    /// The group is complete.
    pub(super) fn end(&mut self) {
        if self.tail.is_empty() {
            self.end_resource();
        }
        self.scope.slots.drop_duplicates(0, &mut self.scope.text);
        for part in [&self.scope.text, &self.scope_own] {
            self.tail.extend_from_slice(part.as_slice());
        }
        self.tail.extend_from_slice(b"}\n");
    }

    fn end_resource(&mut self) {
        self.resource.slots.drop_duplicates(0, &mut self.resource.text);
        if self.entities.pop().is_some() {
            self.resource_own.literal(b",\"resource.entity_refs\":[");
            self.resource_own.extend(self.entities.as_slice());
            self.resource_own.push(b']');
        }
        for part in [&self.resource.text, &self.resource_own] {
            self.tail.extend_from_slice(part.as_slice());
        }
        self.resource_tail = self.tail.len();
    }

    /// Appends the promoted fields that are not among the record's own members in `out`.
    pub(super) fn write_promoted(&self, attributes: &Attributes, out: &mut Draft) {
        for promoted in &self.promoted {
            if !promoted.text.is_empty() && !attributes.contains(promoted.tag, &promoted.rendered_name, out) {
                out.extend(promoted.text.as_slice());
            }
        }
    }
}

/// Appends `name` (with comma, quotes and colon) and the string, unless it is empty.
#[inline(always)]
pub(super) fn write_text<const N: usize>(name: &[u8; N], text: Text<'_>, out: &mut Draft) {
    if !text.is_empty() {
        out.named_string(name, text.as_bytes());
    }
}

/// Appends `name` and the number, unless it is zero.
#[inline(always)]
pub(super) fn write_count<const N: usize>(name: &[u8; N], count: u32, out: &mut Draft) {
    if count != 0 {
        out.literal(name);
        write_int(count.into(), out);
    }
}

fn write_list(name: &[u8], texts: &[Text<'_>], out: &mut Draft) {
    if texts.is_empty() {
        return;
    }
    out.extend(name);
    let start = out.len();
    for text in texts {
        out.push(b',');
        out.string(text.as_bytes());
    }
    out.put(start, b'[');
    out.push(b']');
}
