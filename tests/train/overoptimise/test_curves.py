"""Curves on disk, their means over seeds, and what they are said to show."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from train.overoptimise.curve import QUICK, Curve, OveroptimiseConfig, load_curve, mean_curve
from train.overoptimise.findings import points_of, verdict_of


def make_curve(*, proxy, lve, eve, n=40):
    """Return a curve whose N utterances differ by a little from the given means."""
    spread = np.linspace(-0.1, 0.1, n)
    steps = np.arange(len(proxy)) * 10

    def wide(means):
        # Changes must have a spread, too, so that intervals are not points.
        return np.array(means)[:, None] + spread * (1 + 0.1 * np.arange(len(means)))[:, None]

    return Curve(
        steps=steps,
        lengths=np.full(n, 50),
        divergence=np.broadcast_to(np.arange(len(steps), dtype=float)[:, None], (len(steps), n)),
        proxy=wide(proxy),
        errors={"lve": wide(lve), "eve": wide(eve)},
    )


def test_hacking_is_seen_where_the_proxy_rises_and_one_error_too():
    """The verdict is what people read; one error that falls must not excuse the other."""
    curve = make_curve(proxy=[0, 1, 2], lve=[3, 2.5, 4], eve=[2, 1.5, 1.0])
    verdict = verdict_of(curve)
    assert verdict.hacked
    assert verdict.errors["lve"].peak_step == 10
    assert verdict.errors["lve"].since_peak.mean == pytest.approx(1.5)
    assert verdict.sentence() == (
        "proxy up; LVE worse (least at 1.0 nats, rising since), EVE better (least at 2.0 nats); "
        "**hacked**"
    )


def test_worse_faces_without_a_rising_proxy_are_no_hacking():
    """Training that fails altogether is another trouble, and must not be called hacking."""
    verdict = verdict_of(make_curve(proxy=[0, -1], lve=[3, 4], eve=[2, 2]))
    assert not verdict.hacked
    assert verdict.sentence().startswith("proxy down; LVE worse (least at 0.0 nats, rising since)")
    assert "EVE not clearly changed" in verdict.sentence()


def test_a_region_that_was_not_captured_is_said_so():
    """NaN must neither break the figures nor look like a change."""
    verdict = verdict_of(make_curve(proxy=[0, 1], lve=[3, 2], eve=[np.nan, np.nan]))
    assert verdict.sentence() == ("proxy up; LVE better (least at 1.0 nats), EVE not captured")


def test_points_hold_paired_changes_and_both_units_of_divergence():
    """A change of unpaired means would hide small ones behind the spread of utterances."""
    first, second = points_of(make_curve(proxy=[0, 1], lve=[3, 2], eve=[2, 2]))
    assert first.changes["lve"].mean == 0
    assert second.changes["lve"].mean == pytest.approx(-1)
    assert second.changes["lve"].high < -0.99  # the spread between utterances is not in it
    assert second.row()["nats_per_utterance"] == 1
    assert second.row()["nats_per_token"] == pytest.approx(1 / 50)


def test_a_saved_curve_comes_back(tmp_path):
    """Resuming trusts the file alone."""
    curve = make_curve(proxy=[0, 1], lve=[3, 2], eve=[2, np.nan])
    curve.save(tmp_path / "curve.npz")
    again = load_curve(tmp_path / "curve.npz")
    np.testing.assert_array_equal(again.steps, curve.steps)
    np.testing.assert_array_equal(again.errors["eve"], curve.errors["eve"])


def test_a_damaged_curve_names_the_folder_to_delete(tmp_path):
    """A half-written file would otherwise end every later call with a traceback."""
    file = tmp_path / "curve.npz"
    file.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InputError, match=re.escape(f"{file}: must be a measured curve, got")):
        load_curve(file)


def test_seeds_are_averaged_utterance_by_utterance():
    """Seeds of one utterance are no independent utterances; the bootstrap must not see twice."""
    one = make_curve(proxy=[0, 1], lve=[3, 2], eve=[2, 2])
    two = make_curve(proxy=[0, 3], lve=[3, 4], eve=[2, 2])
    mean = mean_curve([one, two])
    assert mean.proxy.shape == one.proxy.shape
    assert points_of(mean)[1].changes["proxy"].mean == pytest.approx(2)


def test_curves_of_other_steps_have_no_mean():
    """Adding up different iterations would draw a curve of no policy."""
    one = make_curve(proxy=[0, 1], lve=[3, 2], eve=[2, 2])
    two = make_curve(proxy=[0, 1, 2], lve=[3, 2, 2], eve=[2, 2, 2])
    with pytest.raises(ValueError, match=re.escape("must have the same steps and utterances, got")):
        mean_curve([one, two])


def test_a_curve_checks_its_shapes():
    """A transposed array of as many numbers would be averaged over the wrong axis."""
    parts = {"steps": np.arange(2), "lengths": np.ones(3), "proxy": np.zeros((2, 3))}
    with pytest.raises(ValueError, match=re.escape("`divergence` must have shape (2, 3), got")):
        Curve(divergence=np.zeros((3, 2)), errors={}, **parts)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"iterations": 0}, "`iterations` must be at least 1, got 0"),
        ({"iterations": 7}, "`iterations` must be a multiple of `measure_every`, got 7 and 10"),
        ({"measure_every": 0}, "`measure_every` must be at least 1, got 0"),
        ({"samples": 0}, "`samples` must be at least 1, got 0"),
        ({"best_of": 0}, "`best_of` must be at least 1, got 0"),
        ({"utterances": -1}, "`utterances` must be at least 0, got -1"),
        ({"utterances": 1}, "`utterances` must be 0 (all) or at least 2, got 1"),
        ({"kl_coefs": ()}, "`kl_coefs` must be different numbers, got []"),
        ({"kl_coefs": (0.1, 0.1)}, "`kl_coefs` must be different numbers, got [0.1, 0.1]"),
        ({"kl_coefs": (-0.1,)}, "`kl_coefs` must be at least 0, got [-0.1]"),
        ({"kl_coefs": (float("nan"),)}, "`kl_coefs` must be at least 0, got [nan]"),
        ({"seeds": (-1,)}, "`seeds` must be at least 0, got [-1]"),
    ],
)
def test_settings_out_of_range_are_refused(changed, message):
    """Ten minutes of measuring must not end in an empty figure."""
    with pytest.raises(InputError, match=re.escape(message)):
        OveroptimiseConfig(**changed)


def test_the_counts_of_best_of_n_are_powers_of_two_and_the_greatest():
    """The last point of the dashed line is what was asked for."""
    assert OveroptimiseConfig(best_of=64).best_of_counts == (1, 2, 4, 8, 16, 32, 64)
    assert OveroptimiseConfig(best_of=6).best_of_counts == (1, 2, 4, 6)
    assert OveroptimiseConfig(best_of=1).best_of_counts == (1,)
    assert QUICK.iterations < OveroptimiseConfig().iterations
