//! Labels: pairs of texts, of 1.0 as they stand, of 2.0 by their numbers in the request's table of symbols.

use super::fields::label;
use crate::record::Text;
use crate::wire::otlp::cursor::{Bad, Cursor};

/// Most labels of one series or exemplar. Prometheus has some ten, and allows any number.
pub const MAX_LABELS: usize = 4096;

/// A label's name and value.
pub type Label<'b> = (Text<'b>, Text<'b>);

/// The table of symbols of a request of 2.0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbols<'b, 's> {
    pub body: &'b [u8],
    /// Offset and length of each.
    pub spans: &'s [(u32, u32)],
}

impl<'b> Symbols<'b, '_> {
    /// The symbol with this number, if there is one.
    pub(super) fn get(&self, number: u32) -> Option<Text<'b>> {
        let (offset, len) = *self.spans.get(number as usize)?;
        Some(Text::checked(&self.body[offset as usize..(offset + len) as usize]))
    }
}

/// The labels of one series or exemplar as they are read. Keep one for many: it holds a buffer.
#[derive(Debug, Default)]
pub(super) struct Labels<'b> {
    pairs: Vec<Label<'b>>,
    /// A name whose value is the next reference.
    name: Option<Text<'b>>,
    bytes: usize,
    fault: Option<&'static str>,
}

impl<'b> Labels<'b> {
    /// Another series.
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        (self.name, self.bytes, self.fault) = (None, 0, None);
    }

    /// The labels in the order in which they came.
    pub(super) fn as_slice(&self) -> &[Label<'b>] {
        &self.pairs
    }

    /// Bytes of all names and values, however few stand for them on the wire.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads a `Label` of 1.0.
    pub(super) fn read(&mut self, mut message: Cursor<'b>, depth: u32) -> Result<(), Bad> {
        let (mut name, mut value) = (Text::default(), Text::default());
        while !message.is_done() {
            match message.tag()? {
                label::NAME => name = message.text()?,
                label::VALUE => value = message.text()?,
                other => message.skip_unknown(other, label::KNOWN, depth)?,
            }
        }
        self.push(name, value);
        Ok(())
    }

    /// Reads packed references of 2.0.
    pub(super) fn read_references(
        &mut self,
        mut packed: Cursor<'b>,
        symbols: Symbols<'b, '_>,
    ) -> Result<(), Bad> {
        while !packed.is_done() {
            self.reference(packed.varint()? as u32, symbols);
        }
        Ok(())
    }

    /// One reference of 2.0: a name's, then its value's.
    pub(super) fn reference(&mut self, number: u32, symbols: Symbols<'b, '_>) {
        let Some(text) = symbols.get(number) else {
            self.fault = Some("a label refers to a symbol that is not there");
            return;
        };
        match self.name.take() {
            None => self.name = Some(text),
            Some(name) => self.push(name, text),
        }
    }

    fn push(&mut self, name: Text<'b>, value: Text<'b>) {
        if self.pairs.len() == MAX_LABELS {
            self.fault = Some("more than 4096 labels");
        } else if name.is_empty() {
            self.fault = Some("a label without a name");
        } else {
            self.bytes += name.as_bytes().len() + value.as_bytes().len();
            self.pairs.push((name, value));
        }
    }

    /// What breaks a rule of the specification ("Series Labels", "Symbols"), now that all are read. Labels in another order than that of their
    /// names are taken: which series they name is as clear.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.fault.is_some() {
            return self.fault;
        }
        if self.name.is_some() {
            return Some("an odd number of label references");
        }
        if self.pairs.windows(2).all(|pair| pair[0].0.as_bytes() < pair[1].0.as_bytes()) {
            return None;
        }
        let mut names: Vec<&[u8]> = self.pairs.iter().map(|(name, _)| name.as_bytes()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1]).then_some("a label that is there twice")
    }
}
