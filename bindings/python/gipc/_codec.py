"""What turns objects into the bytes of a message, and back."""

import pickle
import reprlib
import sys

from .errors import GIPCError


def _tell_where(error, o, encode):
    """Adds to an error where in the object it occurred."""
    where = list(_way_to_cause(o, encode))
    if not where or len(where) == _FAR:
        return
    where = " (at %s)" % "".join(where)
    if isinstance(error, UnicodeError):
        error.reason += where
    elif len(error.args) == 1:
        error.args = ("%s%s" % (error.args[0], where),)


_FAR = 20  # an object may be its own part


def _way_to_cause(o, encode):
    """The indices of the innermost part that cannot be encoded."""
    for _ in range(_FAR):
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


def _pickled(o):
    return pickle.dumps(o, pickle.HIGHEST_PROTOCOL)


def default_encoder(o):
    try:
        return pickle.dumps(o, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        _tell_where(error, o, _pickled)
        raise


default_decoder = pickle.loads


def _default():
    # Programs replace the default by setting gipc.gipc._default_encoder.
    upstream = sys.modules.get("gipc.gipc")
    if upstream is None:
        return default_encoder, default_decoder
    return upstream._default_encoder, upstream._default_decoder


_TOO_DEEP = "lists and dictionaries are nested too deeply"


_INTEGERS = range(-(2**63), 2**64)


def _integer(digits):
    number = int(digits)
    if number not in _INTEGERS:
        raise ValueError("an integer over 64 bits")
    return number


def _check_json(o):
    """What json.dumps would let pass: keys that are no text, and integers that
    other languages do not have."""
    rest = [o]
    while rest:
        o = rest.pop()
        if isinstance(o, int):
            if o not in _INTEGERS:
                raise OverflowError("an integer over 64 bits")
        elif isinstance(o, dict):
            for key in o:
                if not isinstance(key, str):
                    raise TypeError("a key in JSON is a str, not %r" % (key,))
            rest.extend(o.values())
        elif isinstance(o, (list, tuple)):
            rest.extend(o)


def _json():
    import json

    def plain(o):
        try:
            # Infinity and NaN are no JSON: other languages would refuse them.
            text = json.dumps(
                o, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            )
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        _check_json(o)
        return text.encode()

    def encode(o):
        try:
            return plain(o)
        except Exception as error:
            _tell_where(error, o, plain)
            raise

    def refuse(name):
        raise ValueError("%s is not JSON" % name)

    def decode(data):
        # Strictly UTF-8; json.loads would guess among encodings.
        try:
            return json.loads(
                data.decode(), parse_constant=refuse, parse_int=_integer
            )
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None

    return encode, decode


def _msgpack():
    try:
        import msgpack
    except ImportError:
        raise GIPCError(
            "the codec 'msgpack' needs the package msgpack: "
            "pip install msgpack"
        ) from None

    def plain(o):
        return msgpack.packb(o, use_bin_type=True)

    def encode(o):
        try:
            return msgpack.packb(o, use_bin_type=True)
        except Exception as error:
            _tell_where(error, o, plain)
            raise

    def decode(data):
        try:
            # Keys may be of any type, as in the other languages.
            return msgpack.unpackb(data, raw=False, strict_map_key=False)
        except msgpack.StackError:
            raise ValueError(_TOO_DEEP) from None
        except (msgpack.FormatError, TypeError):  # a key that cannot be one
            raise ValueError("the message is not MessagePack") from None

    return encode, decode


_named = {
    "default": _default,
    "pickle": lambda: (default_encoder, default_decoder),
    "json": _json,
    "msgpack": _msgpack,
}


def find(codec, which):
    """The function for an encoder (which = 0) or a decoder (1) as users name
    it; None stands for raw bytes."""
    if codec is None or callable(codec):
        return codec
    if isinstance(codec, str) and codec in _named:
        return _named[codec]()[which]
    raise GIPCError(
        "pipe %r argument must be callable, None, or one of %s, not %r"
        % (
            ("encoder", "decoder")[which],
            ", ".join(map(repr, _named)),
            codec,
        )
    )
