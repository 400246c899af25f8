//! How compressible a body is: a bench on data that repeats itself flatters compressors, caches and branch predictors.

/// Level of the stated ratio, the default of zstd.
const LEVEL: i32 = 3;

/// Uncompressed bytes per compressed byte of `bodies`, taken together with zstd level 3.
///
/// # Errors
/// What the compressor reports; it has no reason to on bytes in memory.
pub fn zstd_ratio<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> std::io::Result<f64> {
    let sample: Vec<u8> = bodies.into_iter().flatten().copied().collect();
    if sample.is_empty() {
        return Ok(1.0);
    }
    let compressed = zstd::bulk::compress(&sample, LEVEL)?;
    Ok(sample.len() as f64 / compressed.len() as f64)
}
