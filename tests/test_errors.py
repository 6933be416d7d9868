"""An error's parts, and the message that is made of them."""

import pickle

import pytest

from weft.errors import FitError, ModelError, WeftError
from weft.nn.ir.origin import Origin

NODE = Origin(name="a: b; c", op="Conv", result="y")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModelError("too wide"), "too wide"),
        (ModelError("too wide", at=NODE), "node 'a: b; c' (Conv): too wide"),
        (
            ModelError("too wide", at=NODE, remedy="7 is supported"),
            "node 'a: b; c' (Conv): too wide; 7 is supported",
        ),
        (
            FitError("it needs 2 DSPs", at="net does not fit b", remedy=("try c", "fewer lanes")),
            "net does not fit b: it needs 2 DSPs; try c; fewer lanes",
        ),
    ],
)
def test_message_is_made_of_the_parts(error: WeftError, message: str) -> None:
    assert str(error) == message
    assert message.endswith(error.text)
    copy = pickle.loads(pickle.dumps(error))  # as another process gives it
    assert (str(copy), vars(copy)) == (message, vars(error))
