//! The frame: one request's body on disk, and what is needed to take it up again. `docs/journal-format.md` has the table.
//!
//! All numbers are little endian. A frame begins at a multiple of [`ALIGNMENT`] in its segment, so that a reader that has lost its
//! place finds the next one. The head has a checksum of its own, because a length must be believed before what it measures.

use crate::planted;
use crate::wire::WireId;
use bytes::{BufMut, Bytes};

/// The version that this code writes.
pub const VERSION: u8 = 1;
/// Frames begin at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;
/// Bytes of a frame before the receiver's name and the body.
pub const HEAD_BYTES: usize = 76;
/// The largest block that frames can be made to end with.
pub const MAX_BLOCK_BYTES: usize = 4 << 10;

const MAGIC: [u8; 4] = *b"FBFR";
const FLAG_ZSTD: u8 = 1;
/// Where the segment's salt stands.
pub(in crate::journal) const SALT_AT: usize = 64;
/// Where the head's checksum stands; it covers what comes before.
const HEAD_SUM_AT: usize = 72;

/// How a frame's records get their ids again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdKind {
    /// They have none.
    None = 0,
    /// From the frame's epoch and counter.
    Minted = 1,
    /// From their content.
    Content = 2,
    /// The clients' own, and minted ones where there is none.
    Client = 3,
    /// From the content of those events of Beats that say where they were read, and minted ones for the others.
    Events = 4,
}

/// What a frame says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub wire: WireId,
    pub ids: IdKind,
    /// Nanoseconds since 1970.
    pub arrived: i64,
    /// With the counter: what minted ids are made of.
    pub epoch: u64,
    pub counter: u64,
    /// The route table that the body was admitted under.
    pub plan: u32,
    /// Records in the body.
    pub records: u32,
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The frame's number in the journal: one more than that of the frame before.
    pub sequence: u64,
    pub label: Label,
    /// The same as its segment's. It is random, so a body that holds the image of a frame cannot pass for one where a reader has lost
    /// its place.
    pub salt: u64,
    /// The body is stored as zstd.
    pub zstd: bool,
    /// Bytes of the body as it arrived.
    pub body_len: u32,
    stored_len: u32,
    receiver_len: u16,
    /// Zeros behind the frame that belong to it, in units of [`ALIGNMENT`].
    spare: u16,
    /// CRC32C over the receiver's name and the stored body.
    sum: u32,
}

/// A frame as it was read and found sound; the body is as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub head: Head,
    /// The receiver's name.
    pub receiver: Bytes,
    pub stored: Bytes,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The bytes end before the frame does.
    #[error("the frame is cut short")]
    CutShort,
    #[error("no frame begins here")]
    NoFrame,
    #[error("the frame is of a version or kind that this Forebay does not know")]
    Unknown,
    #[error("the frame's head is damaged")]
    DamagedHead,
    #[error("the frame's body is damaged")]
    DamagedBody,
}

/// Bytes of a whole frame that ends at the next place where another may begin.
pub const fn frame_len(receiver: usize, stored: usize) -> usize {
    (HEAD_BYTES + receiver + stored).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `out`. `zstd` is the body's length as it arrived, if `stored` is zstd. A receiver's name is shorter than
/// 64 KiB and a body than 4 GiB: settings see to both.
pub fn write(
    sequence: u64,
    salt: u64,
    label: &Label,
    receiver: &[u8],
    stored: &[u8],
    zstd: Option<u32>,
    out: &mut Vec<u8>,
) {
    out.put_slice(&head(sequence, salt, label, receiver, stored, zstd, 0));
    out.put_slice(receiver);
    out.put_slice(stored);
    out.put_slice(padding(receiver.len(), stored.len(), 0));
}

/// What stands before the receiver's name and the body. `spare` is how many times [`ALIGNMENT`] zeros follow behind the frame.
pub fn head(
    sequence: u64,
    salt: u64,
    label: &Label,
    receiver: &[u8],
    stored: &[u8],
    zstd: Option<u32>,
    spare: u16,
) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let mut out = &mut head[..];
    out.put_slice(&MAGIC);
    out.put_slice(&[VERSION, label.wire as u8, label.ids as u8, if zstd.is_some() { FLAG_ZSTD } else { 0 }]);
    out.put_u64_le(sequence);
    out.put_i64_le(label.arrived);
    out.put_u64_le(label.epoch);
    out.put_u64_le(label.counter);
    out.put_u32_le(label.plan);
    out.put_u32_le(label.records);
    out.put_u32_le(stored.len() as u32);
    out.put_u16_le(receiver.len() as u16);
    out.put_u16_le(spare);
    out.put_u32_le(zstd.unwrap_or(stored.len() as u32));
    out.put_u32_le(crc32c::crc32c_append(crc32c::crc32c(receiver), stored));
    out.put_u64_le(salt);
    debug_assert_eq!(out.len(), HEAD_BYTES - HEAD_SUM_AT);
    let sum = crc32c::crc32c(&head[..HEAD_SUM_AT]);
    head[HEAD_SUM_AT..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// What stands behind the body, so that the next frame begins where one may, or `spare` times [`ALIGNMENT`] bytes later.
pub fn padding(receiver: usize, stored: usize, spare: u16) -> &'static [u8] {
    let len = frame_len(receiver, stored) - HEAD_BYTES - receiver - stored + usize::from(spare) * ALIGNMENT;
    &[0; ALIGNMENT + MAX_BLOCK_BYTES][..len]
}

/// How many times [`ALIGNMENT`] zeros make a frame that would end at `end` end with a block.
pub fn spare_to_block(end: u64, block: usize) -> u16 {
    debug_assert!(block <= MAX_BLOCK_BYTES && end.is_multiple_of(ALIGNMENT as u64));
    ((end.next_multiple_of(block as u64) - end) / ALIGNMENT as u64) as u16
}

impl Head {
    /// Bytes of the whole frame, padding included.
    pub fn frame_len(&self) -> usize {
        let least = frame_len(usize::from(self.receiver_len), self.stored_len as usize);
        least + usize::from(self.spare) * ALIGNMENT
    }

    /// Reads a head from the front of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, BadFrame> {
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or(BadFrame::CutShort)?;
        if head[..4] != MAGIC {
            return Err(BadFrame::NoFrame);
        }
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(HEAD_SUM_AT) != crc32c::crc32c(&head[..HEAD_SUM_AT]) {
            return Err(BadFrame::DamagedHead);
        }
        // Only a head that is known to be whole is asked what it means.
        if head[4] != VERSION {
            return Err(BadFrame::Unknown);
        }
        let label = Label {
            wire: wire_of(head[5]).ok_or(BadFrame::Unknown)?,
            ids: id_kind_of(head[6]).ok_or(BadFrame::Unknown)?,
            arrived: u64_at(16) as i64,
            epoch: u64_at(24),
            counter: u64_at(32),
            plan: u32_at(40),
            records: u32_at(44),
        };
        let spare = u16_at(54);
        if usize::from(spare) * ALIGNMENT > MAX_BLOCK_BYTES {
            return Err(BadFrame::Unknown);
        }
        Ok(Self {
            sequence: u64_at(8),
            label,
            zstd: head[7] & FLAG_ZSTD != 0,
            stored_len: u32_at(48),
            receiver_len: u16_at(52),
            spare,
            body_len: u32_at(56),
            sum: u32_at(60),
            salt: u64_at(SALT_AT),
        })
    }
}

impl Frame {
    /// Reads the frame at the front of `bytes`, without copying its parts.
    pub fn read(bytes: &Bytes) -> Result<Self, BadFrame> {
        let head = Head::read(bytes)?;
        let receiver_end = HEAD_BYTES + usize::from(head.receiver_len);
        let end = receiver_end + head.stored_len as usize;
        if bytes.len() < head.frame_len() {
            return Err(BadFrame::CutShort);
        }
        if head.sum != crc32c::crc32c(&bytes[HEAD_BYTES..end]) && !planted::is("no-checksum") {
            return Err(BadFrame::DamagedBody);
        }
        Ok(Self {
            head,
            receiver: bytes.slice(HEAD_BYTES..receiver_end),
            stored: bytes.slice(receiver_end..end),
        })
    }
}

impl Frame {
    /// Bytes before the zeros at its end.
    pub fn content_len(&self) -> usize {
        HEAD_BYTES + self.receiver.len() + self.stored.len()
    }

    /// The zeros at its end.
    pub fn padding(&self) -> &'static [u8] {
        padding(self.receiver.len(), self.stored.len(), self.head.spare)
    }
}

fn wire_of(number: u8) -> Option<WireId> {
    [
        WireId::OtlpLogs,
        WireId::Json,
        WireId::JsonLines,
        WireId::Bulk,
        WireId::Forward,
        WireId::OtlpTraces,
        WireId::OtlpMetrics,
        WireId::RemoteWrite1,
        WireId::RemoteWrite2,
        WireId::LokiProto,
        WireId::Syslog,
    ]
    .into_iter()
    .find(|wire| *wire as u8 == number)
}

fn id_kind_of(number: u8) -> Option<IdKind> {
    [IdKind::None, IdKind::Minted, IdKind::Content, IdKind::Client, IdKind::Events]
        .into_iter()
        .find(|kind| *kind as u8 == number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const LABEL: Label = Label {
        wire: WireId::Json,
        ids: IdKind::Client,
        arrived: -1,
        epoch: 0x0102_0304_0506_0708,
        counter: 9,
        plan: 7,
        records: 3,
    };

    fn written(label: &Label, receiver: &[u8], stored: &[u8]) -> Bytes {
        let mut out = Vec::new();
        write(42, 0x1122, label, receiver, stored, None, &mut out);
        out.into()
    }

    /// The format as `docs/journal-format.md` has it, byte for byte. A change of it is a new version.
    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let frame = written(&LABEL, b"json", b"{}");
        let fields: [&[u8]; 16] = [
            b"FBFR",
            &[1, 2, 3, 0],
            &[42, 0, 0, 0, 0, 0, 0, 0],
            &[0xff; 8],
            &[8, 7, 6, 5, 4, 3, 2, 1],
            &[9, 0, 0, 0, 0, 0, 0, 0],
            &[7, 0, 0, 0],
            &[3, 0, 0, 0],
            &[2, 0, 0, 0],
            &[4, 0],
            &[0, 0],
            &[2, 0, 0, 0],
            &crc32c::crc32c(b"json{}").to_le_bytes(),
            &[0x22, 0x11, 0, 0, 0, 0, 0, 0],
            &crc32c::crc32c(&frame[..72]).to_le_bytes(),
            b"json{}\0\0\0\0\0\0",
        ];
        assert_eq!(frame, fields.concat());
        assert_eq!([spare_to_block(96, 8), spare_to_block(96, 64), spare_to_block(8, 4096)], [0, 4, 511]);
        // CRC32C of RFC 3720, appendix B.4.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_any_flipped_bit_is_noticed(
            receiver in prop::collection::vec(any::<u8>(), 0..20),
            stored in prop::collection::vec(any::<u8>(), 0..200),
            spare in 0u16..20,
            place in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let head = head(42, 0x1122, &LABEL, &receiver, &stored, None, spare);
            let padding = padding(receiver.len(), stored.len(), spare);
            let bytes: Bytes = [&head[..], &receiver, &stored, padding].concat().into();
            prop_assert_eq!(bytes.len(), frame_len(receiver.len(), stored.len()) + 8 * usize::from(spare));
            let frame = Frame::read(&bytes).unwrap();
            prop_assert_eq!((&frame.receiver[..], &frame.stored[..]), (&receiver[..], &stored[..]));
            prop_assert_eq!((frame.head.sequence, frame.head.label), (42, LABEL));
            prop_assert_eq!(frame.head.frame_len(), bytes.len());
            let mut damaged = bytes.to_vec();
            let place = place.index(HEAD_BYTES + receiver.len() + stored.len());
            damaged[place] ^= 1u8 << bit;
            prop_assert!(Frame::read(&damaged.into()).is_err());
            for cut in 0..bytes.len() {
                prop_assert_eq!(Frame::read(&bytes.slice(..cut)), Err(BadFrame::CutShort));
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Frame::read(&bytes.into()).is_err());
        }
    }
}
