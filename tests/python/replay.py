"""Logs events through the standard library's logging, as an application would."""

import logging

# Names of an application's own levels; their numbers lie between ERROR and CRITICAL.
_FIRST_CUSTOM_LEVEL = logging.ERROR + 1


def _level_number(name):
    known = logging.getLevelNamesMapping()
    if name not in known:
        used = set(known.values())
        number = next(n for n in range(_FIRST_CUSTOM_LEVEL, logging.CRITICAL) if n not in used)
        logging.addLevelName(number, name)
        return number
    return known[name]


def replay(events, handler):
    """Sends each event through its logger to `handler`; the id travels as a field of the record."""
    for event in events:
        logger = logging.getLogger(event["logger"])
        logger.propagate = False
        logger.setLevel(1)
        logger.handlers = [handler]
        extra = {"id": event["id"], **event.get("extra", {})}
        level = _level_number(event["level"])
        record = logger.makeRecord(logger.name, level, __file__, 0, event["message"], None, None, "replay", extra)
        if event.get("time") is not None:
            record.created = event["time"]
            record.msecs = int(event["time"] * 1000) % 1000
        logger.handle(record)
