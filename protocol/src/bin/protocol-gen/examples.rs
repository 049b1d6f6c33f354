//! The golden frames, as examples of the reference.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// A golden frame.
pub(crate) struct Example {
    /// As its file has it.
    pub(crate) text: String,
    pub(crate) frame: Value,
}

/// The frames of one method or event by their case: `request`, `response.ok`, `event.delta`.
pub(crate) type Cases = BTreeMap<String, Example>;

/// Every golden frame, by method or event.
pub(crate) fn read(folder: &Path) -> Result<BTreeMap<String, Cases>, String> {
    let mut all = BTreeMap::new();
    for subject in list(folder)? {
        let mut cases = Cases::new();
        for case in list(&folder.join(&subject))? {
            let path = folder.join(&subject).join(&case);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let frame = serde_json::from_str(&text)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let case = case.trim_end_matches(".json").to_owned();
            cases.insert(case, Example { text, frame });
        }
        all.insert(subject, cases);
    }
    Ok(all)
}

fn list(folder: &Path) -> Result<Vec<String>, String> {
    let problem = |error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(problem)? {
        let name = entry.map_err(problem)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
}
