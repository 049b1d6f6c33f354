//! What to do after a model failed: wait and ask again, ask the next model, or give up.
//!
//! Pure: the caller tells the time and draws the randomness.

use std::time::{Duration, Instant};

use super::error::{Fault, ModelError};

/// How patient a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Most requests to one model, the first included.
    pub attempts: u32,
    /// The wait after the first failure; each further one doubles it.
    pub base: Duration,
    /// The longest wait of our own choosing.
    pub ceiling: Duration,
    /// The longest `Retry-After` that is waited for; a provider that asks for more has failed.
    pub retry_after_ceiling: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(500),
            ceiling: Duration::from_secs(8),
            retry_after_ceiling: Duration::from_mins(1),
        }
    }
}

/// Where a run stands when a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Which request to this model it was, from 1.
    pub number: u32,
    /// Whether any text or reasoning of this answer has been passed on. Then nothing is asked again:
    /// a person would see two beginnings.
    pub emitted: bool,
    /// Whether a model is left in `agents.defaults.model.fallbacks` that was not asked yet. Each is
    /// asked once round, in order.
    pub fallback_left: bool,
    /// When the run has to be over.
    pub deadline: Option<Instant>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask the same model after this long.
    Retry(Duration),
    /// Ask the next fallback at once.
    Failover,
    /// Give up and report the error.
    Fail,
}

impl RetryPolicy {
    /// Decides after `error`. `jitter` is uniform in `[0, 1)`.
    pub fn decide(
        &self,
        attempt: &Attempt,
        error: &ModelError,
        now: Instant,
        jitter: f64,
    ) -> Verdict {
        if attempt.emitted {
            return Verdict::Fail;
        }
        if attempt.deadline.is_some_and(|deadline| now >= deadline) {
            return Verdict::Fail;
        }
        if error.retryable()
            && attempt.number < self.attempts
            && let Some(wait) = self.wait(attempt.number, error.retry_after(), jitter)
            && attempt
                .deadline
                .is_none_or(|deadline| wait < deadline.saturating_duration_since(now))
        {
            return Verdict::Retry(wait);
        }
        if attempt.fallback_left && another_model_may_help(&error.fault) {
            return Verdict::Failover;
        }
        Verdict::Fail
    }

    /// The wait before the next request, or `None` when the provider asks for more than we grant.
    fn wait(&self, number: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
        let jitter = jitter.clamp(0.0, 1.0);
        if let Some(asked) = retry_after {
            // Never earlier than asked; up to a tenth later, so that waiting runs do not return as one.
            return (asked <= self.retry_after_ceiling)
                .then(|| asked + asked.min(self.ceiling).mul_f64(jitter / 10.0));
        }
        let doubled = self.base.saturating_mul(
            1_u32
                .checked_shl(number.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        // Between half and all of it.
        Some(doubled.min(self.ceiling).mul_f64(0.5 + jitter / 2.0))
    }
}

/// Whether another model could answer what this one did not. A refusal is an answer, and a
/// conversation that is too long is to be shortened by its owner, not sent elsewhere.
fn another_model_may_help(fault: &Fault) -> bool {
    match fault {
        Fault::MissingKey
        | Fault::Auth { .. }
        | Fault::Billing { .. }
        | Fault::RateLimited { .. }
        | Fault::Overloaded { .. }
        | Fault::Server { .. }
        | Fault::Timeout { .. }
        | Fault::UnknownModel { .. }
        | Fault::BadRequest { .. }
        | Fault::Network { .. }
        | Fault::Truncated
        | Fault::Protocol { .. }
        | Fault::Setup { .. } => true,
        Fault::ContextLength { .. } | Fault::Refusal { .. } | Fault::TooLarge { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{ApiKind, Endpoint, ModelRequest, TimeoutPhase};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn error(fault: Fault) -> ModelError {
        let endpoint = Endpoint {
            provider: "openai".into(),
            api: ApiKind::OpenaiCompletions,
            base_url: "http://localhost".into(),
            api_key: None,
            headers: BTreeMap::new(),
        };
        ModelError::new(&ModelRequest::new(endpoint, "m"), fault)
    }

    fn limited(retry_after: Option<u64>) -> ModelError {
        error(Fault::RateLimited {
            retry_after: retry_after.map(Duration::from_secs),
            detail: String::new(),
        })
    }

    fn first() -> Attempt {
        Attempt {
            number: 1,
            emitted: false,
            fallback_left: false,
            deadline: None,
        }
    }

    fn decide(attempt: Attempt, error: &ModelError) -> Verdict {
        RetryPolicy::default().decide(&attempt, error, Instant::now(), 0.0)
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_ceiling() {
        assert_eq!(
            decide(first(), &limited(Some(7))),
            Verdict::Retry(Duration::from_secs(7))
        );
        assert_eq!(decide(first(), &limited(Some(61))), Verdict::Fail);
        let with_fallback = Attempt {
            fallback_left: true,
            ..first()
        };
        assert_eq!(decide(with_fallback, &limited(Some(61))), Verdict::Failover);
    }

    #[test]
    fn waits_double_and_attempts_run_out() {
        let at = |number| decide(Attempt { number, ..first() }, &limited(None));
        assert_eq!(at(1), Verdict::Retry(Duration::from_millis(250)));
        assert_eq!(at(2), Verdict::Retry(Duration::from_millis(500)));
        assert_eq!(at(3), Verdict::Fail);
    }

    #[test]
    fn nothing_is_asked_again_once_text_was_shown() {
        let shown = Attempt {
            emitted: true,
            fallback_left: true,
            ..first()
        };
        assert_eq!(decide(shown, &error(Fault::Truncated)), Verdict::Fail);
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let now = Instant::now();
        let attempt = Attempt {
            deadline: Some(now + Duration::from_secs(5)),
            fallback_left: true,
            ..first()
        };
        let policy = RetryPolicy::default();
        assert_eq!(
            policy.decide(&attempt, &limited(Some(6)), now, 0.0),
            Verdict::Failover
        );
        let late = now + Duration::from_secs(5);
        assert_eq!(
            policy.decide(&attempt, &limited(None), late, 0.0),
            Verdict::Fail
        );
    }

    #[test]
    fn a_key_that_is_refused_moves_on_and_a_refusal_does_not() {
        let with_fallback = Attempt {
            fallback_left: true,
            ..first()
        };
        let detail = String::new;
        assert_eq!(
            decide(with_fallback, &error(Fault::Auth { detail: detail() })),
            Verdict::Failover
        );
        assert_eq!(
            decide(with_fallback, &error(Fault::Refusal { detail: detail() })),
            Verdict::Fail
        );
        let slow = error(Fault::Timeout {
            phase: TimeoutPhase::FirstByte,
            limit: Duration::from_mins(2),
        });
        assert_eq!(decide(with_fallback, &slow), Verdict::Failover);
        assert_eq!(decide(first(), &slow), Verdict::Fail);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_asked_nor_longer_than_allowed(
            number in 1_u32..10, asked in proptest::option::of(0_u64..200), jitter in 0.0_f64..1.0,
        ) {
            let policy = RetryPolicy { attempts: 10, ..RetryPolicy::default() };
            let attempt = Attempt { number, ..first() };
            match policy.decide(&attempt, &limited(asked), Instant::now(), jitter) {
                Verdict::Retry(wait) => {
                    prop_assert!(wait >= Duration::from_secs(asked.unwrap_or(0)));
                    prop_assert!(wait <= policy.retry_after_ceiling + policy.ceiling);
                }
                Verdict::Fail => prop_assert!(number == 10 || asked > Some(60)),
                Verdict::Failover => prop_assert!(false, "no fallback was left"),
            }
        }
    }
}
