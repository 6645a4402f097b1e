from croupier.debug_tokens import named, token

CELLS = ("cell-0", "cell-1", "cell-2")


def test_a_token_names_one_cell_of_one_generation() -> None:
    said = token(7, "acme", 3, "cell-1")
    assert named(7, "acme", said, 3, CELLS) == "cell-1"
    assert named(7, "acme", said, 4, CELLS) == ""
    assert named(8, "acme", said, 3, CELLS) == ""


def test_two_tenants_cannot_tell_by_it_what_they_share() -> None:
    assert token(7, "acme", 3, "cell-1") != token(7, "globex", 3, "cell-1")
    assert named(7, "globex", token(7, "acme", 3, "cell-1"), 3, CELLS) == ""


def test_the_ends_of_seeds() -> None:
    assert len({token(seed, "acme", 1, "cell-0") for seed in (0, 1, 2**64 - 1)}) == 3
