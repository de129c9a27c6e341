"""Valid files, spoilt: for hypothesis, which makes a failing one as small as it can."""

import json
from collections.abc import Callable

from hypothesis import strategies as st

# Headers are at the front, and that is where most can go wrong.
FRONT = 256


@st.composite
def spoilt(draw, seeds: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """A seed with up to eight changes, or, now and then, bytes that have nothing to do with one."""
    if draw(st.integers(0, 19)) == 19:
        return draw(st.binary(max_size=200))
    seed = draw(st.sampled_from(seeds))
    if seed[:1] == b"{" and draw(st.booleans()):
        return json.dumps(_other_value(draw, json.loads(seed))).encode()
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 8))):
        end = draw(st.sampled_from((min(FRONT, len(data)), len(data))))
        place = draw(st.integers(0, end))
        length = draw(st.integers(0, 16))
        new = draw(
            st.one_of(st.binary(min_size=1, max_size=8), *([st.sampled_from(words)] if words else []))
        )
        match draw(st.sampled_from(("flip", "write", "insert", "delete", "repeat", "cut"))):
            case "flip" if data:
                data[min(place, len(data) - 1)] ^= 1 << (length % 8)
            case "write":
                data[place : place + len(new)] = new
            case "insert":
                data[place:place] = new
            case "delete":
                del data[place : place + length]
            case "repeat":
                data[place:place] = data[place : place + 8 * length]
            case "cut" if draw(st.booleans()):
                del data[place:]
    return bytes(data)


VALUES = (None, True, 0, -1, 0.5, 1e400, 10**30, "", "x", [], {}, [None], [[]], {"x": None}, ["a", 1])


def _other_value(draw: Callable, value: object) -> object:
    """A parsed JSON file with one value changed or one key gone, anywhere in it."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if not inside or draw(st.integers(0, 5)) == 5:
        return draw(st.sampled_from(VALUES))
    key = (
        draw(st.sampled_from(sorted(value)))
        if isinstance(value, dict)
        else draw(st.integers(0, len(value) - 1))
    )
    if draw(st.integers(0, 5)) == 5:
        del value[key]
    else:
        value[key] = _other_value(draw, value[key])
    return value
