//! How deeply inbound JSON may be nested.

/// Most levels of arrays and objects in a frame, its own braces included. Requests of this protocol
/// need about ten; what a tool or a canvas passes through, a few dozen.
pub const MAX_DEPTH: usize = 64;

/// Whether JSON is nested deeper than [`MAX_DEPTH`]. Costs nothing for short texts, which cannot be,
/// and one pass without branches for others.
pub fn too_deep(json: &str) -> bool {
    // Every level takes an opening and a closing byte.
    if json.len() < 2 * (MAX_DEPTH + 1) {
        return false;
    }
    let opens = |byte: &&u8| matches!(byte, b'{' | b'[');
    json.as_bytes().iter().filter(opens).count() > MAX_DEPTH && walk(json.as_bytes()) > MAX_DEPTH
}

/// The deepest level of JSON.
fn walk(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn the_limit_is_exact() {
        assert!(!too_deep(&nested(MAX_DEPTH)));
        assert!(too_deep(&nested(MAX_DEPTH + 1)));
        assert!(too_deep(&format!("{{\"a\":{}}}", nested(MAX_DEPTH))));
    }

    #[test]
    fn brackets_in_texts_and_beside_each_other_are_no_depth() {
        let beside = format!("[{}1]", "{\"a\":[]},".repeat(1_000));
        assert!(!too_deep(&beside));
        let text = serde_json::to_string(&format!("\"\\{}", "[{".repeat(500))).unwrap();
        assert!(!too_deep(&text));
        assert!(too_deep(&format!("[{text},{}]", nested(MAX_DEPTH))));
    }

    proptest::proptest! {
        #[test]
        fn depth_is_what_the_parser_sees(levels in 0_usize..120, text in "[\\[{\"\\\\a]{0,40}") {
            let inner = serde_json::to_string(&text).unwrap();
            let json = format!("{}{inner}{}", "{\"k\":[".repeat(levels / 2), "]}".repeat(levels / 2));
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
            proptest::prop_assert_eq!(walk(json.as_bytes()), levels / 2 * 2);
            proptest::prop_assert_eq!(too_deep(&json), levels / 2 * 2 > MAX_DEPTH);
        }
    }
}
