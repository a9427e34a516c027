//! The Ingress through which users come to a Deployment, and the canary Ingress of ours beside it.
//!
//! ingress-nginx sends so many of a hundred requests to another Service as an annotation says: any whole percent, however
//! many pods there are. The user's own Ingress and Service stay as they are; whoever deletes ours, or sets its weight to 0,
//! sends everybody to the user's own pods.

use super::Workload;
use serde::{Deserialize, Serialize};

/// What leads from outside to a Deployment's pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// The user's own.
    pub name: String,
    /// Why it cannot carry a weight, in words.
    pub unfit: Option<String>,
    /// In percent, as the canary Ingress of ours beside it says; `None` where there is none.
    pub weight: Option<u8>,
    /// Annotation `tidegate.dev/attempt` of that one: the attempt that changed it last.
    pub attempt: Option<String>,
}

impl Workload {
    /// The Ingress that can send any percent of this Deployment's users to a second one beside it.
    ///
    /// # Errors
    /// In words, why there is none.
    pub fn weighed(&self) -> Result<&Ingress, String> {
        let Some(ingress) = self.ingress.as_deref() else {
            return Err(format!("No Ingress leads to a Service in front of {}.", self.key.name));
        };
        if let Some(why) = &ingress.unfit {
            return Err(why.clone());
        }
        self.parting_label()?;
        Ok(ingress)
    }

    /// Percent of requests that the canary Ingress sends to the second Deployment; `None` without one.
    pub fn canary_weight(&self) -> Option<u8> {
        self.ingress.as_ref()?.weight
    }

    /// Some users are sent to the second Deployment, by a Service's selector or by a weight.
    pub fn any_sent(&self) -> bool {
        self.any_switched() || self.canary_weight().is_some_and(|weight| weight > 0)
    }

    /// A canary Ingress is to send users to the second Deployment, or did.
    pub fn by_ingress(&self) -> bool {
        self.twin.as_ref().is_some_and(|t| t.ingress.is_some()) || self.canary_weight().is_some()
    }
}
