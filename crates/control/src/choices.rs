//! The versions that a person may name to go back to, and where to go when the way back does not get on.
//!
//! Nothing here is taken by itself: each is an address that asks once more, and a press there names the version.

use crate::Control;
use crate::known_good::Told;
use crate::releases::deed;
use model::known_good::{Record, older_than, path, under_way, way_back};
use model::release::{Course, KnownGood, Release};
use model::view::{Deed, KnownGoodRow, Standing, Way};
use model::workload::{Key, Workload, version_of};
use model::{Action, Actor, ReleaseId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long a page waits for what is not in memory.
const READ_WITHIN: Duration = Duration::from_millis(500);

impl Control {
    /// The record of another version than the one that ROLL BACK leads to, if it may be gone back to: an older one on
    /// the way to the present, or, while a rollback is under way, the one that it leaves.
    pub(crate) fn other_way<'t>(&self, told: &'t Told, w: &Workload, to: &str) -> Option<&'t Record> {
        let target = way_back(&told.records, w)?;
        if target.hash == to {
            return None;
        }
        let turning = under_way(&told.records, w).is_some();
        if turning && w.stable_hash.as_deref() == Some(to) {
            return told.records.iter().rev().find(|r| r.hash == to);
        }
        let left = if w.in_flight() && !turning { &w.current_hash } else { &w.stable_hash };
        older_than(&told.records, &target.hash, left.as_deref()).into_iter().find(|r| r.hash == to)
    }

    /// The present version of a workload, and those that it can go back to, newest first.
    pub(crate) async fn known_good_rows(
        &self,
        actor: &Actor,
        w: &Workload,
        release: Option<&Release>,
    ) -> Vec<KnownGoodRow> {
        let told = self.told(&w.key).await;
        let records = &told.records;
        let target = match release {
            Some(release) => Some(release.known_good.hash.clone()),
            None => way_back(records, w).map(|r| r.hash.clone()),
        };
        let path = path(records);
        let present = w.stable_hash.as_deref();
        let left = release.map_or(present, |r| r.canary_hash.as_deref());
        let newest = |hash: &str| path.iter().rev().find(|r| r.hash == hash).copied();
        let mut found: Vec<(&Record, Standing)> = Vec::new();
        if let Some(record) = present.and_then(newest) {
            found.push((record, Standing::Present));
        }
        if let Some(target) = &target {
            if present != Some(target) {
                let recorded = newest(target).or_else(|| records.iter().rev().find(|r| r.hash == *target));
                found.extend(recorded.map(|r| (r, Standing::Target)));
            }
            let older = older_than(records, target, left);
            found.extend(
                older.into_iter().filter(|r| Some(r.hash.as_str()) != present).map(|r| (r, Standing::Older)),
            );
        }
        let about = self.about_records(w, &found.iter().map(|(r, _)| *r).collect::<Vec<_>>()).await;
        let allowed = deed(actor.require(Action::RollBack, &w.environment));
        let base = base_of(&w.key, release);
        let row = |(record, standing): (&Record, Standing)| {
            let (images, by) = about.get(&record.id).cloned().unwrap_or_default();
            let revision = w.revision(&record.hash);
            let above = path.iter().position(|r| r.id == record.id).and_then(|i| path.get(i + 1));
            KnownGoodRow {
                version: if images.is_empty() { short(&record.hash) } else { version_of(&images) },
                hash: record.hash.clone(),
                since: record.at,
                until: above.map(|r| r.at),
                release: by,
                revision: revision.map(|r| r.number),
                ready: revision.map_or(0, |r| r.ready),
                standing,
                path: format!("{base}?to={}", record.hash),
                roll_back: match standing {
                    Standing::Present => Deed::no("It carries all traffic now."),
                    Standing::Target | Standing::Older => allowed.clone(),
                },
            }
        };
        found.into_iter().map(row).collect()
    }

    /// Where a way back that does not get on could lead instead; each asks once more. The next older version first.
    pub(crate) async fn ways_out(&self, actor: &Actor, w: &Workload, release: Option<&Release>) -> Vec<Way> {
        if actor.require(Action::RollBack, &w.environment).is_err() {
            return Vec::new();
        }
        let told = self.told(&w.key).await;
        let target = match release {
            Some(release) if release.course != Course::Forward => release.known_good.hash.clone(),
            Some(_) => return Vec::new(),
            None => match under_way(&told.records, w) {
                Some(record) => record.hash.clone(),
                None => return Vec::new(),
            },
        };
        let base = base_of(&w.key, release);
        let mut ways = Vec::new();
        let mut add = |words: String, hash: &str| ways.push(Way { words, path: format!("{base}?to={hash}") });
        // Its own analysis aborted it: past that, it is promoted in one call.
        if release.is_none() && w.abort && w.current_hash.as_deref() == Some(&target) {
            add(format!("Promote {} fully, past its analysis", w.version()), &target);
        }
        let left = release.and_then(|r| r.canary_hash.as_deref()).or(w.stable_hash.as_deref());
        if let Some(older) = older_than(&told.records, &target, left).first() {
            let about = self.about_records(w, &[older]).await;
            let images = about.get(&older.id).map(|(images, _)| version_of(images));
            add(
                format!("Roll back to {} instead", images.unwrap_or_else(|| short(&older.hash))),
                &older.hash,
            );
        }
        let stays = match release {
            Some(release) => release.may_stay(w),
            None => true,
        };
        if let Some(stable) = w.stable_hash.as_deref().filter(|hash| stays && *hash != target) {
            add(format!("Stay on {}", w.stable_version()), stable);
        }
        ways
    }

    /// Images of these records, and the release that brought them. From Postgres; what is in memory while it is silent.
    async fn about_records(
        &self,
        w: &Workload,
        records: &[&Record],
    ) -> HashMap<i64, (BTreeMap<String, String>, Option<ReleaseId>)> {
        let ids: Vec<i64> = records.iter().map(|r| r.id).collect();
        let read = self.store().known_good_versions(&ids);
        let mut about = match tokio::time::timeout(READ_WITHIN, read).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => HashMap::new(),
        };
        for record in records {
            if about.contains_key(&record.id) {
                continue;
            }
            let text = self.inner.known.document(&w.key, record.id);
            let good = text.and_then(|text| serde_json::from_str::<KnownGood>(&text).ok());
            let images =
                good.map(|g| g.images).or_else(|| w.revision(&record.hash).map(|r| r.images.clone()));
            about.extend(images.map(|images| (record.id, (images, None))));
        }
        about
    }
}

fn base_of(key: &Key, release: Option<&Release>) -> String {
    match release {
        Some(release) => format!("/releases/{}/rollback", release.id),
        None => format!("/services/{key}/rollback"),
    }
}

/// A hash where no version is known.
fn short(hash: &str) -> String {
    hash.chars().take(10).collect()
}
