"""What a process says of itself: `metrics` (`durations` among them), their `page` what is
beside it on the `admin` port; and `logs`. Never a caller's values.
"""
