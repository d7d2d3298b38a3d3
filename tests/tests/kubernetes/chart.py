"""Renders a Helm chart with several sets of values and says what Kubernetes would say.

Standard input is a JSON object: the `chart`'s directory and `cases`, a map of names to values. Standard output is a
map of the same names to `error`, or to `lint`, `manifests` (YAML by template) and `documents`.
"""

import json
import sys

import yaml
from helm_python import HelmError, chart

RELEASE = {"name": "certmill", "namespace": "ca"}


def rendered(path, loaded, values):
    try:
        report = chart.lint(path, values, strict=True, namespace=RELEASE["namespace"])
        manifests = loaded.render(values, **RELEASE)
    except HelmError as error:
        return {"error": str(error)}
    manifests = {name: text for name, text in sorted(manifests.items()) if name.endswith(".yaml")}
    documents = [
        document
        for text in manifests.values()
        for document in yaml.safe_load_all(text)
        if document
    ]
    return {"lint": report["messages"], "manifests": manifests, "documents": documents}


def main():
    asked = json.load(sys.stdin)
    with chart.Chart.load(asked["chart"]) as loaded:
        cases = asked["cases"].items()
        json.dump({name: rendered(asked["chart"], loaded, values) for name, values in cases}, sys.stdout)


main()
