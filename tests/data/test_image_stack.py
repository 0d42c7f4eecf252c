"""A stack's images by the numbers of their LEDs."""

from __future__ import annotations

import numpy as np

from ptychoui.data.dataset import ImageStack


def test_every_led_finds_its_image_and_a_stranger_none() -> None:
    """The image of LED n holds the value n, in an order of its own."""
    numbers = np.array([4, 7, 5, 0])
    images = np.broadcast_to(numbers[:, None, None], (4, 2, 2)).astype(np.float32)
    stack = ImageStack(images=images, led_numbers=numbers, geometry=None)
    places = stack.places_of(np.array([0, 5, 6, 7]))
    assert places[2] == -1
    assert stack.images[places[[0, 1, 3]], 0, 0].tolist() == [0, 5, 7]
