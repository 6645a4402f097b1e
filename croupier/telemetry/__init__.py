"""What a process says of itself: `metrics` (`durations` among them), what it believes (`admin`), the `page`
of both; what `stalls` its loop; `logs` (`failures`: of exceptions); and `traces` (`trace_parent`: who is
called is told of one), which `export` has `otlp` send away, as `span_bytes`, with the metrics, if there is a
collector. Never a caller's values.
"""
