import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import address_pool
from boxfleet.planning import addresses


def spec(**fields: object) -> address_pool.AddressPoolSpec:
    return address_pool.AddressPoolSpec(**({"cidr": "10.88.0.0/24"} | fields))  # type: ignore[arg-type]


def test_a_pool_hands_out_all_but_network_gateway_and_broadcast() -> None:
    pool = addresses.range_of(spec())
    assert pool.capacity == 253
    assert addresses.text_of(next(addresses.lowest_free(pool, ()))) == "10.88.0.2"
    assert addresses.gateway(spec()) == "10.88.0.1"


def test_start_end_and_exclude_are_kept() -> None:
    pool = addresses.range_of(spec(start="10.88.0.10", end="10.88.0.12", exclude=["10.88.0.11", "10.88.0.200"]))
    assert pool.capacity == 2
    assert [addresses.text_of(each) for each in addresses.lowest_free(pool, ())] == ["10.88.0.10", "10.88.0.12"]


def test_a_gateway_inside_the_range_is_never_handed_out() -> None:
    pool = addresses.range_of(spec(cidr="10.0.0.0/29", gateway="10.0.0.3"))
    assert addresses.number_of("10.0.0.3") not in pool
    assert pool.capacity == 5


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"cidr": "nonsense"}, "not an IPv4 network"),
        ({"cidr": "10.0.0.0/31"}, "no room"),
        ({"start": "10.99.0.1"}, "must lie within"),
        ({"start": "10.88.0.20", "end": "10.88.0.10"}, "no address between"),
        ({"exclude": ["x"]}, "exclude 'x'"),
    ],
)
def test_wrong_pools_are_refused_with_the_reason(fields: dict[str, object], says: str) -> None:
    with pytest.raises(addresses.PoolError, match=says):
        addresses.range_of(spec(**fields))


@given(
    taken=st.sets(st.integers(min_value=0, max_value=31)),
    excluded=st.sets(st.integers(min_value=0, max_value=31)),
    count=st.integers(min_value=0, max_value=40),
)
def test_claims_are_distinct_free_inside_and_the_lowest(taken: set[int], excluded: set[int], count: int) -> None:
    base = addresses.number_of("10.0.0.0") or 0
    used = {base + each for each in taken}
    pool = addresses.range_of(spec(cidr="10.0.0.0/27", exclude=[addresses.text_of(base + each) for each in excluded]))
    free = addresses.lowest_free(pool, used)
    got = [number for number, _ in zip(free, range(count), strict=False)]
    everything = [number for number in range(pool.first, pool.last + 1) if number in pool and number not in used]
    assert got == everything[:count]


@given(st.lists(st.booleans(), max_size=60))
def test_claiming_and_releasing_in_any_order_never_hands_out_twice(steps: list[bool]) -> None:
    pool = addresses.range_of(spec(cidr="10.0.0.0/28"))
    held: set[int] = set()
    for claims in steps:
        if claims:
            number = next(addresses.lowest_free(pool, held), None)
            assert (number is None) == (len(held) == pool.capacity)
            if number is not None:
                assert number not in held
                held.add(number)
        elif held:
            held.discard(max(held))
