//! Zstandard (RFC 8878) into one buffer that grows under a lease and stops at a limit.

use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::gather::Gathered;
use forebay_pipeline::budget::Budget;
use std::sync::Arc;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// Output of one step between two looks at other tasks.
const STEP_BYTES: usize = 256 << 10;
/// The largest window of a frame, as a power of two: 8 MiB, which every decoder is to support (RFC 8878, 3.1.1.1.2), and no client needs more.
const WINDOW_LOG: u32 = 23;
/// What a decoder takes at most: its window, and its state.
const DECODER_BYTES: usize = (1 << WINDOW_LOG) + (512 << 10);
/// Most frames in one payload.
const MAX_FRAMES: usize = 4096;

/// Inflates all frames of a payload to at most `limit` bytes, for more to be added. The compressed bytes stay leased until it is done.
///
/// # Errors
/// `Malformed` for data that is not zstd, or cut; over the limit or the budget.
pub async fn gather_zstd(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Gathered, Fault> {
    let beside = packed.lease.bytes();
    let _decoder_lease = budget.lease(DECODER_BYTES).map_err(|exhausted| exhausted.beside(beside))?;
    let mut buffer = Gathered::whole(beside + DECODER_BYTES, budget, 0, limit)?;
    let mut decoder = Decoder::new().map_err(|error| malformed(&error))?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|error| malformed(&error))?;
    let mut input = &packed.bytes[..];
    let (mut frames, mut is_inside) = (0, true);
    while is_inside || !input.is_empty() {
        let (mut read, mut written) = (0, 0);
        let hint = buffer.fill(STEP_BYTES, |out| {
            let (mut source, mut sink) = (InBuffer::around(input), OutBuffer::around(out));
            let hint = decoder.run(&mut source, &mut sink);
            (read, written) = (source.pos(), sink.pos());
            (written, hint)
        })?;
        input = &input[read..];
        is_inside = hint.map_err(|error| malformed(&error))? > 0;
        if !is_inside {
            frames += 1;
            if frames > MAX_FRAMES {
                return Err(Fault::new(Kind::Malformed, format!("more than {MAX_FRAMES} zstd frames")));
            }
        } else if buffer.spare() == 0 {
            buffer.reserve(1)?;
        } else if read == 0 && written == 0 {
            return Err(Fault::new(Kind::Malformed, "malformed zstd: it ends early"));
        } else {
            tokio::task::yield_now().await;
        }
    }
    Ok(buffer)
}

fn malformed(error: &std::io::Error) -> Fault {
    Fault::new(Kind::Malformed, format!("malformed zstd: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: usize = 1 << 20;

    async fn inflate(packed: &[u8], budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
        let payload = Payload { bytes: packed.to_vec().into(), lease: budget.lease(packed.len()).unwrap() };
        gather_zstd(payload, budget, limit).await?.finish()
    }

    #[tokio::test]
    async fn frames_are_joined_and_what_it_took_to_inflate_them_is_given_back() {
        let budget = Budget::new(32 * MIB);
        let long: Vec<u8> = (0..2 * MIB).map(|at| (at / 100) as u8).collect();
        let packed: Vec<u8> = [&long[..], b"", b"tail"]
            .iter()
            .flat_map(|part| zstd::bulk::compress(part, 1).unwrap())
            .collect();
        let payload = inflate(&packed, &budget, 4 * MIB).await.unwrap();
        assert_eq!(payload.bytes.len(), long.len() + 4);
        assert!(payload.bytes.starts_with(&long) && payload.bytes.ends_with(b"tail"));
        assert_eq!(budget.used(), payload.lease.bytes());
        drop(payload);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_bomb_stays_within_the_limit_and_within_the_lease() {
        let bomb = zstd::bulk::compress(&vec![0; 256 * MIB], 1).unwrap();
        let budget = Budget::new(64 * MIB);
        assert_eq!(inflate(&bomb, &budget, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        let small = Budget::new(DECODER_BYTES + 4 * MIB);
        assert_eq!(inflate(&bomb, &small, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!((budget.used(), small.used()), (0, 0));
    }

    #[tokio::test]
    async fn what_is_cut_or_no_zstd_is_malformed_and_a_window_has_its_bound() {
        let budget = Budget::new(64 * MIB);
        let good = zstd::bulk::compress(b"some text that is long enough", 1).unwrap();
        for cut in 0..good.len() {
            assert_eq!(
                inflate(&good[..cut], &budget, MIB).await.unwrap_err().kind,
                Kind::Malformed,
                "cut at {cut}"
            );
        }
        let followed = [&good[..], b"xyz"].concat();
        // A frame whose header asks for a window of 1 GiB (RFC 8878, 3.1.1).
        let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3][..], &[0x01, 0, 0]].concat();
        for bad in [followed, window, b"plain text, not zstd at all".to_vec()] {
            assert_eq!(inflate(&bad, &budget, MIB).await.unwrap_err().kind, Kind::Malformed);
        }
        assert_eq!(inflate(&good, &budget, 5).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!(budget.used(), 0);
    }
}
