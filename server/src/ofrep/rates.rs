//! How often may somebody ask? Kept in this process: with N replicas it is N times as much.

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How many times a minute one address may come without a key that opens something.
const STRANGERS_A_MINUTE: NonZeroU32 = NonZeroU32::new(120).unwrap();
/// Addresses remembered before those are forgotten that have been quiet since.
const MANY: usize = 10_000;

type Strangers = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// Who has asked how often.
#[derive(Debug)]
pub(super) struct Rates {
    quota: Quota,
    /// One for each key that was ever issued and used, so it is bounded.
    keys: RwLock<HashMap<i64, Arc<DefaultDirectRateLimiter>>>,
    strangers: Strangers,
    clock: DefaultClock,
}

impl Rates {
    /// So many requests a second for each key, and twice as many at once.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            quota: Quota::per_second(per_second).allow_burst(per_second.saturating_mul(TWICE)),
            keys: RwLock::default(),
            strangers: RateLimiter::hashmap(Quota::per_minute(STRANGERS_A_MINUTE)),
            clock: DefaultClock::default(),
        }
    }

    /// May this key ask once more? Else: when.
    pub(super) fn key(&self, id: i64) -> Result<(), Duration> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        let limiter = known.unwrap_or_else(|| {
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            keys.entry(id).or_insert_with(|| Arc::new(RateLimiter::direct(self.quota))).clone()
        });
        limiter.check().map_err(|until| self.wait(&until))
    }

    /// May somebody at this address be told once more that they are unknown? Else: when.
    pub(super) fn stranger(&self, address: IpAddr) -> Result<(), Duration> {
        if self.strangers.len() > MANY {
            self.strangers.retain_recent();
            self.strangers.shrink_to_fit();
        }
        self.strangers.check_key(&block(address)).map_err(|until| self.wait(&until))
    }

    fn wait(&self, until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Duration {
        until.wait_time_from(self.clock.now())
    }
}

const TWICE: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// Whoever has one IPv6 address has the other 2^64 of its network.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_twice_its_rate_at_once_and_is_told_when_it_may_come_again() {
        let rates = Rates::new(NonZeroU32::new(10).expect("ten"));
        let let_in = (0..100).filter(|_| rates.key(1).is_ok()).count();
        assert!((20..=22).contains(&let_in), "{let_in}");
        let wait = rates.key(1).expect_err("no more");
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(rates.key(2).is_ok(), "another key is another matter");
    }

    #[test]
    fn strangers_are_told_apart_by_network() {
        let rates = Rates::new(NonZeroU32::MIN);
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        while rates.stranger(at("2001:db8::1")).is_ok() {}
        assert!(rates.stranger(at("2001:db8::ffff:1")).is_err(), "the same network");
        assert!(rates.stranger(at("2001:db8:0:1::1")).is_ok());
        while rates.stranger(at("192.0.2.1")).is_ok() {}
        assert!(rates.stranger(at("::ffff:192.0.2.1")).is_err(), "the same address");
        assert!(rates.stranger(at("192.0.2.2")).is_ok());
    }
}
