"""MeshTalk and CodeTalker through the loop that trains all rivals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agents.baselines.rivals import Rival, RivalData, RivalSettings, RivalTrainer, rival_class

MakeRival = Callable[..., Rival]
CODES = {"meshtalk": ("audio", "expression", "fusion", "decoder"), "codetalker": ("motion",)}


@pytest.mark.parametrize("name", list(CODES))
def test_codes_are_learnt_first_and_stay_when_they_are_written(
    name: str, rival_data: RivalData, make_rival: MakeRival
) -> None:
    """The second stage must begin from the first one's best weights, and leave them alone."""
    dim = 2 * len(rival_class(name).sees)
    trainer = RivalTrainer(
        lambda: make_rival(name, condition_dim=dim),
        rival_data,
        parts=rival_class(name).sees,
        settings=RivalSettings(epochs=1, width=16, batch_utterances=4),
        seed=0,
    )

    def weights(kept: bool) -> dict[str, torch.Tensor]:
        own = trainer.rival.state_dict().items()
        return {
            key: value.clone() for key, value in own if (key.split(".")[0] in CODES[name]) == kept
        }

    begin = weights(True) | weights(False)
    rows = [trainer.advance()]
    codes, others = weights(True), weights(False)
    assert any(not torch.equal(begin[key], value) for key, value in codes.items())
    assert all(torch.equal(begin[key], value) for key, value in others.items())
    while trainer.n_done < trainer.n_total:
        rows.append(trainer.advance())
    assert [row["stage"] for row in rows] == [0, 1]
    assert all(torch.equal(codes[key], value) for key, value in weights(True).items())
    assert any(not torch.equal(others[key], value) for key, value in weights(False).items())
    batch = rival_data.batch([10, 11], rival_class(name).sees)
    curves = trainer.finish().generate(batch.features, batch.condition, batch.inside)
    assert curves.shape == batch.curves.shape
