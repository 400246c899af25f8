//! Writes a record as the document it becomes: its own bytes with the edits that `check` noted.

use super::walk::write_single_line;
use crate::time::TimestampWriter;
use crate::wire::{EditText, Entry, Index};

/// Appends the document of record `item` to `out`: one line, without a line break at its end.
///
/// `index` must be what [`check`](super::check) made of `body`.
pub fn splice(body: &[u8], index: &Index, item: u32, time: &mut TimestampWriter, out: &mut Vec<u8>) {
    let entry = &index.records[item as usize];
    // Edits stand between tokens, so each piece between two of them can be brought onto one line by itself.
    let copy = if entry.flags & Entry::MULTILINE == 0 { copy_as_is } else { write_single_line };
    let range = entry.range();
    let mut at = range.start;
    for edit in index.edits_of(item) {
        copy(&body[at..edit.at as usize], out);
        write_text(edit.with, entry.time, body, time, out);
        at = (edit.at + edit.remove) as usize;
    }
    copy(&body[at..range.end], out);
}

fn copy_as_is(piece: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(piece);
}

fn write_text(text: EditText, event_time: i64, body: &[u8], time: &mut TimestampWriter, out: &mut Vec<u8>) {
    let literal = |offset: u32, len: u32| &body[offset as usize..offset as usize + len as usize];
    match text {
        EditText::InsertTimestamp => {
            out.extend_from_slice(b"\"@timestamp\":\"");
            write_time(event_time, time, out);
            out.extend_from_slice(b"\",");
        }
        EditText::OnlyTimestamp => {
            out.extend_from_slice(b"\"@timestamp\":\"");
            write_time(event_time, time, out);
            out.push(b'"');
        }
        EditText::ReplaceTimestamp => {
            out.push(b'"');
            write_time(event_time, time, out);
            out.push(b'"');
        }
        EditText::MoveTimestamp => {
            out.push(b'"');
            write_time(event_time, time, out);
            out.extend_from_slice(b"\",\"attributes.@timestamp\":");
        }
        EditText::InsertLevel(offset, len) => {
            out.extend_from_slice(b"\"level\":");
            out.extend_from_slice(literal(offset, len));
            out.push(b',');
        }
        EditText::ReplaceLevel(offset, len) => out.extend_from_slice(literal(offset, len)),
        EditText::InsertLevelName(name) => {
            out.extend_from_slice(b"\"level\":\"");
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b"\",");
        }
        EditText::InsertIndex(offset, len) => {
            out.extend_from_slice(b"\"@metadata._index\":\"");
            out.extend_from_slice(literal(offset, len));
            out.extend_from_slice(b"\",");
        }
        EditText::Nothing => {}
        EditText::ReplaceLevelName(name) => {
            out.push(b'"');
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(b'"');
        }
    }
}

fn write_time(nanos: i64, time: &mut TimestampWriter, out: &mut Vec<u8>) {
    let (second, fraction) = time.format(nanos);
    out.extend_from_slice(second);
    out.extend_from_slice(&fraction);
}
