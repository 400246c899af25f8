"""Events for the clients in this folder: seeded, each with the searches that must find it.

Prints JSON lines when run: python scenario.py --scenario five_searches --count 5000 --seed 1 > events.jsonl

An event has: id, logger, level, message, extra (fields of the record), time (epoch seconds, optional), and hits (the
names of the searches below that its facts satisfy). Where a client cannot put a fact on the wire (the plain formatter
writes no level and no time), the test that uses it expects less.
"""

import argparse
import json
import random
import sys
import time

SEARCHES = {
    "security": "component:security AND severity:critical",
    "mood": "component:ai-persona AND mood:*",
    "denied": "component:four-laws AND result:denied",
    "slow": "api.duration:>1000 AND endpoint:*",
    "errors": "level:ERROR AND @timestamp:[now-1h TO now]",
}

MINUTE = 60.0


def security(rng):
    component = rng.choice(["security", "security", "Security", "security-audit", "cerberus", "api"])
    severity = rng.choice(["critical", "critical", "Critical", "critical-ish", "high", None])
    extra = {"component": component, "severity": severity}
    return extra, ["security"] if (component, severity) == ("security", "critical") else []


def mood(rng):
    component = rng.choice(["ai-persona", "ai-persona", "ai-persona-test", "AI-Persona", "api"])
    field, value = rng.choice([("mood", "calm"), ("mood", "curious"), ("mood", None), ("moods", "calm")])
    found = component == "ai-persona" and field == "mood" and value is not None
    return {"component": component, field: value}, ["mood"] if found else []


def denied(rng):
    component = rng.choice(["four-laws", "four-laws", "four-law", "Four-Laws", "security"])
    result = rng.choice(["denied", "denied", "Denied", "denied-by-policy", "allowed"])
    extra = {"component": component, "result": result}
    return extra, ["denied"] if (component, result) == ("four-laws", "denied") else []


def slow(rng):
    # As text, "999" sorts behind "1000"; as a number it does not. And a number as text is no number.
    duration = rng.choice([rng.randint(1001, 9000), 1001, 1000, 999, "999", "2000", 12.5, 1000.5])
    extra = {"component": "api", "api.duration": duration}
    has_endpoint = rng.random() < 0.7
    extra["endpoint" if has_endpoint else "endpoints"] = f"/v1/{rng.choice(['chat', 'image', 'login'])}"
    found = has_endpoint and not isinstance(duration, str) and duration > 1000
    return extra, ["slow"] if found else []


def other(rng):
    return {"component": rng.choice(["billing", "web", "queue"]), "attempt": rng.randint(0, 9)}, []


MAKERS = {"five_searches": [security, mood, denied, slow, other], "plain": [other]}


def generate(scenario, count, seed, now=None):
    """The same arguments give the same events. Times count back from `now`, by default the present."""
    rng = random.Random(seed)
    now = time.time() if now is None else now
    for number in range(count):
        extra, hits = rng.choice(MAKERS[scenario])(rng)
        level = rng.choice(["DEBUG", "INFO", "INFO", "WARNING", "ERROR", "ERROR", "CRITICAL", "Error", "ERRORS"])
        # Near, but not so near to the border that a slow test carries an event across it.
        age = rng.choice([0.0, 5 * MINUTE, 40 * MINUTE, 61 * MINUTE, 25 * 60 * MINUTE])
        if level == "ERROR" and age < 60 * MINUTE:
            hits = hits + ["errors"]
        yield {
            "id": f"{seed}-{number}",
            "logger": f"app.{extra['component']}",
            "level": level,
            "message": f"event {number}: {rng.choice(['done', 'wörks “fine”', 'line one' + chr(10) + 'line two'])}",
            "extra": extra,
            "time": now - age - rng.random(),
            "hits": hits,
        }


def add_arguments(parser):
    """The flags by which every client takes its events: a file, or a scenario."""
    parser.add_argument("--events", metavar="FILE", help="JSON lines; - is standard input")
    parser.add_argument("--scenario", choices=sorted(MAKERS), default="plain")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)


def from_arguments(arguments):
    if arguments.events is None:
        return list(generate(arguments.scenario, arguments.count, arguments.seed))
    with sys.stdin if arguments.events == "-" else open(arguments.events, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    for event in from_arguments(parser.parse_args()):
        print(json.dumps(event))


if __name__ == "__main__":
    main()
