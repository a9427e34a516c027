//! Everything that the watches have reported, and how workloads are put together from it. Owned by one task.

use super::Entry;
use crate::front::{self, Service};
use crate::httproute::{self, Route};
use crate::ingress::{self, Ingress};
use crate::observe::{self, Facts, Set};
use crate::{mirror, reference, splitter};
use chrono::{DateTime, Utc};
use model::workload::{Key, Kind, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A ReplicaSet as reported; without a `set` when nothing controls it any more.
pub(super) struct SetReport {
    pub namespace: String,
    pub name: String,
    pub set: Option<Set>,
}

/// A namespace's name and its environment label.
pub(super) struct NamespaceReport {
    pub name: String,
    pub environment: Option<String>,
}

/// Everything reported, and the index from owners to ReplicaSets. Owned by one task.
#[derive(Default)]
pub(super) struct World {
    pub objects: BTreeMap<Key, Arc<Facts>>,
    pub by_uid: HashMap<String, Key>,
    /// Second Deployments, by the UID of the one they stand beside.
    pub twins: HashMap<Box<str>, Key>,
    /// Rollouts, by the Deployment that they take their template from.
    pub referring: BTreeMap<Key, BTreeSet<Key>>,
    pub sets: HashMap<String, BTreeMap<String, Set>>,
    /// Owner of a ReplicaSet by namespace and name.
    pub owners: HashMap<(String, String), String>,
    pub environments: BTreeMap<String, String>,
    /// By namespace and name.
    pub services: BTreeMap<String, BTreeMap<String, Arc<Service>>>,
    pub ingresses: BTreeMap<String, BTreeMap<String, Arc<Ingress>>>,
    /// By the namespaces that they stand in or lead to, and by their own namespace and name.
    pub routes: BTreeMap<String, BTreeMap<(String, String), Arc<Route>>>,
}

impl World {
    pub(super) fn object(&mut self, facts: Facts, touched: &mut BTreeSet<Key>) {
        let key = facts.workload.key.clone();
        if let Some(owner) = &facts.twin_of {
            self.twins.insert(owner.clone(), key.clone());
        }
        self.by_uid.insert(facts.workload.uid.clone(), key.clone());
        if let Some(source) = reference::key(&facts) {
            touched.insert(source.clone());
            self.referring.entry(source).or_default().insert(key.clone());
        }
        if let Some(old) = self.objects.insert(key.clone(), Arc::new(facts)) {
            // Deleted and made again under the same name.
            if self.objects.get(&key).is_some_and(|new| new.workload.uid != old.workload.uid) {
                self.by_uid.remove(&old.workload.uid);
            }
            self.refers_no_more(&old, touched);
        }
        touched.insert(key);
    }

    /// Forgets what an object referred to, unless it does so still.
    pub(super) fn refers_no_more(&mut self, old: &Facts, touched: &mut BTreeSet<Key>) {
        let key = &old.workload.key;
        let now = self.objects.get(key).and_then(|facts| reference::key(facts));
        let Some(source) = reference::key(old).filter(|source| now.as_ref() != Some(source)) else { return };
        if let Some(all) = self.referring.get_mut(&source) {
            all.remove(key);
            if all.is_empty() {
                self.referring.remove(&source);
            }
        }
        touched.insert(source);
    }

    pub(super) fn object_gone(&mut self, facts: &Facts, touched: &mut BTreeSet<Key>) {
        let key = &facts.workload.key;
        self.by_uid.remove(&facts.workload.uid);
        if let Some(owner) = &facts.twin_of
            && self.twins.get(owner) == Some(key)
        {
            self.twins.remove(owner);
            touched.extend(self.by_uid.get(&**owner).cloned());
        }
        if self.objects.get(key).is_some_and(|o| o.workload.uid == facts.workload.uid) {
            let old = self.objects.remove(key);
            touched.insert(key.clone());
            if let Some(old) = old {
                self.refers_no_more(&old, touched);
            }
        }
    }

    pub(super) fn objects_all(&mut self, kind: Kind, all: Vec<Facts>, touched: &mut BTreeSet<Key>) {
        let old: Vec<Key> = self.objects.keys().filter(|k| k.kind == kind).cloned().collect();
        if kind == Kind::Deployment {
            self.twins.clear();
        }
        for key in old {
            if let Some(o) = self.objects.remove(&key) {
                self.by_uid.remove(&o.workload.uid);
                self.refers_no_more(&o, touched);
            }
            touched.insert(key);
        }
        for facts in all {
            self.object(facts, touched);
        }
    }

    pub(super) fn set_gone(&mut self, namespace: &str, name: &str, touched: &mut BTreeSet<Key>) {
        let Some(owner) = self.owners.remove(&(namespace.to_owned(), name.to_owned())) else {
            return;
        };
        if let Some(sets) = self.sets.get_mut(&owner) {
            sets.remove(name);
            if sets.is_empty() {
                self.sets.remove(&owner);
            }
        }
        touched.extend(self.by_uid.get(&owner).cloned());
    }

    pub(super) fn set(&mut self, report: SetReport, touched: &mut BTreeSet<Key>) {
        let place = (report.namespace, report.name);
        let owner = report.set.as_ref().map(|s| &s.owner);
        if self.owners.get(&place) != owner {
            self.set_gone(&place.0, &place.1, touched);
        }
        if let Some(set) = report.set {
            touched.extend(self.by_uid.get(&set.owner).cloned());
            self.sets.entry(set.owner.clone()).or_default().insert(place.1.clone(), set.clone());
            self.owners.insert(place, set.owner);
        }
    }

    pub(super) fn sets_all(&mut self, all: Vec<SetReport>, touched: &mut BTreeSet<Key>) {
        self.sets.clear();
        self.owners.clear();
        touched.extend(self.objects.keys().cloned());
        for report in all {
            self.set(report, touched);
        }
    }

    /// What stands in front of Deployments here has changed.
    fn in_front(&self, namespace: &str, touched: &mut BTreeSet<Key>) {
        let here = |k: &&Key| k.kind == Kind::Deployment && k.namespace == namespace;
        touched.extend(self.objects.keys().filter(here).cloned());
    }

    pub(super) fn ingress(&mut self, ingress: Ingress, gone: bool, touched: &mut BTreeSet<Key>) {
        self.in_front(&ingress.namespace, touched);
        let here = self.ingresses.entry(ingress.namespace.clone()).or_default();
        if gone {
            here.remove(&ingress.name);
        } else {
            here.insert(ingress.name.clone(), Arc::new(ingress));
        }
    }

    pub(super) fn ingresses_all(&mut self, all: Vec<Ingress>, touched: &mut BTreeSet<Key>) {
        self.ingresses.clear();
        for ingress in all {
            let here = self.ingresses.entry(ingress.namespace.clone()).or_default();
            here.insert(ingress.name.clone(), Arc::new(ingress));
        }
        touched.extend(self.objects.keys().filter(|k| k.kind == Kind::Deployment).cloned());
    }

    pub(super) fn route(&mut self, route: Route, gone: bool, touched: &mut BTreeSet<Key>) {
        let place = (route.namespace.clone(), route.name.clone());
        let mut around: BTreeSet<String> = route.namespaces().map(str::to_owned).collect();
        // It may have led elsewhere before.
        self.routes.retain(|namespace, here| {
            if here.remove(&place).is_some() {
                around.insert(namespace.clone());
            }
            !here.is_empty()
        });
        for namespace in around {
            self.in_front(&namespace, touched);
        }
        if !gone {
            self.keep_route(&Arc::new(route));
        }
    }

    pub(super) fn routes_all(&mut self, all: Vec<Route>, touched: &mut BTreeSet<Key>) {
        // A cluster without the Gateway API says so again and again.
        if all.is_empty() && self.routes.is_empty() {
            return;
        }
        self.routes.clear();
        for route in all {
            self.keep_route(&Arc::new(route));
        }
        touched.extend(self.objects.keys().filter(|k| k.kind == Kind::Deployment).cloned());
    }

    fn keep_route(&mut self, route: &Arc<Route>) {
        for namespace in route.namespaces() {
            let place = (route.namespace.clone(), route.name.clone());
            self.routes.entry(namespace.to_owned()).or_default().insert(place, Arc::clone(route));
        }
    }

    pub(super) fn service(&mut self, service: Service, gone: bool, touched: &mut BTreeSet<Key>) {
        self.in_front(&service.namespace, touched);
        let here = self.services.entry(service.namespace.clone()).or_default();
        if gone {
            here.remove(&service.name);
        } else {
            here.insert(service.name.clone(), Arc::new(service));
        }
    }

    pub(super) fn services_all(&mut self, all: Vec<Service>, touched: &mut BTreeSet<Key>) {
        self.services.clear();
        for service in all {
            let here = self.services.entry(service.namespace.clone()).or_default();
            here.insert(service.name.clone(), Arc::new(service));
        }
        touched.extend(self.objects.keys().filter(|k| k.kind == Kind::Deployment).cloned());
    }

    pub(super) fn namespace(&mut self, report: NamespaceReport, gone: bool, touched: &mut BTreeSet<Key>) {
        let old = match report.environment.filter(|_| !gone) {
            Some(e) if self.environments.get(&report.name) == Some(&e) => return,
            Some(e) => self.environments.insert(report.name.clone(), e),
            None => match self.environments.remove(&report.name) {
                None => return,
                old => old,
            },
        };
        drop(old);
        touched.extend(self.objects.keys().filter(|k| k.namespace == report.name).cloned());
    }

    pub(super) fn entry(
        &self,
        key: &Key,
        before: Option<&Workload>,
        now: DateTime<Utc>,
    ) -> Option<Arc<Entry>> {
        let facts = self.objects.get(key)?;
        if self.beside(facts).is_some() || self.referring.contains_key(key) && facts.workload.replicas == 0 {
            // No workload of its own: it is seen in the one it stands beside, or gives its template to.
            return None;
        }
        let environment = self.environments.get(&key.namespace).map(String::as_str);
        // Another object under an old name has no past.
        let before = before.filter(|b| b.uid == facts.workload.uid);
        let source = reference::key(facts).and_then(|key| self.objects.get(&key));
        let sets = self.sets_of(facts);
        let mut workload = observe::assemble(facts, sets, source.map(|s| &**s), environment, before, now);
        let twin = self.twins.get(facts.workload.uid.as_str()).and_then(|key| self.objects.get(key));
        if let Some(twin) = twin {
            let seen = observe::assemble(twin, self.sets_of(twin), None, environment, None, now);
            observe::stand_beside(&mut workload, facts, twin, seen);
        }
        let (mut fronts, mut ingress, mut routes) = (Vec::new(), None, Vec::new());
        if key.kind == Kind::Deployment {
            let here = self.services.get(&key.namespace).into_iter().flat_map(BTreeMap::values);
            (workload.fronts, fronts) = front::of(facts, here);
            let here = self.ingresses.get(&key.namespace).into_iter().flat_map(BTreeMap::values);
            let (by_ingress, first) = ingress::splitter(&workload, here).unzip();
            ingress = first.flatten();
            let here = self.routes.get(&key.namespace).into_iter().flat_map(BTreeMap::values);
            routes = httproute::around(&workload, here);
            let services = self.services.get(&key.namespace);
            if let (Some(twin), Some(services)) = (&mut workload.twin, services) {
                twin.address = services.get(&twin.name).and_then(|service| service.address_of(&twin.name));
            }
            let there = |name: &str| services.is_some_and(|all| all.contains_key(name));
            let by_route = httproute::weights::splitter(&workload, &routes, there);
            splitter::stand_before(&mut workload, by_ingress, by_route);
            mirror::stand_before(&mut workload, &routes);
        }
        let (twin, source) = (twin.cloned(), source.cloned());
        let (workload, facts) = (Arc::new(workload), facts.clone());
        Some(Arc::new(Entry { workload, facts, twin, source, fronts, ingress, routes }))
    }

    pub(super) fn sets_of(&self, facts: &Facts) -> impl Iterator<Item = &Set> {
        self.sets.get(&facts.workload.uid).into_iter().flat_map(BTreeMap::values)
    }

    /// The workload that this second Deployment stands beside.
    pub(super) fn beside(&self, facts: &Facts) -> Option<&Key> {
        self.by_uid.get(&**facts.twin_of.as_ref()?)
    }

    /// A change of a second Deployment is one of the workload it stands beside; one of a template is one of the Rollouts
    /// that take it.
    pub(super) fn add_owners(&self, touched: &mut BTreeSet<Key>) {
        let owners = |key: &Key| self.objects.get(key).and_then(|facts| self.beside(facts)).cloned();
        let mut owners: Vec<Key> = touched.iter().filter_map(owners).collect();
        owners.extend(touched.iter().filter_map(|key| self.referring.get(key)).flatten().cloned());
        touched.extend(owners);
    }
}
