import time

import pytest

from boxfleet.kit import templates

MEMBERS = [{"name": f"db-{n}", "ordinal": n, "address": f"10.88.0.{n}"} for n in range(3)]
FACTS = {"units": {"db": {"domain": "db.shop", "ports": {"mysql": 3306}, "members": MEMBERS}}, "many": [1] * 5000}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ units.db.domain }}:{{ units.db.ports.mysql + 1 }}", "db.shop:3307"),
        ("{% for m in units.db.members %}{{ loop.index }}={{ m.address }} {% endfor %}", None),
        ("{{ units.db.members | map(attribute='name') | join(',') }}", "db-0,db-1,db-2"),
        ("{{ units.db.members | join(' ', attribute='name') }}", "db-0 db-1 db-2"),
        ("{% for name, port in units.db.ports.items() %}{{ name }}={{ port }}{% endfor %}", "mysql=3306"),
        ("{{ units.db.members[0].name ~ '.' ~ 3 }}", "db-0.3"),
        ("{% set n = units.db.members|length %}{{ n // 2 + 1 }}", "2"),
        ("{{ 'there' if 'db' in units else 'not' }}", "there"),
        ("{{ units.db.domain|upper|replace('SHOP', 'x') }}", "DB.x"),
        ("{{ units.db.ports|tojson }}", '{"mysql":3306}'),
        ("{{ 'a\nb\n\nc'|indent(2) }}\n", "a\n  b\n\n  c\n"),
        ("{{ units.db.domain.split('.')[1] }}", "shop"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ units.db.members|selectattr('ordinal', 'gt', 0)|map(attribute='name')|sort|join('+') }}", "db-1+db-2"),
        ("no template at all", "no template at all"),
    ],
)
def test_renders_what_configuration_files_need(source: str, expected: str | None) -> None:
    rendered = templates.render(source, FACTS)
    assert rendered == (expected if expected is not None else "1=10.88.0.0 2=10.88.0.1 3=10.88.0.2 ")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ units.dbb.domain }}", "dbb"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'a' < 1 }}", "not supported"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ units.db.members.append(1) }}", "can be called"),
        ("{{ range(10) }}", "can be called"),
        ("{% include 'x' %}", "include is not allowed"),
        ("{% macro m() %}{% endmacro %}", "macro is not allowed"),
        ("{{ 'a'|nofilter }}", "nofilter"),
        ("{% if %}", "line 1"),
        ("a\n{{ b", "line 2"),
    ],
)
def test_says_what_is_wrong(source: str, words: str) -> None:
    with pytest.raises(templates.TemplateError) as caught:
        templates.render(source, FACTS)
    assert words in str(caught.value)


LONG = "a" * 30_000


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9**9**9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'x'.center(1000000000) }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ many|map('center', 1000000000)|list }}",
        "{{ 'x'|indent(1000000000) }}",
        "{{ 1.5|round(1000000000) }}",
        "{% set a = 'xxxxxxxxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = 'xxxxxxxxxxxxxxxx' %}" + "{% set a = a + a %}" * 40,
        "{% set a = [1, 2] %}" + "{% set a = a + a %}" * 40,
        "{% set a = 99999 %}" + "{% set a = a * a %}" * 40,
        "{% set a = '" + LONG + "' %}{{ a|replace('a', a) }}",
        "{{ many|join('" + LONG + "') }}",
        "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% if 2 in many %}{% endif %}{% endfor %}",
        "{% for a in many %}{% set x = many|list %}{% endfor %}",
        "{% for a in many %}" + LONG + "{% endfor %}",
        "{% for a in many recursive %}{{ loop(many) }}{% endfor %}",
        "{% set a %}{% for a in many %}x{% endfor %}{% endset %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ a" + ".a" * 20000 + " }}",
        "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
        "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "9" * 5000 + " }}",
        "{{ 1e308 * 10 }}",
        "x" * (templates.SOURCE_LIMIT + 1),
    ],
    ids=range(30),
)
def test_refuses_what_would_burn_time_or_memory(source: str) -> None:
    started = time.process_time()
    with pytest.raises(templates.TemplateError):
        templates.render(source, FACTS)
    # No benchmark: without its bounds each of these takes minutes, or all memory.
    assert time.process_time() - started < 20


def test_bounds_hold_for_constants_which_are_computed_when_compiling() -> None:
    source = "{{ '" + "a" * 20_000 + "'|replace('a', '" + "b" * 20_000 + "') }}"
    assert templates.references(source) == []
    with pytest.raises(templates.TemplateError, match="grows beyond"):
        templates.render(source, FACTS)


def test_result_may_be_as_long_as_a_config_map() -> None:
    line = "x" * 200 + "\n"
    rendered = templates.render("{% for a in many %}" + line + "{% endfor %}", FACTS)
    assert rendered == line * 5000


def test_references_are_the_chains_from_outside() -> None:
    source = (
        "{% for m in units.db.members %}{{ m.address }}{{ unit.ports['a-b'] }}{% endfor %}\n"
        "{{ units.web.domain ~ box.name }}{% if 'x' in units %}{{ units[box.name].domain }}{% endif %}"
    )
    found = {reference.path: reference.line for reference in templates.references(source)}
    assert found == {
        ("units", "db", "members"): 1,
        ("unit", "ports", "a-b"): 1,
        ("units", "web", "domain"): 2,
        ("box", "name"): 2,
        ("units",): 2,
    }


def test_references_refuses_what_does_not_compile() -> None:
    with pytest.raises(templates.TemplateError, match="nofilter"):
        templates.references("{{ a|nofilter }}")


def test_errors_of_the_facts_come_through() -> None:
    class Pending(Exception):
        pass

    class Facts(dict[str, object]):
        def __missing__(self, key: str) -> object:
            raise Pending(key)

    with pytest.raises(Pending, match="address"):
        templates.render("{{ instance.address }}", {"instance": Facts()})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 1/0 }}", "division by zero"),
        ("{{ a }}{{ [1][5] }}", "has no element 5"),
        ("{% set x = 0 %}{{ 1/x }}", "division by zero"),
        ("{% for i in [0] %}{{ 1/i }}{% endfor %}", "division by zero"),
    ],
)
def test_what_fails_whatever_the_facts_are_is_hopeless(source: str, words: str) -> None:
    assert words in templates.hopeless(source)


@pytest.mark.parametrize(
    "source",
    [
        "server { listen 80; }",
        "{% if a %}{{ 1/0 }}{% endif %}",
        "{{ a or 1/0 }}",
        "{{ 1 / (a - 1) }}",
        "{{ 'b' if true else 1/0 }}",
        "{% for i in a %}{{ 1/0 }}{% endfor %}",
        "{{ a|nosuch if a is defined and a > 3 else 'b' }}",
    ],
)
def test_what_may_render_later_is_not(source: str) -> None:
    assert templates.hopeless(source) == ""
