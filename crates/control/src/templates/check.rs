//! Whether the templates that a plan names can be evaluated, told at the plan's fields before anything begins.

use crate::Control;
use cluster::{Error, Template as Read};
use futures::future::join_all;
use judge::argo::diagnose::{About as Topic, Finding, Weight, diagnose};
use judge::argo::own::{self, About};
use judge::argo::run::Analysis;
use judge::argo::template::Spec;
use model::plan::{Plan, Template, filled};
use model::workload::{Key, Workload};
use model::{FieldError, Problem};
use std::collections::BTreeMap;
use std::time::Duration;

/// A cluster or a Prometheus that takes longer keeps no plan from being written: it is asked again at the start, and at the step.
const WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct Found {
    errors: Vec<FieldError>,
    warnings: Vec<FieldError>,
}

impl Control {
    /// What is to be known of the plan's templates.
    ///
    /// # Errors
    /// 422 with everything that keeps one from being evaluated.
    pub(crate) async fn check_templates(
        &self,
        plan: &Plan,
        workload: &Workload,
    ) -> Result<Vec<FieldError>, Problem> {
        let all = plan.templates();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let looks = all.iter().map(|(field, template)| async move {
            let look = self.check_template(plan, workload, field, template);
            tokio::time::timeout(WITHIN, look).await.unwrap_or_else(|_| Found {
                warnings: vec![FieldError::new(
                    field.clone(),
                    format!(
                        "The template {} could not be checked in time. It is read again at the start.",
                        template.name
                    ),
                )],
                ..Found::default()
            })
        });
        let mut found = Found::default();
        for one in join_all(looks).await {
            found.errors.extend(one.errors);
            found.warnings.extend(one.warnings);
        }
        if found.errors.is_empty() { Ok(found.warnings) } else { Err(Problem::invalid(found.errors)) }
    }

    async fn check_template(&self, plan: &Plan, w: &Workload, field: &str, template: &Template) -> Found {
        let mut found = Found::default();
        // Written as its name alone it has no fields.
        let at = |part: &str| match template.args.is_empty() && !template.cluster {
            true => field.to_owned(),
            false => format!("{field}.{part}"),
        };
        let read = match self.template_spec(&w.key, template).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => {
                found.errors.push(FieldError::new(at("name"), why));
                return found;
            }
            Err(error @ Error::Denied { .. }) => {
                found.errors.push(FieldError::new(at("name"), error.to_string()));
                return found;
            }
            Err(error) => {
                let words = format!("{error} The template is read again at the start.");
                found.warnings.push(FieldError::new(at("name"), words));
                return found;
            }
        };
        let unknown = ["canary-hash", "stable-hash"];
        let names: [(&str, &str); 6] = [
            ("service-name", &plan.metadata.service),
            ("namespace", &w.key.namespace),
            ("workload", &w.key.name),
            ("environment", &plan.metadata.environment),
            (unknown[0], "unknown"),
            (unknown[1], "unknown"),
        ];
        let given: BTreeMap<String, String> =
            template.args.iter().map(|(k, v)| (k.clone(), filled(v, &names))).collect();
        let spec = match own::prepare(&read.spec, &given) {
            Ok(spec) => spec,
            Err(faults) => {
                found.errors.extend(faults.into_iter().map(|f| match f.about {
                    About::Template => FieldError::new(at("name"), f.words),
                    About::Args => FieldError::new(at("args"), f.words),
                    About::Arg(name) => FieldError::new(at(&format!("args.{name}")), f.words),
                }));
                return found;
            }
        };
        let of_a_version =
            template.args.values().any(|v| Template::asks(v).any(|name| unknown.contains(&name)));
        self.ask_once(&w.key, &spec, !of_a_version, &at("name"), &mut found).await;
        // Whether it is answered with nothing was just asked.
        let worth = |f: &Finding| f.weight > Weight::Note && f.about != Topic::EmptyAnswer;
        for finding in diagnose(&spec, self.now_utc()).into_iter().filter(worth) {
            let metric = finding.metric.map(|m| format!("Metric {m}: ")).unwrap_or_default();
            let words = format!("{metric}{} {}", finding.happens, finding.instead);
            found.warnings.push(FieldError::new(at("name"), words));
        }
        found.warnings.extend(self.elsewhere(&w.key, &read).map(|words| FieldError::new(at("name"), words)));
        found
    }

    /// The template in the cluster, or in words why it is none that can be evaluated.
    ///
    /// # Errors
    /// Where the cluster could not be asked.
    pub(super) async fn template_spec(
        &self,
        key: &Key,
        template: &Template,
    ) -> Result<Result<Read, String>, Error> {
        let Ok(cluster) = self.cluster(&key.cluster) else {
            return Ok(Err(format!("There is no cluster {}.", key.cluster)));
        };
        let namespace = (!template.cluster).then_some(key.namespace.as_str());
        let place = namespace.map_or_else(String::new, |ns| format!(" in the namespace {ns}"));
        Ok(match cluster.analysis_template(namespace, &template.name).await {
            Ok(None) => Err(format!(
                "There is no {} {}{place}. Create it, or name another.",
                template.kind(),
                template.name
            )),
            Ok(Some(read)) if !read.refers.is_empty() => Err(format!(
                "The template {} refers to others, which is not read. Name them here instead: {}.",
                template.name,
                read.refers.join(", ")
            )),
            Ok(Some(read)) => Ok(read),
            Err(Error::Unsuited(why)) => Err(why),
            Err(error) => return Err(error),
        })
    }

    /// Asks each query once: one that cannot be read never answers, and one that answers with nothing is better known now.
    async fn ask_once(&self, key: &Key, spec: &Spec, real: bool, field: &str, found: &mut Found) {
        if self.prometheus(&key.cluster).is_none() {
            let words =
                format!("No Prometheus is named for the cluster {}: nothing could be measured.", key.cluster);
            found.errors.push(FieldError::new(field, words));
            return;
        }
        let Ok(analysis) = Analysis::new(spec) else { return };
        let now = self.now_utc();
        let asked = analysis.metrics().iter().map(|metric| async move {
            let reply = self.ask_metric(&key.cluster, metric, now).await;
            let silent = reply.as_ref().err().cloned();
            (&metric.name, silent, own::measured(metric, reply, now).message)
        });
        for (metric, silent, message) in join_all(asked).await {
            if let Some(why) = silent {
                let words = format!("Metric {metric} could not be asked just now: {why}");
                found.warnings.push(FieldError::new(field, words));
            } else if let Some(words) = message.strip_prefix("bad_data: ") {
                let words = format!("Metric {metric}: Prometheus cannot read its query: {words}.");
                found.errors.push(FieldError::new(field, words));
            } else if real && !message.is_empty() {
                let words = format!("Metric {metric}, asked just now, is an error: {message}.");
                found.warnings.push(FieldError::new(field, words));
            }
        }
    }

    /// Only the Prometheus that Tidegate was given is asked: an address in a template could lead anywhere.
    fn elsewhere(&self, key: &Key, read: &Read) -> Option<String> {
        let ours = self.prometheus(&key.cluster)?.url();
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        let others: Vec<_> = read.addresses.iter().filter(|a| bare(a) != bare(&ours)).cloned().collect();
        (!others.is_empty()).then(|| {
            format!(
                "Its queries are put to the Prometheus that Tidegate uses for this cluster, {}, not to {}.",
                bare(&ours),
                others.join(" and ")
            )
        })
    }
}
