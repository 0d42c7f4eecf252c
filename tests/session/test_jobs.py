from __future__ import annotations

import threading

from ptychoui.errors import DataError
from ptychoui.session.jobs import JobDone, JobQueue
from ptychoui.session.mailbox import Mailbox


def answers(jobs: JobQueue) -> dict[int, JobDone]:
    assert jobs.close(10)
    return {item.run: item.value for item in jobs.mailbox.drain().scalars}


def test_jobs_answer_with_their_number() -> None:
    jobs = JobQueue(Mailbox())
    numbers = [jobs.submit(f"job {i}", lambda i=i: i * i) for i in range(5)]
    found = answers(jobs)
    assert [found[number].value for number in numbers] == [0, 1, 4, 9, 16]
    assert not jobs.busy


def test_a_job_that_fails_says_why_and_the_queue_goes_on() -> None:
    def fail() -> None:
        raise DataError("no such file", "check the path")

    jobs = JobQueue(Mailbox())
    bad, good = jobs.submit("a", fail), jobs.submit("b", lambda: "fine")
    found = answers(jobs)
    assert found[bad].failure is not None and found[bad].failure.message == "no such file"
    assert found[good].value == "fine"


def test_only_the_newest_of_waiting_jobs_with_a_key_is_done() -> None:
    jobs = JobQueue(Mailbox())
    gate = threading.Event()
    jobs.submit("gate", lambda: gate.wait(10))
    numbers = [jobs.submit("assess", lambda i=i: i) for i in range(20)]
    gate.set()
    found = answers(jobs)
    assert [number for number in numbers if number in found] == [numbers[-1]]
    assert found[numbers[-1]].value == 19


def test_closing_an_unused_queue_is_nothing() -> None:
    assert JobQueue(Mailbox()).close(1)
