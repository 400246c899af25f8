//! The one inflate API: gzip (RFC 1952), zlib (RFC 1950) and blocks of Snappy into one buffer that grows under a lease and stops at a limit.

use super::answer::{Fault, Kind};
use super::buffer::Payload;
use super::gather::Gathered;
use flate2::{Decompress, FlushDecompress, Status};
use forebay_pipeline::budget::Budget;
use std::sync::Arc;

/// Output of one step between two looks at other tasks: about 0.2 ms of work.
const STEP_BYTES: usize = 256 << 10;
/// Deflate cannot do better than this, so a trailer that promises more is a lie (RFC 1951; 258 bytes for 2 bits).
const MAX_RATIO: usize = 1032;
/// A copy makes 64 bytes of three; what stands around them makes it no better.
const MAX_SNAPPY_RATIO: usize = 22;
/// The window of gzip as a power of two, as zlib counts it.
const WINDOW_BITS: u8 = 15;
/// Most members in one body. Each costs the set-up of a decompressor, and may be as short as 20 bytes.
const MAX_MEMBERS: usize = 4096;
/// Header and trailer of the shortest member.
const MIN_MEMBER_BYTES: usize = 18;

/// Inflates all members of a gzip body to at most `limit` bytes. The compressed bytes stay leased until it is done.
///
/// # Errors
/// `Malformed` for data that is not gzip, cut, or followed by something else; over the limit or the budget.
pub async fn gzip(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
    let mut input = &packed.bytes[..];
    let promised = promised_len(input);
    // One member: the promise is true or the data is bad. Several: the last one alone is over the limit.
    if promised > limit {
        return Err(Fault::too_large(limit));
    }
    let mut buffer = Gathered::whole(packed.lease.bytes(), budget, promised, limit)?;
    for _ in 0..MAX_MEMBERS {
        input = member(Decompress::new_gzip(WINDOW_BITS), input, &mut buffer, "gzip").await?;
        if input.is_empty() {
            return buffer.finish();
        }
    }
    Err(Fault::new(Kind::Malformed, format!("more than {MAX_MEMBERS} gzip members")))
}

/// Inflates one zlib stream to at most `limit` bytes. The compressed bytes stay leased until it is done.
///
/// # Errors
/// As [`gzip`].
pub async fn zlib(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
    let mut buffer = Gathered::whole(packed.lease.bytes(), budget, 0, limit)?;
    let rest = member(Decompress::new(true), &packed.bytes, &mut buffer, "zlib").await?;
    if !rest.is_empty() {
        return Err(Fault::new(Kind::Malformed, "malformed zlib: bytes follow its end"));
    }
    buffer.finish()
}

/// Inflates a block of Snappy (its block format, not the framed one) to at most `limit` bytes. The compressed bytes stay leased until it is done.
/// A block says in front how much it inflates to, and that is leased, or refused, before any of it is.
///
/// # Errors
/// As [`gzip`].
pub fn snappy(packed: Payload, budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
    let malformed = |what: String| Fault::new(Kind::Malformed, format!("malformed snappy: {what}"));
    let promised = snap::raw::decompress_len(&packed.bytes).map_err(|error| malformed(error.to_string()))?;
    if promised > limit {
        return Err(Fault::too_large(limit));
    }
    if promised > packed.bytes.len().saturating_mul(MAX_SNAPPY_RATIO) {
        return Err(malformed("it promises more than it can hold".to_owned()));
    }
    let mut buffer = Gathered::whole(packed.lease.bytes(), budget, promised, limit)?;
    // In one step: the decoder knows no other way, and is done with a thousand bytes in a microsecond.
    let inflated = buffer.fill(promised, |out| {
        let inflated = snap::raw::Decoder::new().decompress(&packed.bytes, out);
        (*inflated.as_ref().unwrap_or(&0), inflated)
    })?;
    inflated.map_err(|error| malformed(error.to_string()))?;
    buffer.finish()
}

/// Inflates one member and returns what follows it.
async fn member<'i>(
    mut inflater: Decompress,
    mut input: &'i [u8],
    buffer: &mut Gathered,
    name: &str,
) -> Result<&'i [u8], Fault> {
    loop {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let status = buffer.fill(STEP_BYTES, |out| {
            let status = inflater.decompress(input, out, FlushDecompress::None);
            ((inflater.total_out() - written) as usize, status)
        })?;
        input = &input[(inflater.total_in() - read) as usize..];
        match status {
            Err(error) => return Err(Fault::new(Kind::Malformed, format!("malformed {name}: {error}"))),
            Ok(Status::StreamEnd) => return Ok(input),
            Ok(_) if buffer.spare() == 0 => buffer.reserve(1)?,
            Ok(_) if inflater.total_in() == read && inflater.total_out() == written => {
                return Err(Fault::new(Kind::Malformed, format!("malformed {name}: it ends early")));
            }
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

/// The length that the trailer of the (last) member states, modulo 2^32.
fn promised_len(packed: &[u8]) -> usize {
    match packed.last_chunk() {
        Some(trailer) if packed.len() >= MIN_MEMBER_BYTES => {
            (u32::from_le_bytes(*trailer) as usize).min(packed.len().saturating_mul(MAX_RATIO))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    const MIB: usize = 1 << 20;

    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn leased(budget: &Arc<Budget>, packed: &[u8]) -> Payload {
        Payload { bytes: packed.to_vec().into(), lease: budget.lease(packed.len()).unwrap() }
    }

    async fn inflate(packed: &[u8], budget: &Arc<Budget>, limit: usize) -> Result<Payload, Fault> {
        gzip(leased(budget, packed), budget, limit).await
    }

    #[tokio::test]
    async fn members_are_joined_and_the_compressed_lease_is_given_back() {
        let budget = Budget::new(8 * MIB);
        let long: Vec<u8> = (0..2 * MIB).map(|at| (at / 100) as u8).collect();
        let mut packed = pack(&long);
        for plain in [&b""[..], b"tail"] {
            packed.extend(pack(plain));
        }
        let payload = inflate(&packed, &budget, 4 * MIB).await.unwrap();
        assert_eq!(payload.bytes.len(), long.len() + 4);
        assert!(payload.bytes.starts_with(&long) && payload.bytes.ends_with(b"tail"));
        assert_eq!(budget.used(), payload.lease.bytes());
        drop(payload);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_bomb_stays_within_the_limit_and_within_the_lease() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; MIB];
        for _ in 0..1024 {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let budget = Budget::new(64 * MIB);
        assert_eq!(inflate(&bomb, &budget, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        // The same with a trailer that promises nothing, so that only the growth can stop it.
        let mut liar = bomb.clone();
        let trailer = liar.len() - 4;
        liar[trailer..].fill(0);
        assert_eq!(inflate(&liar, &budget, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        let small = Budget::new(bomb.len() + 4 * MIB);
        assert_eq!(inflate(&liar, &small, 32 * MIB).await.unwrap_err().kind, Kind::TooLarge);
        assert_eq!((budget.used(), small.used()), (0, 0));
    }

    #[tokio::test]
    async fn what_does_not_fit_beside_its_own_compressed_bytes_never_will() {
        let noise: Vec<u8> = (0..MIB).map(|at| (at * at / 7) as u8).collect();
        let packed = pack(&noise);
        let budget = Budget::new(MIB + packed.len() / 2);
        assert_eq!(inflate(&packed, &budget, MIB).await.unwrap_err().kind, Kind::TooLarge);
        let budget = Budget::new(MIB + packed.len() * 3 / 2);
        let _other = budget.lease(packed.len()).unwrap();
        assert_eq!(inflate(&packed, &budget, MIB).await.unwrap_err().kind, Kind::Busy);
    }

    #[tokio::test]
    async fn the_limit_itself_is_allowed() {
        let budget = Budget::new(MIB);
        let packed = pack(&[5; 1000]);
        assert_eq!(inflate(&packed, &budget, 1000).await.unwrap().bytes.len(), 1000);
        assert_eq!(inflate(&packed, &budget, 999).await.unwrap_err().kind, Kind::TooLarge);
        assert!(inflate(&pack(b""), &budget, 0).await.unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn what_is_cut_altered_or_followed_by_something_else_is_malformed() {
        let budget = Budget::new(MIB);
        let good = pack(b"some text that is long enough");
        for cut in 0..good.len() {
            let fault = inflate(&good[..cut], &budget, MIB).await.unwrap_err();
            assert_eq!(fault.kind, Kind::Malformed, "cut at {cut}");
        }
        let mut wrong_sum = good.clone();
        let sum = good.len() - 8;
        wrong_sum[sum] ^= 1;
        let mut tail = good.clone();
        tail.extend_from_slice(b"xyz");
        for bad in [wrong_sum, tail, b"plain text, not gzip at all".to_vec()] {
            assert_eq!(inflate(&bad, &budget, MIB).await.unwrap_err().kind, Kind::Malformed);
        }
        let empty_members = pack(b"").repeat(MAX_MEMBERS + 1);
        assert_eq!(inflate(&empty_members, &budget, MIB).await.unwrap_err().kind, Kind::Malformed);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_block_of_snappy_is_leased_before_it_is_inflated() {
        let budget = Budget::new(MIB);
        let pack = |plain: &[u8]| snap::raw::Encoder::new().compress_vec(plain).unwrap();
        let inflate = |packed: &[u8], limit| snappy(leased(&budget, packed), &budget, limit);
        let bomb = pack(&vec![0; 2 * MIB]);
        assert_eq!(inflate(&bomb, 3 * MIB).unwrap_err().kind, Kind::TooLarge, "of the budget");
        assert_eq!(inflate(&bomb, MIB).unwrap_err().kind, Kind::TooLarge, "of the limit");
        let plain: Vec<u8> = (0..MIB / 2).map(|at| (at / 100) as u8).collect();
        let packed = pack(&plain);
        let payload = inflate(&packed, plain.len()).unwrap();
        assert!(payload.bytes == plain);
        assert_eq!(budget.used(), payload.lease.bytes());
        assert_eq!(inflate(&packed, MIB).unwrap_err().kind, Kind::Busy, "while there is another");
        drop(payload);
        for cut in 0..packed.len().min(200) {
            assert_eq!(inflate(&packed[..cut], MIB).unwrap_err().kind, Kind::Malformed, "cut at {cut}");
        }
        // What promises more than any block holds is not leased for.
        assert_eq!(inflate(b"\x80\x80\x20x", MIB).unwrap_err().kind, Kind::Malformed);
        assert_eq!(budget.used(), 0);
    }
}
