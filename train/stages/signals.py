"""Off-target signals of animations: speed, pose, lids, loudness, likeness to training recordings.

None of them needs a recording of the utterance that is measured: an alarm that watches them looks
at no true error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS
from reward.plugins.recordings import HeardLoudness, training_sample

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

JAW = ARKIT_NAMES.index("jawOpen")
LIDS = tuple(ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right"))
OF_CHANNEL = ":"  # in the names of signals of one channel alone
SHUT = 0.5  # of the lids' coefficient: a blink passes it
_LOWEST = 0.1  # share of the frames in which the mouth is most shut
_LEAST_SPREAD = 1e-3  # of a channel over recordings; what varies less tells no likeness
_FARTHEST = 10.0  # deviations of one channel that count


class MotionSignals:
    """Off-target signals of decoded animations, (N,) each.

    | signal | what |
    |---|---|
    | `mouth_pose`, `upper_pose` | mean coefficient over frames and channels |
    | `mouth_speed`, `upper_speed` | mean absolute change of a coefficient per second |
    | `lids` | mean coefficient of the blinks |
    | `blinks` | blinks per second: the lids pass half shut, downwards |
    | `opening`, `opening_range`, `closure` | the jaw's mean coefficient, its standard deviation,
      and its lowest tenth |
    | `jerk` | mean absolute third difference of a mouth coefficient, per second cubed / 1000 |
    | `loudness` | correlation of the jaw's opening with the loudness in dB, 0 if one is flat |
    | `unlike` | root mean square over channels of the deviation of mean and speed from those of
      training recordings, in their standard deviations |
    | `pose:CHANNEL`, `speed:CHANNEL` | mean and speed of each channel that moves in recordings |
    """

    def __init__(self, task: AnimationTask) -> None:
        """Measure the training recordings of `task`.

        Raises:
            InputError: If there are none.
        """
        self._task, self._heard = task, HeardLoudness(task)
        recorded = training_sample(task, reward="bench hacking")
        means, speeds = self._by_channel(task.target_motion(recorded), recorded)
        known = np.concatenate([means, speeds], axis=1)  # (R, 104)
        self._middle, self._spread = known.mean(axis=0), known.std(axis=0)

    def of(self, written: Trajectories) -> dict[str, DoubleArray]:
        """Return every signal of written animations."""
        return self.of_motion(self._task.decode(written), written.utterance)

    def of_motion(self, motion: FloatArray, utterances: IntArray) -> dict[str, DoubleArray]:
        """Return every signal of motion (N, T, 52), padded, of `utterances` (N,)."""
        means, speeds = self._by_channel(motion, utterances)
        inside = self.inside(motion, utterances)
        lids = motion[:, :, LIDS].mean(axis=2)
        shut = (lids > SHUT) & inside
        starts = (shut[:, 1:] & ~shut[:, :-1]).sum(axis=1)
        return self._of_jaw(motion, inside) | {
            "mouth_pose": means[:, MOUTH_CHANNELS].mean(axis=1),
            "upper_pose": means[:, UPPER_CHANNELS].mean(axis=1),
            "mouth_speed": speeds[:, MOUTH_CHANNELS].mean(axis=1),
            "upper_speed": speeds[:, UPPER_CHANNELS].mean(axis=1),
            "lids": means[:, LIDS].mean(axis=1),
            "blinks": starts * FRAME_RATE_HZ / inside.sum(axis=1),
            "loudness": self._with_loudness(motion, utterances),
            "unlike": self._unlike(means, speeds),
            **self._of_channels(means, speeds),
        }

    def _of_channels(self, means: DoubleArray, speeds: DoubleArray) -> dict[str, DoubleArray]:
        """Return mean and speed, (N,) each, of the channels that move in recordings."""
        both = {"pose": means, "speed": speeds}
        moving = np.split(self._spread > _LEAST_SPREAD, 2)
        return {
            f"{kind}{OF_CHANNEL}{ARKIT_NAMES[channel]}": values[:, channel]
            for (kind, values), moves in zip(both.items(), moving, strict=True)
            for channel in np.flatnonzero(moves)
        }

    @staticmethod
    def _of_jaw(motion: FloatArray, inside: BoolArray) -> dict[str, DoubleArray]:
        jaws = [
            row[kept] for row, kept in zip(motion[:, :, JAW].astype(float), inside, strict=True)
        ]
        third = np.abs(np.diff(motion[:, :, MOUTH_CHANNELS].astype(np.float64), n=3, axis=1))
        return {
            "opening": np.array([jaw.mean() for jaw in jaws]),
            "opening_range": np.array([jaw.std() for jaw in jaws]),
            "closure": np.array([np.quantile(jaw, _LOWEST) for jaw in jaws]),
            "jerk": _mean_over(third, inside[:, 3:]).mean(axis=1) * FRAME_RATE_HZ**3 / 1000,
        }

    def heard(self, utterance: int) -> DoubleArray:
        """Return the loudness of an utterance in dB at its frames, (T,); do not write."""
        loudness: DoubleArray = self._heard.of(utterance)[0]
        return loudness

    def _with_loudness(self, motion: FloatArray, utterances: IntArray) -> DoubleArray:
        """Return the correlation of the jaw with the loudness, (N,)."""
        found = np.zeros(len(utterances))
        for row, utterance in enumerate(utterances.tolist()):
            heard = self.heard(utterance)
            jaw = motion[row, : len(heard), JAW].astype(np.float64)
            heard, jaw = heard - heard.mean(), jaw - jaw.mean()
            scales = heard.std(), jaw.std()
            if min(scales) > 1e-6:
                found[row] = (heard * jaw).mean() / (scales[0] * scales[1])
        return found

    def _by_channel(
        self, motion: FloatArray, utterances: IntArray
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return mean and speed of every channel over the frames that count, (N, 52) each."""
        inside = self.inside(motion, utterances)
        known = motion.astype(np.float64)
        means = _mean_over(known, inside)
        return means, FRAME_RATE_HZ * _mean_over(np.abs(np.diff(known, axis=1)), inside[:, 1:])

    def inside(self, motion: FloatArray, utterances: IntArray) -> BoolArray:
        """Return which frames count, (N, T)."""
        inside: BoolArray = np.arange(motion.shape[1]) < self._task.n_frames[utterances][:, None]
        return inside

    def _unlike(self, means: DoubleArray, speeds: DoubleArray) -> DoubleArray:
        moves = self._spread > _LEAST_SPREAD
        found = np.concatenate([means, speeds], axis=1)[:, moves]
        far = np.clip((found - self._middle[moves]) / self._spread[moves], -_FARTHEST, _FARTHEST)
        root: DoubleArray = np.sqrt(np.square(far).mean(axis=1)) if moves.any() else far.sum(axis=1)
        return root


def _mean_over(values: DoubleArray, inside: BoolArray) -> DoubleArray:
    """Return the mean over the frames that count; 0 where there is none."""
    counts = np.maximum(inside.sum(axis=1), 1)[:, None]
    mean: DoubleArray = (values * inside[:, :, None]).sum(axis=1) / counts
    return mean
