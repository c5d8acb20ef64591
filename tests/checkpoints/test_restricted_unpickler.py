import collections
import os
import pickle

import pytest

from bigbird_tf.checkpoints.restricted_unpickler import load_pickle

NAMES = {"collections.OrderedDict": "a class"}


def load(data, **functions):
    return load_pickle(data, functions, NAMES, lambda key: ("persistent", key))


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -300, 2**40, 0.5, None, True, False], "é": (), "b": ((1,), (1, 2), (1, 2, 3, 4))},
        [],
        {0: "x" * 300, 1: {}},
    ],
)
def test_plain_values(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


def test_what_is_used_again_is_one():
    inner = [7]
    first, second = load(pickle.dumps([inner, inner], 2))
    assert first == [7]
    assert first is second


@pytest.mark.parametrize("protocol", [2, 4])
def test_only_what_is_allowed_is_called(protocol):
    data = pickle.dumps(Call(os.getenv, "HOME", 3), protocol)
    assert load(data, **{"os.getenv": lambda *arguments: arguments}) == ("HOME", 3)
    with pytest.raises(ValueError, match=r"names os\.getenv, .* was not run"):
        load(data)


def test_a_name_is_no_function():
    assert load(pickle.dumps(collections.OrderedDict, 2)) == "a class"
    with pytest.raises(ValueError, match="takes a Global, and has a str"):
        load(pickle.dumps(collections.OrderedDict(), 2))


def test_persistent_ids_mean_what_the_caller_says():
    assert load(b"\x80\x02X\x01\x00\x00\x00aQ.") == ("persistent", "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "pickle"),
        (pickle.dumps([1, 2], 2)[:-1], "pickle"),
        (b"\x80\x02a.", "IndexError"),  # nothing to append to
        (b"\x80\x02h\x05.", "KeyError"),  # never put into the memo
        (b"\x80\x02]]s.", "damaged"),  # an item of what is no dictionary
        (b"\x80\x02}(K\x01u.", "a key has no value"),
        (b"\x80\x02})K\x01s.", "tuple as the key"),
        (b"\x80\x02K\x010.", "operation POP"),
    ],
)
def test_damaged(data, message):
    with pytest.raises(ValueError, match=message):
        load(data)
