//! Changing a policy file from the browser or by REST: checked whole, recorded, written with the version that was read as the
//! precondition, and taken back where the cluster refuses.

use super::Place;
use super::files::faults;
use crate::Control;
use crate::error::OrProblem as _;
use crate::files::Content;
use crate::plans::tidy;
use crate::releases::deed;
use cluster::Written;
use model::audit::NewEvent;
use model::policy::{DEFAULT, Policies, What, from_yaml};
use model::problem::FieldError;
use model::view::Deed;
use model::{Action, Actor, Book, Problem};
use std::collections::BTreeSet;

/// A change of a policy file.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    pub cluster: String,
    pub namespace: String,
    /// The record that was looked at, as the page names it; `None` where there was no file.
    pub after: Option<i64>,
    pub text: String,
    pub reason: Option<String>,
}

impl Control {
    /// Writes a policy file.
    ///
    /// # Errors
    /// 403; 404 for an unknown cluster; 409 when it was changed since it was read; 422 with every fault at its field, queries
    /// that Prometheus refuses among them; 503 when the cluster does not take it: nothing is in force then.
    pub async fn change_policies(&self, actor: &Actor, change: PolicyChange) -> Result<(), Problem> {
        let PolicyChange { cluster: of, namespace, after, text, reason } = change;
        let reason = tidy(reason)?;
        let cluster = self.cluster(&of)?;
        let place = (of.clone(), namespace.clone());
        self.may_change_policies(actor, &place)?;
        let policies = from_yaml(&text)?.policies;
        self.queries_read(&of, &policies, &text).await?;
        self.read_policies().await?;
        let known = self.inner.policies.standing(&place);
        let overtaken = || {
            Problem::conflict(
                "The policies were changed since you opened them. Read them again; your text is kept below.",
            )
        };
        if known.as_ref().map(|k| k.now.id) != after {
            return Err(overtaken());
        }
        if known.as_ref().and_then(|k| k.now.text.as_deref()) == Some(&text) {
            return Err(Problem::conflict("The file says this already: nothing was changed."));
        }
        let live = cluster.files(Book::Policies).borrow().clone();
        let live = live.as_ref().and_then(|all| all.get(&namespace));
        let before = known.as_ref().and_then(|k| k.now.text.clone());
        if live.and_then(|file| file.text.clone()).unwrap_or_default() != before.clone().unwrap_or_default() {
            return Err(overtaken());
        }
        let id = self
            .put(actor, &place, Some(&text), after, "policy.changed", "were changed", reason.clone())
            .await?
            .ok_or_else(overtaken)?;
        match cluster.write_file(Book::Policies, &namespace, live, &text).await {
            Ok(Written::Done) => {
                self.inner.policies.changed.notify_one();
                self.read_policies().await
            }
            // Sent, and no answer: what the cluster holds is compared in some seconds.
            Err(error @ cluster::Error::Unreachable { .. }) => Err(error).or_problem(),
            refused => {
                let words = "keep what they were: the cluster did not take the change";
                self.put(actor, &place, before.as_deref(), Some(id), "policy.change.refused", words, None)
                    .await?;
                self.read_policies().await?;
                refused.or_problem().and_then(|_| Err(overtaken()))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a fact of the record")]
    async fn put(
        &self,
        actor: &Actor,
        place: &Place,
        text: Option<&str>,
        after: Option<i64>,
        action: &str,
        words: &str,
        reason: Option<String>,
    ) -> Result<Option<i64>, Problem> {
        let faults = text.map(faults).unwrap_or_default();
        let summary = format!("Rollback policies of {} {words}", place.1);
        let mut event = NewEvent::new(self.now_utc(), actor, action, summary);
        event.reason = reason;
        let content = Content { text, faults: &faults, after };
        self.record_given(Book::Policies, actor, place, content, event).await
    }

    /// May this actor begin a policy file where there is none?
    ///
    /// # Errors
    /// 404 where Tidegate releases nothing.
    pub fn may_begin_policies(&self, actor: &Actor, cluster: &str, namespace: &str) -> Result<Deed, Problem> {
        let place = (cluster.to_owned(), namespace.to_owned());
        self.cluster(cluster)?;
        if namespace != self.inner.config.home && self.environments(&place).is_empty() {
            return Err(Problem::not_found(format!("There is nothing to release in namespace {namespace}.")));
        }
        Ok(deed(self.may_change_policies(actor, &place)))
    }

    /// Whoever changes a file changes what happens in every environment that it governs.
    pub(crate) fn may_change_policies(&self, actor: &Actor, place: &Place) -> Result<(), Problem> {
        let environments = self.environments(place);
        if environments.is_empty() && !actor.may_somewhere(Action::WritePolicies) {
            return actor.require(Action::WritePolicies, "any environment");
        }
        environments.iter().try_for_each(|e| actor.require(Action::WritePolicies, e))
    }

    /// Environments of the workloads that a file governs, or would.
    fn environments(&self, place: &Place) -> BTreeSet<String> {
        let Ok(cluster) = self.cluster(&place.0) else { return BTreeSet::new() };
        let all = cluster.workloads();
        let governed = all.iter().filter(|w| self.rules(place, w));
        governed.map(|w| w.environment.clone()).collect()
    }

    /// Has Prometheus read each query.
    async fn queries_read(&self, cluster: &str, policies: &Policies, text: &str) -> Result<(), Problem> {
        let Some(prometheus) = self.prometheus(cluster) else { return Ok(()) };
        let mut errors = Vec::new();
        for (name, policy) in policies {
            let queries = policy.triggers.iter().filter_map(|t| match &t.what {
                What::Query { query, .. } => Some(query),
                _ => None,
            });
            for (i, query) in queries.enumerate() {
                let answer = prometheus.query(&unfilled(query), self.now_utc()).await;
                let Err(cluster::Error::Prometheus { reason, .. }) = answer else { continue };
                // One that does not answer now cannot keep a policy from being written.
                if let Some(words) = reason.strip_prefix("refuses the query: ") {
                    let part = format!("rollback_triggers.queries[{i}].query");
                    let named = *name != DEFAULT || text.lines().any(|l| l.starts_with("policies:"));
                    let field = if named { format!("policies.{name}.{part}") } else { part };
                    let message = format!("Prometheus cannot read this: {words}");
                    errors.push(FieldError { field, message });
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }
}

/// A query with something in each place of an argument, to be parsed only.
fn unfilled(query: &str) -> String {
    let mut rest = query;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("{{args.") {
        out.push_str(before);
        out.push('x');
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::unfilled;

    #[test]
    fn arguments_do_not_keep_a_query_from_being_read() {
        let query = r#"sum(rate(errors{service="{{args.service-name}}",hash="{{args.canary-hash}}"}[1m]))"#;
        assert_eq!(unfilled(query), r#"sum(rate(errors{service="x",hash="x"}[1m]))"#);
        assert_eq!(unfilled("up"), "up");
    }
}
