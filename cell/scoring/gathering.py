"""Requests for one artifact that wait for company, since the model asks for that. Pure."""

from __future__ import annotations

from cell.scoring.batch import Job


class Gathering:
    """They wait until `ready_at`, until there are `most` rows, or until one of them has no time to wait."""

    __slots__ = ("jobs", "most", "ready_at", "rows")

    def __init__(self, ready_at: float, most: int) -> None:
        self.jobs: list[Job] = []
        self.rows = 0
        self.most = most
        self.ready_at = ready_at

    def add(self, job: Job, now: float) -> None:
        if job.deadline.at <= self.ready_at:
            self.ready_at = now
        self.jobs.append(job)
        self.rows += job.rows

    def is_ready(self, now: float) -> bool:
        return self.rows >= self.most or now >= self.ready_at
