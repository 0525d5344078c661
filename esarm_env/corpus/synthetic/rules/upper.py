"""Brows that mark accents, blinks, gaze, and noise: what moves whatever is felt."""

from __future__ import annotations

from collections.abc import Mapping

# ---- Brows -------------------------------------------------------------------------------------

# Brows follow pitch accents, some are missed and some raises come alone: of the brow raises, 71 %
# go with rises of F0 (Cavé et al. 1996). Sizes and times are chosen by eye.
ACCENT_FULL_SEMITONES = 2.5  # above the falling line of the utterance
ACCENT_LEAD_S = 0.033
PROSODY_FACE: Mapping[str, float] = {"browInnerUp": 0.46, "browOuterUp": 0.36, "eyeWide": 0.12}
ACCENT_MISSED = 0.12  # probability
ACCENT_MISSED_GAIN = 0.25
ACCENT_GAIN = (0.85, 1.15)
LONE_RAISE_RATE_HZ = 5 / 60
LONE_RAISE_SIZE = (0.4, 0.8)  # of a full accent
LONE_RAISE_UP_S, LONE_RAISE_HOLD_S, LONE_RAISE_DOWN_S = 0.13, 0.10, 0.27
LOUDNESS_FACE: Mapping[str, float] = {"cheekSquint": 0.05, "noseSneer": 0.03, "browDown": 0.04}

# ---- Blinks ------------------------------------------------------------------------------------

# Rate: Bentivoglio et al. 1997 counted 17 per minute at rest and 26 in conversation; the two kinds
# here make about 19 together. Nakano and Kitazawa 2010: blinks gather at pauses.
BLINK_RATE_HZ = 12 / 60
BLINK_AT_PHRASE_END = 0.25  # probability, chosen to give that rate
BLINK_SHORTEST_GAP_S = 0.6  # by eye
# Lids close faster than they open (VanderWerf et al. 2003); lengths chosen so that a blink lasts
# 0.1 to 0.4 s (Schiffman 2001, "Sensation and Perception").
BLINK_CLOSING_S, BLINK_CLOSED_S, BLINK_OPENING_S = 0.085, 0.045, 0.160
BLINK_DEPTH = (0.82, 1.0)  # by eye

# ---- Gaze --------------------------------------------------------------------------------------

# Speakers look at the listener for 93.9 frames on average and away for 27.8, at 30 fps, and eyes
# turn by 6.9 degrees on average (Lee, Badler and Badler 2002, "Eyes Alive").
GAZE_AT_LISTENER_S = 93.9 / 30
GAZE_AWAY_S = 27.8 / 30
GAZE_AWAY_FIXATION_S = (0.3, 0.8)  # each place looked at while away; by eye
GAZE_AWAY_SIZE = 6.9 / 40  # 40 degrees per unit of `eyeLook`: by eye on a rendered head
GAZE_SIZE_LIMITS = (0.06, 0.45)
GAZE_UP_DOWN_SHARE = 0.6  # by eye: eyes turn more to the sides
GAZE_AT_LISTENER_STD = 0.012
GAZE_SACCADE_S = 0.06  # by eye; two frames

# ---- What nobody can predict -------------------------------------------------------------------

NOISE_SHARE = 0.05  # of the channel's value; by eye
NOISE_FLOOR: Mapping[str, float] = {"brow": 0.005, "eyeSquint": 0.004, "cheekSquint": 0.003}
NOISE_TIME_S = 0.16
# Jitter from frame to frame, as a share of the value, that gives the captured takes' share of
# velocity above 8 Hz; mouth and jaw alone, no other channel was captured there.
CAPTURE_JITTER_SHARE = 0.025
