"""Traces and metrics through the OpenTelemetry SDK: two spans with all that a span can have, and a metric of each type."""

import argparse
import sys

import otlp
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode


def exporters(arguments):
    if arguments.protocol == "http":
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        at = arguments.endpoint
        return (
            OTLPSpanExporter(endpoint=at + "/v1/traces", compression=Compression.Gzip),
            OTLPMetricExporter(endpoint=at + "/v1/metrics"),
        )
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return (
        OTLPSpanExporter(endpoint=arguments.endpoint, insecure=True),
        OTLPMetricExporter(endpoint=arguments.endpoint, insecure=True),
    )


def trace(provider):
    tracer = provider.get_tracer("shop.checkout", "1.2")
    with tracer.start_as_current_span("earlier") as earlier:
        pass
    links = [Link(earlier.get_span_context(), {"why": "retry"})]
    with tracer.start_as_current_span(
        "checkout", kind=SpanKind.SERVER, attributes={"http.method": "POST", "name": "mine"}, links=links
    ):
        with tracer.start_as_current_span("pay", kind=SpanKind.CLIENT) as pay:
            pay.add_event("declined", {"card": "visa", "tries": 3})
            pay.set_status(Status(StatusCode.ERROR, "no money"))
        return {"trace_id": format(pay.get_span_context().trace_id, "032x")}


def measure(provider):
    meter = provider.get_meter("shop.numbers", "2.0")
    meter.create_gauge("queue.length", unit="1", description="what waits").set(7, {"queue": "mail"})
    meter.create_counter("orders").add(3, {"shop": "north"})
    meter.create_up_down_counter("balance").add(-2.5)
    histogram = meter.create_histogram("latency", unit="ms")
    exponential = meter.create_histogram("size", unit="By")
    for value in (1, 20, 300):
        histogram.record(value, {"route": "/pay"})
        exponential.record(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", choices=["grpc", "http"], required=True)
    parser.add_argument("--endpoint", required=True, help="http://host:port, without a path")
    arguments = parser.parse_args()
    spans, metrics = exporters(arguments)
    resource = Resource.create({"service.name": "shop", "component": "till"})

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    summary = trace(tracers)
    summary["traces"] = tracers.force_flush()

    view = View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())
    meters = MeterProvider(
        [PeriodicExportingMetricReader(metrics, export_interval_millis=600_000)],
        resource=resource,
        views=[view],
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    measure(meters)
    summary["metrics"] = meters.force_flush()
    otlp.print_summary(**summary)
    tracers.shutdown()
    # Without the shutdown's own export: everything was told once.
    return 0 if summary["traces"] and summary["metrics"] else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    import os

    os._exit(code)
