from boxfleet.kit import ids


def test_a_fingerprint_ignores_the_order_of_keys() -> None:
    assert ids.fingerprint({"a": 1, "b": [2, 3]}) == ids.fingerprint({"b": [2, 3], "a": 1})
    assert ids.fingerprint({"a": 1}) != ids.fingerprint({"a": 2})


def test_tokens_and_uids_do_not_repeat() -> None:
    assert len({ids.new_token() for _ in range(100)}) == 100
    assert len({ids.new_uid() for _ in range(100)}) == 100


def test_a_suffix_spells_no_word() -> None:
    assert not set(ids.name_suffix(length=200)) & set("aeiou013")
