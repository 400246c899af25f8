//! What tells records apart, so that a client's retry is recognised.

use super::walk::{Point, SeriesHead, Visitor, walk};
use super::{Label, Version};
use crate::wire::Index;

/// Pushes for each record, in order, the hash of what it is: its labels as they read, its own bytes, and its exemplars. References are
/// resolved, for they mean nothing beside another table of symbols.
pub fn identities(
    body: &[u8],
    version: Version,
    index: &Index,
    hash: fn(&[u8]) -> u128,
    push: &mut dyn FnMut(u128),
) {
    let mut items = 0..index.records.len() as u32;
    let (series, text) = (0, Vec::new());
    walk(body, version, index, &mut items, &mut Identity { body, index, hash, push, series, text });
}

struct Identity<'i> {
    body: &'i [u8],
    index: &'i Index,
    hash: fn(&[u8]) -> u128,
    push: &'i mut dyn FnMut(u128),
    /// The hash of the series at hand.
    series: u128,
    text: Vec<u8>,
}

impl<'a> Visitor<'a> for Identity<'_> {
    fn series(&mut self, head: &SeriesHead<'a>, labels: &mut dyn Iterator<Item = Label<'a>>) {
        self.text.clear();
        part(head.name.as_bytes(), &mut self.text);
        for (name, value) in labels {
            part(name.as_bytes(), &mut self.text);
            part(value.as_bytes(), &mut self.text);
        }
        part(&head.created.unwrap_or_default().to_le_bytes(), &mut self.text);
        self.series = (self.hash)(&self.text);
    }

    fn point(&mut self, item: u32, point: &Point<'a>) -> bool {
        let entry = &self.index.records[item as usize];
        self.text.clear();
        // With its kind: a sample and a histogram may be the same bytes.
        self.text.extend_from_slice(&entry.flags.to_le_bytes());
        self.text.extend_from_slice(&self.series.to_le_bytes());
        if !matches!(point.reading, super::Reading::Nothing) || point.exemplars.is_none() {
            part(&self.body[entry.range()], &mut self.text);
        }
        if let Some(exemplars) = point.exemplars {
            exemplars.each(|exemplar, labels| {
                part(&exemplar.value.to_bits().to_le_bytes(), &mut self.text);
                part(&exemplar.timestamp.to_le_bytes(), &mut self.text);
                for (name, value) in labels {
                    part(name.as_bytes(), &mut self.text);
                    part(value.as_bytes(), &mut self.text);
                }
            });
        }
        (self.push)((self.hash)(&self.text));
        true
    }
}

/// Appends a part so that no other parts read the same.
fn part(bytes: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    text.extend_from_slice(bytes);
}
