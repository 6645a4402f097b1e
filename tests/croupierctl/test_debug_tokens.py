from croupier.debug_tokens import token


def test_tokens_are_resolved_in_every_generation_that_is_kept(fleet, run, ask):
    run("cells", "add", "--all", "--hand-size", 3)
    first = ask("shards", "show")
    run("cells", "drain", "cell-0")
    old = token(first["seed"], "acme", 1, "cell-0")
    new = token(first["seed"], "acme", 2, "cell-1")
    assert ask("hand", "acme", "--debug", f"{old},{new}") == [
        {"token": old, "generation": 1, "cell": "cell-0"},
        {"token": new, "generation": 2, "cell": "cell-1"},
    ]


def test_anothers_token_names_nothing(fleet, run, ask):
    run("cells", "add", "--all", "--hand-size", 3)
    other = token(ask("shards", "show")["seed"], "globex", 1, "cell-0")
    failed = run("hand", "acme", "--debug", other, code=1)
    assert "another tenant's, or older" in failed.err
