#!/usr/bin/env python3
"""Writes schedules.json: what the libraries of PaaSTA make of cron expressions and ISO 8601 texts.

    pip install python-crontab==2.1.1 croniter==0.3.14 isodate==0.5.1 pytz
    python3 make_schedules.py > schedules.json

The three are those that PaaSTA 0.69.26 pins. `interval` is that of a cron schedule around `now`.
"""

import contextlib
import datetime
import io
import json
import random

import croniter
import isodate
import pytz
from crontab import CronSlices

random.seed(20180331)


def valid_cron(text):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return bool(CronSlices.is_valid(text))
        except Exception:
            return False


def interval(text, zone, now):
    moment = pytz.utc.localize(datetime.datetime.strptime(now, "%Y-%m-%dT%H:%M:%SZ"))
    moment = moment.astimezone(pytz.timezone(zone))
    try:
        runs = croniter.croniter(text, moment)
        return runs.get_next() - runs.get_prev()
    except Exception:
        return None


def field(least, most, names):
    def value():
        if random.random() < 0.04:
            return str(random.choice([least - 1, most + 1, "x", "", "<", ">", "?", "L", "1.5", "+1", "007"]))
        if names and random.random() < 0.4:
            return random.choice(names)
        return str(random.randint(least, most))

    def part(alone):
        kind = random.randrange(9)
        if kind < 4 and alone:
            return "*"
        if kind == 4 or kind < 3:
            return "*/" + str(random.choice([1, 2, 5, 7, most - 1, most, most + 1, 0, "a"]))
        if kind == 5:
            return value() + "-" + value()
        if kind == 6:
            return value() + "-" + value() + "/" + str(random.choice([1, 2, 3, most, 0]))
        if kind == 7 and random.random() < 0.2:
            return value() + "/2"
        return value()

    count = random.choice([1, 1, 1, 1, 2, 3])
    return ",".join(part(count == 1) for _ in range(count))


ZONES = "UTC UTC UTC Europe/Paris America/Los_Angeles Australia/Sydney Asia/Kolkata".split()
MONTHS = "JAN feb Mar APR may jun JUL aug SEP oct nov DEC".split()
DAYS = "SUN mon Tue WED thu fri SAT".split()


def cron():
    fields = [field(0, 59, None), field(0, 23, None), field(1, 31, None), field(1, 12, MONTHS), field(0, 7, DAYS)]
    if random.random() < 0.05:
        fields.append("*")
    return random.choice([" "] * 30 + ["  ", "\t"]).join(fields)


def random_now():
    start = datetime.datetime(2015, 1, 1)
    return (start + datetime.timedelta(seconds=random.randrange(6 * 365 * 86400))).strftime("%Y-%m-%dT%H:%M:%SZ")


DATES = """2014-10-10 20141010 2014-W41-5 2014W415 2014-283 2014283 2014-W41 2014W41 2014-10 201410 2014 20 2
2014-1-1 2014-366 2014-000 2014-W54-1 2014-W00-1 2014-W01-0 2014-W01-8 2014-02-29 2012-02-29 0000-01-01 00
+2014-10-10 -2014-10-10 2014-13-01 2014-00-10 2014-10-00 2014-W41- 141010 2014-10- 2014-1010 201410-10 9999-12-31
9999-366 9999-W53-7 0001-W01-1 0001-01-01 12014-10-10 2014/10/10 x""".split() + [""]
TIMES = """18:32:00Z 18:32:00 183200 1832 18 1 18:32 18:32:00.5 183200.5 18:32.5 1832.5 18.5 18,5 18:32:00,5Z 24:00:00
24 23:60 23:59:60 18:32:00+02 18:32:00+0200 18:32:00+02:00 18:32:00-02:30 18:32:00+2 18:32:00z 1:32:00 18:3:00
18:32:0 Z 18:32:00. 18Z 18:32:00+24:00 18:32:00PST 18:32:00Zx T18:32 23.999 23:59.999""".split() + [""]
DURATIONS = """P PT P1D P1DT PT1H PT60M PT90.5S PT59S PT60S PT0S P0D -PT1H +P1D P-1D P1W P1W2D P1Y P1M P0Y P0.01M PT1H1H
PT1M1H P1H pt60m 1H P1M-1D PT.5H PT5.H P1,5D P1Y2M3DT4H5M6S P0Y0M0DT0H0M59S -P1M P0000-00-01T00:00:00
P0001-01-02T03:04:05 P20140101T101010 PT1,5H P1D1W PT1S1M P99999999D PT0.5S""".split() + [""]


def parsed(function, text):
    try:
        return function(text)
    except Exception:
        return None


def duration(text):
    value = parsed(isodate.parse_duration, text)
    if value is None:
        return None
    dated = isinstance(value, isodate.Duration)
    rest = value.tdelta if dated else value
    return {"dated": dated, "seconds": rest.total_seconds()}


crons = []
for text in [cron() for _ in range(1500)] + ["@" + n for n in "reboot yearly annually monthly weekly daily midnight hourly every_minute DAILY".split()]:
    row = {"text": text, "valid": valid_cron(text)}
    if row["valid"] and not text.startswith("@"):
        row["now"] = random_now()
        row["zone"] = random.choice(ZONES)
        row["interval"] = interval(text, row["zone"], row["now"])
    crons.append(row)
for text in ["< 1,2 * * *", "32 * * < Tue", "* * > * 5", "0 0 1-> * *", "0 >,3 * * *"]:
    now = "2019-06-22T15:27:51Z"
    crons.append({"text": text, "valid": valid_cron(text), "now": now, "zone": "UTC", "interval": interval(text, "UTC", now)})
texts = [date + "T" + time for date in DATES for time in random.sample(TIMES, 9) + ["18:32:00Z"]]
texts += ["2014-10-10T" + time for time in TIMES] + ["2014-10-10", "2014-10-10t18:32:00", "now"]
print(json.dumps({
    "cron": crons,
    "start": [{"text": text, "valid": parsed(isodate.parse_datetime, text) is not None} for text in texts],
    "duration": [{"text": text, "value": duration(text)} for text in DURATIONS],
}, indent=0))
