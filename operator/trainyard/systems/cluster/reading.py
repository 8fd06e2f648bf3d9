"""JSON of the API server, whatever its depth. Used by `transport` (answers) and `reflector` (events).

The API server keeps values of up to 10,000 levels; orjson reads 1,024 and writes 254, and beyond that one object would
take the whole page of a list with it. What lies too deep is cut out of the text, so that all the rest can be read.
"""

import re
from typing import Any

import orjson

# What is cut lies so deep that no model takes what is left of the value either (`resources.values.MOST_LEVELS`): a
# parameter that was cut is refused for its depth, and never used as if it had been given like this.
DEEPEST = 200

# A whole text, so that brackets in it do not count, or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def read(text: bytes) -> Any:
    """Return JSON that can be written again; what lies deeper than `DEEPEST` levels is null. Raises ValueError."""
    try:
        value = orjson.loads(text)
        orjson.dumps(value)  # far quicker than a look at each level, and what is kept is written
    except (ValueError, TypeError):
        return orjson.loads(_cut(text))
    return value


def _cut(text: bytes) -> bytes:
    """Put null in the place of every map and list that lies too deep. Not recursive: there is no depth it fails at."""
    kept: list[bytes] = []
    start, level = 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in b"{[":
            level += 1
            if level == DEEPEST + 1:
                kept += (text[start : token.start()], b"null")
        elif token[0] in b"}]":
            if level == DEEPEST + 1:
                start = token.end()
            level -= 1
    return b"".join(kept) + text[start:] if level == 0 else text
