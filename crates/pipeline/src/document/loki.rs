//! The document of an entry of Loki's.

use super::draft::Draft;
use super::names::ATTRIBUTES;
use crate::body::Body;
use crate::time::TimestampWriter;
use crate::wire::Group;
use crate::wire::loki::labels::Label;
use crate::wire::loki::{OF_METADATA, is_taken, labels_of, text_at, walk};

/// Writes entries; remembers what those of one stream share.
#[derive(Debug, Default)]
pub(super) struct Stream<'b> {
    group: Option<u32>,
    labels: Vec<Label<'b>>,
    /// Tenant and labels as they stand in each document.
    text: Draft,
}

impl<'b> Stream<'b> {
    /// Appends the document of record `item`.
    pub(super) fn write(&mut self, body: &'b Body, item: u32, time: &mut TimestampWriter, out: &mut Draft) {
        let entry = body.entry(item);
        if self.group != Some(entry.aux) {
            self.begin(body, entry.aux);
        }
        let (second, fraction) = time.format(entry.time);
        out.named_time(b"{\"@timestamp\":\"", second, &fraction);
        let line = walk(&body.bytes[entry.range()]);
        out.named_string(b",\"message\":", line.text.as_bytes());
        out.extend(self.text.as_slice());
        for (place, (name, value)) in line.metadata.iter().enumerate() {
            // Of equal names the last one counts.
            if line.metadata[place + 1..].iter().any(|(other, _)| other == name) {
                continue;
            }
            let is_label = self.labels.iter().any(|label| label.name.as_bytes() == name.as_bytes());
            write_member(name.as_bytes(), is_label, value.as_bytes(), out);
        }
        out.push(b'}');
    }

    fn begin(&mut self, body: &'b Body, group: u32) {
        let Group { resource: labels, scope: tenant, .. } = body.index.groups[group as usize];
        self.group = Some(group);
        self.labels = labels_of(&body.bytes, labels).unwrap_or_default();
        self.text.clear();
        let tenant = text_at(&body.bytes, tenant);
        if !tenant.is_empty() {
            self.text.named_string(b",\"tenant\":", tenant.as_bytes());
        }
        for label in &self.labels {
            write_member(label.name.as_bytes(), false, label.value().as_bytes(), &mut self.text);
        }
    }
}

/// A member under its name, or where names go that are taken: by a label of the stream, or by a field.
fn write_member(name: &[u8], is_label: bool, value: &[u8], out: &mut Draft) {
    let prefix = match () {
        () if is_label => OF_METADATA,
        () if is_taken(name) => ATTRIBUTES,
        () => "",
    };
    out.literal(b",\"");
    out.extend(prefix.as_bytes());
    out.escaped(name);
    out.literal(b"\":");
    out.string(value);
}
