"""Sends events with fluent-logger, as an application would that logs to Fluentd. It has no acknowledgements: what it has sent is gone."""

import argparse
import json

import scenario
from fluent import sender


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tag", default="app")
    parser.add_argument("--seconds", action="store_true", help="times of whole seconds, as the library has them by default")
    scenario.add_arguments(parser)
    arguments = parser.parse_args()
    events = scenario.from_arguments(arguments)
    logger = sender.FluentSender(
        arguments.tag, host="127.0.0.1", port=arguments.port, timeout=60.0, nanosecond_precision=not arguments.seconds
    )
    sent = 0
    for event in events:
        time = int(event["time"]) if arguments.seconds else sender.EventTime.from_unix_nano(int(event["time"] * 1e9))
        record = {
            "id": event["id"],
            "name": event["logger"],
            "levelname": event["level"],
            "message": event["message"],
            **event["extra"],
        }
        if not logger.emit_with_time(None, time, record):
            raise SystemExit(f"not sent: {logger.last_error}")
        sent += 1
    logger.close()
    print(json.dumps({"acknowledged": sent}))


if __name__ == "__main__":
    main()
