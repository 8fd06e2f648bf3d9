"""As much of protobuf's wire format as talking to a protoc plugin takes: length-delimited fields, read and written.

Written by hand because the releases whose descriptors are read pin a protobuf of their own.
Field numbers: google/protobuf/descriptor.proto and google/protobuf/compiler/plugin.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

FILE_NAME, FILE_DEPENDENCY = 1, 3
_REQUEST_FILE, _REQUEST_DESCRIPTOR = 1, 15
_ANSWER_ERROR, _ANSWER_FILE, _ANSWER_CONTENT = 1, 15, 15
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class GenerationFailed(RuntimeError):
    """The plugin refused a descriptor, in its own words."""


def request(name: str, descriptors: list[bytes]) -> bytes:
    """A CodeGeneratorRequest for one .proto file; `descriptors` holds it after everything it imports."""
    parts = [_field(_REQUEST_FILE, name.encode())]
    parts += [_field(_REQUEST_DESCRIPTOR, descriptor) for descriptor in descriptors]
    return b"".join(parts)


def generated(answer: bytes) -> bytes:
    """The content of the one file in a CodeGeneratorResponse. Raises GenerationFailed."""
    errors = text(answer, _ANSWER_ERROR)
    if errors:
        raise GenerationFailed(errors[0])
    (file,) = (value for number, value in fields(answer) if number == _ANSWER_FILE)
    (content,) = (value for number, value in fields(file) if number == _ANSWER_CONTENT)
    return content


def text(message: bytes, number: int) -> list[str]:
    """Every value of a string field."""
    return [value.decode() for found, value in fields(message) if found == number]


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each length-delimited field; the others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {at} is not protobuf")


def _field(number: int, value: bytes) -> bytes:
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
