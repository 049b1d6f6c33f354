//! Names of the wire as names of programs.

/// `pending-approval`, `in_flight`, `INVALID_REQUEST` and `toolResult` as `pendingApproval`,
/// `inFlight`, `invalidRequest` and `toolResult`.
pub(crate) fn lower_camel(text: &str) -> String {
    let mut name = String::new();
    for part in text
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
    {
        let shouted = part.len() > 1 && !part.contains(|letter: char| letter.is_ascii_lowercase());
        let part = if shouted {
            part.to_ascii_lowercase()
        } else {
            part.to_owned()
        };
        let (head, tail) = part.split_at(1);
        if name.is_empty() {
            name.push_str(&head.to_ascii_lowercase());
        } else {
            name.push_str(&head.to_ascii_uppercase());
        }
        name.push_str(tail);
    }
    if name.starts_with(|letter: char| letter.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// `chat.send` as `ChatSend`.
pub(crate) fn upper_camel(text: &str) -> String {
    let name = lower_camel(text);
    let (head, tail) = name.split_at(name.len().min(1));
    head.to_ascii_uppercase() + tail
}

/// Whether it can be written as a name without quotes.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.starts_with(|letter: char| letter.is_ascii_digit())
        && !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_wire_become_names_of_programs() {
        for (wire, name) in [
            ("pending-approval", "pendingApproval"),
            ("in_flight", "inFlight"),
            ("INVALID_REQUEST", "invalidRequest"),
            ("HTML", "html"),
            ("toolResult", "toolResult"),
            ("operator.talk.secrets", "operatorTalkSecrets"),
            ("3d", "_3d"),
        ] {
            assert_eq!(lower_camel(wire), name);
        }
        assert_eq!(upper_camel("device.pair.setupCode"), "DevicePairSetupCode");
        assert!(is_plain("payloadJSON") && !is_plain("x-y") && !is_plain(""));
    }
}
