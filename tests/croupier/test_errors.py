import copy
import inspect
import pickle
import re

import pytest

from croupier import errors
from croupier.errors import CroupierError, InvalidRequest, QuotaExceeded, Unavailable

CLASSES = [
    cls
    for cls in vars(errors).values()
    if inspect.isclass(cls) and issubclass(cls, CroupierError) and not cls.__name__.startswith("_")
]


def test_the_tree_on_top_of_the_module_is_complete() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(cls.__name__ for cls in CLASSES if cls is not CroupierError) == sorted(drawn)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not CroupierError])
def test_every_class_has_a_reason_of_its_own(cls: type[CroupierError]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z_]+", cls.reason)
    assert [cls] == [other for other in CLASSES if other.reason == cls.reason]


@pytest.mark.parametrize("cls", CLASSES)
def test_what_an_error_carries(cls: type[CroupierError]) -> None:
    error = cls("no luck", subject="acme")
    assert str(error) == error.message == "no luck"
    assert error.reason == cls.reason
    assert error.metadata == {"subject": "acme"}
    assert cls("no luck", reason="SPECIAL").reason == "SPECIAL"


def test_extra_facts_have_quiet_defaults() -> None:
    assert InvalidRequest("x").field == ""
    assert Unavailable("x").retry_after == QuotaExceeded("x").retry_after == 0.0


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_can_be_copied(copied: object) -> None:
    error = Unavailable("later", retry_after=1.5, reason="DRAIN", cell="c1")
    again = copied(error)  # type: ignore[operator]
    assert type(again) is Unavailable
    assert vars(again) == vars(error)
    assert str(again) == "later"
