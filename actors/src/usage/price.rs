//! From tokens to dollars.

use openclaw_protocol::methods::message::Usage;
use serde_json::{Value, json};

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Tokens read.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
    /// Tokens read from a cache.
    pub cache_read: f64,
    /// Tokens written to it.
    pub cache_write: f64,
}

impl Price {
    /// What these tokens cost, as messages show it.
    pub fn cost(&self, usage: &Usage) -> Value {
        #[expect(
            clippy::cast_precision_loss,
            reason = "no answer has 2^53 tokens, and this is money for people to look at"
        )]
        let dollars = |tokens: u64, price: f64| tokens as f64 * price / 1_000_000.0;
        let input = dollars(usage.input, self.input);
        let output = dollars(usage.output, self.output);
        let cache_read = dollars(usage.cache_read, self.cache_read);
        let cache_write = dollars(usage.cache_write, self.cache_write);
        json!({
            "input": input,
            "output": output,
            "cacheRead": cache_read,
            "cacheWrite": cache_write,
            "total": input + output + cache_read + cache_write,
        })
    }
}

/// Adds a cost to another. Unknown ones count as nothing; unknown and unknown stay that.
pub fn add_cost(sum: &mut Option<Value>, cost: Option<&Value>) {
    let Some(cost) = cost else { return };
    let Some(sum) = sum else {
        *sum = Some(cost.clone());
        return;
    };
    for name in ["input", "output", "cacheRead", "cacheWrite", "total"] {
        let both = part(sum, name) + part(cost, name);
        sum[name] = both.into();
    }
}

/// One part of a cost.
pub(super) fn part(cost: &Value, name: &str) -> f64 {
    cost[name].as_f64().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_cost_what_the_configuration_says() {
        let price = Price {
            input: 3.0,
            output: 15.0,
            cache_read: 0.3,
            cache_write: 3.75,
        };
        let usage = Usage {
            input: 1_000,
            output: 2_000,
            cache_read: 10_000,
            cache_write: 0,
            ..Usage::default()
        };
        let cost = price.cost(&usage);
        assert!((part(&cost, "total") - 0.036).abs() < 1e-9, "{cost}");
        let mut sum = None;
        add_cost(&mut sum, None);
        assert_eq!(sum, None);
        add_cost(&mut sum, Some(&cost));
        add_cost(&mut sum, Some(&cost));
        let sum = sum.unwrap();
        assert!((part(&sum, "total") - 0.072).abs() < 1e-9, "{sum}");
    }
}
