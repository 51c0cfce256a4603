//! Kubernetes manifests: the containers of every built-in kind that makes pods.
//!
//! Kubernetes API reference, "Workload resources": containers, init containers, ephemeral containers
//! and image volumes. A custom resource may mean images in ways that only its controller knows, so it
//! is passed over with a note. JSON is YAML here, as it is for `kubectl`.

use std::rc::Rc;

use super::{
    ReadError, Reading, Text,
    yaml::{self, Node},
};

pub(super) fn read(source: &Text<'_>) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    let mut left = MAX_OBJECTS;
    for document in yaml::documents(source)? {
        read_object(source, &document.root, document.start, &mut left, &mut reading)?;
    }
    Ok(reading)
}

/// Whether `root` looks like an object of the Kubernetes API.
pub(super) fn is_object(root: &Node) -> bool {
    root.member("apiVersion").is_some() && root.member("kind").is_some()
}

fn read_object(
    source: &Text<'_>,
    object: &Node,
    start: usize,
    left: &mut usize,
    reading: &mut Reading,
) -> Result<(), ReadError> {
    let kind_node = object.member("kind").and_then(Node::scalar);
    let start = kind_node.map_or(start, |kind| kind.span.start);
    *left = left.checked_sub(1).ok_or_else(|| ReadError {
        place: source.place(start),
        what: format!("more than {MAX_OBJECTS} objects in one file"),
    })?;
    let Some(kind) = kind_node.map(|kind| kind.text.as_str()) else { return Ok(()) };
    if let Some(items) = object.member("items").filter(|_| kind.ends_with("List")) {
        return items
            .elements()
            .iter()
            .try_for_each(|item| read_object(source, item, start, left, reading));
    }
    let version = object.member("apiVersion").and_then(Node::text).unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let is_built_in = !group.contains('.') || group.ends_with(".k8s.io");
    match pod_specification(kind).filter(|_| is_built_in) {
        Some(path) => {
            if let Some(pod) = object.at(path) {
                read_pod(source, pod, reading);
            }
        }
        None if is_built_in => {}
        None => reading.note(
            source.place(start),
            format!("`{kind}` ({version}) is a custom resource: images in it are not read"),
        ),
    }
    Ok(())
}

/// Where a kind keeps what its pods are like.
fn pod_specification(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "DaemonSet"
        | "Deployment"
        | "Job"
        | "ReplicaSet"
        | "ReplicationController"
        | "StatefulSet" => Some(&["spec", "template", "spec"]),
        "Pod" => Some(&["spec"]),
        "PodTemplate" => Some(&["template", "spec"]),
        _ => None,
    }
}

fn read_pod(source: &Text<'_>, pod: &Node, reading: &mut Reading) {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let elements = |list: &str| pod.member(list).map(Node::elements).unwrap_or_default();
    let containers = lists.into_iter().flat_map(elements).map(|node| (node, &["image"][..]));
    let volumes = elements("volumes").iter().map(|node| (node, &["image", "reference"][..]));
    for (node, path) in containers.chain(volumes) {
        read_image(source, node, path, reading);
    }
}

fn read_image(source: &Text<'_>, node: &Rc<Node>, path: &[&str], reading: &mut Reading) {
    if let Some(image) = node.at(path).and_then(Node::scalar) {
        reading.mention(source, &image.text, image.span.clone());
    } else if path.len() == 1 {
        // An admission controller may put one in; nobody can tell which from here.
        let name = node.member("name").and_then(Node::scalar);
        let at = name.map_or(0, |name| name.span.start);
        let name = name.map_or("", |name| name.text.as_str());
        reading.unclear(source.place(at), name, "the container has no `image`");
    }
}

/// Objects of one file, those in lists included: aliases can make few lines mean very many.
const MAX_OBJECTS: usize = 100_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "\
apiVersion: v1
kind: ConfigMap
data: { image: not-an-image }
---
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers:
      - { name: init, image: busybox }
      containers:
      - name: web
        image: \"nginx:1.27\" # keep
      volumes:
      - name: model
        image: { reference: ghcr.io/acme/model:1 }
---
{ \"apiVersion\": \"batch/v1\", \"kind\": \"CronJob\", \"spec\": { \"jobTemplate\": { \"spec\":
  { \"template\": { \"spec\": { \"containers\": [ { \"image\": \"job:1\" } ] } } } } } }
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  spec:
    containers: [{ name: a, image: a:1 }, { name: b }]
    ephemeralContainers: [{ image: debug:1 }]
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
spec: { template: { spec: { containers: [{ image: hidden }] } } }
";

    #[test]
    fn finds_every_container_of_built_in_kinds() {
        let reading = read(&Text::new("all.yaml", FILE)).unwrap();
        let told = reading
            .mentions
            .iter()
            .map(|mention| format!("{} {}", mention.place.line, mention.wanted));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "11 busybox",
                "14 nginx:1.27",
                "17 ghcr.io/acme/model:1",
                "20 job:1",
                "28 a:1",
                "29 debug:1",
            ]
        );
        let unclear: Vec<_> = reading.unclear.iter().map(|unclear| &*unclear.text).collect();
        assert_eq!(unclear, ["b"]);
        let notes: Vec<_> = reading.notes.iter().map(|note| note.what.as_str()).collect();
        assert_eq!(
            notes,
            ["`Rollout` (argoproj.io/v1alpha1) is a custom resource: images in it are not read"]
        );
    }

    #[test]
    fn lists_of_lists_of_lists_end() {
        let mut text = "apiVersion: v1\nkind: Pod\nx0: &x0 {kind: List, items: []}\n".to_owned();
        for number in 1..30 {
            let before = number - 1;
            text +=
                &format!("x{number}: &x{number} {{kind: List, items: [*x{before}, *x{before}]}}\n");
        }
        text += "---\nkind: List\n";
        assert!(read(&Text::new("x", &text)).is_ok());
        let text = text.replace("kind: Pod\n", "kind: List\nitems: [*x29]\n");
        let ordered = format!(
            "{}items: [*x29]\n",
            text.replace("items: [*x29]\n", "").replace("---\nkind: List\n", "")
        );
        assert!(read(&Text::new("x", &ordered)).is_err());
    }

    #[test]
    fn a_template_is_unclear_or_refused_never_dropped() {
        let text =
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: \"{{ .Values.image }}\"\n";
        let reading = read(&Text::new("t.yaml", text)).unwrap();
        assert!(reading.unclear[0].why.contains("helm template"), "{:?}", reading.unclear);
        let error = read(&Text::new("t.yaml", "a: {{ .x }}\n{{- end }}\n"));
        assert!(error.is_err_and(|error| error.what.contains("helm template")));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(kind: |List|Pod|items: |spec: |containers: |image: |[a-z:{}\\[\\], \n-]){0,60}") {
            let _ = read(&Text::new("x", &text));
        }
    }
}
