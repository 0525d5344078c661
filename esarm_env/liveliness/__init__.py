"""Liveliness: blinks, gaze and a face that never quite rests, as a random layer over any motion.

Speech tells nothing of them, so a policy that decodes deterministically leaves them out: its eyes
stay open and still. They are drawn apart, from a seed, after decoding. The evaluation does not use
them: its rows are what a policy wrote.

- `blinks`: blinks: found in motion, taken away, their habit fitted from recordings, and drawn
  anew.
- `layer`: `add_liveliness`: blinks, gaze and rest movement over decoded motion.
"""

from esarm_env.liveliness.blinks import BlinkHabit, find_blinks, without_blinks
from esarm_env.liveliness.layer import add_liveliness

__all__ = ["BlinkHabit", "add_liveliness", "find_blinks", "without_blinks"]
