from __future__ import annotations

import json

from croupier_bench import about


def test_it_says_when_and_on_what() -> None:
    told = about.about()
    assert json.loads(json.dumps(told)) == told
    assert {"date", "command", "machine", "versions"} <= told.keys()
    assert told["machine"]["cores"] >= 1
    assert "python" in told["versions"]


def test_a_command_has_no_folders_of_this_machine() -> None:
    assert about.command(["/a/b/croupier-bench", "run", "my file"]) == "croupier-bench run 'my file'"
    assert about.command([]) == ""


def test_the_processor_is_named_where_it_has_a_name() -> None:
    assert about.cpu_model("processor : 0\nmodel name\t: A Fast One\nmodel name : B\n") == "A Fast One"
    assert about.cpu_model("processor : 0\nFeatures : fp\n") == ""
