"""The OpenTelemetry SDK's log pipeline, as otlp_logs.py and otlp_retry.py use it."""

import json
import warnings

# The SDK's own logging handler still works; its successor lives in a package that needs instrumentation.
warnings.filterwarnings("ignore", message=".*LoggingHandler.*", category=DeprecationWarning)

from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as otlp_grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import _log_exporter as otlp_http
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource


def add_arguments(parser):
    parser.add_argument("--protocol", choices=["grpc", "http"], required=True)
    parser.add_argument("--endpoint", required=True, help="http(s)://host:port, without a path")
    parser.add_argument("--ca", metavar="FILE", help="whom to trust, in PEM")
    parser.add_argument("--certificate", metavar="FILE", help="the client's own")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--resource", action="append", default=[], metavar="NAME=VALUE")


def resource(arguments):
    return Resource.create(dict(pair.split("=", 1) for pair in arguments.resource))


def exporter(arguments):
    """A new exporter at its default timeout, with a connection of its own."""
    headers = dict(pair.split("=", 1) for pair in arguments.header)
    if arguments.protocol == "http":
        compression = Compression.Gzip if arguments.gzip else Compression.NoCompression
        return otlp_http.OTLPLogExporter(
            endpoint=arguments.endpoint + "/v1/logs",
            compression=compression,
            headers=headers,
            certificate_file=arguments.ca,
            client_certificate_file=arguments.certificate,
            client_key_file=arguments.key,
        )
    import grpc

    return otlp_grpc.OTLPLogExporter(
        endpoint=arguments.endpoint,
        insecure=arguments.ca is None,
        credentials=credentials(grpc, arguments),
        headers=tuple(headers.items()),
        compression=grpc.Compression.Gzip if arguments.gzip else grpc.Compression.NoCompression,
        # By default channels to one address share their connection within a process.
        channel_options=(("grpc.use_local_subchannel_pool", 1),),
    )


def credentials(grpc, arguments):
    """What TLS needs; nothing without it."""

    def content(file):
        if file is None:
            return None
        with open(file, "rb") as opened:
            return opened.read()

    if arguments.ca is None:
        return None
    return grpc.ssl_channel_credentials(content(arguments.ca), content(arguments.key), content(arguments.certificate))


class Counting(LogRecordExporter):
    """Counts what the wrapped exporter was told. The batch processor drops a failed batch without saying which."""

    def __init__(self, inner):
        self.inner = inner
        self.acknowledged = 0
        self.failed = 0

    def export(self, batch):
        result = self.inner.export(batch)
        if result is LogRecordExportResult.SUCCESS:
            self.acknowledged += len(batch)
        else:
            self.failed += len(batch)
        return result

    def force_flush(self, timeout_millis=10_000):
        return self.inner.force_flush(timeout_millis)

    def shutdown(self):
        self.inner.shutdown()


def print_summary(**facts):
    print(json.dumps(facts))
