//! What a page may ask to be told about.

use model::workload::{Key, Kind};
use model::{FieldError, IncidentId, PlanId, Problem, ReleaseId};

/// Topics of one stream, at most.
const MOST: usize = 12;
/// Topics that say only that something changed.
const PAGES: [&str; 10] = [
    "now",
    "plans",
    "releases",
    "audit",
    "status",
    "services",
    "flags",
    "incidents",
    "notifications",
    "policies",
];

/// One topic of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `release:318`: its deltas.
    Release(ReleaseId),
    /// `workloads`: rows that changed.
    Workloads,
    /// `shell`: the frame around every page.
    Shell,
    /// `workload:main/shop/Rollout/checkout`
    Workload(Key),
    /// `plan:12`
    Plan(PlanId),
    /// `incident:7`
    Incident(IncidentId),
    /// One of [`PAGES`].
    Page(&'static str),
}

impl Topic {
    /// The public page.
    pub fn status() -> Self {
        Self::Page("status")
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix("release:") {
            return id.parse().ok().map(Self::Release);
        }
        if let Some(id) = text.strip_prefix("plan:") {
            return id.parse().ok().map(Self::Plan);
        }
        if let Some(id) = text.strip_prefix("incident:") {
            return id.parse().ok().map(Self::Incident);
        }
        if let Some(key) = text.strip_prefix("workload:") {
            return parse_key(key).map(Self::Workload);
        }
        match text {
            "workloads" => Some(Self::Workloads),
            "shell" => Some(Self::Shell),
            _ => PAGES.into_iter().find(|p| *p == text).map(Self::Page),
        }
    }

    /// As it was asked for.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Release(id) => format!("release:{id}"),
            Self::Workloads => "workloads".to_owned(),
            Self::Shell => "shell".to_owned(),
            Self::Workload(key) => format!("workload:{key}"),
            Self::Plan(id) => format!("plan:{id}"),
            Self::Incident(id) => format!("incident:{id}"),
            Self::Page(name) => (*name).to_owned(),
        }
    }

    /// Does an announcement concern this topic?
    pub(crate) fn hears(&self, news: &News) -> bool {
        match (self, news) {
            (_, News::Everything) => true,
            (Self::Release(id), News::Release(r)) => id == r,
            (Self::Plan(id), News::Plan(p)) => id == p,
            // Approvals and releases of a plan are told by the release's own announcement too.
            (Self::Plan(_), News::Release(_)) => true,
            (Self::Incident(id), News::Incident(i)) => id == i,
            (Self::Shell, News::Other(topic)) => topic == "incidents",
            (Self::Workload(key), News::Workload(k)) => key == k,
            (Self::Workload(_), News::Release(_)) => true,
            (Self::Workloads, News::Workload(_)) => true,
            (Self::Shell, News::Release(_) | News::Plan(_)) => true,
            (Self::Page("now"), News::Release(_) | News::Plan(_) | News::Workload(_)) => true,
            (Self::Page("plans"), News::Release(_) | News::Plan(_)) => true,
            (Self::Page("releases"), News::Release(_)) => true,
            (Self::Page("services"), News::Workload(_)) => true,
            (Self::Page(page), News::Other(topic)) => page == topic,
            _ => false,
        }
    }
}

/// What an announcement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Everything,
    Release(ReleaseId),
    Plan(PlanId),
    Incident(IncidentId),
    Workload(Key),
    Other(String),
}

impl News {
    pub(crate) fn of(topic: &str) -> Self {
        match Topic::parse(topic) {
            _ if topic == "*" => Self::Everything,
            Some(Topic::Release(id)) => Self::Release(id),
            Some(Topic::Plan(id)) => Self::Plan(id),
            Some(Topic::Incident(id)) => Self::Incident(id),
            Some(Topic::Workload(key)) => Self::Workload(key),
            _ => Self::Other(topic.to_owned()),
        }
    }
}

/// `cluster/namespace/Kind/name`
fn parse_key(text: &str) -> Option<Key> {
    let mut parts = text.splitn(4, '/');
    let mut next = || parts.next().filter(|p| !p.is_empty());
    let (cluster, namespace, kind, name) = (next()?, next()?, next()?, next()?);
    let kind: Kind = kind.parse().ok()?;
    Some(Key { cluster: cluster.to_owned(), namespace: namespace.to_owned(), kind, name: name.to_owned() })
}

/// The topics of a query, `topics=a,b`.
pub(crate) fn read(query: &str) -> Result<Vec<Topic>, Problem> {
    let invalid = |words: String| Problem::invalid(vec![FieldError::new("topics", words)]);
    let asked = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "topics");
    let asked = asked.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let mut topics = Vec::new();
    for text in asked.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        let topic = Topic::parse(text).ok_or_else(|| {
            invalid(format!(
                "There is no topic `{text}`. Use release:<id>, plan:<id>, incident:<id>, workload:<cluster/namespace/kind/name>, \
                 workloads, shell, {}.",
                PAGES.join(", ")
            ))
        })?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    match topics.len() {
        0 => Err(invalid("Name at least one topic: /live?topics=workloads,shell".to_owned())),
        n if n > MOST => Err(invalid(format!("{n} topics are too many for one stream: {MOST} at most."))),
        _ => Ok(topics),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_as_they_are_written() {
        let topics =
            read("topics=release:318,incident:7,workloads,shell,workload:main%2Fshop%2FRollout%2Fcheckout")
                .expect("topics");
        let names: Vec<_> = topics.iter().map(Topic::name).collect();
        assert_eq!(
            names,
            ["release:318", "incident:7", "workloads", "shell", "workload:main/shop/Rollout/checkout"]
        );
        for wrong in
            ["", "topics=", "topics=release:x", "topics=everything", "topics=workload:a/b", "other=1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let many = (0..=MOST).map(|n| format!("release:{n}")).collect::<Vec<_>>().join(",");
        assert!(read(&format!("topics={many}")).is_err());
    }

    #[test]
    fn news_reach_whom_they_concern() {
        let release = Topic::Release(ReleaseId(3));
        assert!(release.hears(&News::of("release:3")));
        assert!(!release.hears(&News::of("release:4")));
        assert!(release.hears(&News::of("*")));
        assert!(Topic::Workloads.hears(&News::of("workload:main/shop/Rollout/checkout")));
        assert!(
            !Topic::Workloads.hears(&News::of("workloads")),
            "the rows are named by the other announcement"
        );
        assert!(Topic::Page("audit").hears(&News::of("audit")));
        assert!(read("topics=policies").is_ok_and(|t| t[0].hears(&News::of(store::POLICIES_TOPIC))));
        assert!(read("topics=flags").is_ok_and(|t| t[0].hears(&News::of(store::FLAGS_TOPIC))));
        assert!(Topic::Shell.hears(&News::of("plan:1")));
        assert!(Topic::Shell.hears(&News::of("incidents")));
        assert!(Topic::Page("incidents").hears(&News::of("incidents")));
        assert!(Topic::Incident(IncidentId(7)).hears(&News::of("incident:7")));
        assert!(!Topic::Incident(IncidentId(7)).hears(&News::of("incident:8")));
    }
}
