//! Bounds sockets that have not proven themselves yet, per address and in all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts sockets before their handshake is done.
#[derive(Debug, Clone)]
pub struct PreAuth {
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
    per_address: u32,
    in_all: u32,
}

/// A socket's place; given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    limiter: PreAuth,
    address: IpAddr,
}

impl PreAuth {
    /// A limiter with its two bounds.
    pub fn new(per_address: u32, in_all: u32) -> Self {
        Self {
            counts: Arc::default(),
            per_address,
            in_all,
        }
    }

    /// A place for a socket from `address`, or `None` when it or the gateway has too many.
    /// An IPv4-mapped IPv6 address counts as the IPv4 address that it is.
    pub fn admit(&self, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<u32>() >= self.in_all {
            return None;
        }
        let count = counts.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Slot {
            limiter: self.clone(),
            address,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self
            .limiter
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_per_address_and_given_back() {
        let limiter = PreAuth::new(2, 3);
        let (a, b): (IpAddr, IpAddr) = (
            "10.0.0.1".parse().unwrap(),
            "::ffff:10.0.0.1".parse().unwrap(),
        );
        let first = limiter.admit(a).unwrap();
        let _second = limiter.admit(b).unwrap();
        assert!(limiter.admit(a).is_none());
        let _third = limiter.admit("10.0.0.2".parse().unwrap()).unwrap();
        assert!(limiter.admit("10.0.0.3".parse().unwrap()).is_none());
        drop(first);
        assert!(limiter.admit(b).is_some());
    }
}
