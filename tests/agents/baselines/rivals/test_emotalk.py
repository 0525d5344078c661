"""EmoTalk: emotion that is heard, one pass, cross-reconstruction where there are parallels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agents.baselines.rivals import Rival, RivalBatch, RivalData, RivalSettings, RivalTrainer
from agents.baselines.rivals.emotalk import EmoTalk

MakeRival = Callable[..., Rival]


@pytest.fixture
def emotalk(make_rival: MakeRival) -> EmoTalk:
    """Return an untrained one that does not stand still."""
    rival = make_rival("emotalk")
    assert isinstance(rival, EmoTalk)
    return rival


def test_the_losses_have_their_weights_and_crossing_needs_parallel_rows(
    emotalk: EmoTalk, rival_batch: RivalBatch
) -> None:
    """Without parallel rows there is nothing to cross; with them the target is the second's."""
    terms = emotalk.losses(rival_batch, 0)
    assert set(terms) == {"cross", "self", "velocity", "emotion"}
    assert set(emotalk.losses(rival_batch._replace(parallel=None), 0)) == set(terms) - {"cross"}
    batch = rival_batch
    content = emotalk.hear_content(batch.features, batch.inside)
    emotion = emotalk.hear_emotion(batch.features, batch.inside)
    curves = emotalk.decode(content, emotion, batch.condition)
    both = batch.inside[:, 1:] & batch.inside[:, :-1]
    speed = (curves.diff(dim=1) - batch.curves.diff(dim=1))[both].abs().mean()
    named = torch.nn.functional.cross_entropy(
        emotalk.emotion_logits(emotion, batch.inside), batch.emotions
    )
    said = content[0, torch.arange(18) * 2 // 3]  # the first of the pair, at the second's pace
    mixed = emotalk.decode(said[None], emotion[1:2], batch.condition[1:2])
    crossed = (mixed - batch.curves[1:2])[batch.inside[1:2]].abs().mean()
    own = (curves - batch.curves)[batch.inside].abs().mean()
    wanted = {"cross": crossed, "self": own, "velocity": 0.5 * speed, "emotion": 0.1 * named}
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, msg=name)


def test_the_emotion_stream_of_another_voice_changes_the_face(
    rival_data: RivalData, make_rival: MakeRival
) -> None:
    """Trained a little, content of one voice with the emotion of another has the other's lift.

    An emotion stream that is not listened to would leave the upper face as it was.
    """
    settings = RivalSettings(epochs=25, patience=25, width=16, learning_rate=1e-2)
    trainer = RivalTrainer(
        lambda: make_rival("emotalk", condition_dim=4),
        rival_data,
        parts=EmoTalk.sees,
        settings=settings,
        seed=0,
    )
    rows = [trainer.advance() for _ in range(settings.epochs)]
    rival = trainer.finish()
    assert isinstance(rival, EmoTalk)
    assert rows[-1]["train_cross"] < 0.5 * rows[0]["train_cross"]
    assert rows[-1]["train_emotion"] < 0.1 * rows[0]["train_emotion"]
    batch = rival_data.batch([0, 2, 6, 8], EmoTalk.sees)  # emotions 0, 2, 0, 2
    with torch.no_grad():
        content = rival.hear_content(batch.features, batch.inside)
        emotion = rival.hear_emotion(batch.features, batch.inside)
        own = rival.decode(content, emotion, batch.condition)[..., 20:].mean((1, 2))
        swapped = rival.decode(content, emotion[[1, 0, 3, 2]], batch.condition)
    lift = swapped[..., 20:].mean((1, 2)) - own  # recorded: .4 between the two emotions
    assert (lift[[0, 2]] > 0.1).all() and (lift[[1, 3]] < -0.1).all()


def test_all_frames_are_written_in_one_pass(
    emotalk: EmoTalk, rival_batch: RivalBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call of the decoder, whatever the length: nothing it wrote is read again."""
    calls = list[int]()
    layer = emotalk.layer.forward
    monkeypatch.setattr(
        emotalk.layer, "forward", lambda x, *rest: calls.append(x.shape[1]) or layer(x, *rest)
    )
    emotalk.generate(rival_batch.features, rival_batch.condition, rival_batch.inside)
    assert calls == [18]


def test_a_frame_reads_the_emotion_of_its_own_time_and_content_up_to_then(
    emotalk: EmoTalk,
) -> None:
    """The aligned memory and the causal mask; past emotion still comes by way of the queries."""
    torch.manual_seed(0)
    content, emotion = torch.randn(1, 6, 16), torch.randn(1, 6, 16)
    condition = torch.zeros(1, 7)
    written = emotalk.decode(content, emotion, condition)
    for stream in range(2):
        changed = [content.clone(), emotion.clone()]
        changed[stream][0, 3] += 1
        differs = (emotalk.decode(*changed, condition) != written).any(-1)[0].tolist()
        assert differs == [False] * 3 + [True] * 3
