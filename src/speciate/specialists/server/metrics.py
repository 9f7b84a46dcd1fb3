"""Counts of what the server does, in Prometheus' text format."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)  # seconds
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and one histogram; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[tuple[str, Labels], float] = defaultdict(float)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += amount

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that has ended, and how long it took."""
        self.add("speciate_requests_total", endpoint=endpoint, status=str(status))
        for bound in BUCKETS:
            self.add("speciate_request_seconds_bucket", seconds <= bound, endpoint=endpoint, le=f"{bound:g}")
        self.add("speciate_request_seconds_bucket", endpoint=endpoint, le="+Inf")
        self.add("speciate_request_seconds_sum", seconds, endpoint=endpoint)
        self.add("speciate_request_seconds_count", endpoint=endpoint)

    def total(self, name: str) -> float:
        """The sum of a counter over its labels."""
        with self._lock:
            return sum(value for (each, _), value in self._counts.items() if each == name)

    def text(self, gauges: Mapping[str, Mapping[Labels, float]]) -> str:
        """The page of /metrics: what was counted, and these values of now."""
        with self._lock:
            counted = list(self._counts.items())
        families: dict[str, list[str]] = {}
        for (name, labels), value in counted:
            family = re.sub("_(bucket|sum|count)$", "", name)
            header = f"# TYPE {family} {'counter' if family == name else 'histogram'}"
            families.setdefault(header, []).append(_line(name, labels, value))
        for name, values in gauges.items():
            families[f"# TYPE {name} gauge"] = [_line(name, labels, value) for labels, value in values.items()]
        return "".join(f"{line}\n" for header, samples in families.items() for line in [header, *samples])


def _line(name: str, labels: Labels, value: float) -> str:
    """One sample.

    >>> _line("tokens_total", (("expert", 'a"b'),), 3)
    'tokens_total{expert="a\\\\"b"} 3'
    """
    escaped = (f'{key}="{_escaped(text)}"' for key, text in labels)
    shown = "{" + ",".join(escaped) + "}" if labels else ""
    return f"{name}{shown} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def resident_bytes() -> float | None:
    """Memory of this process, None where the system does not say."""
    try:
        import resource

        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * float(resource.getpagesize())
    except (OSError, ImportError):
        return None
