#!/usr/bin/env python3
"""Writes json.json: YAML texts, and what Python's json.dumps(sort_keys=True) makes of them.

    pip install pyyaml && python3 make_json.py > json.json
"""

import json
import random
import struct

import yaml

random.seed(20180123)


def number():
    kind = random.randrange(6)
    if kind == 0:
        return struct.unpack(">d", random.randbytes(8))[0]
    if kind == 1:
        return random.choice([0.0, -0.0, 1e15, 1e16, 9999999999999998.0, 1e-4, 9.9e-5, 5e-324, 0.1, 2.5, 1e22, 1e23])
    if kind == 2:
        return round(random.uniform(-1e6, 1e6), random.randrange(8))
    if kind == 3:
        return random.getrandbits(random.choice([8, 31, 63, 64, 100]))
    if kind == 4:
        return -random.getrandbits(random.choice([8, 31, 63, 64, 100]))
    return random.choice([float("inf"), float("-inf"), float("nan"), True, False, None])


def text():
    alphabet = 'ab \n\r\t\b\f"\\/\x00\x1f\x7f\x80é€\uffff😀𐀀~\u2028'
    return "".join(random.choice(alphabet) for _ in range(random.randrange(6)))


def value(depth=0):
    kind = random.randrange(6 if depth < 3 else 3)
    if kind < 2:
        return number()
    if kind == 2:
        return text()
    if kind == 3:
        return [value(depth + 1) for _ in range(random.randrange(4))]
    keys = random.choice([text, text, lambda: random.getrandbits(70) - 2**69, lambda: random.uniform(-9, 9)])
    return {keys(): value(depth + 1) for _ in range(random.randrange(5))}


extra = [
    "{1: a, 10: b, 9: c, 2.5: d, true: e, 0: f}",
    "{null: a}",
    "{true: 1, false: 2}",
    "{null: a, b: c}",
    "{1: a, b: c}",
    "{2014-10-10: a}",
    "[2014-10-10]",
    "!!set {a}",
    "!!binary aGk=",
    "!!omap [a: 1, b: 2]",
    "{'1': a, 1: b}",
    "[1_000, 0o17, 0755, 12:30, 1e3, 1.0e+3, .5, 1., yes, ~]",
    "{b: 1, B: 2, a: 3, \"\\xe9\": 4, \"\\U0001F600\": 5, \"\\uFFFF\": 6}",
]
# Two shortest texts that are equally near; keys that differ by less than a double can say.
exact = [
    "[964842877917122.25, 746384411258628.25, 1522022758263567.25, 211819260062792.625, 964842877917122.75]",
    "[1.0e+16, 9007199254740993.0, 0.0001, 0.00001, 2.0e+22, -1.5, 1.0e-7]",
    "{9007199254740993: a, 9007199254740992.0: b, 9007199254740994: c, 9007199254740995.5: d}",
    "{.inf: a, %s: b, 1.0e+308: c, 2: d, -%s: e, -.inf: f}" % ("1" * 400, "1" * 400),
    "{1.5: a, 1: b, -1.5: c, -1: d, true: e, 2: f, -0.5: g, 0: h, 1.0e+20: i, 100000000000000000001: j}",
]
large = random.Random(53)
exact += ["[%s]" % ", ".join(repr(large.getrandbits(53) / 2 ** k) for k in (1, 2, 3, 4)) for _ in range(40)]
rows = []
for source in extra + [yaml.safe_dump(value(), allow_unicode=False) for _ in range(400)] + exact:
    row = {"yaml": source}
    try:
        row["json"] = json.dumps(yaml.load(source, Loader=yaml.CSafeLoader), sort_keys=True)
    except TypeError:
        row["error"] = True
    rows.append(json.dumps(row))
print("[\n" + ",\n".join(rows) + "\n]")
