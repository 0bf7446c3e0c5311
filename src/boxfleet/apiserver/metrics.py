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


class Metrics:
    """Counts requests, and knows who else has figures."""

    def __init__(self) -> None:
        self._requests: dict[tuple[Labels, int], int] = {}
        self._times: dict[Labels, Times] = {}
        self._long: dict[Labels, int] = {}
        self._inflight = {"mutating": 0, "readOnly": 0}
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._others: list[tuple[str, str, Times]] = []
        self._counters: list[tuple[str, str, Callable[[], float]]] = []
        self._objects: Callable[[], dict[str, int]] = dict
        self._labels: dict[tuple[route.Route, str, bool], Labels] = {}
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
        labels = self.labels(call, found)
        if labels[0] in _LONG:
            self._long[labels] = self._long.get(labels, 0) + 1
        else:
            self._inflight["readOnly" if call.method in ("GET", "HEAD") else "mutating"] += 1

    def end(self, call: route.Call, found: route.Route | None, *, status: int, seconds: float) -> None:
        """A request has its answer; without a route it was refused before one was found."""
        labels = self.labels(call, found) if found is not None else ("", "", "", "", "", "")
        key = (labels, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        if found is None:
            return
        if labels[0] in _LONG:
            self._long[labels] -= 1
            return
        self._inflight["readOnly" if call.method in ("GET", "HEAD") else "mutating"] -= 1
        times = self._times.get(labels)
        if times is None:
            times = self._times[labels] = Times()
        times.add(seconds)

    def labels(self, call: route.Call, found: route.Route) -> Labels:
        """What a request is counted under."""
        # Whatever stands there: a word that is no yes was refused already, and is counted all the same.
        watch = found.access.verb == "list" and "watch" in call.query and call.one("watch") not in _NO
        key = (found, call.method, watch)
        labels = self._labels.get(key)
        if labels is None:
            labels = self._labels[key] = _labels(call.method, found, watch=watch)
        return labels

    def served(self) -> route.Route:
        """`/metrics`."""
        return route.Route(method="GET", path="/metrics", access=route.Access(verb="get"), handle=self._answer)

    def collect(self) -> Iterator[core.Metric]:
        """Everything as Prometheus' client library wants it."""
        requests = core.CounterMetricFamily(
            "apiserver_request", "Requests by what they did and how they ended.", labels=(*_LABELS, "code")
        )
        for (labels, status), count in self._requests.items():
            requests.add_metric((*labels, str(status)), count)
        yield requests
        times = core.HistogramMetricFamily(
            "apiserver_request_duration_seconds", "How long requests took.", labels=_LABELS
        )
        for labels, one in self._times.items():
            times.add_metric(labels, one.cumulated(), sum_value=one.total)
        yield times
        yield _gauges("apiserver_longrunning_requests", "Watches and streams now.", _LABELS, self._long.items())
        inflight = (((kind,), count) for kind, count in self._inflight.items())
        yield _gauges("apiserver_current_inflight_requests", "Requests now.", ("request_kind",), inflight)
        objects = (((resource,), count) for resource, count in sorted(self._objects().items()))
        yield _gauges("apiserver_storage_objects", "Objects by resource.", ("resource",), objects)
        for name, what, one in self._others:
            histogram = core.HistogramMetricFamily(name, what)
            histogram.add_metric((), one.cumulated(), sum_value=one.total)
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
