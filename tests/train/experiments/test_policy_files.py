"""`--policy PATH`: a policy of any origin acts where it fits, and is refused where it does not."""

import dataclasses
import re

import pytest
import torch

from agents.network.transformer import MotionTransformer
from agents.weights import load_policy, save_policy
from esarm_env.core.errors import InputError
from train.animate import find_policy
from train.cli import main
from train.experiments import measuring
from train.experiments.policy_files import load_fitting_policy, measured_file
from train.run.run_folder import RunFolder


@pytest.fixture
def policy_file(finished_run, tmp_path):
    """A function that writes the run's clone with other sizes and distances of codes."""

    def write(*, scale=1.0, **sizes):
        clone = load_policy(finished_run)
        model = MotionTransformer(dataclasses.replace(clone.config, **sizes))
        if not sizes:
            model.load_state_dict(clone.state_dict())
            model.set_code_distances(clone.code_distances.numpy() * scale)
        save_policy(model, tmp_path / "theirs.safetensors")
        return tmp_path / "theirs.safetensors"

    return write


def test_a_file_that_fits_acts_and_is_measured(finished_run, policy_file, tmp_path, capsys):
    """Weights of another trainer were of no use to any command."""
    file = policy_file()
    policy, name = find_policy(finished_run, str(file))
    assert name == str(file)
    for key, weight in load_policy(finished_run).state_dict().items():
        assert torch.equal(policy.state_dict()[key], weight)
    assert find_policy(finished_run, "clone")[1] == "clone"
    main(["evaluate", "--run", str(finished_run), "--policy", str(file)])
    said = capsys.readouterr().out
    change = re.search(rf"^{file}, sampled +(\S+) \[(\S+), (\S+)\]", said.split("minus")[1], re.M)
    assert [float(each) for each in change.groups()] == [0, 0, 0], "it is the clone"


def test_a_policy_of_other_sizes_is_refused_with_both(finished_run, policy_file):
    """Torch says which tensor has a wrong shape, and not that the tokenizer is another one."""
    message = "with 32 tokens a codebook instead of 16, 7 audio features around a chunk instead of "
    with pytest.raises(InputError, match=re.escape(message)):
        find_policy(finished_run, str(policy_file(n_tokens=32, window_dim=7)))
    message = "entries of the condition (emotion, intensity, speaker) instead of "
    with pytest.raises(InputError, match=re.escape(message)):
        load_fitting_policy(policy_file(condition_dim=3), finished_run)


def test_a_policy_of_another_tokenizer_of_the_same_sizes_is_refused(finished_run, policy_file):
    """Its tokens stand for other faces: it would animate without a word, and wrongly."""
    with pytest.raises(InputError, match=r"codes lie \d+\.\d+ mm apart on average instead of "):
        load_fitting_policy(policy_file(scale=1.5), finished_run)
    load_fitting_policy(policy_file(scale=1.0 + 1e-5), finished_run)


def test_figures_are_kept_by_weights_and_not_by_name(
    finished_run, policy_file, tmp_path, monkeypatch
):
    """A file that was trained on would be shown with the figures of before."""
    placed = []
    monkeypatch.setattr(measuring, "measure_policies", lambda *given: placed.append(given[2]))
    run = RunFolder.open(finished_run)
    file = policy_file()
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "policy.safetensors").write_bytes(file.read_bytes())
    names = [measured_file(run, source)[1] for source in (file, folder)]
    assert names == [str(file), str(folder)]
    policy = load_policy(file)
    with torch.no_grad():
        policy.to_logits.add_(0.1)
    save_policy(policy, file)
    measured_file(run, file)
    assert placed[0] == placed[1] != placed[2]


def test_no_file_is_told_as_such(finished_run):
    """`--policy runs/x/policy.safetensors` that is not there is no mistyped name."""
    message = "`policy` must be a policy file that is there, got 'nowhere/policy.safetensors'"
    with pytest.raises(InputError, match=re.escape(message)):
        find_policy(finished_run, "nowhere/policy.safetensors")
    with pytest.raises(InputError, match=re.escape("got 'pppo'; did you mean ppo?")):
        find_policy(finished_run, "pppo")
