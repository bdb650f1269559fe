"""Random damages of the bytes of a file, as of a bad disk or a slip of an editor."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["DAMAGES", "Damage"]

Damage = Callable[[random.Random, bytearray], None]


def one_byte(draw: random.Random, data: bytearray) -> None:
    data[draw.randrange(len(data))] = draw.randrange(256)


def one_bit(draw: random.Random, data: bytearray) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def block(draw: random.Random, data: bytearray) -> None:
    begin = draw.randrange(len(data))
    end = min(len(data), begin + draw.choice((2, 16, 100, 600, 5000)))
    data[begin:end] = draw.choice((bytes(end - begin), draw.randbytes(end - begin)))


def moved(draw: random.Random, data: bytearray) -> None:
    """One part of the file over another, as a page that was written to the wrong place."""
    size = draw.choice((8, 64, min(4096, len(data))))
    begin, to = (draw.randrange(len(data) // size) * size for _ in range(2))
    data[to : to + size] = data[begin : begin + size]


def truncated(draw: random.Random, data: bytearray) -> None:
    length = draw.randrange(len(data))
    del data[draw.choice((length, length // 4096 * 4096, 0)) :]


def digit(draw: random.Random, data: bytearray) -> None:
    """Another digit in a number: what makes sense to every parser."""
    places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    data[draw.choice(places)] = draw.randrange(48, 58)


DAMAGES: tuple[Damage, ...] = (one_byte, one_bit, block, moved, truncated, digit)
