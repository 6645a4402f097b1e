"""The SDK's tree of errors is that of `croupier.errors`, of which it knows nothing."""

import inspect
import pickle

import pytest

from croupier import errors as served
from croupier.transport.status import code_of
from croupier_client import errors


def tree(module):
    return {
        name: cls
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and issubclass(cls, Exception) and not name.startswith("_")
    }


def test_no_class_is_missing():
    assert tree(errors).keys() == tree(served).keys()


@pytest.mark.parametrize("name", sorted(tree(served)))
def test_a_class_says_what_that_of_its_name_says(name):
    ours, theirs = getattr(errors, name), getattr(served, name)
    assert ours.reason == theirs.reason
    if ours is not errors.CroupierError:
        assert ours.code == code_of(theirs("no"))
    kinds = [[kind.__name__ for kind in cls.__mro__] for cls in (ours, theirs)]
    assert kinds[0] == kinds[1]
    assert inspect.signature(ours) == inspect.signature(theirs)


@pytest.mark.parametrize("name", sorted(tree(errors)))
def test_an_error_may_go_to_another_process(name):
    error = getattr(errors, name)("no luck", reason="SPECIAL", subject="acme")
    vars(error).update({key: 2.5 for key in ("retry_after",) if hasattr(error, key)})
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), vars(found)) == (type(error), "no luck", vars(error))
