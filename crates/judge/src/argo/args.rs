//! A template's arguments: which values hold, and what stands for `{{args.name}}`.

use super::template::{Arg, Metric};

/// The template's arguments with the values that are given for a run; what the template does not name is left out.
///
/// # Errors
/// Names the first that has no value.
pub fn merge(given: &[Arg], template: &[Arg]) -> Result<Vec<Arg>, String> {
    let mut args = template.to_vec();
    for from in given {
        let Some(arg) = args.iter_mut().find(|a| a.name == from.name) else { continue };
        if from.value.is_some() {
            arg.value.clone_from(&from.value);
        } else if from.value_from.is_some() {
            arg.value_from.clone_from(&from.value_from);
        }
    }
    match args.iter().find(|a| a.value.is_none() && a.value_from.is_none()) {
        Some(arg) => Err(format!("args.{} was not resolved", arg.name)),
        None => Ok(args),
    }
}

/// The metrics with each `{{args.name}}` replaced. A value that is kept in a Secret is not read: a word stands for it.
///
/// # Errors
/// An argument without a value, used or not, and a name that no argument has; as the controller says it.
pub fn resolve(metrics: &[Metric], args: &[Arg]) -> Result<Vec<Metric>, String> {
    let mut values = Vec::new();
    for arg in args {
        let secret =
            arg.value_from.as_ref().is_some_and(|v| v.get("secretKeyRef").is_some_and(|r| !r.is_null()));
        let value = if secret { Some("temp-for-secret") } else { arg.value.as_deref() };
        let value = value.ok_or_else(|| format!("argument \"{}\" was not supplied", arg.name))?;
        // It is put into JSON.
        let quoted = serde_json::to_string(value).map_err(|e| e.to_string())?;
        values.push((format!("args.{}", arg.name), quoted[1..quoted.len() - 1].to_owned()));
    }
    metrics
        .iter()
        .map(|metric| {
            let json = serde_json::to_string(metric).map_err(|e| e.to_string())?;
            serde_json::from_str(&filled(&json, &values)?).map_err(|e| e.to_string())
        })
        .collect()
}

fn filled(text: &str, values: &[(String, String)]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut unresolved = None;
    while let Some(start) = rest.find("{{") {
        let tag = &rest[start + 2..];
        let Some(end) = tag.find("}}") else {
            return Err(format!(
                "Cannot find end tag=\"}}}}\" in the template={text:?} starting from {tag:?}"
            ));
        };
        out.push_str(&rest[..start]);
        match values.iter().find(|(name, _)| name == tag[..end].trim()) {
            Some((_, value)) => out.push_str(value),
            // The last one is named.
            None => unresolved = Some(format!("failed to resolve {{{{{}}}}}", &tag[..end])),
        }
        rest = &tag[end + 2..];
    }
    out.push_str(rest);
    unresolved.map_or(Ok(out), Err)
}
