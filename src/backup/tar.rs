//! The plain old tar form (ustar), as far as a backup needs it: any `tar` reads what this writes.

use std::io::{self, Read, Write};

/// The size of a block; everything is padded to it.
const BLOCK: usize = 512;

/// What stands before a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place, relative, with `/`.
    pub(super) name: String,
    /// Its size, bytes.
    pub(super) size: u64,
    /// Its permissions.
    pub(super) mode: u32,
}

/// Writes the header of a file.
pub(super) fn write_header(out: &mut impl Write, entry: &Entry, seconds: u64) -> io::Result<()> {
    let mut block = [0_u8; BLOCK];
    let (prefix, name) = split(&entry.name)
        .ok_or_else(|| io::Error::other(format!("`{}` is too long a name", entry.name)))?;
    put(&mut block, 0, name.as_bytes());
    put(
        &mut block,
        100,
        format!("{:07o}", entry.mode & 0o7777).as_bytes(),
    );
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 124, size(entry.size).as_slice());
    put(&mut block, 136, format!("{seconds:011o}").as_bytes());
    put(&mut block, 148, b"        ");
    block[156] = b'0';
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&block)
}

/// Writes what fills the last block of a file.
pub(super) fn write_padding(out: &mut impl Write, size: u64) -> io::Result<()> {
    out.write_all(&[0; BLOCK][..padding(size)])
}

/// Writes the end of the archive.
pub(super) fn write_end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

/// Reads the next header; `None` at the end of the archive.
pub(super) fn read_header(from: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut block = [0_u8; BLOCK];
    from.read_exact(&mut block)?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let stored = octal(&block[148..156]).ok_or_else(|| bad("a header without a checksum"))?;
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u64::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    if sum != stored {
        return Err(bad("a header whose checksum does not add up"));
    }
    if !matches!(block[156], b'0' | 0) {
        return Err(bad("something other than a plain file"));
    }
    let text = |range: std::ops::Range<usize>| {
        let bytes = &block[range];
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map_err(|_| bad("a name that is not text"))
    };
    let (prefix, name) = (text(345..500)?, text(0..100)?);
    let name = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    };
    let safe = |part: &str| !matches!(part, "" | "." | "..");
    if name.contains('\\') || !name.split('/').all(safe) {
        return Err(bad("a name that leads out of the archive"));
    }
    Ok(Some(Entry {
        name,
        size: read_size(&block[124..136]).ok_or_else(|| bad("a file without a size"))?,
        mode: octal(&block[100..108])
            .and_then(|mode| u32::try_from(mode).ok())
            .ok_or_else(|| bad("a file without permissions"))?,
    }))
}

/// Reads past what fills the last block of a file.
pub(super) fn skip_padding(from: &mut impl Read, size: u64) -> io::Result<()> {
    let mut rest = [0; BLOCK];
    from.read_exact(&mut rest[..padding(size)])
}

fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Up to 8 GiB as octal digits, more as GNU tar does it.
fn size(bytes: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if bytes < 1 << 33 {
        field[..11].copy_from_slice(format!("{bytes:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&bytes.to_be_bytes());
    }
    field
}

fn read_size(field: &[u8]) -> Option<u64> {
    if field.first() == Some(&0x80) {
        return Some(u64::from_be_bytes(field.get(4..12)?.try_into().ok()?));
    }
    octal(field)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).ok()
}

/// A name as prefix and name, where it is too long for one field.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    name.match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(prefix, rest)| prefix.len() <= 155 && rest.len() <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: u64) -> Entry {
        Entry {
            name: name.to_owned(),
            size,
            mode: 0o600,
        }
    }

    #[test]
    fn headers_come_back_as_they_were_written() {
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
        for entry in [
            entry("gateway/store.redb", 0),
            entry(&long, 1),
            entry("large", (1 << 33) + 5),
        ] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, &entry, 1_790_000_000).unwrap();
            assert_eq!(bytes.len(), BLOCK);
            assert_eq!(read_header(&mut bytes.as_slice()).unwrap(), Some(entry));
        }
        assert!(write_header(&mut Vec::new(), &entry(&"x".repeat(101), 1), 0).is_err());
    }

    #[test]
    fn names_that_lead_out_and_damaged_headers_are_refused() {
        for name in ["../x", "/etc/passwd", "a/../b", "a//b", "./a", "a\\b"] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, &entry(name, 1), 0).unwrap();
            assert!(read_header(&mut bytes.as_slice()).is_err(), "{name}");
        }
        let mut good = Vec::new();
        write_header(&mut good, &entry("a", 1), 0).unwrap();
        for at in 0..345 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x15;
            let read = read_header(&mut bytes.as_slice());
            assert!(read.is_err() || at >= 148, "byte {at}: {read:?}");
        }
        let mut link = good;
        link[156] = b'2';
        assert!(read_header(&mut link.as_slice()).is_err());
    }
}
