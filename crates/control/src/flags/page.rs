//! `/flags` and the page of one flag.

use super::change::lines_digest;
use super::keys::may_manage;
use super::{ServedFlags, Standing};
use crate::error::OrProblem as _;
use crate::files::Place;
use crate::read::see;
use crate::releases::deed;
use crate::{Control, read_lock, write_lock};
use flags::change::{Change, FieldChange, Usage, diff, stale};
use flags::{File, Flag, Rule, Serve, Share, edit};
use model::plan::diff::lines;
use model::view::{
    Deed, FileState, FlagChangeView, FlagChanged, FlagFileView, FlagKilled, FlagPage, FlagProposal, FlagRow,
    FlagRule, FlagState, FlagVariant, FlagsPage,
};
use model::{Action, Actor, Book, Problem, Status};
use std::collections::HashMap;
use std::sync::Arc;
use store::{FileRecord, FlagChangeRecord};

/// Contents of a file that are looked at for who changed a flag last, and for its history.
const HISTORY: i64 = 50;

/// Contents of a file, newest first, each with what it changed.
type History = Vec<(FileRecord, Arc<Vec<Change>>)>;

impl Control {
    /// All flags with who changed each last.
    ///
    /// # Errors
    /// 403.
    pub async fn flags_page(&self, actor: &Actor) -> Result<FlagsPage, Problem> {
        see(actor)?;
        let mut page = FlagsPage {
            files: Vec::new(),
            flags: Vec::new(),
            keys: self.flag_keys(actor),
            manage_keys: deed(may_manage(actor)),
            age: self.age(),
        };
        let standing = read_lock(&self.inner.flags.standing).clone();
        let served = read_lock(&self.inner.flags.served).clone();
        let waiting = where_known(self.store().open_flag_changes().await.or_problem())?;
        // Who waited in vain need not wait again.
        let mut answers = waiting.is_some();
        let waiting = waiting.unwrap_or_default();
        let mut places: Vec<Place> = standing.keys().chain(served.keys()).cloned().collect();
        places.sort();
        places.dedup();
        for place in places {
            let history = if answers { where_known(self.flag_history(&place).await)? } else { None };
            answers = history.is_some();
            let history = history.unwrap_or_default();
            let served = served.get(&place);
            page.files.push(file_view(&place, standing.get(&place), served));
            let Some(served) = served else { continue };
            let last = last_changes(&history);
            let mut rows: Vec<FlagRow> =
                served.file.flags.iter().map(|flag| self.flag_row(&place, flag, &last, &history)).collect();
            rows.sort_by(|a, b| a.key.cmp(&b.key));
            for row in &mut rows {
                let own = (&row.cluster, &row.namespace, &row.key);
                row.waits = waiting.iter().any(|c| (&c.cluster, &c.namespace, &c.flag) == own);
            }
            page.flags.extend(rows);
        }
        Ok(page)
    }

    /// One flag, with its history.
    ///
    /// # Errors
    /// 403; 404.
    pub async fn flag_page(
        &self,
        actor: &Actor,
        cluster: &str,
        namespace: &str,
        key: &str,
    ) -> Result<FlagPage, Problem> {
        see(actor)?;
        let place = (cluster.to_owned(), namespace.to_owned());
        let (served, flag) = self.flag(&place, key)?;
        let standing = read_lock(&self.inner.flags.standing).get(&place).cloned();
        let waiting = where_known(self.store().open_flag_changes().await.or_problem())?;
        let answers = waiting.is_some();
        let history = if answers { where_known(self.flag_history(&place).await)? } else { None };
        let (waiting, history) = (waiting.unwrap_or_default(), history.unwrap_or_default());
        let of = |c: &&FlagChangeRecord| c.flag == key && c.namespace == namespace && c.cluster == cluster;
        let proposal = waiting.iter().find(of).map(|change| self.proposal(actor, &place, &served, change));
        let yaml = edit::part(&served.text, key).unwrap_or_else(|| flag.to_yaml());
        let same = |k: &store::FlagKill| k.flag == key && k.namespace == namespace && k.cluster == cluster;
        let on_record = read_lock(&self.inner.flags.kills).iter().any(same);
        // Of the served text, kills or not: of a file with faults it is the last good one, which does not say so.
        let own = File::parse(&served.text).unwrap_or_default();
        let written = own.flag(key).is_some_and(|f| f.killed.is_some() && !f.enabled);
        let killed = flag.killed.clone().map(|k| FlagKilled {
            at: k.at,
            by: k.by,
            reason: k.reason,
            recorded: on_record,
            written,
        });
        let default = flag.default_variant();
        let variants = flag.all_variants().into_iter().map(|v| FlagVariant {
            is_default: v.name == default,
            value: v.value.to_string(),
            name: v.name,
        });
        let prerequisites = flag.prerequisites.iter().map(|p| match &p.variant {
            Some(variant) => format!("{} is {variant}", p.flag),
            None => format!("{} is on", p.flag),
        });
        let needs = |f: &&Flag| f.prerequisites.iter().any(|p| p.flag == key);
        Ok(FlagPage {
            file: file_view(&place, standing.as_ref(), Some(&served)),
            variants: variants.collect(),
            rules: rules(&flag),
            prerequisites: prerequisites.collect(),
            needed_by: served.file.flags.iter().filter(needs).map(|f| f.key.clone()).collect(),
            rollout_by: flag.rollout_by().to_owned(),
            salt: flag.salt().to_owned(),
            enabled: flag.enabled,
            percentage: flag.percentage.to_string().trim_end_matches(".0").to_owned(),
            seen: lines_digest(&yaml),
            yaml,
            change: deed(self.may_flag(actor, Action::WriteFlags, &place, &flag)),
            history: changes_of(key, &history),
            kill: deed(self.may_flag(actor, Action::KillFlag, &place, &flag)),
            revive: killed.is_some().then(|| deed(self.may_flag(actor, Action::ReviveFlag, &place, &flag))),
            killed,
            flag: FlagRow {
                waits: proposal.is_some(),
                ..self.flag_row(&place, &flag, &last_changes(&history), &history)
            },
            proposal,
            age: self.age(),
        })
    }

    fn proposal(
        &self,
        actor: &Actor,
        place: &Place,
        served: &ServedFlags,
        change: &FlagChangeRecord,
    ) -> FlagProposal {
        let subject = self.subject(place, change);
        let own = change.person.is_some() && change.person == actor.person;
        let decide = match own {
            true => Deed::no("Nobody approves a change they asked for. Ask another approver."),
            false => deed(self.may_flag(actor, Action::Approve, place, &subject)),
        };
        FlagProposal {
            id: change.id,
            at: change.at,
            by: change.by.clone(),
            reason: change.reason.clone(),
            why: change.why.clone(),
            diff: lines(&change.before, &change.after),
            digest: change.digest.clone(),
            overtaken: edit::part(&served.text, &change.flag).unwrap_or_default() != change.before,
            decide,
            withdraw: deed(self.may_flag(actor, Action::WriteFlags, place, &subject)),
        }
    }

    fn flag_row(
        &self,
        place: &Place,
        flag: &Flag,
        last: &HashMap<String, FlagChanged>,
        history: &History,
    ) -> FlagRow {
        let changed = last.get(&flag.key).cloned();
        // What did not change in all that was looked at has been so at least since the oldest of it.
        let since = changed.as_ref().map(|c| c.at).or_else(|| history.last().map(|(r, _)| r.at));
        let usage = Usage { unchanged_since: since, ..Usage::default() };
        let mut conditions: Vec<String> = flag.conditions.iter().map(flags::Condition::words).collect();
        match flag.rules.len() {
            0 => {}
            1 => conditions.insert(0, "1 rule before".to_owned()),
            n => conditions.insert(0, format!("{n} rules before")),
        }
        FlagRow {
            cluster: place.0.clone(),
            namespace: place.1.clone(),
            key: flag.key.clone(),
            state: state(flag),
            share: flag.percentage.words(),
            environment: flag.environment.clone(),
            conditions,
            kind: flag.kind.key().to_owned(),
            owner: flag.owner.clone(),
            description: flag.description.clone(),
            expires: flag.expires_at,
            waits: false,
            stale: stale(flag, &usage, self.now_utc()).map(|s| s.words().to_owned()).into_iter().collect(),
            changed,
        }
    }

    /// What each of the newest contents changed.
    async fn flag_history(&self, (cluster, namespace): &Place) -> Result<History, Problem> {
        let records =
            self.store().file_history(Book::Flags, cluster, namespace, HISTORY + 1).await.or_problem()?;
        let known = &self.inner.flags.changes;
        let mut out = Vec::new();
        let mut unknown = Vec::new();
        let whole = i64::try_from(records.len()).is_ok_and(|n| n <= HISTORY);
        for (i, record) in records.iter().enumerate() {
            if !whole && i + 1 == records.len() {
                break;
            }
            if read_lock(known).get(&record.id).is_none() {
                // A content with faults changed nothing of what is served.
                let good = |r: &&FileRecord| r.faults.is_empty() && r.text.is_some();
                let before = records.iter().skip(i + 1).find(good).and_then(|r| r.text.clone());
                let after = Some(record).filter(good).and_then(|r| r.text.clone());
                unknown.push((record.id, before, after));
            }
        }
        if !unknown.is_empty() {
            let read = move || -> Vec<(i64, Arc<Vec<Change>>)> { unknown.into_iter().map(changed).collect() };
            let found = tokio::task::spawn_blocking(read).await.unwrap_or_default();
            write_lock(known).extend(found);
        }
        let known = read_lock(known);
        for record in records {
            let Some(changes) = known.get(&record.id).cloned() else { continue };
            out.push((record, changes));
        }
        Ok(out)
    }
}

/// What is on record; `None` while the database does not answer. The kill switch stands on these pages: they are shown without.
fn where_known<T>(answer: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match answer {
        Ok(known) => Ok(Some(known)),
        Err(problem) if problem.status == Status::Unavailable => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What a content changed of the one without faults before it.
fn changed((id, before, after): (i64, Option<String>, Option<String>)) -> (i64, Arc<Vec<Change>>) {
    let read = |text: Option<String>| text.and_then(|t| File::parse(&t).ok());
    let changes = match (read(before), read(after)) {
        (before, Some(after)) => diff(&before.unwrap_or_default(), &after),
        (_, None) => Vec::new(),
    };
    (id, Arc::new(changes))
}

fn file_view(place: &Place, standing: Option<&Standing>, served: Option<&Arc<ServedFlags>>) -> FlagFileView {
    let record = standing.map(|s| &s.now);
    let state = match (record, served) {
        (Some(r), _) if r.text.is_none() => FileState::Gone,
        (Some(r), None) if !r.faults.is_empty() => FileState::NoneInForce,
        (Some(r), Some(_)) if !r.faults.is_empty() => FileState::Faulty,
        (Some(r), _) if r.outside => FileState::ChangedOutside,
        _ => FileState::InForce,
    };
    FlagFileView {
        cluster: place.0.clone(),
        namespace: place.1.clone(),
        state,
        faults: record.map(|r| r.faults.clone()).unwrap_or_default(),
        flags: served.map_or(0, |s| s.file.flags.len()),
        changed: record.map(by),
    }
}

fn by(record: &FileRecord) -> FlagChanged {
    FlagChanged { at: record.at, by: record.by.clone(), outside: record.outside }
}

/// Who changed each flag last.
fn last_changes(history: &History) -> HashMap<String, FlagChanged> {
    let mut last = HashMap::new();
    for (record, changes) in history {
        for change in changes.iter() {
            last.entry(change.key().to_owned()).or_insert_with(|| by(record));
        }
    }
    last
}

fn changes_of(key: &str, history: &History) -> Vec<FlagChangeView> {
    let of = |(record, changes): &(FileRecord, Arc<Vec<Change>>)| {
        let change = changes.iter().find(|c| c.key() == key)?;
        let words = match change {
            Change::Added { .. } => vec!["Added".to_owned()],
            Change::Removed { .. } => vec!["Removed".to_owned()],
            Change::Changed { fields, .. } => fields.iter().map(FieldChange::words).collect(),
        };
        Some(FlagChangeView { id: record.id, changed: by(record), words })
    };
    history.iter().filter_map(of).collect()
}

fn state(flag: &Flag) -> FlagState {
    if flag.killed.is_some() {
        return FlagState::Killed;
    }
    let shares: Vec<Share> = flag.rules.iter().map(|r| r.percentage).chain([flag.percentage]).collect();
    if !flag.enabled || shares.iter().all(|s| *s == Share::NONE) {
        FlagState::Off
    } else if shares.iter().all(|s| *s == Share::ALL) {
        FlagState::On
    } else {
        FlagState::Part
    }
}

/// The rules in the order in which they are asked; the flag's own conditions and share are the last.
fn rules(flag: &Flag) -> Vec<FlagRule> {
    let serve = |serve: &Serve| match serve {
        Serve::One(name) => name.clone(),
        Serve::Split(parts) => {
            let each = parts.iter().map(|(name, share)| format!("{name} {}", share.words()));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let own = Rule {
        name: Some(if flag.rules.is_empty() { "Everybody" } else { "Everybody else" }.to_owned()),
        conditions: flag.conditions.clone(),
        percentage: flag.percentage,
        serve: flag.serve.clone(),
        rollout_by: None,
    };
    let view = |(i, rule): (usize, &Rule)| FlagRule {
        name: rule.name.clone().unwrap_or_else(|| format!("Rule {}", i + 1)),
        conditions: rule.conditions.iter().map(flags::Condition::words).collect(),
        share: rule.percentage.words(),
        serve: serve(&rule.serve.clone().unwrap_or_else(|| flag.serve())),
    };
    flag.rules.iter().chain([&own]).enumerate().map(view).collect()
}
