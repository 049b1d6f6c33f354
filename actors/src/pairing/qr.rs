//! A QR picture as a PNG in a `data:` URL, small enough for an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::ErrorShape;
use qrcode::{Color, EcLevel, QrCode};

/// Pixels of a module's side.
const SCALE: usize = 4;
/// Modules of white around the code.
const MARGIN: usize = 4;
/// Longest URL that clients take, characters.
const MAX_URL: usize = 16_384;

/// Draws `text`.
///
/// # Errors
///
/// `INVALID_REQUEST` when the text is too long for a picture of that size.
pub(crate) fn data_url(text: &str) -> Result<String, ErrorShape> {
    let too_long = || {
        ErrorShape::invalid("the setup code is too long for a QR picture; use a shorter publicUrl")
    };
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| too_long())?;
    let url = format!("data:image/png;base64,{}", STANDARD.encode(png(&code)));
    if url.len() > MAX_URL {
        return Err(too_long());
    }
    Ok(url)
}

/// One bit per pixel, uncompressed: a code of a few kilobytes needs no compressor.
fn png(code: &QrCode) -> Vec<u8> {
    let modules = code.width();
    let side = (modules + 2 * MARGIN) * SCALE;
    let is_dark = |x: usize, y: usize| {
        let module = |at: usize| (at / SCALE).checked_sub(MARGIN).filter(|at| *at < modules);
        matches!((module(x), module(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
    };
    let mut rows = Vec::new();
    for y in 0..side {
        rows.push(0);
        for first in (0..side).step_by(8) {
            let bits = (0..8).fold(0, |bits, bit| {
                let white = first + bit >= side || !is_dark(first + bit, y);
                (bits << 1) | u8::from(white)
            });
            rows.push(bits);
        }
    }
    let side = u32::try_from(side).unwrap_or(u32::MAX).to_be_bytes();
    let mut header = [side, side].concat();
    header.extend([1, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &stored(&rows));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(usize::from(u16::MAX));
    let last = blocks.len().saturating_sub(1);
    for (index, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(index == last));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    out.extend(((high << 16) | low).to_be_bytes());
    out
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let sum = crc32(&png[start..]);
    png.extend(sum.to_be_bytes());
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 * (sum & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check values of CRC-32 and Adler-32 for these texts.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let stream = stored(b"Wikipedia");
        assert_eq!(stream[stream.len() - 4..], 0x11E6_0398_u32.to_be_bytes());
    }

    #[test]
    fn a_code_of_usual_length_fits_and_a_huge_one_is_refused() {
        let url = data_url(&"A".repeat(200)).unwrap();
        assert!(url.starts_with("data:image/png;base64,"));
        assert!(data_url(&"A".repeat(5_000)).is_err());
    }
}
