//! zstd (RFC 8878) into one buffer, as `inflate` does it with gzip. Beside what comes out, the window of each frame is leased.

use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::gather::Gathered;
use super::inflate::{MAX_MEMBERS, STEP_BYTES};
use forebay_pipeline::budget::Budget;
use std::sync::Arc;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};
use zstd::zstd_safe::DParameter;

/// The largest window, as a power of two: what RFC 9659 allows in a content coding (8 MiB).
const MAX_WINDOW_LOG: u32 = 23;
/// What a decoder holds beside its window: its tables, a block of input and one of output (each 128 KiB), and room to write past them.
const DECODER_BYTES: usize = 512 << 10;
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Inflates all frames of a zstd body to at most `limit` bytes. The compressed bytes stay leased until it is done.
///
/// # Errors
/// `Malformed` for data that is not zstd, cut, followed by something else, or of a window over 8 MiB; over the limit or the budget.
pub async fn zstd(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
    gather_zstd(packed, budget, limit).await?.finish()
}

/// The same, for more to be added.
///
/// # Errors
/// As [`zstd`].
pub async fn gather_zstd(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Gathered, Fault> {
    let mut input = &packed.bytes[..];
    // Frames of one body are of one window, as far as anybody writes several.
    let packed_bytes = packed.lease.bytes();
    let window = DECODER_BYTES + window_of(input);
    let mut room = budget.lease(window).map_err(|exhausted| exhausted.beside(packed_bytes))?;
    let beside = packed_bytes + window;
    let mut buffer = Gathered::whole(beside, budget, 0, limit)?;
    let mut decoder = Decoder::new().map_err(|error| malformed(&error))?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(|error| malformed(&error))?;
    for _ in 0..MAX_MEMBERS {
        let window = DECODER_BYTES + window_of(input);
        if window > room.bytes() {
            room.resize(window).map_err(|exhausted| exhausted.beside(packed_bytes))?;
        }
        input = frame(&mut decoder, input, &mut buffer).await?;
        if input.is_empty() {
            return Ok(buffer);
        }
    }
    Err(Fault::new(Kind::Malformed, format!("more than {MAX_MEMBERS} zstd frames")))
}

fn malformed(error: &std::io::Error) -> Fault {
    Fault::new(Kind::Malformed, format!("malformed zstd: {error}"))
}

/// Inflates one frame and returns what follows it.
async fn frame<'i>(
    decoder: &mut Decoder<'static>,
    mut input: &'i [u8],
    buffer: &mut Gathered,
) -> Result<&'i [u8], Fault> {
    loop {
        let (status, read, written) = buffer.fill(STEP_BYTES, |out| {
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around(out);
            let status = decoder.run(&mut from, &mut to);
            let (read, written) = (from.pos(), to.pos());
            (written, (status, read, written))
        })?;
        input = &input[read..];
        match status {
            Err(error) => return Err(malformed(&error)),
            Ok(0) => return Ok(input),
            Ok(_) if buffer.spare() == 0 => buffer.reserve(1)?,
            Ok(_) if (read, written) == (0, 0) => {
                return Err(Fault::new(Kind::Malformed, "malformed zstd: it ends early"));
            }
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

/// The bytes of the window that a frame asks for (RFC 8878, 3.1.1.1): at most what is allowed, so that the decoder says what is wrong with
/// others, and nothing for what is no frame.
fn window_of(frame: &[u8]) -> usize {
    let Some(([magic @ .., descriptor], rest)) = frame.split_first_chunk::<5>() else { return 0 };
    if *magic != MAGIC {
        return 0;
    }
    let is_single = descriptor >> 5 & 1 == 1;
    let window = if is_single {
        let id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let Some(size) = rest.get(id_bytes..id_bytes + size_bytes) else { return 0 };
        let size = size.iter().rev().fold(0, |size: u64, byte| size << 8 | u64::from(*byte));
        // Two bytes say 256 less than there are.
        if size_bytes == 2 { size + 256 } else { size }
    } else {
        let Some(byte) = rest.first() else { return 0 };
        let base = 1_u64 << (10 + (byte >> 3));
        base + base / 8 * u64::from(byte & 7)
    };
    window.min(1 << MAX_WINDOW_LOG) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    const MIB: usize = 1 << 20;

    /// Packed as a client does that does not know how much will come.
    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    async fn inflate(packed: &[u8], budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
        let lease = budget.lease(packed.len()).unwrap();
        zstd(Payload { bytes: packed.to_vec().into(), lease }, budget, limit).await
    }

    #[tokio::test]
    async fn frames_are_joined_and_window_and_compressed_bytes_are_given_back() {
        let budget = Budget::new(16 * MIB);
        let long: Vec<u8> = (0..2 * MIB).map(|at| (at / 100) as u8).collect();
        let mut packed = pack(&long);
        // One of a known length, an empty one, and one to be skipped (RFC 8878, 3.1.2).
        packed.extend(::zstd::bulk::compress(b"tail", 3).unwrap());
        packed.extend(pack(b""));
        packed.extend([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
        let payload = inflate(&packed, &budget, 4 * MIB).await.unwrap();
        assert_eq!(payload.bytes.len(), long.len() + 4);
        assert!(payload.bytes.starts_with(&long) && payload.bytes.ends_with(b"tail"));
        assert_eq!(budget.used(), payload.lease.bytes());
        drop(payload);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_bomb_stays_within_the_limit_and_within_the_lease() {
        let bomb = pack(&vec![0; 256 * MIB]);
        let budget = Budget::new(64 * MIB);
        assert_eq!(inflate(&bomb, &budget, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        let small = Budget::new(bomb.len() + 4 * MIB);
        assert_eq!(inflate(&bomb, &small, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!((budget.used(), small.used()), (0, 0));
    }

    #[tokio::test]
    async fn the_window_is_leased_before_it_is_taken_and_a_larger_one_is_refused() {
        let with_window = |log: u32| {
            let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(b"text").unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!([20, 23].map(|log| window_of(&with_window(log))), [MIB, 8 * MIB]);
        let whole = ::zstd::bulk::compress(&[7; 70_000], 3).unwrap();
        assert_eq!(window_of(&whole), 70_000);
        assert_eq!(inflate(&with_window(23), &Budget::new(16 * MIB), MIB).await.unwrap().bytes, "text");
        assert_eq!(
            inflate(&with_window(23), &Budget::new(4 * MIB), MIB).await.unwrap_err().kind,
            Kind::TooLarge
        );
        let fault = inflate(&with_window(24), &Budget::new(64 * MIB), MIB).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Malformed, "{}", fault.message);
    }

    #[tokio::test]
    async fn the_limit_itself_is_allowed() {
        let budget = Budget::new(4 * MIB);
        let packed = pack(&[5; 1000]);
        assert_eq!(inflate(&packed, &budget, 1000).await.unwrap().bytes.len(), 1000);
        assert_eq!(inflate(&packed, &budget, 999).await.unwrap_err().kind, Kind::TooLarge);
    }

    #[tokio::test]
    async fn what_is_cut_or_followed_by_something_else_is_malformed() {
        let budget = Budget::new(16 * MIB);
        let good = pack(b"some text that is long enough");
        for cut in 1..good.len() {
            let fault = inflate(&good[..cut], &budget, MIB).await.unwrap_err();
            assert_eq!(fault.kind, Kind::Malformed, "cut at {cut}");
        }
        let tail = [&good[..], b"xyz"].concat();
        let empty_frames = pack(b"").repeat(MAX_MEMBERS + 1);
        for bad in [&tail[..], b"plain text, not zstd at all", &empty_frames] {
            assert_eq!(inflate(bad, &budget, MIB).await.unwrap_err().kind, Kind::Malformed);
        }
        assert_eq!(budget.used(), 0);
    }
}
