//! Panics as values.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The longest text kept of a panic or an error, in characters.
const TEXT_LIMIT: usize = 300;

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`; a panic in it comes back as its text, with its place where [`install_panic_hook`] was called.
pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    CATCHING.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch_unwind(AssertUnwindSafe(f));
    CATCHING.with(|depth| depth.set(depth.get() - 1));
    outcome.map_err(|panic| {
        let text = shorten(panic_text(&*panic));
        match PLACE.with(RefCell::take) {
            Some(place) => format!("{text} ({place})"),
            None => text,
        }
    })
}

/// Makes panics go to `tracing` instead of stderr, and lets [`catch`] say where one happened.
///
/// Called once, by the composition root. A panic that is caught is logged by whoever caught it.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        if CATCHING.with(Cell::get) > 0 {
            PLACE.with(|kept| kept.replace(place));
        } else {
            let why = shorten(panic_text(panic.payload()));
            tracing::error!(why, place, "panic outside a supervised actor");
        }
    }));
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Leaves the reason for a stop that follows in the same poll.
pub(super) fn leave_reason(why: &str) {
    REASON.with(|reason| reason.replace(Some(shorten(why))));
}

pub(super) fn take_reason() -> Option<String> {
    REASON.with(RefCell::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_text() {
        assert_eq!(catch(|| 1), Ok(1));
        assert_eq!(catch(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(
            catch(|| panic!("with {}", 2)),
            Err::<(), _>("with 2".to_owned())
        );
        let odd = catch(|| std::panic::panic_any(7));
        assert_eq!(odd, Err::<(), _>("a panic without text".to_owned()));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = shorten(&"ü".repeat(TEXT_LIMIT + 1));
        assert_eq!(cut.chars().count(), TEXT_LIMIT + 3);
        assert_eq!(shorten("short"), "short");
    }
}
