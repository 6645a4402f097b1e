"""What a process says of itself: `metrics`, their `page`, and `logs`. Never a caller's values."""
