"""Logs events through python-json-logger and POSTs them as JSON lines over one kept-alive connection."""

import argparse
import gzip
import json
import logging
import sys
import time

import replay
import requests
import scenario
from pythonjsonlogger.json import JsonFormatter

FORMATS = {
    # Neither field exists on a LogRecord, so both are written as null: found in the field all the same.
    "plain": "%(timestamp)s %(level)s %(name)s %(message)s",
    "usual": "%(asctime)s %(levelname)s %(name)s %(message)s",
}

# Longer than the gateway's ack_timeout, after which it answers by itself.
REQUEST_TIMEOUT_SECONDS = 30
RETRYABLE = {429, 502, 503, 504}
DEFAULT_RETRY_SECONDS = 0.5


class Refused(Exception):
    pass


class HttpHandler(logging.Handler):
    """Gathers formatted records and sends them `batch_size` at a time; asks again while told to."""

    def __init__(self, arguments):
        super().__init__()
        self.endpoint = arguments.endpoint
        self.gzip = arguments.gzip
        self.batch_size = arguments.batch_size
        self.deadline = time.monotonic() + arguments.deadline
        self.session = requests.Session()
        self.lines = []
        self.acknowledged = 0
        self.requests = 0

    def emit(self, record):
        self.lines.append(self.format(record))
        if len(self.lines) >= self.batch_size:
            self.flush()

    def flush(self):
        if self.lines:
            body = ("\n".join(self.lines) + "\n").encode()
            headers = {"Content-Type": "application/x-ndjson"}
            if self.gzip:
                body = gzip.compress(body)
                headers["Content-Encoding"] = "gzip"
            self.send(body, headers)
            self.acknowledged += len(self.lines)
            self.lines = []

    def send(self, body, headers):
        while time.monotonic() < self.deadline:
            self.requests += 1
            try:
                answer = self.session.post(self.endpoint, data=body, headers=headers, timeout=REQUEST_TIMEOUT_SECONDS)
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(DEFAULT_RETRY_SECONDS)
                continue
            if answer.ok:
                return
            if answer.status_code not in RETRYABLE:
                raise Refused(f"{answer.status_code} {answer.text}")
            time.sleep(float(answer.headers.get("Retry-After", DEFAULT_RETRY_SECONDS)))
        raise Refused("the deadline has passed")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    scenario.add_arguments(parser)
    parser.add_argument("--endpoint", required=True, help="the whole URL to POST to")
    parser.add_argument("--format", choices=sorted(FORMATS), default="usual")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--batch-size", type=int, default=100, help="lines per request")
    parser.add_argument("--deadline", type=float, default=120.0, help="seconds after which the client gives up")
    arguments = parser.parse_args()
    events = scenario.from_arguments(arguments)

    formatter = JsonFormatter(FORMATS[arguments.format])
    # asctime has no zone; the receiver reads it as UTC unless told otherwise.
    formatter.converter = time.gmtime
    handler = HttpHandler(arguments)
    handler.setFormatter(formatter)
    error = None
    try:
        replay.replay(events, handler)
        handler.flush()
    except Refused as refused:
        error = str(refused)
    print(
        json.dumps(
            {"sent": len(events), "acknowledged": handler.acknowledged, "requests": handler.requests, "error": error}
        )
    )
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
