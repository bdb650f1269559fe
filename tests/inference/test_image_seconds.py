"""Images and videos: tokens, FLOPs and seconds by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import clustersim as cs
from clustersim.inference import served_model
from clustersim.inference.coefficients import ImageCoefficients
from clustersim.inference.images import ImageTask, ImageTasks, image_seconds
from clustersim.inference.parameters import IMAGE_PARAMETERS

H100 = cs.load_catalogue().accelerator("H100")
WAN = ImageTask(H100, served_model("wan-14b"), 1.0, 1280.0, 720.0, 81.0, 50.0)


def neutral(**values: float) -> ImageCoefficients:
    none = {"traffic", "layer_s", "pixel_bytes", "start_s"}
    usual = {p.name: 0.0 if p.name in none else 1.0 for p in IMAGE_PARAMETERS}
    return ImageCoefficients(**{name: np.full(1, v) for name, v in {**usual, **values}.items()})


def test_tokens_and_flops_of_a_video() -> None:
    tokens = 21 * 45 * 80
    assert WAN.tokens == tokens
    products, scores = WAN.flops
    assert products == pytest.approx(2 * 12e9 * tokens)
    assert scores == pytest.approx(4 * tokens**2 * 40 * 128 * 40)


def test_an_image_has_one_frame_and_linear_attention_grows_with_its_area() -> None:
    sana = ImageTask(H100, served_model("sana-1.6b"), 1.0, 4096.0, 4096.0, 1.0, 20.0)
    assert sana.tokens == 128 * 128
    half = dataclasses.replace(sana, width=2048.0)
    assert sana.flops[1] == pytest.approx(2 * half.flops[1])


def test_seconds_are_the_flops_of_all_steps_and_both_passes() -> None:
    tasks = ImageTasks.of([WAN])
    products, scores = WAN.flops
    one = products / tasks.product_flops + scores / tasks.attention_flops
    assert image_seconds(tasks, neutral()) == pytest.approx(50 * 2 * one)


def test_the_autoencoder_is_not_shared_by_the_chips() -> None:
    c = neutral(pixel_bytes=1e6, start_s=2.0, exchange=0.0)
    one, eight = (
        image_seconds(ImageTasks.of([dataclasses.replace(WAN, n_chips=float(n))]), c)
        for n in (1, 8)
    )
    alone = 2.0 + 1e6 * 1280 * 720 * 81 / ImageTasks.of([WAN]).stream_Bps
    assert eight - alone == pytest.approx((one - alone) / 8)


def test_more_steps_frames_or_pixels_take_longer() -> None:
    from clustersim.inference.calibration import default_serving, image_coefficients_of

    c = image_coefficients_of(default_serving().images, [{"chip": "hopper"}])
    base = image_seconds(ImageTasks.of([WAN]), c)
    for name in ("steps", "frames", "width", "height"):
        more = dataclasses.replace(WAN, **{name: 2 * getattr(WAN, name)})
        assert image_seconds(ImageTasks.of([more]), c) > base
    assert image_seconds(ImageTasks.of([dataclasses.replace(WAN, n_chips=8.0)]), c) < base / 5
