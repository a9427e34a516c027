//! What splits a Deployment's users by weight between its own pods and those of a second one beside it: any whole percent,
//! however many pods there are.
//!
//! By an Ingress of class nginx it is a canary Ingress of ours: the user's own stays as it is, and whoever deletes ours sends
//! everybody to the user's own pods. By an HTTPRoute the weights stand in the user's own object: a backendRef of ours stands
//! beside the user's for as long as a release sends somebody there, and annotations of ours as long as there may be one.

use super::Workload;
use crate::gitops::App;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The user's own object through which users come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Ingress(String),
    HttpRoute(String),
}

impl Split {
    pub fn name(&self) -> &str {
        match self {
            Self::Ingress(name) | Self::HttpRoute(name) => name,
        }
    }
}

/// As people know it: `HTTPRoute shop`.
impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingress(name) => write!(f, "Ingress {name}"),
            Self::HttpRoute(name) => write!(f, "HTTPRoute {name}"),
        }
    }
}

/// What leads from outside to a Deployment's pods, and what it sends past them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splitter {
    pub by: Split,
    /// Why it cannot carry a weight, in words.
    pub unfit: Option<String>,
    /// In percent, what goes to the second Deployment; `None` where nothing is there that could send somebody.
    pub weight: Option<u8>,
    /// The attempt that changed the weight last: its mark on the canary Ingress, or on the HTTPRoute.
    pub attempt: Option<String>,
    /// The Service that leads to the second Deployment is not there, so that whoever is sent to it meets nobody.
    #[serde(default)]
    pub severed: bool,
    /// The Argo CD application that keeps it as git says, where the weights stand in the user's own object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<App>,
}

impl Splitter {
    /// Where the weight is written: `the canary Ingress`, `HTTPRoute shop`.
    pub fn place(&self) -> String {
        match &self.by {
            Split::Ingress(_) => "the canary Ingress".to_owned(),
            route @ Split::HttpRoute(_) => route.to_string(),
        }
    }

    /// What Argo CD does to the weights in it; `None` where it leaves them alone.
    pub fn drift(&self) -> Option<String> {
        let app = self.gitops.as_ref()?;
        Some(format!(
            "Argo CD's application {app} owns {}, in which the weights are written: its sync may write over them. Have it \
             ignore that field (ignoreDifferences on /spec/rules, RespectIgnoreDifferences), or suspend its sync for the \
             release.",
            self.by
        ))
    }
}

impl Workload {
    /// What can send any percent of this Deployment's users to a second one beside it.
    ///
    /// # Errors
    /// In words, why there is nothing.
    pub fn weighed(&self) -> Result<&Splitter, String> {
        let Some(splitter) = self.splitter.as_deref() else {
            return Err(format!("No Ingress or HTTPRoute leads to a Service in front of {}.", self.key.name));
        };
        if let Some(why) = &splitter.unfit {
            return Err(why.clone());
        }
        self.parting_label()?;
        Ok(splitter)
    }

    /// Percent of requests that go to the second Deployment by weight; `None` where nothing could send one there.
    pub fn canary_weight(&self) -> Option<u8> {
        self.splitter.as_ref()?.weight
    }

    /// The mark that the last change of the weight has left.
    pub fn weight_mark(&self) -> Option<&str> {
        self.splitter.as_ref()?.attempt.as_deref()
    }

    /// Where the weight is written, in words.
    pub fn weight_place(&self) -> String {
        self.splitter.as_ref().map_or_else(|| "the canary Ingress".to_owned(), |splitter| splitter.place())
    }

    /// Some users, or copies of their requests, are sent to the second Deployment: by a Service's selector, a weight or a
    /// filter.
    pub fn any_sent(&self) -> bool {
        self.any_switched() || self.canary_weight().is_some_and(|weight| weight > 0) || self.copied() > 0
    }

    /// Users are to be sent to the second Deployment by a weight, or were.
    pub fn by_weight(&self) -> bool {
        let noted = self.twin.as_ref().is_some_and(|t| t.split.is_some());
        noted || self.canary_weight().is_some() || self.weight_mark().is_some()
    }

    /// It is, or was, an HTTPRoute that sends them.
    pub fn by_route(&self) -> bool {
        let noted = self.twin.as_ref().and_then(|t| t.split.as_ref());
        matches!(noted, Some(Split::HttpRoute(_))) || self.route_marked()
    }

    /// An HTTPRoute holds something of ours. Garbage collection does not take it away.
    pub fn route_marked(&self) -> bool {
        let ours = |s: &Splitter| s.attempt.is_some() || s.weight.is_some() || self.copied() > 0;
        self.splitter.as_ref().is_some_and(|s| matches!(s.by, Split::HttpRoute(_)) && ours(s))
    }

    /// Something that Tidegate made for a release is still there.
    pub fn anything_of_ours(&self) -> bool {
        self.twin.is_some() || self.route_marked()
    }

    /// Users are sent to the second Deployment by a Service that is gone.
    pub fn severed(&self) -> bool {
        self.splitter.as_ref().is_some_and(|s| s.severed)
    }
}
