//! A frame's body as it arrived.

use super::frame::Frame;
use bytes::Bytes;

/// Why a body that was stored soundly is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the body does not inflate to the {0} bytes that are stated")]
    Zstd(u32),
    #[error("the body has {found} bytes, and {stated} are stated")]
    Length { found: usize, stated: u32 },
    #[error("the body would have {0} bytes, for which there is no memory")]
    Memory(u32),
}

/// Inflates bodies; keeps its working memory from one to the next.
#[derive(Default)]
pub struct Inflater(Option<zstd::bulk::Decompressor<'static>>);

impl std::fmt::Debug for Inflater {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Inflater")
    }
}

impl Inflater {
    /// The body of a frame as it arrived. No more memory is taken than the frame states.
    ///
    /// # Errors
    /// The body is not what the frame's head says of it.
    pub fn body(&mut self, frame: &Frame) -> Result<Bytes, BadBody> {
        let stated = frame.head.body_len;
        if !frame.head.zstd {
            let found = frame.stored.len();
            let is_so = found == stated as usize;
            return if is_so { Ok(frame.stored.clone()) } else { Err(BadBody::Length { found, stated }) };
        }
        let mut body = Vec::new();
        body.try_reserve_exact(stated as usize).map_err(|_| BadBody::Memory(stated))?;
        let inflater = match &mut self.0 {
            Some(inflater) => inflater,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| BadBody::Memory(stated))?),
        };
        // What is longer than the room that was made for it is an error, not more room.
        match inflater.decompress_to_buffer(&frame.stored, &mut body) {
            Ok(len) if len == stated as usize => Ok(body.into()),
            _ => Err(BadBody::Zstd(stated)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::frame::write;
    use super::super::tests::LABEL;
    use super::*;
    use proptest::prelude::*;

    fn frame(stored: &[u8], zstd: Option<u32>) -> Frame {
        let mut out = Vec::new();
        write(1, 2, &LABEL, b"json", stored, zstd, &mut out);
        Frame::read(&out.into()).unwrap()
    }

    proptest! {
        #[test]
        fn a_body_comes_back_or_is_refused(
            body in prop::collection::vec(0u8..3, 0..600),
            stated in 0u32..700,
            cut in 0usize..9,
        ) {
            let mut inflater = Inflater::default();
            prop_assert_eq!(&inflater.body(&frame(&body, None)).unwrap(), &body);
            let stored = zstd::bulk::compress(&body, 1).unwrap();
            let whole = frame(&stored, Some(body.len() as u32));
            prop_assert_eq!(&inflater.body(&whole).unwrap(), &body);
            let lied = inflater.body(&frame(&stored, Some(stated)));
            prop_assert_eq!(lied.is_ok(), stated as usize == body.len());
            let cut = &stored[..stored.len() - cut.min(stored.len())];
            let short = inflater.body(&frame(cut, Some(body.len() as u32)));
            prop_assert!(short.is_err() || short.unwrap() == body);
            // And nothing of what failed sticks.
            prop_assert_eq!(inflater.body(&whole).unwrap(), body);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_of_the_stated_length(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            stated in 0u32..1000,
        ) {
            if let Ok(body) = Inflater::default().body(&frame(&bytes, Some(stated))) {
                prop_assert_eq!(body.len(), stated as usize);
            }
        }
    }
}
