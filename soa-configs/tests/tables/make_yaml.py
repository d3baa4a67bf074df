#!/usr/bin/env python3
"""Writes yaml.json: what PyYAML's C safe loader makes of each text.

    pip install pyyaml && python3 make_yaml.py < texts > yaml.json

The input has one text a line, as JSON. Values are written with their types; "error" means refused.
"""

import datetime
import json
import struct
import sys

import yaml


def typed(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": "nan" if value != value else struct.pack(">d", value).hex()}
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, datetime.datetime):
        return {"time": str(value)}
    if isinstance(value, datetime.date):
        return {"date": str(value)}
    if isinstance(value, (list, tuple)):
        return {"list": [typed(item) for item in value]}
    if isinstance(value, dict):
        return {"map": [[typed(key), typed(item)] for key, item in value.items()]}
    if isinstance(value, set):
        return {"set": sorted((typed(item) for item in value), key=json.dumps)}
    raise TypeError(type(value))


def row(text):
    try:
        return {"text": text, "value": typed(yaml.load(text, Loader=yaml.CSafeLoader))}
    except Exception:
        return {"text": text, "error": True}


rows = [json.dumps(row(json.loads(line))) for line in sys.stdin if line.strip()]
print("[\n" + ",\n".join(rows) + "\n]")
