"""Logs events through the OpenTelemetry SDK, in its usual arrangement: logging handler, batch processor, exporter."""

import argparse
import sys

import otlp
import replay
import scenario
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

FLUSH_TIMEOUT_MILLIS = 120_000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    otlp.add_arguments(parser)
    scenario.add_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=512, help="records per request")
    arguments = parser.parse_args()
    events = scenario.from_arguments(arguments)

    exporter = otlp.Counting(otlp.exporter(arguments))
    # Room for every event: a full queue drops the oldest, and this client must know what it sent.
    queue = max(len(events), arguments.batch_size)
    processor = BatchLogRecordProcessor(exporter, max_queue_size=queue, max_export_batch_size=arguments.batch_size)
    provider = LoggerProvider(resource=otlp.resource(arguments), shutdown_on_exit=False)
    provider.add_log_record_processor(processor)

    replay.replay(events, LoggingHandler(logger_provider=provider))
    provider.force_flush(FLUSH_TIMEOUT_MILLIS)
    provider.shutdown()
    otlp.print_summary(sent=len(events), acknowledged=exporter.acknowledged, failed=exporter.failed)
    return 0 if exporter.acknowledged == len(events) else 1


if __name__ == "__main__":
    sys.exit(main())
