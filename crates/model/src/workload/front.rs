//! Services in front of a Deployment, and how they can tell its pods from those of a second one beside it.
//!
//! The pods of the second Deployment carry all labels of the user's but one, whose value is the second one's name. So
//! whatever selects by that label reaches the user's own pods alone, and to send users over takes one value in a
//! Service's selector: whether it is there, or taken back by anybody at any time, the Service selects whole pods.

use super::{Twin, Workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A Service whose selector selects a Deployment's pods, or those of the second one beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    pub name: String,
    pub selector: BTreeMap<String, String>,
    /// Without an address of its own: its clients hear of a switch when they ask DNS again.
    pub headless: bool,
    /// It sends users to the second Deployment.
    pub switched: bool,
    /// Annotation `tidegate.dev/attempt`: the attempt that changed it last.
    pub attempt: Option<String>,
}

impl Front {
    /// Reads a selector; `None` where it is not in front of this Deployment.
    pub fn of(
        name: &str,
        selector: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
        deployment: &str,
    ) -> Option<Self> {
        let twin = Twin::name_for(deployment).ok();
        let mut switched = false;
        for (key, value) in selector {
            let own = labels.get(key)?;
            if own != value {
                if twin.as_ref() != Some(value) {
                    return None;
                }
                switched = true;
            }
        }
        (!selector.is_empty()).then(|| Self {
            name: name.to_owned(),
            selector: selector.clone(),
            headless: false,
            switched,
            attempt: None,
        })
    }
}

impl Workload {
    /// The label by which every Service in front of it can tell its pods from those of a second Deployment.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn parting_label(&self) -> Result<&str, String> {
        let name = &self.key.name;
        let Some(first) = self.fronts.first() else {
            return Err(format!(
                "No Service selects the pods of {name}: there is nothing that could switch users. Write `rolling`."
            ));
        };
        let everywhere = |key: &&String| self.fronts.iter().all(|f| f.selector.contains_key(*key));
        first.selector.keys().find(everywhere).map(String::as_str).ok_or_else(|| {
            let all: Vec<_> = self.fronts.iter().map(|f| f.name.as_str()).collect();
            format!(
                "The Services {} select the pods of {name} by different labels, so that one value cannot switch them all. \
                 Give them a label in common, or write `rolling`.",
                all.join(", ")
            )
        })
    }

    /// Some users are sent to the second Deployment.
    pub fn any_switched(&self) -> bool {
        self.fronts.iter().any(|f| f.switched)
    }

    /// Every Service sends its users to the second Deployment.
    pub fn all_switched(&self) -> bool {
        !self.fronts.is_empty() && self.fronts.iter().all(|f| f.switched)
    }

    /// The second Deployment is one that Services tell apart.
    pub fn stands_apart(&self) -> bool {
        self.twin.as_ref().is_some_and(|t| t.apart)
    }

    /// Users can be handed back to its own pods: at least half of them are ready, or nobody else is there anyway. By a
    /// weight they carry the rest of the users all the time: then one will do, or none where its owner wants none. Where only
    /// copies are sent elsewhere they carry all of them anyway.
    pub fn can_carry(&self) -> bool {
        let alone = self.twin.as_ref().is_none_or(|t| t.ready == 0);
        if self.by_copies() {
            return true;
        }
        if self.by_weight() {
            return alone || self.ready > 0 || self.replicas == 0;
        }
        alone || self.ready > 0 && self.ready * 2 >= self.replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::deployment;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn front(selector: &[(&str, &str)]) -> Option<Front> {
        let labels = map(&[("app", "web"), ("tier", "front")]);
        Front::of("web", &map(selector), &labels, "web")
    }

    #[test]
    fn a_service_is_in_front_by_its_selector_whichever_pods_it_sends_users_to() {
        assert!(!front(&[("app", "web")]).unwrap().switched);
        assert!(front(&[("app", "web-tidegate"), ("tier", "front")]).unwrap().switched);
        for other in [&[][..], &[("app", "mail")], &[("app", "web"), ("track", "canary")]] {
            assert_eq!(front(other), None, "{other:?}");
        }
        assert_eq!(front(&[("tidegate.dev/beside", "web-tidegate")]), None, "one of ours, for a preview");
    }

    #[test]
    fn one_label_parts_the_pods_for_all_services_or_it_is_said_why_not() {
        let mut w = deployment();
        assert!(w.parting_label().unwrap_err().contains("No Service selects"));
        w.fronts =
            vec![front(&[("app", "web"), ("tier", "front")]).unwrap(), front(&[("tier", "front")]).unwrap()];
        assert_eq!(w.parting_label(), Ok("tier"));
        w.fronts = vec![front(&[("app", "web")]).unwrap(), front(&[("tier", "front")]).unwrap()];
        assert!(w.parting_label().unwrap_err().contains("by different labels"));
    }

    #[test]
    fn users_are_not_handed_back_to_nothing() {
        let mut w = crate::conductor::sample::beside(8);
        for (ready, can) in [(8, true), (4, true), (3, false), (0, false)] {
            w.ready = ready;
            assert_eq!(w.can_carry(), can, "{ready} of 8");
        }
        w.twin = None;
        assert!(w.can_carry(), "nobody else is there");
    }
}
