//! Sockets before their handshake, and how fast new ones come. Pure: takes the time.
//!
//! Programs of this machine have bounds of their own and do not count against the total, so that
//! whoever keeps the gateway busy from outside does not keep its owner out, nor the other way
//! round.

use std::collections::HashMap;
use std::time::Duration;

use super::client::Client;

/// Connects that may come at once, in seconds' worth of the rate.
const BURST: u32 = 5;
/// Connects a second from this machine. Only a fuse: a load generator on the same machine stays
/// below it, and it costs no one else anything.
const LOCAL_RATE: u32 = 10_000;
/// Most clients whose rate is known. Full: those without an open socket are forgotten; the rate of
/// all together bounds what that lets in.
const MAX_KNOWN: usize = 10_000;

/// Bounds of sockets that have proven nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivalLimits {
    /// Open at once, per client.
    pub open_per_client: u32,
    /// Open at once, of all clients outside this machine.
    pub open_in_all: u32,
    /// New ones a second, per client outside this machine.
    pub rate_per_client: u32,
    /// New ones a second, of all clients outside this machine.
    pub rate_in_all: u32,
}

impl Default for ArrivalLimits {
    fn default() -> Self {
        Self {
            open_per_client: 32,
            open_in_all: 1_024,
            rate_per_client: 100,
            rate_in_all: 1_000,
        }
    }
}

/// Why a socket is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// Too many are open before their handshake.
    TooMany,
    /// They come too fast.
    TooFast {
        /// When the next one may come.
        retry_after: Duration,
    },
}

/// Who came lately, and who has not proven itself yet.
#[derive(Debug)]
pub struct Arrivals {
    limits: ArrivalLimits,
    clients: HashMap<Client, Arrived>,
    /// Open sockets of clients outside this machine.
    open: u32,
    all: Pace,
}

#[derive(Debug, Default)]
struct Arrived {
    open: u32,
    pace: Pace,
}

/// A token bucket, kept as the time at which it is full again.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    full_at: Duration,
}

impl Pace {
    /// Time until the next arrival is within the rate; zero when it is now.
    fn wait(self, rate: u32, now: Duration) -> Duration {
        let burst = Duration::from_secs(BURST.into()).saturating_sub(step(rate));
        self.full_at.saturating_sub(now).saturating_sub(burst)
    }

    fn take(&mut self, rate: u32, now: Duration) {
        self.full_at = self.full_at.max(now) + step(rate);
    }
}

fn step(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

impl Arrivals {
    /// Nobody has come yet.
    pub fn new(limits: ArrivalLimits) -> Self {
        Self {
            limits,
            clients: HashMap::new(),
            open: 0,
            all: Pace::default(),
        }
    }

    /// Takes a place for a socket of `client`, until [`Self::left`].
    ///
    /// # Errors
    ///
    /// Which bound it met; nothing was taken then.
    pub fn arrived(&mut self, client: &Client, now: Duration) -> Result<(), TurnedAway> {
        let limits = self.limits;
        let outside = client.is_address();
        let rate = if outside {
            limits.rate_per_client
        } else {
            LOCAL_RATE
        };
        self.make_room(now);
        let (open, pace) = self
            .clients
            .get(client)
            .map_or((0, Pace::default()), |known| (known.open, known.pace));
        if open >= limits.open_per_client || (outside && self.open >= limits.open_in_all) {
            return Err(TurnedAway::TooMany);
        }
        let mut wait = pace.wait(rate, now);
        if outside {
            wait = wait.max(self.all.wait(limits.rate_in_all, now));
        }
        if !wait.is_zero() {
            return Err(TurnedAway::TooFast { retry_after: wait });
        }
        let known = self.clients.entry(client.clone()).or_default();
        known.open += 1;
        known.pace.take(rate, now);
        if outside {
            self.open += 1;
            self.all.take(limits.rate_in_all, now);
        }
        Ok(())
    }

    /// Gives a place back: the handshake is over, or the socket is.
    pub fn left(&mut self, client: &Client) {
        if let Some(known) = self.clients.get_mut(client)
            && known.open > 0
        {
            known.open -= 1;
            if client.is_address() {
                self.open -= 1;
            }
        }
    }

    fn make_room(&mut self, now: Duration) {
        // Whoever has a socket open stands in the map as well, and cannot be forgotten.
        let places = MAX_KNOWN.max(2 * self.limits.open_in_all as usize);
        if self.clients.len() < places {
            return;
        }
        self.clients
            .retain(|_, known| known.open > 0 || known.pace.full_at > now);
        if self.clients.len() >= places {
            self.clients.retain(|_, known| known.open > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(n: u32) -> Client {
        Client::of_address(std::net::Ipv4Addr::from(0x0a00_0000 + n).into())
    }

    const LIMITS: ArrivalLimits = ArrivalLimits {
        open_per_client: 2,
        open_in_all: 3,
        rate_per_client: 2,
        rate_in_all: 1_000,
    };

    #[test]
    fn places_are_bounded_per_client_and_in_all_and_given_back() {
        let mut arrivals = Arrivals::new(LIMITS);
        let now = Duration::ZERO;
        let (a, b, c) = (remote(1), remote(2), remote(3));
        assert_eq!(arrivals.arrived(&a, now), Ok(()));
        assert_eq!(arrivals.arrived(&a, now), Ok(()));
        assert_eq!(arrivals.arrived(&a, now), Err(TurnedAway::TooMany));
        assert_eq!(arrivals.arrived(&b, now), Ok(()));
        assert_eq!(arrivals.arrived(&c, now), Err(TurnedAway::TooMany));
        // The owner's own machine still gets in, and that costs the others nothing.
        assert_eq!(arrivals.arrived(&Client::Loopback, now), Ok(()));
        arrivals.left(&a);
        assert_eq!(arrivals.arrived(&c, now), Ok(()));
        // A page does not take the places of the programs.
        for _ in 0..2 {
            assert_eq!(arrivals.arrived(&Client::OtherPages, now), Ok(()));
        }
        assert_eq!(
            arrivals.arrived(&Client::OtherPages, now),
            Err(TurnedAway::TooMany)
        );
        assert_eq!(arrivals.arrived(&Client::Loopback, now), Ok(()));
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut arrivals = Arrivals::new(LIMITS);
        let a = remote(1);
        let mut come = |now: Duration| {
            let outcome = arrivals.arrived(&a, now);
            if outcome.is_ok() {
                arrivals.left(&a);
            }
            outcome
        };
        for n in 0..10 {
            assert_eq!(come(Duration::ZERO), Ok(()), "{n}");
        }
        let retry_after = Duration::from_millis(500);
        assert_eq!(
            come(Duration::ZERO),
            Err(TurnedAway::TooFast { retry_after })
        );
        assert_eq!(come(retry_after), Ok(()));
        assert!(come(retry_after).is_err());
    }

    #[test]
    fn a_load_generator_on_this_machine_is_not_slowed_down() {
        let mut arrivals = Arrivals::new(ArrivalLimits::default());
        for n in 0..50_000 {
            // Five thousand a second, for ten seconds.
            let now = Duration::from_micros(200) * n;
            assert_eq!(arrivals.arrived(&Client::Loopback, now), Ok(()), "{n}");
            arrivals.left(&Client::Loopback);
        }
    }

    proptest::proptest! {
        #[test]
        fn nobody_comes_faster_than_the_rate_and_memory_is_bounded(
            steps in proptest::collection::vec((0_u32..5, 0_u64..400, proptest::bool::ANY), 1..300),
        ) {
            let mut arrivals = Arrivals::new(LIMITS);
            let mut now = Duration::ZERO;
            let mut open = [0_u32; 5];
            let mut came: Vec<Vec<Duration>> = vec![Vec::new(); 5];
            for (who, pause, leave) in steps {
                now += Duration::from_millis(pause);
                let client = remote(who);
                let index = who as usize;
                if leave && open[index] > 0 {
                    arrivals.left(&client);
                    open[index] -= 1;
                } else if arrivals.arrived(&client, now).is_ok() {
                    open[index] += 1;
                    came[index].push(now);
                }
                proptest::prop_assert!(open[index] <= LIMITS.open_per_client);
                proptest::prop_assert!(open.iter().sum::<u32>() <= LIMITS.open_in_all);
                proptest::prop_assert_eq!(arrivals.open, open.iter().sum::<u32>());
                let recent = came[index].iter().filter(|at| now.saturating_sub(**at) < Duration::from_secs(10)).count();
                // Ten seconds: what may come at once, and ten seconds of the rate.
                proptest::prop_assert!(recent <= 10 + 20 + 1);
            }
        }
    }
}
