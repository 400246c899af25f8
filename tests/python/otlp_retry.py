"""Clients that insist: each exporter, at its default timeout, exports its batches again until it is told success."""

import argparse
import os
import sys
import threading
import time

import otlp
import replay
import scenario
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

# Between a failed export and the next attempt; the exporter itself has backed off until its timeout by then.
PAUSE_SECONDS = 0.2


def as_records(events, resource):
    """The events as the SDK's log records, in order."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    replay.replay(events, LoggingHandler(logger_provider=provider))
    return memory.get_finished_logs()


class Client(threading.Thread):
    def __init__(self, exporter, batches, deadline, pause, stop):
        super().__init__(daemon=True)
        self.exporter = exporter
        self.batches = batches
        self.deadline = deadline
        self.pause = pause
        self.stop = stop
        self.sent = 0
        self.acknowledged = []
        self.attempts = 0
        self.slowest_seconds = 0.0

    def run(self):
        for batch in self.batches:
            if self.stop and os.path.exists(self.stop):
                return
            self.sent += len(batch)
            while not self.export(batch):
                if time.monotonic() > self.deadline:
                    return
                time.sleep(PAUSE_SECONDS)
            self.acknowledged.extend(record.log_record.attributes["id"] for record in batch)
            time.sleep(self.pause)

    def export(self, batch):
        started = time.monotonic()
        self.attempts += 1
        result = self.exporter.export(batch)
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
        return result is LogRecordExportResult.SUCCESS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    otlp.add_arguments(parser)
    scenario.add_arguments(parser)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two batches of a client")
    parser.add_argument("--stop", metavar="FILE", help="no further batches once this file is there")
    parser.add_argument("--deadline", type=float, default=300.0, help="seconds after which clients give up")
    arguments = parser.parse_args()

    records = as_records(scenario.from_arguments(arguments), otlp.resource(arguments))
    batches = [records[at : at + arguments.batch_size] for at in range(0, len(records), arguments.batch_size)]
    deadline = time.monotonic() + arguments.deadline
    clients = [
        Client(otlp.exporter(arguments), batches[first :: arguments.clients], deadline, arguments.pause, arguments.stop)
        for first in range(arguments.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    acknowledged = [identifier for client in clients for identifier in client.acknowledged]
    sent = sum(client.sent for client in clients)
    otlp.print_summary(
        sent=sent,
        acknowledged=len(acknowledged),
        acknowledged_ids=acknowledged,
        attempts=sum(client.attempts for client in clients),
        slowest_seconds=round(max(client.slowest_seconds for client in clients), 3),
    )
    return 0 if len(acknowledged) == sent else 1


if __name__ == "__main__":
    sys.exit(main())
