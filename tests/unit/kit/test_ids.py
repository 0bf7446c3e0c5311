import os
import uuid

from boxfleet.kit import ids


def test_a_fingerprint_ignores_the_order_of_keys() -> None:
    assert ids.fingerprint({"a": 1, "b": [2, 3]}) == ids.fingerprint({"b": [2, 3], "a": 1})
    assert ids.fingerprint({"a": 1}) != ids.fingerprint({"a": 2})


def test_uids_are_random_uuids() -> None:
    for _ in range(1000):
        known = uuid.UUID(ids.new_uid())
        assert (known.version, known.variant) == (4, uuid.RFC_4122)


def test_a_child_process_draws_its_own() -> None:
    ids.new_uid()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, ids.new_uid().encode())
        os._exit(0)
    theirs, ours = os.read(reader, 36).decode(), [ids.new_uid() for _ in range(1000)]
    os.wait()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 36
    assert theirs not in ours


def test_tokens_and_uids_do_not_repeat() -> None:
    assert len({ids.new_token() for _ in range(100)}) == 100
    assert len({ids.new_uid() for _ in range(100)}) == 100


def test_a_suffix_spells_no_word() -> None:
    assert not set(ids.name_suffix(length=200)) & set("aeiou013")
