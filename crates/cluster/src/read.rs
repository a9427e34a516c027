//! A workload read past the cache, with everything that stands around it.

use crate::Cluster;
use crate::cache::Entry;
use crate::error::Error;
use crate::front::Service;
use crate::observe::{self, ENVIRONMENT, Facts};
use crate::send::Answer;
use crate::{front, httproute, ingress, mirror, raw, reference, splitter};
use chrono::Utc;
use http::Method;
use model::workload::{Key, Kind, Twin};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Cluster {
    /// From the cache; from the API server where the cache does not have it.
    pub(crate) async fn entry(&self, key: &Key) -> Result<Arc<Entry>, Error> {
        match self.view.entry(key) {
            Some(entry) => Ok(entry),
            None => Ok(Arc::new(self.fresh_entry(key).await?)),
        }
    }

    pub(crate) async fn fresh_entry(&self, key: &Key) -> Result<Entry, Error> {
        Ok(self.read(key).await?.entry)
    }

    /// The workload with its ReplicaSets, and whatever stands beside it: read now.
    pub(crate) async fn read(&self, key: &Key) -> Result<Read, Error> {
        let namespace_uri = format!("/api/v1/namespaces/{}", key.namespace);
        let (mut object, namespace, twin, services, ingresses, routes) = tokio::try_join!(
            self.sender.get(key),
            self.sender.read(&namespace_uri, "read its namespace", None),
            self.read_twin(key),
            self.read_services(key),
            self.read_ingresses(key),
            self.read_routes(key),
        )?;
        // Those of one that Services tell apart carry other labels than the user's own.
        let apart = twin.as_ref().filter(|twin| !selected_by(twin, &object));
        let (sets, more) = tokio::try_join!(self.read_sets(key, &object), async {
            match apart {
                Some(twin) => self.read_sets(key, twin).await.map(Some),
                None => Ok(None),
            }
        })?;
        let unreadable = |e: serde_json::Error| Error::Answer {
            cluster: self.name.clone(),
            action: format!("a read of {}", key.name),
            code: 200,
            reason: format!("an object that cannot be read ({:?})", e.classify()),
        };
        let deployment = |object: &Value| -> Result<Facts, Error> {
            let deployment = raw::Deployment::deserialize(object).map_err(unreadable)?;
            Ok(observe::deployment(&self.name, deployment))
        };
        let facts = match key.kind {
            Kind::Rollout => {
                observe::rollout(&self.name, raw::Rollout::deserialize(&object).map_err(unreadable)?)
            }
            Kind::Deployment => deployment(&object)?,
        };
        let source = self.read_source(&facts).await?;
        if let Some(source) = &source {
            reference::with_template(&mut object, source);
        }
        let source = source.as_ref().map(deployment).transpose()?;
        let services =
            services.as_ref().map(raw::List::<raw::Service>::deserialize).transpose().map_err(unreadable)?;
        let twin = twin.as_ref().map(deployment).transpose()?;
        let twin = twin.filter(|twin| twin.twin_of.as_deref() == Some(facts.workload.uid.as_str()));
        let mut all = raw::List::<raw::ReplicaSet>::deserialize(&sets).map_err(unreadable)?.items;
        if let Some(more) = &more {
            all.extend(raw::List::<raw::ReplicaSet>::deserialize(more).map_err(unreadable)?.items);
        }
        let sets: Vec<_> = all.into_iter().filter_map(observe::set).collect();
        let own = |facts: &Facts| {
            let uid = facts.workload.uid.clone();
            sets.iter().filter(move |s| s.owner == uid)
        };
        let environment = namespace["metadata"]["labels"][ENVIRONMENT].as_str();
        let known = self.view.entry(key);
        let before = known.as_ref().map(|e| &*e.workload).filter(|b| b.uid == facts.workload.uid);
        let now = Utc::now();
        let mut workload = observe::assemble(&facts, own(&facts), source.as_ref(), environment, before, now);
        if let Some(twin) = &twin {
            let seen = observe::assemble(twin, own(twin), None, environment, None, now);
            observe::stand_beside(&mut workload, &facts, twin, seen);
        }
        let services: Vec<_> =
            services.into_iter().flat_map(|list| list.items).map(|s| Arc::new(s.into())).collect();
        let names: BTreeSet<String> = services.iter().map(|s: &Arc<Service>| s.name.clone()).collect();
        if let Some(twin) = &mut workload.twin {
            twin.address = services.iter().find_map(|s: &Arc<Service>| s.address_of(&twin.name));
        }
        let (fronts, services) = front::of(&facts, services.iter());
        workload.fronts = fronts;
        let ingresses =
            ingresses.as_ref().map(raw::List::<raw::Ingress>::deserialize).transpose().map_err(unreadable)?;
        let ingresses: Vec<_> =
            ingresses.into_iter().flat_map(|list| list.items).map(|i| Arc::new(i.into())).collect();
        let (by_ingress, ingress) = ingress::splitter(&workload, ingresses.iter()).unzip();
        let ingress = ingress.flatten();
        let routes =
            routes.as_ref().map(raw::List::<raw::HttpRoute>::deserialize).transpose().map_err(unreadable)?;
        let mut routes: Vec<_> =
            routes.into_iter().flat_map(|list| list.items).map(|r| Arc::new(r.into())).collect();
        // Those of other namespaces are as the watch knows them: they only say why there is no weight here.
        let abroad = known.iter().flat_map(|e| &e.routes).filter(|r| r.namespace != key.namespace);
        routes.extend(abroad.cloned());
        let routes = httproute::around(&workload, routes.iter());
        let by_route = httproute::weights::splitter(&workload, &routes, |name| names.contains(name));
        splitter::stand_before(&mut workload, by_ingress, by_route);
        mirror::stand_before(&mut workload, &routes);
        let (workload, facts) = (Arc::new(workload), Arc::new(facts));
        let (twin, source) = (twin.map(Arc::new), source.map(Arc::new));
        Ok(Read { object, entry: Entry { workload, facts, twin, source, fronts: services, ingress, routes } })
    }

    /// The ReplicaSets that this object selects, and perhaps others'.
    async fn read_sets(&self, key: &Key, object: &Value) -> Result<Value, Error> {
        let uri = format!(
            "/apis/apps/v1/namespaces/{}/replicasets?labelSelector={}",
            key.namespace,
            selector(object)
        );
        self.sender.read(&uri, "list ReplicaSets", None).await
    }

    /// The Deployment that it takes its template from.
    async fn read_source(&self, facts: &Facts) -> Result<Option<Value>, Error> {
        let Some(key) = reference::key(facts) else { return Ok(None) };
        match self.sender.get(&key).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Gone(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The Services of a Deployment's namespace.
    async fn read_services(&self, key: &Key) -> Result<Option<Value>, Error> {
        if key.kind != Kind::Deployment {
            return Ok(None);
        }
        let uri = format!("/api/v1/namespaces/{}/services", key.namespace);
        Ok(Some(self.sender.read(&uri, "list Services", None).await?))
    }

    /// The Ingresses of a Deployment's namespace.
    async fn read_ingresses(&self, key: &Key) -> Result<Option<Value>, Error> {
        if key.kind != Kind::Deployment {
            return Ok(None);
        }
        let uri = format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses", key.namespace);
        Ok(Some(self.sender.read(&uri, "list Ingresses", None).await?))
    }

    /// The HTTPRoutes of a Deployment's namespace; none where the cluster does not have the kind, or Tidegate may not look.
    async fn read_routes(&self, key: &Key) -> Result<Option<Value>, Error> {
        if key.kind != Kind::Deployment {
            return Ok(None);
        }
        match self.sender.call(Method::GET, &httproute::list(&key.namespace), None).await {
            Answer::Ok(value) => Ok(Some(value)),
            Answer::No { code: 404, .. } => Ok(None),
            // While weights stand in one, that nobody may look must not be taken for that it is gone.
            Answer::No { code: 403, .. } if !self.view.entry(key).is_some_and(|e| e.workload.by_route()) => {
                Ok(None)
            }
            answer => Err(self.sender.error(answer, "list HTTPRoutes")),
        }
    }

    /// What is called as a second Deployment beside this one would be.
    async fn read_twin(&self, key: &Key) -> Result<Option<Value>, Error> {
        let name = match key.kind {
            Kind::Deployment => Twin::name_for(&key.name).ok(),
            Kind::Rollout => None,
        };
        let Some(name) = name else { return Ok(None) };
        match self.sender.get(&Key { name, ..key.clone() }).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Gone(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What was read past the cache.
pub(crate) struct Read {
    /// With its template, wherever that stands.
    pub object: Value,
    pub entry: Entry,
}

/// What selects the pods of `own` selects those of `twin` as well.
fn selected_by(twin: &Value, own: &Value) -> bool {
    let labels = |object: &Value| object.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
    let theirs = labels(twin);
    labels(own).as_object().into_iter().flatten().all(|(label, value)| theirs[label] == *value)
}

/// The object's `matchLabels` as a query's value; narrows a list that is filtered by owner afterwards in any
/// case.
fn selector(object: &Value) -> String {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)));
    let text = pairs.collect::<Vec<_>>().join(",");
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
