"""`/metrics` for Prometheus: requests and their times by verb and kind, watches, objects, the process.

Names and labels are Kubernetes' own where it has them, so that dashboards made for it show Boxfleet too. Requests are
counted in plain lists, since this happens at every one, and put into the text form when somebody asks.
"""

import bisect
from collections.abc import Callable, Iterable, Iterator

import prometheus_client
from prometheus_client import core, exposition, registry

from boxfleet.apiserver import route

# Upper bounds in seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
# A request of one of these lasts for as long as its client likes: its time says nothing.
_LONG = frozenset({"WATCH", "CONNECT"})

# verb, group, version, resource, subresource, scope
Labels = tuple[str, str, str, str, str, str]


class Times:
    """How often something took how long."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """Prometheus' form: how many up to each bound."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        up_to, table = 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            up_to += count
            table.append((bound, float(up_to)))
        return table


class Counts:
    """Requests of one sort: how many there are now, how they ended, and how long they took."""

    __slots__ = ("by_status", "long", "reads", "running", "times")

    def __init__(self, method: str, *, long: bool) -> None:
        self.long = long
        self.reads = method in ("GET", "HEAD")
        self.running = 0
        self.by_status: dict[int, int] = {}
        self.times = Times()


class Metrics:
    """Counts requests, and knows who else has figures."""

    def __init__(self) -> None:
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._others: list[tuple[str, str, Times]] = []
        self._counters: list[tuple[str, str, Callable[[], float]]] = []
        self._objects: Callable[[], dict[str, int]] = dict
        self._counts: dict[Labels, Counts] = {}
        # The same, found without making labels.
        self._known: dict[tuple[route.Route, str, bool], Counts] = {}
        # Requests that were refused before it was known what they want.
        self._unknown = self._counts.setdefault(("", "", "", "", "", ""), Counts("", long=False))
        self._registry = registry.CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        for collector in (prometheus_client.ProcessCollector, prometheus_client.GCCollector):
            collector(registry=self._registry)

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Have a figure read whenever somebody asks."""
        self._gauges.append((name, what, read))

    def times(self, name: str, what: str) -> Times:
        """Where somebody else counts how long things take."""
        made = Times()
        self._others.append((name, what, made))
        return made

    def counter(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Have something that only grows read whenever somebody asks; `name` is without its ``_total``."""
        self._counters.append((name, what, read))

    def objects(self, count: Callable[[], dict[str, int]]) -> None:
        """Have the objects of every resource counted whenever somebody asks."""
        self._objects = count

    def begin(self, call: route.Call, found: route.Route) -> None:
        """A request that is let in begins."""
        counts = call.counts = self._of(call, found)
        counts.running += 1

    def end(self, call: route.Call, *, status: int, seconds: float) -> None:
        """A request has its answer; one that never began was refused before a route was found."""
        counts: Counts | None = call.counts
        if counts is None:
            counts = self._unknown
        else:
            counts.running -= 1
            if not counts.long:
                counts.times.add(seconds)
        by_status = counts.by_status
        by_status[status] = by_status.get(status, 0) + 1

    def _of(self, call: route.Call, found: route.Route) -> Counts:
        # Whatever stands there: a word that is no yes was refused already, and is counted all the same.
        watch = "watch" in call.query and found.access.verb == "list" and call.one("watch") not in _NO
        key = (found, call.method, watch)
        counts = self._known.get(key)
        if counts is None:
            labels = _labels(call.method, found, watch=watch)
            made = Counts(call.method, long=labels[0] in _LONG)
            # A route that was made anew is counted with the old one.
            counts = self._known[key] = self._counts.setdefault(labels, made)
        return counts

    def served(self) -> route.Route:
        """`/metrics`."""
        return route.Route(method="GET", path="/metrics", access=route.Access(verb="get"), handle=self._answer)

    def collect(self) -> Iterator[core.Metric]:
        """Everything as Prometheus' client library wants it."""
        requests = core.CounterMetricFamily(
            "apiserver_request", "Requests by what they did and how they ended.", labels=(*_LABELS, "code")
        )
        for labels, one in self._counts.items():
            for status, count in one.by_status.items():
                requests.add_metric((*labels, str(status)), count)
        yield requests
        times = core.HistogramMetricFamily(
            "apiserver_request_duration_seconds", "How long requests took.", labels=_LABELS
        )
        known = [(labels, one) for labels, one in self._counts.items() if one is not self._unknown]
        for labels, one in known:
            if not one.long and one.by_status:
                times.add_metric(labels, one.times.cumulated(), sum_value=one.times.total)
        yield times
        lasting = ((labels, one.running) for labels, one in known if one.long)
        yield _gauges("apiserver_longrunning_requests", "Watches and streams now.", _LABELS, lasting)
        running = {"mutating": 0, "readOnly": 0}
        for _, one in known:
            if not one.long:
                running["readOnly" if one.reads else "mutating"] += one.running
        inflight = (((kind,), count) for kind, count in running.items())
        yield _gauges("apiserver_current_inflight_requests", "Requests now.", ("request_kind",), inflight)
        objects = (((resource,), count) for resource, count in sorted(self._objects().items()))
        yield _gauges("apiserver_storage_objects", "Objects by resource.", ("resource",), objects)
        for name, what, other in self._others:
            histogram = core.HistogramMetricFamily(name, what)
            histogram.add_metric((), other.cumulated(), sum_value=other.total)
            yield histogram
        for name, what, read in self._counters:
            yield core.CounterMetricFamily(name, what, value=read())
        for name, what, read in self._gauges:
            yield _gauges(name, what, (), [((), read())])

    async def _answer(self, call: route.Call) -> route.Answer:
        text = exposition.generate_latest(self._registry)
        return route.Answer(body=text, content_type=exposition.CONTENT_TYPE_PLAIN_0_0_4)


_NO = ("0", "f", "F", "false", "FALSE", "False")


def _labels(method: str, found: route.Route, *, watch: bool) -> Labels:
    access = found.access
    if not access.resource:
        return (method, "", "", "", found.path, "")
    segments = found.path.split("/")
    version = segments[3] if segments[1] == "apis" else segments[2]
    verb = "WATCH" if watch else _VERBS.get(access.verb, access.verb.upper())
    scope = "resource" if "{name}" in segments else "namespace" if "{namespace}" in segments else "cluster"
    return (verb, access.group, version, access.resource, access.subresource, scope)


_VERBS = {"create": "POST", "update": "PUT", "deletecollection": "DELETECOLLECTION"}


def _gauges(
    name: str, what: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> core.GaugeMetricFamily:
    family = core.GaugeMetricFamily(name, what, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family
