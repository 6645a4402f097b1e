"""What a process says of itself: `metrics` (`durations` among them), what it believes (`admin`), the `page`
of both; and `logs`. Never a caller's values.
"""
