//! The configuration that a pod template refers to, by name. Pure.

use serde_json::Value;
use std::collections::BTreeSet;

/// Names, each once and sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// What containers and volumes read: `env`, `envFrom`, volumes and their projections.
pub(super) fn references(template: &Value) -> References {
    let mut found = References::default();
    let spec = &template["spec"];
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in array(&spec[list]) {
            for env in array(&container["env"]) {
                found.config_map(&env["valueFrom"]["configMapKeyRef"]["name"]);
                found.secret(&env["valueFrom"]["secretKeyRef"]["name"]);
            }
            for from in array(&container["envFrom"]) {
                found.config_map(&from["configMapRef"]["name"]);
                found.secret(&from["secretRef"]["name"]);
            }
        }
    }
    for volume in array(&spec["volumes"]) {
        found.config_map(&volume["configMap"]["name"]);
        found.secret(&volume["secret"]["secretName"]);
        for source in array(&volume["projected"]["sources"]) {
            found.config_map(&source["configMap"]["name"]);
            found.secret(&source["secret"]["name"]);
        }
    }
    found
}

impl References {
    fn config_map(&mut self, name: &Value) {
        self.config_maps.extend(name.as_str().map(str::to_owned));
    }

    fn secret(&mut self, name: &Value) {
        self.secrets.extend(name.as_str().map(str::to_owned));
    }

    /// `ConfigMaps a, b and Secret c`; `None` where nothing is referred to.
    pub(super) fn words(&self) -> Option<String> {
        let some = |noun: &str, names: &BTreeSet<String>| {
            let plural = if names.len() > 1 { "s" } else { "" };
            let list: Vec<_> = names.iter().map(String::as_str).collect();
            (!names.is_empty()).then(|| format!("{noun}{plural} {}", list.join(", ")))
        };
        let parts = [some("ConfigMap", &self.config_maps), some("Secret", &self.secrets)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_of_referring_is_found_once() {
        let template = json!({"spec": {
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
            "containers": [{
                "env": [
                    {"name": "A", "value": "plain"},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "db", "key": "c"}}},
                    {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "envFrom": [{"configMapRef": {"name": "settings"}}]}],
            "volumes": [
                {"name": "v", "configMap": {"name": "files"}},
                {"name": "w", "secret": {"secretName": "tls"}},
                {"name": "x", "emptyDir": {}},
                {"name": "y", "projected": {"sources": [
                    {"configMap": {"name": "ca"}}, {"secret": {"name": "key"}},
                    {"serviceAccountToken": {"path": "token"}}]}}]}});
        assert_eq!(
            references(&template).words().unwrap(),
            "ConfigMaps ca, files, settings and Secrets db, init, key, tls"
        );
    }

    #[test]
    fn one_of_a_kind_is_named_in_the_singular_and_none_not_at_all() {
        let template = json!({"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}});
        assert_eq!(references(&template).words().unwrap(), "Secret db");
        assert_eq!(references(&json!({"spec": {"containers": [{"name": "app"}]}})).words(), None);
    }
}
