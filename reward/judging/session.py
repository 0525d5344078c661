"""Session of a rater: next pair, answer, undo, hidden repeats; it goes on where it ended.

What is shown depends on nothing but the pool, the rater's name, how many answers they gave, and
the answers in the file: after a crash the pair that was on the screen comes again.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import MAY_BE_0, SHARE, check_ranges, ranges
from reward.judging.choosing import Pair, PairChoice, RandomPairs
from reward.judging.log import JudgementLog
from reward.pairs.preference_file import CANNOT_TELL, VERDICTS, Preference

if TYPE_CHECKING:
    from reward.judging.pool import Pool, PooledAnimation

_LONGEST_NAME = 60


@ranges(repeats=SHARE, repeat_after=MAY_BE_0, overlap=SHARE, seed=MAY_BE_0)
@dataclass(frozen=True)
class JudgingSettings:
    """How pairs are asked for.

    Attributes:
        repeats: Share of the questions that are hidden repeats of one that the rater has answered.
        repeat_after: Answers in between, at least.
        overlap: Share of the other questions that are about pairs which another rater has judged.
        seed: Of all that is left to chance.
    """

    repeats: float = 0.1
    repeat_after: int = 8
    overlap: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class ShownPair:
    """A pair on the screen.

    Attributes:
        number: How many answers the rater had given before; an answer names it.
        a: The animation on the left.
        b: The animation on the right, of the same utterance.
        repeat: Whether it is a hidden repeat, which the rater is not told.
    """

    number: int
    a: PooledAnimation
    b: PooledAnimation
    repeat: bool

    @property
    def utterance(self) -> str:
        """Id of the utterance of both."""
        return self.a.utterance


class Judging:
    """The judging of one pool: its log of answers, and a session for every rater at work."""

    def __init__(
        self,
        pool: Pool,
        *,
        file: Path | None = None,
        choice: PairChoice | None = None,
        settings: JudgingSettings | None = None,
    ) -> None:
        """Judge the animations of a pool.

        Args:
            pool: What is judged.
            file: Of the answers, in the pool's folder for others to find the animations; by default
                its `preferences.jsonl`.
            choice: Which pairs; by default random ones.
            settings: Repeats, overlap and seed.

        Raises:
            InputError: If a setting is out of its range.
        """
        self.pool, self.choice = pool, choice or RandomPairs()
        self.settings = settings or JudgingSettings()
        check_ranges(self.settings)
        self.log = JudgementLog(file or pool.preferences)
        self._mutex = threading.RLock()
        self._at_work: dict[str, Session] = {}

    @property
    def raters(self) -> tuple[str, ...]:
        """Who has judged so far, in the order of their first answer."""
        return tuple(dict.fromkeys(each.rater for each in self.log.judgements))

    def begin(
        self,
        rater: str,
        *,
        go_on: bool = False,
        take_over: bool = False,
        choice: PairChoice | None = None,
    ) -> Session:
        """Begin the session of a rater.

        Args:
            rater: A name.
            go_on: Whether a name that has judged before may go on; else two people with one name
                would be one rater unseen.
            take_over: Whether a session under this name that is at work elsewhere ends.
            choice: Which pairs this rater gets; by default those that everybody does.

        Raises:
            InputError: If the name cannot be one, is taken (see `go_on`), or is at work.
        """
        name = rater_name(rater)
        with self._mutex:
            known = {other.casefold(): other for other in (*self.raters, *self._at_work)}
            spelled = known.get(name.casefold(), name)
            if spelled in self._at_work and not take_over:
                raise InputError(
                    f"`rater` must be a name that is not at work elsewhere, got {spelled!r}; "
                    "choose another name, or take that session over"
                )
            if spelled in known.values() and not (go_on or take_over):
                raise InputError(
                    f"`rater` must be a new name, got {spelled!r}, who has judged before; go on "
                    "as them if you are, or choose another name"
                )
            session = Session(self, spelled, choice or self.choice)
            if spelled in self._at_work:
                self._at_work[spelled].open = False
            self._at_work[spelled] = session
            return session

    def end(self, session: Session) -> None:
        """End a session; its name is free to go on with."""
        with self._mutex:
            session.open = False
            if self._at_work.get(session.rater) is session:
                del self._at_work[session.rater]


class Session:
    """One rater at work; safe to be asked by several threads.

    Attributes:
        rater: Name.
        open: False once it has been ended or taken over.
    """

    def __init__(self, judging: Judging, rater: str, choice: PairChoice) -> None:
        """Go on with what the file holds of this rater; `Judging.begin` makes sessions."""
        self._judging, self.rater, self.open = judging, rater, True
        self._choice = choice
        self._mutex = threading.RLock()
        self._now: ShownPair | None = None

    @property
    def n_answers(self) -> int:
        """Answers that the rater has given, in all sessions."""
        return len(self._own())

    def next(self) -> ShownPair | None:
        """Return the pair to judge now, the same until it is answered; None after the last.

        Raises:
            InputError: If the session has ended.
        """
        with self._mutex:
            self._check_open()
            own = self._own()
            if self._now is None or self._now.number != len(own):
                self._now = self._chosen(own)
            return self._now

    def answer(self, verdict: str, *, number: int | None = None) -> Preference:
        """Write the answer to the pair that `next` returned.

        Args:
            verdict: `a` (the left one is better), `b`, `tie` or `cannot-tell`.
            number: Of the pair that is answered; None stands for the one on the screen.

        Raises:
            InputError: If there is no such verdict, the pair is another by now (as after a double
                click), there is none, the session has ended, or the file cannot be written.
        """
        if verdict not in VERDICTS:
            raise InputError(f"`verdict` must be one of {', '.join(VERDICTS)}, got {verdict!r}")
        with self._mutex:
            shown = self.next()
            if shown is None or number not in (None, shown.number):
                expected = "no pair" if shown is None else f"pair {shown.number}"
                raise InputError(
                    f"`number` must be that of the pair on the screen ({expected}), got {number}; "
                    "ask for the next pair"
                )
            time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            made = Preference(
                shown.utterance, shown.a.rated(), shown.b.rated(), verdict, self.rater, time
            )
            self._judging.log.add(made)
            self._now = None
            return made

    def undo(self) -> ShownPair | None:
        """Take the last answer back and return its pair, to be judged again; None if there is none.

        Raises:
            InputError: If the session has ended, or the file cannot be written.
        """
        with self._mutex:
            self._check_open()
            own = self._own()
            if not own:
                return None
            pair, repeat = _rows(self._judging.pool, own[-1]), _is_repeat(own)
            self._judging.log.take_back(self.rater)
            animations = self._judging.pool.animations
            self._now = ShownPair(len(own) - 1, animations[pair[0]], animations[pair[1]], repeat)
            return self._now

    def _check_open(self) -> None:
        if not self.open:
            raise InputError(
                f"the session of {self.rater!r} has ended, or goes on in another window; begin one"
            )

    def _own(self) -> list[Preference]:
        """Return the rater's answers about animations of the pool."""
        known = self._judging.pool.row_of
        return [
            each
            for each in self._judging.log.judgements
            if each.rater == self.rater
            and all((each.utterance, shown.sha256) in known for shown in (each.a, each.b))
        ]

    def _chosen(self, own: list[Preference]) -> ShownPair | None:
        judging, settings = self._judging, self._judging.settings
        rng = np.random.default_rng(_seed_of(settings.seed, self.rater, len(own)))
        chance, swapped = rng.random(2), bool(rng.random() < 0.5)
        pair = _repeated(judging, own, rng) if chance[0] < settings.repeats else None
        repeat = pair is not None
        known = {_ordered(_rows(judging.pool, each)) for each in own}
        if pair is None and chance[1] < settings.overlap:
            pair = self._of_others(known, rng)
        if pair is None:
            pair = self._choice.pick(judging.pool, known, rng)
        if pair is None:
            return None
        one, other = (judging.pool.animations[row] for row in pair)
        return ShownPair(len(own), *((other, one) if swapped else (one, other)), repeat)

    def _of_others(self, known: set[Pair], rng: np.random.Generator) -> Pair | None:
        """Return a pair that another rater has judged and this one has not; None without any."""
        pool = self._judging.pool
        theirs = {
            _ordered(_rows(pool, each))
            for each in self._judging.log.judgements
            if each.rater != self.rater
            and all((each.utterance, shown.sha256) in pool.row_of for shown in (each.a, each.b))
        }
        left = sorted(theirs - known)
        return left[int(rng.integers(len(left)))] if left else None


def rater_name(text: str) -> str:
    """Return a rater's name with plain spaces, in one form of its letters.

    Raises:
        InputError: If nothing is left, it is too long, or holds what is no letter.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"`rater` must be a name of 1 to {_LONGEST_NAME} printable letters, got {text!r:.80}"
        )
    return name


def _repeated(judging: Judging, own: list[Preference], rng: np.random.Generator) -> Pair | None:
    """Return a pair that the rater judged once, long enough ago; None without any."""
    pairs = [_ordered(_rows(judging.pool, each)) for each in own]
    before = len(own) - judging.settings.repeat_after
    once = [
        pair
        for pair, each in zip(pairs[: max(before, 0)], own, strict=False)
        if pairs.count(pair) == 1 and each.better != CANNOT_TELL
    ]
    return once[int(rng.integers(len(once)))] if once else None


def _rows(pool: Pool, judged: Preference) -> Pair:
    """Return the rows of a pair, the left one first."""
    name = judged.utterance
    return pool.row_of[name, judged.a.sha256], pool.row_of[name, judged.b.sha256]


def _ordered(pair: Pair) -> Pair:
    return min(pair), max(pair)


def _is_repeat(own: list[Preference]) -> bool:
    """Return whether the last answer is about a pair that was judged before."""
    asked = [frozenset((each.a.sha256, each.b.sha256)) for each in own]
    return asked[-1] in asked[:-1]


def _seed_of(seed: int, rater: str, number: int) -> int:
    digest = hashlib.sha256(f"{seed}/{number}/{rater}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
