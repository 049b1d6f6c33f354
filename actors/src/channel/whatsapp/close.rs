//! What follows the end of a connection, by the platform's code. Pure.

use crate::channel::ChannelError;

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Another connection, at once: a device was linked, or the platform moves it.
    Restart,
    /// What the account's supervisor makes of it.
    End(ChannelError),
}

/// What follows this code. `account` is how the account is named in commands.
pub(super) fn after(code: u16, why: &str, account: &str, linking: bool) -> After {
    let again = format!("openclaw channels login whatsapp{account}");
    let start = format!("openclaw channels start whatsapp{account}");
    let said = match code {
        515 => return After::Restart,
        // 401: removed on the phone, or by WhatsApp after two weeks without it.
        401 => format!(
            "WhatsApp logged this device out (401); link it anew: {again} (where the phone lists it still: {start})"
        ),
        403 => format!(
            "WhatsApp refuses this account (403: banned, or locked); open WhatsApp on the phone, it says why, then: {start}"
        ),
        411 => {
            format!("this device does not fit the account any more (411); link it anew: {again}")
        }
        440 => format!(
            "another program took this session over (440: it has the same credentials); end that one, or unlink this device on the phone and link it anew, then: {start}"
        ),
        408 if linking => format!("nobody scanned the code in time; once more: {again}"),
        code => {
            let code = if code == 0 {
                String::new()
            } else {
                format!(" ({code})")
            };
            return After::End(ChannelError::Transient(format!(
                "the connection to WhatsApp ended{code}: {why}"
            )));
        }
    };
    After::End(ChannelError::Auth(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_what_it_says() {
        let after = |code| after(code, "gone", "", false);
        assert_eq!(after(515), After::Restart);
        for (code, remedy) in [
            (401, "channels login whatsapp"),
            (403, "channels start whatsapp"),
            (411, "channels login whatsapp"),
            (440, "channels start whatsapp"),
        ] {
            let After::End(ChannelError::Auth(said)) = after(code) else {
                panic!("{code} parks the account")
            };
            assert!(
                said.contains(&code.to_string()) && said.contains(remedy),
                "{said}"
            );
        }
        for code in [0, 408, 428, 499, 500, 503, 999] {
            let end = after(code);
            assert!(
                matches!(end, After::End(ChannelError::Transient(_))),
                "{code}: {end:?}"
            );
        }
        let late = super::after(408, "QR refs attempts ended", " --account a", true);
        assert!(
            matches!(late, After::End(ChannelError::Auth(said)) if said.ends_with("whatsapp --account a"))
        );
    }
}
