//! Answers of a cluster that a page shows while it is read or typed in: asked for once in some seconds, and never
//! waited for long.

use crate::{read_lock, write_lock};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::RwLock;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is shown before it is asked for again.
const FRESH: Duration = Duration::from_secs(10);
/// How long a page waits for one.
const WITHIN: Duration = Duration::from_millis(700);
/// Answers remembered.
const MOST: usize = 2000;

/// Answers by what was asked.
#[derive(Debug)]
pub(crate) struct Glances<K, V>(RwLock<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Glances<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V: Clone + Default> Glances<K, V> {
    /// What is remembered of it, else what is answered within a moment, else nothing (the default): what takes too
    /// long is not asked for again at once, since pages are read often.
    pub(crate) async fn at(&self, about: K, ask: impl Future<Output = V>) -> V {
        let known = read_lock(&self.0).get(&about).cloned();
        if let Some((_, answer)) = known.filter(|(when, _)| when.elapsed() < FRESH) {
            return answer;
        }
        let answer = tokio::time::timeout(WITHIN, ask).await.unwrap_or_default();
        let mut all = write_lock(&self.0);
        if all.len() > MOST {
            all.clear();
        }
        all.insert(about, (Instant::now(), answer.clone()));
        answer
    }
}

impl<K: Eq + Hash, V> Glances<K, V> {
    /// What is remembered of it no longer holds.
    pub(crate) fn forget(&self, about: &K) {
        write_lock(&self.0).remove(about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_asked_for_once_in_ten_seconds_and_a_slow_one_is_none() {
        let glances = Glances::default();
        assert_eq!(glances.at("a", async { 1 }).await, 1);
        assert_eq!(glances.at("a", async { 2 }).await, 1, "still fresh");
        tokio::time::advance(FRESH).await;
        assert_eq!(glances.at("a", async { 3 }).await, 3);
        let slow = async {
            tokio::time::sleep(WITHIN * 2).await;
            7
        };
        assert_eq!(glances.at("b", slow).await, 0);
        assert_eq!(glances.at("b", async { 8 }).await, 0, "not asked again at once");
    }
}
