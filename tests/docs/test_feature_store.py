"""What the page of the feature store shows is what the code does."""

import re
import shlex

import pytest
from support.pages import ROOT
from typer.testing import CliRunner

from croupier.stores.feature_blob import Schema, decode
from croupier.stores.features import features_key, schema_key
from croupierctl.app import app

PAGE = (ROOT / "docs/feature-store.md").read_text()


def block(language, which=-1):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[which]


@pytest.fixture
def made():
    found = {}
    exec(block("python"), found)
    return found


def test_a_blob_that_is_written_by_hand_is_read(made):
    schema = Schema.parse(made["schema"])
    assert made["fingerprint"] == schema.fingerprint
    assert made["schema_key"] == schema_key("profile", schema.fingerprint)
    assert made["key"] == features_key("acme", "profile", "user-7")
    assert decode(made["value"], schema) == (1_700_000_000_000, {"age": 31.0, "plan": "basic"})
    assert decode(made["blob"](5, None, "ü"), schema) == (5, {"plan": "ü"})
    assert decode(made["blob"](5, None, None), schema) == (5, {})


def test_its_commands_run(tmp_path):
    for line in block("sh").splitlines():
        words = shlex.split(line.replace("/tmp/features", f"{tmp_path}/features"))
        assert words.pop(0) == "croupierctl"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (line, done.output)
