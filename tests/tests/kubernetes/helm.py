"""Stands in for the program `helm` where kustomize asks it for its version and to render a chart.

    helm.py template NAME CHART --namespace NAMESPACE --values FILE --values FILE
"""

import argparse
import sys

import yaml
from helm_python import chart


def over(lower, upper):
    """Values over values, as Helm merges files."""
    if not (isinstance(lower, dict) and isinstance(upper, dict)):
        return upper
    return {**lower, **{key: over(lower.get(key), value) for key, value in upper.items()}}


def main():
    if sys.argv[1] == "version":
        print("v3.19.0")
        return
    parser = argparse.ArgumentParser()
    for name in ["command", "name", "chart"]:
        parser.add_argument(name)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--values", "-f", action="append", default=[])
    asked, _ = parser.parse_known_args()
    values = {}
    for path in asked.values:
        with open(path) as file:
            values = over(values, yaml.safe_load(file) or {})
    with chart.Chart.load(asked.chart) as loaded:
        manifests = loaded.render(values, name=asked.name, namespace=asked.namespace)
    for name, text in manifests.items():
        if name.endswith(".yaml"):
            print(f"---\n{text}")


main()
