"""Prints the documents of a YAML text, which standard input holds as a JSON string, as a JSON array."""

import json
import sys

import yaml

json.dump([document for document in yaml.safe_load_all(json.load(sys.stdin)) if document], sys.stdout)
