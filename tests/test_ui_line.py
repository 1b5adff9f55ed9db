"""Long work in the line: in the middle of it everybody else is served."""

from __future__ import annotations

import threading

from assistant.ui.line import Line


def test_whatever_is_shorter_is_done_amid_it():
    line, order, begun = Line(), [], threading.Event()
    joined = threading.Event()

    def long(job):
        begun.set()
        joined.wait(20)
        order.append("begins")
        job.breathe()
        order.append("ends")

    def short(name, urgent):
        return line.join(lambda job: order.append(name), urgent=urgent)

    first = line.join(long, long=True)
    begun.wait(20)
    later = line.join(lambda job: order.append("other"), long=True)
    jobs = [short("evidence", False), short("question", True), first, later]
    joined.set()
    for job in jobs:
        assert job.ended.wait(20)
    assert order == ["begins", "question", "evidence", "ends", "other"]
    line.close()


def test_it_leaves_when_it_is_stopped():
    line, went_on = Line(), []

    def long(job):
        while True:
            job.breathe()
            went_on.append(1)

    job = line.join(long, long=True)
    while not went_on:
        pass
    job.stop.set()
    assert job.ended.wait(20) and list(job) == []
    again = line.join(long, long=True)
    went_on.clear()
    while not went_on:
        pass
    line.close()
    assert again.ended.wait(20)
