"""Sends events with the bulk helpers of the official Elasticsearch client, as an application would that logs to Elasticsearch.

Every event is sent as Elasticsearch's own documents are: `@timestamp`, `levelname`, `name`, `message` and the fields of its own.
"""

import argparse
import datetime
import json
import sys
import warnings

import scenario
from elasticsearch import Elasticsearch, helpers


def document(event):
    time = datetime.datetime.fromtimestamp(event["time"], datetime.timezone.utc)
    return {
        "@timestamp": time.isoformat(timespec="microseconds"),
        "id": event["id"],
        "name": event["logger"],
        "levelname": event["level"],
        "message": event["message"],
        **event["extra"],
    }


def actions(events, arguments):
    for event in events:
        action = {"_op_type": arguments.op, "_source": document(event)}
        if arguments.ids:
            # The length of Forebay's own ids; text that JSON has to escape.
            action["_id"] = f"{event['id']:-<25}\"é"
        if arguments.index_in_action:
            action["_index"] = arguments.index
        yield action


def broken(arguments):
    """What is refused item by item, between two that are taken."""
    yield {"_op_type": "create", "_index": arguments.index, "_source": {"id": "broken-0", "message": "first"}}
    yield {"_op_type": "delete", "_index": arguments.index, "_id": "x"}
    yield {"_op_type": "update", "_index": arguments.index, "_id": "x", "doc": {"a": 1}}
    yield {"_op_type": "index", "_index": arguments.index, "_id": "y", "if_seq_no": 1, "if_primary_term": 1, "_source": {}}
    yield {"_op_type": "index", "_index": arguments.index, "_source": {"id": "broken-4", "message": "last"}}


def set_up(client, index):
    """What clients do before they ship; returns the answers' heart."""
    info = client.info()
    exists = [
        client.indices.exists(index=index).body,
        client.indices.exists_index_template(name="app").body,
        client.indices.exists_alias(name="app").body,
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        puts = [
            client.indices.put_index_template(name="app", index_patterns=["app-*"], template={"settings": {}}),
            client.cluster.put_component_template(name="app", template={"settings": {}}),
            client.ilm.put_lifecycle(name="app", policy={"phases": {}}),
            client.ingest.put_pipeline(id="app", processors=[]),
            client.indices.create_data_stream(name="app-logs-default"),
            client.indices.create(index=index),
        ]
    return {
        "ping": client.ping(),
        "version": info["version"]["number"],
        "license": client.license.get()["license"]["status"],
        "health": client.cluster.health()["status"],
        "exists": exists,
        "acknowledged": [put["acknowledged"] for put in puts],
        "warnings": len([warning for warning in caught if "not kept" in str(warning.message)]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    scenario.add_arguments(parser)
    parser.add_argument("--endpoint", required=True, help="the URL of the server")
    parser.add_argument("--index", default="app-logs")
    parser.add_argument("--index-in-action", action="store_true", help="name the index in each action, not in the path")
    parser.add_argument("--op", choices=["index", "create"], default="create")
    parser.add_argument("--ids", action="store_true", help="name each document's id")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--sniff", action="store_true", help="look for nodes, and use what is found")
    parser.add_argument("--broken", action="store_true", help="send what is refused item by item")
    parser.add_argument("--set-up", action="store_true", help="do what clients do before they ship")
    arguments = parser.parse_args()

    client = Elasticsearch(
        arguments.endpoint,
        http_compress=arguments.gzip,
        sniff_on_start=arguments.sniff,
        request_timeout=30,
        retry_on_timeout=True,
        max_retries=20,
        retry_on_status=(429, 502, 503, 504),
    )
    summary = {}
    if arguments.set_up:
        summary["set_up"] = set_up(client, arguments.index)
    events = [] if arguments.broken else scenario.from_arguments(arguments)
    to_send = broken(arguments) if arguments.broken else actions(events, arguments)
    options = {} if arguments.index_in_action or arguments.broken else {"index": arguments.index}
    results = [
        [next(iter(item)), next(iter(item.values()))]
        for _, item in helpers.streaming_bulk(client, to_send, raise_on_error=False, max_retries=5, **options)
    ]
    summary["acknowledged"] = sum(item["status"] == 201 for _, item in results)
    summary["refused"] = [[op, item["status"], item["error"]["type"]] for op, item in results if item["status"] != 201]
    summary["ids_told"] = sum("_id" in item for _, item in results)
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
