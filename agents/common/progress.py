"""Stable-Baselines3's progress bar, for algorithms whose steps are tokens, many at a time."""

from __future__ import annotations

from stable_baselines3.common.callbacks import ProgressBarCallback


class TokenProgressBar(ProgressBarCallback):
    """Counts `num_timesteps`; its base counts one step per environment and call."""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._before = self.model.num_timesteps

    def _on_step(self) -> bool:
        done = self.model.num_timesteps - self._before
        # Whole episodes go past the total, which is where the bar ends.
        self.pbar.update(min(done, self.pbar.total) - self.pbar.n)
        return True
