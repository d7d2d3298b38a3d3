"""Validates Kubernetes objects strictly against the newest versions of its API.

Standard input is a JSON array of objects, the first argument how many versions. Standard output is what is wrong, one
line each; objects of other APIs have no schema here and are left out.
"""

import functools
import json
import sys

import kubernetes_validate
from kubernetes_validate import utils

OTHERS = ("monitoring.coreos.com/", "keda.sh/", "gateway.networking.k8s.io/", "cert-manager.io/", "argoproj.io/")

# It reads megabytes for each object otherwise.
utils.schema_contents = functools.cache(utils.schema_contents)


def main():
    versions = utils.all_versions()[-int(sys.argv[1]) :]
    for document in json.load(sys.stdin):
        if document["apiVersion"].startswith(OTHERS):
            continue
        for version in versions:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = "/".join(str(step) for step in error.path)
                print(f"{version}: {document['kind']} {document['metadata']['name']}: {where}: {error.message}")


main()
