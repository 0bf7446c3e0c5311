"""Figures of queues and of the audit log, under the names that Kubernetes has for them."""

from boxfleet.apiserver import fairness, metrics
from boxfleet.apiserver.audit import auditor


def of_fairness(shown: metrics.Metrics, fair: fairness.Fairness) -> None:
    """Requests that wait, waited, or were sent away."""
    flow = "apiserver_flowcontrol"
    shown.gauge(f"{flow}_current_inqueue_requests", "Requests that wait now.", lambda: fair.queued)
    shown.counter(f"{flow}_waited_requests", "Requests that waited.", lambda: fair.waited)
    shown.counter(f"{flow}_request_wait_duration_seconds", "How long they did.", lambda: fair.waited_seconds)
    shown.counter(f"{flow}_rejected_requests", "Requests answered by 429.", lambda: fair.rejected)


def of_audit(shown: metrics.Metrics, audit: auditor.Auditor) -> None:
    """Records that were written or lost, and requests that were refused since they could not be recorded."""
    book = audit.book
    if book is None:
        return
    shown.counter("apiserver_audit_event", "Records that were written.", lambda: book.lines)
    shown.counter("apiserver_audit_error", "Records that were lost.", lambda: book.lost)
    shown.counter("apiserver_audit_requests_rejected", "Refused, for want of a record.", lambda: audit.refused)
    shown.gauge("boxfleet_audit_writable", "Whether records can be written.", lambda: 0.0 if book.trouble else 1.0)
