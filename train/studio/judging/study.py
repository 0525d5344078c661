"""A study of one folder of answers: its raters at work, their pairs, and how far answers agree."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import check_target
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CLONE_FILE, experiment_folder, is_finished
from reward.judging import (
    Judging,
    JudgingSettings,
    Pool,
    agreement_of,
    agreement_with_scores,
)
from reward.judging.session import rater_name
from reward.pairs.preference_file import CANNOT_TELL, PREFERENCES_FILE, read_preferences
from train.studio.judging.scores import ActiveChoice, PoolScores

if TYPE_CHECKING:
    from pathlib import Path

    from reward.judging import Session, ShownPair
    from reward.pairs.preference_file import Preference
    from train.studio.judging.asked import PoolAsked

JUDGED_FOLDER = "judged"  # of a run, for answers that no file is named for
RANDOM, ACTIVE = "random", "active"
CHOICES = (RANDOM, ACTIVE)
MOST_PAIRS = 10_000
_LISTED = 20  # lines of the file that cannot be read


@dataclass(eq=False)
class Seat:
    """A rater's place in front of a page.

    Attributes:
        id: By which the page asks.
        session: Of the rater.
        goal: Answers of theirs after which nothing more is asked.
        choice: How their pairs are chosen.
    """

    id: str
    session: Session
    goal: int
    choice: str


class TakenNameError(InputError):
    """A rater of that name has judged before, or is at work in another window.

    Attributes:
        told: What the page asks about: the name, its answers, whether it is at work.
    """

    def __init__(self, error: InputError, told: dict[str, Any]) -> None:
        """Keep the message, and what it is about."""
        super().__init__(str(error))
        self.told = told


class Study:
    """Judging of one run in one folder.

    Attributes:
        run: The run folder, None where there is none.
        file: Where answers are written.
        judging: Its log and sessions; its pool grows.
        maker: Makes the pool.
        scores: What the run's reward model says of it.
    """

    def __init__(self, run: Path | None, file: Path | None = None) -> None:
        """Read and write nothing yet.

        Args:
            run: The run folder.
            file: Of the answers; by default in the run folder.
        """
        self.run = run
        home = run / JUDGED_FOLDER if run is not None else None
        self.file = file or (home / PREFERENCES_FILE if home is not None else None)
        self._seats: dict[str, Seat] = {}
        self._lock = threading.RLock()
        self._changed, self._closed = threading.Condition(), False
        if self.run is not None and self.file is not None:
            from train.studio.judging.making import Maker  # the chain of imports is long

            folder = self.file.parent
            self.judging = Judging(Pool(folder, ()), file=self.file)
            self.scores = PoolScores(self.run)
            self.maker = Maker(self.run, folder, self.scores, self._take)

    def close(self) -> None:
        """Let the thread end."""
        if self.file is not None and self.run is not None:
            self.maker.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def lack(self) -> str:
        """Return why nobody can judge; empty where they can.

        Whoever asks first wakes the thread that opens the run.
        """
        lack = lack_of(self.run)
        if lack or self.file is None:
            return lack
        try:
            check_target(self.file)
        except InputError as error:
            return str(error)
        if self.maker.state != "failed":
            self.maker.wake()
        return ""

    def need(self) -> None:
        """Check that there is something to judge.

        Raises:
            InputError: If not.
        """
        if lack := self.lack():
            raise InputError(lack)

    def make(self, asked: PoolAsked) -> None:
        """Make animations to judge."""
        self.need()
        self.judging.settings = JudgingSettings(seed=asked.seed)
        self.maker.make(asked)

    def begin(
        self, rater: str, *, choice: str, goal: int, go_on: bool = False, take_over: bool = False
    ) -> Seat:
        """Seat a rater.

        Raises:
            TakenNameError: If the name needs a decision.
            InputError: If the name is none, or active choice is not possible.
        """
        self.need()
        if choice == ACTIVE and self.scores.lack:
            raise InputError(
                "pairs can be chosen where the reward model is in doubt once there is one, got "
                f"none: {self.scores.lack}; choose random pairs"
            )
        picks = ActiveChoice(self.scores) if choice == ACTIVE else None
        with self._lock:
            self._check_name(rater, go_on=go_on, take_over=take_over)
            session = self.judging.begin(rater, go_on=go_on, take_over=take_over, choice=picks)
            self._seats = {k: seat for k, seat in self._seats.items() if seat.session.open}
            seat = Seat(secrets.token_hex(8), session, goal, choice)
            self._seats[seat.id] = seat
            return seat

    def _check_name(self, rater: str, *, go_on: bool, take_over: bool) -> None:
        """Check that nobody else has a name, or that this was decided.

        Raises:
            TakenNameError: If a decision is needed.
        """
        name = rater_name(rater)
        for seat in list(self._seats.values()):  # who has judged all pairs asked for is at no work
            if self._is_done(seat) and seat.session.rater.casefold() == name.casefold():
                self.end(seat)
        at_work = [seat.session.rater for seat in self._seats.values() if seat.session.open]
        known = {other.casefold(): other for other in (*self.judging.raters, *at_work)}
        spelled = known.get(name.casefold())
        busy = spelled in at_work
        if spelled is None or take_over or (go_on and not busy):
            return
        answers = sum(each.rater == spelled for each in self.judging.log.judgements)
        told = {"rater": spelled, "answers": answers, "at_work": busy}
        said = "is at work in another window" if busy else "has judged before"
        raise TakenNameError(
            InputError(f"`rater` must be a new name, got {spelled!r}, who {said}"), told
        )

    def _is_done(self, seat: Seat) -> bool:
        return seat.session.open and seat.session.n_answers >= seat.goal

    def seat(self, seat_id: str) -> Seat:
        """Return a seat.

        Raises:
            KeyError: If there is none of that id.
        """
        return self._seats[seat_id]

    def end(self, seat: Seat) -> None:
        """End a rater's session."""
        with self._lock:
            self._seats.pop(seat.id, None)
            self.judging.end(seat.session)

    def shown(self, seat: Seat) -> ShownPair | None:
        """Return the pair that a rater judges now; None at the end, or while none is made."""
        return seat.session.next() if seat.session.n_answers < seat.goal else None

    def state_of(self, seat: Seat) -> dict[str, Any]:
        """Return what the page shows a rater: a pair without names, a wait, or the end."""
        pair = self.shown(seat)
        answered = seat.session.n_answers
        told: dict[str, Any] = {"answered": answered, "goal": seat.goal}
        if pair is not None and self.maker.task is not None:
            task = self.maker.task
            record = task.corpus.records[task.index_of[pair.utterance]]
            return told | {
                "state": "pair",
                "number": pair.number,
                "text": record.text,
                "emotion": record.emotion,
                "intensity": record.intensity,
            }
        if answered >= seat.goal:
            return told | {"state": "done", "message": f"{answered} pairs are judged."}
        if self.maker.state == "failed":
            raise InputError(self.maker.message)
        if self.maker.pending:
            opening = self.maker.task is None
            what = "the run is being opened" if opening else "animations are being made"
            return told | {"state": "waiting", "message": f"{what} …"}
        if not self.judging.pool.animations:
            return told | {"state": "empty", "message": "Nothing is made to be judged yet."}
        every = "There are no further pairs: each one is judged. Add animations to go on."
        return told | {"state": "done", "message": every}

    def awaited(self, seat: Seat, seconds: float) -> dict[str, Any]:
        """Return `state_of` once it is no wait, or after so many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                told, left = self.state_of(seat), end - time.monotonic()
                if told["state"] != "waiting" or left <= 0 or self._closed:
                    return told
                self._changed.wait(left)

    def _take(self, pool: Pool | None) -> None:
        """Go on with a new pool, and tell whoever waits."""
        asked = self.maker.asked
        if asked is not None:
            self.judging.settings = JudgingSettings(seed=asked.seed)
        with self._changed:
            if pool is not None:
                self.judging.pool = pool
            self._changed.notify_all()

    def to_dict(self) -> dict[str, Any]:
        """Return what the page is told before anybody judges."""
        lack = self.lack()
        if self.file is None:
            return {"lack": lack, "file": None}
        told: dict[str, Any] = {
            "lack": lack,
            "file": str(self.file.absolute()),
            "problems": self.problems(),
        }
        told["active"] = self.scores.lack
        if lack:
            return told
        maker, pool = self.maker, self.judging.pool
        asked = maker.asked
        return told | {
            "raters": list(self.judging.raters),
            "answers": len(self.judging.log.judgements),
            "pool": {
                "state": maker.state,
                "message": maker.message,
                "animations": len(pool.animations),
                "utterances": len(pool.rows_of),
                "done": maker.n_done,
                "wanted": maker.n_wanted,
                "asked": None if asked is None else vars(asked),
            },
        }

    def problems(self) -> list[str]:
        """Return the lines of the file that cannot be read, with the reason."""
        if self.file is None or not self.file.is_file() or not self.judging.log.n_unreadable:
            return []
        lines = read_preferences(self.file)[1]
        more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
        return lines[:_LISTED] + more

    def agreement(self) -> dict[str, Any]:
        """Return how far the answers agree: with themselves, each other and the reward model."""
        self.need()
        said = self.judging.log.judgements
        lack = self.scores.lack
        if not lack and not self.scores.by_key:
            lack = "the reward model is still being loaded"
        raters = dict.fromkeys(each.rater for each in said)
        groups = {"": said} | {name: [e for e in said if e.rater == name] for name in raters}
        with_reward = {} if lack else {k: self._with_reward(v) for k, v in groups.items()}
        return {
            "agreement": agreement_of(said).to_dict(),
            "by_rater": {name: agreement_of(groups[name]).to_dict() for name in raters},
            "reward": {"lack": lack, "by_rater": with_reward},
            "sources": preferred(said, self.judging.pool),
            "problems": self.problems(),
            "command": self._command(),
        }

    def _command(self) -> str:
        """Return the command that learns from the answers: in the run, or beside its reward."""
        assert self.run is not None and self.file is not None
        run, file = shlex.quote(str(self.run)), shlex.quote(str(self.file))
        if not is_finished(self.run, "reward"):
            return f"esarm reward --run {run} --preferences {file}"
        name, number = "judged", 1
        while experiment_folder(self.run, name).exists():
            number += 1
            name = f"judged-{number}"
        return f"esarm improve --from {run} --as {name} --preferences {file}"

    def _with_reward(self, said: list[Preference]) -> dict[str, Any]:
        share, n = agreement_with_scores(said, self.scores.by_key)
        known = {"share": share.mean, "low": share.low, "high": share.high}
        return {k: None if v != v else v for k, v in known.items()} | {"answers": n}


def preferred(said: list[Preference], pool: Pool) -> list[dict[str, Any]]:
    """Return how often animations of each source were preferred, ties as one half, the best first.

    Samples of one policy and decoding are one source; pairs within a source tell nothing of it.
    """
    won: dict[str, list[float]] = defaultdict(list)
    for each in said:
        rows = [pool.row_of.get((each.utterance, side.sha256)) for side in (each.a, each.b)]
        if each.better == CANNOT_TELL or None in rows:
            continue
        names = [
            re.sub(r" \d+$", "", pool.animations[row].source) for row in rows if row is not None
        ]
        share = {"a": 1.0, "b": 0.0}.get(each.better, 0.5)
        if names[0] != names[1]:
            won[names[0]].append(share)
            won[names[1]].append(1 - share)
    rows_ = [
        {"source": name, "share": sum(shares) / len(shares), "pairs": len(shares)}
        for name, shares in won.items()
    ]
    return sorted(rows_, key=lambda row: (-float(str(row["share"])), str(row["source"])))


def lack_of(run: Path | None) -> str:
    """Return why there is nothing to judge; empty where there is."""
    if run is None:
        return "Judging takes the policies of a run: start with `esarm studio RUN`."
    if not (run / CLONE_FILE).is_file():
        return (
            "The run has no policy to judge yet: pairs can be made once its stage `clone` is "
            "finished."
        )
    return ""
