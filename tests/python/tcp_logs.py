"""Logs events through the standard library's SocketHandler, a line of JSON each, as python-logstash's TCP handler does; or through its
SysLogHandler, over TCP or to a local socket."""

import argparse
import json
import logging
import logging.handlers
import socket
import sys
import time

import replay
import scenario
from pythonjsonlogger.json import JsonFormatter


class JsonLines(logging.handlers.SocketHandler):
    """What is sent is the formatted record and a line break instead of a pickle."""

    def makePickle(self, record):
        return self.format(record).encode() + b"\n"


def json_lines(arguments):
    formatter = JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    # asctime has no zone; the receiver reads it as UTC unless told otherwise.
    formatter.converter = time.gmtime
    handler = JsonLines("127.0.0.1", arguments.port)
    handler.setFormatter(formatter)
    return handler


def syslog(arguments):
    if arguments.socket:
        handler = logging.handlers.SysLogHandler(address=arguments.socket)
    else:
        handler = logging.handlers.SysLogHandler(("127.0.0.1", arguments.port), socktype=socket.SOCK_STREAM)
    handler.ident = "app[42]: "
    handler.setFormatter(logging.Formatter("%(id)s %(message)s"))
    return handler


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    scenario.add_arguments(parser)
    parser.add_argument("--port", type=int, help="of the loopback address")
    parser.add_argument("--socket", help="path of a local socket, for syslog")
    parser.add_argument("--syslog", action="store_true")
    arguments = parser.parse_args()
    events = scenario.from_arguments(arguments)
    # Without it a handler that fails says so on standard error alone.
    logging.raiseExceptions = True
    handler = syslog(arguments) if arguments.syslog else json_lines(arguments)
    replay.replay(events, handler)
    handler.close()
    print(json.dumps({"sent": len(events)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
