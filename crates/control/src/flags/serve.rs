//! What is served: the newest content without faults, with every killed flag off.

use super::Standing;
use crate::files::Place;
use crate::{Control, read_lock, write_lock};
use chrono::{DateTime, Utc};
use flags::{Evaluator, File, Flag, change, ofrep};
use model::Book;
use model::problem::FieldError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The flags of a namespace, ready to be asked.
#[derive(Debug)]
pub struct ServedFlags {
    /// Of what the content says with the kills over it: what answers depend on, and nothing else.
    pub version: String,
    /// Since when it is served.
    pub since: DateTime<Utc>,
    pub evaluator: Evaluator,
    /// With the killed flags off.
    pub(crate) file: File,
    /// As it is written, kills or not.
    pub(crate) text: Arc<str>,
    /// Killed, whatever the text says.
    kills: Vec<Flag>,
}

/// Every fault of a file of flags, at its field; none where it is in order.
pub(super) fn faults(text: &str) -> Vec<FieldError> {
    let told = |f: flags::Fault| FieldError::new(f.path, format!("Line {}: {}", f.line, f.message));
    File::parse(text).map_or_else(|faults| faults.into_iter().map(told).collect(), |_| Vec::new())
}

/// Reads and compiles: milliseconds, for the largest files some hundred.
fn made(text: Arc<str>, kills: Vec<Flag>, since: DateTime<Utc>) -> Option<ServedFlags> {
    let file = change::held(&File::parse(&text).ok()?, &kills);
    // Of what it says, not of how it is written: neither a comment nor the mark that a kill leaves in the file is news.
    let version = ofrep::version(&file.to_yaml());
    Some(ServedFlags { version, since, evaluator: Evaluator::new(&file), file, text, kills })
}

impl Control {
    /// Serves every namespace's flags as its cluster has them now, without waiting for the record.
    pub(super) async fn serve_flags(&self) {
        let mut places: BTreeSet<Place> = read_lock(&self.inner.flags.standing).keys().cloned().collect();
        for cluster in self.clusters() {
            let live = cluster.files(Book::Flags).borrow().clone();
            let namespaces = live.iter().flat_map(|all| all.keys());
            places.extend(namespaces.map(|ns| (cluster.name().to_owned(), ns.clone())));
        }
        for place in places {
            self.serve_place(&place).await;
        }
    }

    /// Serves one namespace's flags.
    pub(super) async fn serve_place(&self, place: &Place) {
        let known = &self.inner.flags;
        let _alone = known.serving.lock().await;
        let before = self.served_flags(place);
        let live = self.cluster(&place.0).ok().and_then(|c| c.files(Book::Flags).borrow().clone());
        let live: Option<Arc<str>> =
            live.and_then(|all| all.get(&place.1).map(|f| f.text.clone().unwrap_or_default().into()));
        let kills = self.kills_of(place);
        let same = |text: &Arc<str>| before.as_ref().is_some_and(|b| b.text == *text && b.kills == kills);
        // What the cluster holds, else what it last held without faults.
        let last = || before.as_ref().map(|b| b.text.clone());
        let on_record = || read_lock(&known.standing).get(place).and_then(|s: &Standing| s.good.clone());
        for text in [live, last(), on_record()].into_iter().flatten() {
            if same(&text) {
                return;
            }
            let (kills, now) = (kills.clone(), self.now_utc());
            let made = tokio::task::spawn_blocking(move || made(text, kills, now)).await;
            let Ok(Some(mut served)) = made else { continue };
            let same = before.as_ref().filter(|b| b.version == served.version);
            let told_already = same.is_some();
            if let Some(same) = same {
                served.since = same.since;
            }
            write_lock(&known.served).insert(place.clone(), Arc::new(served));
            // Thousands may listen: none is woken for nothing.
            if !told_already {
                known.told.send_modify(|n| *n += 1);
            }
            self.announce(store::FLAGS_TOPIC);
            return;
        }
    }
}
