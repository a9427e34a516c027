//! The last releases of a workload beside each other.

use super::services::see;
use crate::Control;
use crate::error::OrProblem as _;
use model::release::Release;
use model::verdict::Sample;
use model::view::{ComparePage, ComparePoint, CompareRelease};
use model::workload::Key;
use model::{Actor, Problem};

/// Releases compared.
const RELEASES: i64 = 5;
/// Points of each: no chart shows more.
const POINTS: i64 = 240;

impl Control {
    /// The last five releases of a workload, aligned at their start.
    ///
    /// # Errors
    /// 403; 404 when there is neither such a workload nor a release of one; 503 without a database.
    pub async fn compare_releases(&self, actor: &Actor, key: &Key) -> Result<ComparePage, Problem> {
        see(actor)?;
        let filter = store::ReleaseFilter { workload: Some(key.clone()), ..Default::default() };
        let records = self.found(filter, RELEASES).await?;
        let workload = self.cluster(&key.cluster)?.workload(key);
        let (service, environment) = match (&workload, records.first()) {
            (Some(w), _) => (w.service.clone(), w.environment.clone()),
            (None, Some(r)) => (r.service.clone(), r.environment.clone()),
            (None, None) => return Err(Problem::not_found(format!("{key} is not in the cluster."))),
        };
        let mut releases = Vec::with_capacity(records.len());
        for release in &records {
            let least = self.plan_of(release).await?.spec.analysis.limits().min_requests;
            let samples = self.store().samples_spread(release.id, POINTS).await.or_problem()?;
            releases.push(compared(release, &samples, least));
        }
        Ok(ComparePage { key: key.clone(), service, environment, releases, age: self.age() })
    }
}

fn compared(release: &Release, samples: &[Sample], least: u32) -> CompareRelease {
    let begun = release.started.unwrap_or(release.created);
    let started = samples.first().map_or(begun, |s| s.at.min(begun));
    let points = samples.iter().filter(|s| s.error.is_none()).map(|s| {
        let side = Some(&s.canary_recent).filter(|_| s.canary.requests >= f64::from(least));
        ComparePoint {
            second: (s.at - started).num_seconds(),
            weight: s.weight,
            error_percent: side.and_then(|side| side.error_rate()).map(|rate| rate * 100.0),
            p95_ms: side.and_then(|side| side.p95_ms),
        }
    });
    CompareRelease {
        id: release.id,
        version: release.version(),
        state: release.state,
        started,
        points: points.collect(),
    }
}
