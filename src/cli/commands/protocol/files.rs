//! The files of the contract that were packed into this program.

use crate::cli::failure::Failure;

// `PACKED`: (word, name, deflated bytes), written by build.rs.
include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// No file of the contract is larger, bytes.
const MAX_FILE: usize = 8 << 20;

/// A generated file.
pub(super) struct ContractFile {
    /// Its place below the folder that a person names.
    pub(super) name: String,
    pub(super) text: String,
}

/// The files of one kind.
pub(super) fn unpacked(word: &str) -> Result<Vec<ContractFile>, Failure> {
    PACKED
        .iter()
        .filter(|(kind, _, _)| *kind == word)
        .map(|(_, name, bytes)| {
            let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(bytes, MAX_FILE)
                .map_err(|error| super::broken(&error.to_string()))?;
            Ok(ContractFile {
                name: (*name).to_owned(),
                text: String::from_utf8(bytes)
                    .map_err(|error| super::broken(&error.to_string()))?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_packed_are_the_files_of_the_repository() {
        for word in ["schema", "swift", "typescript", "docs"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("protocol")
                .join(word);
            let files = unpacked(word).unwrap();
            assert!(!files.is_empty(), "{word}");
            for file in files {
                let text = fs::read_to_string(folder.join(&file.name)).unwrap();
                assert!(text == file.text, "{word}/{}", file.name);
            }
        }
    }

    #[test]
    fn the_newer_draft_is_the_file_of_the_repository() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/schema");
        let text = fs::read_to_string(folder.join("gateway.2020-12.schema.json")).unwrap();
        assert!(super::super::newer_draft().unwrap() == text);
    }
}
