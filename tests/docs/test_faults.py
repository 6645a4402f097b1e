"""docs/faults.md lists the faults that are tested, and no others."""

from support.catalogue import PAGE, page


def test_the_catalogue_is_what_the_tests_say():
    text = PAGE.read_text()
    assert page(text) == text, "python tests/support/catalogue.py --write"


def test_every_kind_of_fault_is_in_it():
    text = PAGE.read_text()
    for kind in ("process", "etcd", "network", "disk", "load", "change", "attack"):
        _, _, rows = text.partition(f"\n## {kind}\n")
        assert rows.split("\n## ")[0].count("\n| ") > 2
