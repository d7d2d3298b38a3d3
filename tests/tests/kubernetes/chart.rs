//! The chart, rendered by Helm.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use acceptance::{python, workspace};
use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// Written anew what is compared, instead of compared: `make golden`.
const RENEW: &str = "CERTMILL_RENEW";

/// What Helm makes of the chart with one set of values.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Refused { error: String },
    Rendered(Rendered),
}

/// What Helm would install.
#[derive(Clone, Deserialize)]
pub(crate) struct Rendered {
    /// What the linter has to say.
    pub(crate) lint: Vec<Value>,
    /// The YAML of each template.
    pub(crate) manifests: BTreeMap<String, String>,
    /// The objects.
    pub(crate) documents: Vec<Value>,
}

/// The directory of the chart.
pub(crate) fn directory() -> PathBuf {
    workspace().join("k8s/certmill")
}

/// Whether what is compared is to be written anew.
pub(crate) fn renew() -> bool {
    std::env::var_os(RENEW).is_some_and(|value| value == "1")
}

/// Runs one of this directory's Python programs with JSON on its standard input.
pub(crate) fn run_python(
    program: &str,
    arguments: &[&str],
    input: &Value,
) -> anyhow::Result<String> {
    let mut child = Command::new(python()?)
        .arg(workspace().join("tests/tests/kubernetes").join(program))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("the program has a standard input")?;
    stdin.write_all(input.to_string().as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program} ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Reads YAML.
pub(crate) fn yaml(text: &str) -> anyhow::Result<Vec<Value>> {
    Ok(serde_json::from_str(&run_python("yaml_documents.py", &[], &json!(text))?)?)
}

/// Renders the chart with each set of values.
pub(crate) fn render_all(
    cases: &BTreeMap<String, Value>,
) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let input = json!({ "chart": directory(), "cases": cases });
    Ok(serde_json::from_str(&run_python("chart.py", &[], &input)?)?)
}

/// Renders the chart with values that it must accept.
pub(crate) fn render(values: &Value) -> anyhow::Result<Rendered> {
    match outcome(values)? {
        Outcome::Rendered(rendered) => Ok(rendered),
        Outcome::Refused { error } => anyhow::bail!("{error}"),
    }
}

/// Why the chart refuses these values.
pub(crate) fn refusal(values: &Value) -> anyhow::Result<String> {
    match outcome(values)? {
        Outcome::Rendered(_) => anyhow::bail!("the chart takes {values}"),
        Outcome::Refused { error } => Ok(error),
    }
}

fn outcome(values: &Value) -> anyhow::Result<Outcome> {
    let mut outcomes = render_all(&BTreeMap::from([("only".to_owned(), values.clone())]))?;
    outcomes.remove("only").context("one case was asked for")
}

/// The values of one of the sets in `k8s/certmill/ci`.
pub(crate) fn values(name: &str) -> anyhow::Result<Value> {
    let file = directory().join("ci").join(format!("{name}.yaml"));
    let documents = yaml(&std::fs::read_to_string(&file)?)?;
    documents.into_iter().next().with_context(|| format!("{} is empty", file.display()))
}

/// The sets of values in `k8s/certmill/ci`: the two modes, and every optional part.
pub(crate) const SETS: [&str; 3] = ["embedded", "cluster", "everything"];

/// Values over values: maps are merged, everything else is replaced.
pub(crate) fn over(mut lower: Value, upper: &Value) -> Value {
    match (lower.as_object_mut(), upper.as_object()) {
        (Some(below), Some(above)) => {
            for (key, value) in above {
                let merged = over(below.remove(key).unwrap_or(Value::Null), value);
                below.insert(key.clone(), merged);
            }
            lower
        }
        _ => upper.clone(),
    }
}

impl Rendered {
    /// The objects of one kind.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }

    /// The object of that kind and name.
    pub(crate) fn object(&self, kind: &str, name: &str) -> anyhow::Result<&Value> {
        self.of_kind(kind)
            .find(|document| document["metadata"]["name"] == name)
            .with_context(|| format!("no {kind} {name}"))
    }

    /// The specification of each pod, by the name of what makes it.
    pub(crate) fn pods(&self) -> Vec<(&str, &Value)> {
        let spec = |document: &'_ Value| match document["kind"].as_str() {
            Some("Pod") => Some("/spec"),
            Some("Deployment" | "StatefulSet" | "Job") => Some("/spec/template/spec"),
            _ => None,
        };
        self.documents
            .iter()
            .filter_map(|document| {
                let name = document["metadata"]["name"].as_str()?;
                Some((name, document.pointer(spec(document)?)?))
            })
            .collect()
    }

    /// The pods that run Certmill itself, by role.
    pub(crate) fn roles(&self) -> Vec<(&str, &Value)> {
        self.pods()
            .into_iter()
            .filter(|(_, spec)| spec["containers"][0]["name"] == "certmill")
            .filter_map(|(name, spec)| Some((name.strip_prefix("certmill-")?, spec)))
            .collect()
    }

    /// All of it as one text, template by template.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, manifest) in &self.manifests {
            if !manifest.trim().is_empty() {
                // The line that ends the document before, or the first object would be one with its last.
                text.push_str(&format!("---\n# {name}\n{}\n", manifest.trim()));
            }
        }
        text
    }
}
