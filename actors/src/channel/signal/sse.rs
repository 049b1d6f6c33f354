//! A stream of server-sent events, read as it comes. Pure.
//!
//! Written by hand because the comments in between matter: they are signal-cli's heartbeat, and say that
//! the stream lives while nobody writes.

/// Largest event, bytes.
const LONGEST: usize = 8 * 1024 * 1024;

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// What comes after it can be asked for by this.
    pub(super) id: Option<String>,
    /// Its lines of data.
    pub(super) data: String,
}

/// The stream so far.
#[derive(Debug, Default)]
pub(super) struct Stream {
    buffer: Vec<u8>,
    /// From here on the buffer was not looked at.
    looked: usize,
    id: Option<String>,
    data: Option<String>,
}

/// An event without an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Stream {
    /// More of it came; gives back the events that are whole now.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some(end) = self.buffer[self.looked..]
            .iter()
            .position(|byte| *byte == b'\n')
        {
            let end = self.looked + end;
            let line = String::from_utf8_lossy(&self.buffer[start..end]).into_owned();
            start = end + 1;
            self.looked = start;
            events.extend(self.line(line.trim_end_matches('\r')));
        }
        self.buffer.drain(..start);
        self.looked = self.buffer.len();
        let held = self.data.as_ref().map_or(0, String::len);
        if self.buffer.len() + held > LONGEST {
            return Err(TooLong);
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let data = self.data.take()?;
            return Some(Event {
                id: self.id.clone(),
                data,
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let data = self.data.get_or_insert_default();
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment, the kind of the event (there is one), how long to wait.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &str =
        ":\n\nevent:receive\nid: 7\ndata:{\"a\":1}\n\n:\r\ndata: one\r\ndata: two\r\n\r\ndata:half";

    fn events(parts: &[&[u8]]) -> Vec<Event> {
        let mut stream = Stream::default();
        let fed = parts
            .iter()
            .map(|part| stream.feed(part).expect("it is short"));
        fed.flatten().collect()
    }

    #[test]
    fn events_are_whole_and_heartbeats_are_none() {
        let event = |id: Option<&str>, data: &str| Event {
            id: id.map(str::to_owned),
            data: data.into(),
        };
        let found = events(&[WHOLE.as_bytes()]);
        let expected = [event(Some("7"), "{\"a\":1}"), event(Some("7"), "one\ntwo")];
        assert_eq!(found, expected);
    }

    #[test]
    fn one_without_an_end_is_not_kept() {
        let mut stream = Stream::default();
        let much = vec![b'x'; LONGEST / 2 + 1];
        assert!(stream.feed(&much).is_ok());
        assert_eq!(stream.feed(&much), Err(TooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_it_is_cut(cuts in proptest::collection::vec(0..WHOLE.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts {
                parts.push(&WHOLE.as_bytes()[from..cut]);
                from = cut;
            }
            parts.push(&WHOLE.as_bytes()[from..]);
            prop_assert_eq!(events(&parts), events(&[WHOLE.as_bytes()]));
        }
    }
}
