from boxfleet.kit import backoff


def test_grows_from_the_first_failure_to_the_limit() -> None:
    delays = backoff.Backoff(initial=1.0, limit=5.0)
    assert [delays.delay(failures=n) for n in range(6)] == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_many_failures_do_not_overflow() -> None:
    assert backoff.Backoff(initial=0.1, limit=300.0).delay(failures=10**6) == 300.0
