"""Codecs: functions that turn objects into the bytes of a message, and back."""

from __future__ import annotations

import pickle
import reprlib
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, Callable

from ._encoded import HandleFound, reductions
from ._types import Codec
from .errors import GIPCError

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


def _add_place(error: Exception, o: object, encode: Encode) -> None:
    """Adds to an error where in the object it occurred."""
    indices = list(_indices_of_cause(o, encode))
    if not indices or len(indices) == _DEEPEST:
        return
    where = " (at %s)" % "".join(indices)
    if isinstance(error, (UnicodeEncodeError, UnicodeDecodeError)):
        error.reason += where
    elif len(error.args) == 1:
        error.args = ("%s%s" % (error.args[0], where),)


_DEEPEST = 20  # an object may contain itself


def _indices_of_cause(o: object, encode: Encode) -> Iterator[str]:
    """The indices of the innermost part that cannot be encoded."""
    parts: Iterable[tuple[object, object]]
    for _ in range(_DEEPEST):
        if isinstance(o, dict):
            parts = o.items()
        elif isinstance(o, (list, tuple)):
            parts = enumerate(o)
        else:
            return
        for key, part in parts:
            try:
                encode(part)
            except Exception:
                yield "[%s]" % reprlib.repr(key)
                o = part
                break
        else:
            return


def _pickled(o: object) -> bytes:
    return pickle.dumps(o, pickle.HIGHEST_PROTOCOL)


def default_encoder(o: object) -> Any:
    try:
        return pickle.dumps(o, pickle.HIGHEST_PROTOCOL)
    except HandleFound:
        from ._attached import pickle_with_handles

        return pickle_with_handles(o)
    except Exception as error:
        _add_place(error, o, _pickled)
        raise


default_decoder: Decode = pickle.loads


def _default() -> tuple[Encode, Decode]:
    # Programs replace the default by setting gipc.gipc._default_encoder.
    upstream = sys.modules.get("gipc.gipc")
    if upstream is None:
        return default_encoder, default_decoder
    return upstream._default_encoder, upstream._default_decoder


_TOO_DEEP = "lists and dictionaries are nested too deeply"
_INTEGERS = range(-(2**63), 2**64)


def _integer(digits: str) -> int:
    number = int(digits)
    if number not in _INTEGERS:
        raise ValueError("an integer exceeds 64 bits")
    return number


def _check_json(o: object) -> None:
    """Raises for what json.dumps accepts, but other languages do not have: keys
    that are not strings, and integers that exceed 64 bits."""
    stack = [o]
    while stack:
        o = stack.pop()
        if isinstance(o, int):
            if o not in _INTEGERS:
                raise OverflowError("an integer exceeds 64 bits")
        elif isinstance(o, dict):
            for key in o:
                if not isinstance(key, str):
                    raise TypeError("a key in JSON must be a str, not %r" % (key,))
            stack.extend(o.values())
        elif isinstance(o, (list, tuple)):
            stack.extend(o)


def _json() -> tuple[Encode, Decode]:
    import json

    def plain(o: object) -> bytes:
        try:
            # Infinity and NaN are not valid JSON.
            text = json.dumps(
                o, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            )
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        _check_json(o)
        return text.encode()

    def encode(o: object) -> bytes:
        try:
            return plain(o)
        except Exception as error:
            _add_place(error, o, plain)
            raise

    def refuse(name: str) -> None:
        raise ValueError("%s is not valid JSON" % name)

    def decode(data: bytes) -> Any:
        # Strictly UTF-8; json.loads would guess among encodings.
        try:
            return json.loads(
                data.decode(), parse_constant=refuse, parse_int=_integer
            )
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None

    return encode, decode


def _msgpack() -> tuple[Encode, Decode]:
    try:
        import msgpack
    except ImportError:
        raise GIPCError(
            "the codec 'msgpack' needs the package msgpack: "
            "pip install msgpack"
        ) from None
    packb: Any = partial(msgpack.packb, use_bin_type=True)

    def encode(o: object) -> bytes:
        try:
            return packb(o)  # type: ignore[no-any-return]
        except Exception as error:
            _add_place(error, o, packb)
            raise

    def decode(data: bytes) -> Any:
        try:
            # Keys may be of any type, as in the other languages.
            return msgpack.unpackb(data, raw=False, strict_map_key=False)
        except msgpack.StackError:
            raise ValueError(_TOO_DEEP) from None
        except (msgpack.FormatError, TypeError):  # a key that cannot be one
            raise ValueError("the message is not valid MessagePack") from None

    return encode, decode


def _pickle5() -> tuple[Any, Decode]:
    from . import _pickle5

    return _pickle5.encode, _pickle5.Decoder()


_named: dict[str, Callable[[], tuple[Encode, Decode]]] = {
    "default": _default,
    "pickle": lambda: (default_encoder, default_decoder),
    "pickle5": _pickle5,
    "json": lru_cache(None)(_json),
    "msgpack": lru_cache(None)(_msgpack),
}


def find_plain(codec: object, which: int) -> Codec:
    """As find(), of messages that are nothing but bytes."""
    found = find(codec, which)
    if found is None or which == 1:
        return found
    return partial(_as_plain, found)


def _as_plain(encode: Codec, o: object) -> Any:
    assert encode is not None
    data = encode(o)
    as_bytes = getattr(data, "as_bytes", None)
    return data if as_bytes is None else as_bytes()


def find(codec: object, which: int) -> Codec:
    """The function of an encoder (which = 0) or a decoder (1), given by name;
    None for raw bytes."""
    if isinstance(codec, str) and codec in _named:
        found = _named[codec]()[which]
        if codec in ("json", "msgpack"):
            reductions[found] = find, (codec, which)
        return found
    if codec is None or callable(codec):
        return codec
    raise GIPCError(
        "pipe %r argument must be callable, None, or one of %s, not %r"
        % (
            ("encoder", "decoder")[which],
            ", ".join(map(repr, _named)),
            codec,
        )
    )
