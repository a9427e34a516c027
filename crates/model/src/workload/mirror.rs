//! The HTTPRoute that leads to a Deployment, and the `RequestMirror` filter of ours in it.
//!
//! A Gateway answers each request from the user's own pods, and sends a copy of some to a Service of ours besides; what that
//! answers is thrown away. So whoever takes the filter out, at any time, takes nothing from any user.

use super::Workload;
use serde::{Deserialize, Serialize};

/// How requests to a Deployment can be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The user's own HTTPRoute.
    pub route: String,
    /// Why no filter of ours can be put there, in words.
    pub unfit: Option<String>,
    /// Of a hundred requests, how many the filter of ours copies; 0 where there is none.
    pub percent: u8,
    /// The Gateway's word, where it does not carry out what the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Workload {
    /// The HTTPRoute in which requests to this Deployment can be copied to a second one beside it.
    ///
    /// # Errors
    /// In words, why there is none.
    pub fn copies(&self) -> Result<&Mirror, String> {
        let Some(mirror) = self.mirror.as_deref() else {
            return Err(format!(
                "No HTTPRoute leads to a Service in front of {}, and only a Gateway copies requests. Write `canary`.",
                self.key.name
            ));
        };
        if let Some(why) = &mirror.unfit {
            return Err(why.clone());
        }
        self.parting_label()?;
        Ok(mirror)
    }

    /// Percent of requests that are copied to the second Deployment now.
    pub fn copied(&self) -> u8 {
        self.mirror.as_ref().map_or(0, |mirror| mirror.percent)
    }

    /// The second Deployment gets copies of requests, or did: no user is ever sent to it.
    pub fn by_copies(&self) -> bool {
        self.twin.as_ref().is_some_and(|twin| twin.mirrored) || self.copied() > 0
    }
}
