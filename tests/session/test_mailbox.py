from __future__ import annotations

import threading

from ptychoui.session.mailbox import Mailbox


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_slow_consumer_loses_pictures_and_never_scalars() -> None:
    mailbox = Mailbox()
    for step in range(1000):
        mailbox.put_image(1, "snapshot", step)
        mailbox.put_scalar(1, step)
    mail = mailbox.drain()
    assert [item.value for item in mail.scalars] == list(range(1000))
    assert [(kind, item.value) for kind, item in mail.images] == [("snapshot", 999)]
    assert not mailbox.drain()


def test_scalars_of_several_producers_are_all_there() -> None:
    mailbox = Mailbox()

    def produce(run: int) -> None:
        for step in range(500):
            mailbox.put_scalar(run, step)

    threads = [threading.Thread(target=produce, args=(run,)) for run in range(4)]
    for thread in threads:
        thread.start()
    found: dict[int, list[int]] = {run: [] for run in range(4)}
    while any(thread.is_alive() for thread in threads):
        for item in mailbox.drain().scalars:
            found[item.run].append(item.value)
    for item in mailbox.drain().scalars:
        found[item.run].append(item.value)
    assert all(values == list(range(500)) for values in found.values())


def test_pictures_are_made_on_demand_only() -> None:
    clock = Clock()
    mailbox = Mailbox(clock)
    assert not mailbox.images_wanted()
    mailbox.want_images()
    assert mailbox.images_wanted()
    clock.now += 10
    assert not mailbox.images_wanted(), "a wish is used up by one picture"


def test_pictures_keep_their_distance() -> None:
    clock = Clock()
    mailbox = Mailbox(clock)
    mailbox.want_images()
    assert mailbox.images_wanted()
    mailbox.put_image(1, "snapshot", 0)
    mailbox.want_images()
    clock.now = 0.05
    assert not mailbox.images_wanted()
    clock.now = 0.11
    assert mailbox.images_wanted()


def test_costly_pictures_are_made_less_often() -> None:
    clock = Clock()
    mailbox = Mailbox(clock)
    mailbox.want_images()
    assert mailbox.images_wanted()
    clock.now = 2.0
    mailbox.put_image(1, "snapshot", 0)
    mailbox.want_images()
    clock.now = 9.9
    assert not mailbox.images_wanted()
    clock.now = 10.1
    assert mailbox.images_wanted()


def test_a_picture_that_nobody_asked_for_says_nothing_of_the_cost() -> None:
    clock = Clock()
    mailbox = Mailbox(clock)
    mailbox.want_images()
    assert mailbox.images_wanted()
    mailbox.put_image(1, "Snapshot", 0)
    clock.now = 600.0  # the next run shows what it learns from
    mailbox.put_image(2, "TruthShown", 0)
    mailbox.want_images()
    assert mailbox.images_wanted(), "the time since the last picture was taken for the time that one takes"
