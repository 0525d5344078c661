"""`esarm bench agents` in miniature: what is measured, the arithmetic, and the table; no clock."""

import cProfile
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agents.network.acceleration import PLAIN, Acceleration
from esarm_env.core.errors import InputError
from train.bench.agents import benchmark, cases, rivals
from train.bench.agents.benchmark import limit_of, measure_group, row_of
from train.bench.agents.cases import BACKENDS, Case, Sizes, reason_to_skip
from train.bench.agents.ours import array_bytes, flops_per_token, make_model, parameters_of
from train.bench.agents.problem import N_TOKENS, LowTokens, make_env, make_task
from train.bench.agents.profile import profile_rollout, render_profile, shares_of
from train.bench.agents.rivals import SampledCalls, largest_within, spread_indices, timed_update
from train.bench.agents.table import references_of, render
from train.bench.agents.worker import LocalAgent, RemoteAgent, open_backend
from train.cli import main
from train.commands.bench.speed import check_device

TINY = Sizes(n_layers=1, n_heads=2, width=16, batch_size=2, n_forwards=2, n_minibatches=1)
HERE = [backend for backend in BACKENDS if reason_to_skip(backend) is None]
WINDOW = {"tokens": 100, "seconds": 2.0, "measured": 1.0}


class FakeClock:
    """A clock that only work moves."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class FakeAgent:
    """Takes 1, 2, 4, ... s for a roll-out and as long for an update; writes down its calls."""

    def __init__(self, case, calls):
        self.case, self.calls, self.n_windows = case, calls, 0

    def wait(self):
        self.calls.append(("wait", self.case.backend))

    def window(self):
        self.calls.append(("window", self.case.backend))
        self.n_windows += 1
        phase = {"tokens": 64, "seconds": 2.0 ** (self.n_windows - 1), "measured": 1.0}
        return {"rollout": phase, "update": phase}

    def finish(self):
        return {
            "above_mib": 1.0,
            "total_mib": 2.0,
            "gpu_mib": 0.0,
            "buffer_bytes": 3,
            "parameters": 4,
        }

    def kill(self):
        self.calls.append(("kill", self.case.backend))


def row(backend, *, length=128, n_episodes=16, rollout=1.0, update=1.0, buffer_bytes=1000):
    """Return a row whose phases take so many seconds for 100 tokens."""
    window = {
        "rollout": WINDOW | {"seconds": rollout},
        "update": WINDOW | {"seconds": update},
        "matmul_gflops": 50.0,
    }
    finished = {"above_mib": 1.5, "total_mib": 300.0, "gpu_mib": 0.0, "parameters": 1_000_000}
    finished["buffer_bytes"] = buffer_bytes
    return row_of(Case(backend, length, n_episodes), [window], finished)


def references(*rows):
    """Return by name what was measured, and whether the reference holds."""
    return {row["name"]: (row["measured"], row["holds"]) for row in references_of(rows)}


def test_the_problem_has_the_sizes_of_the_shipped_task():
    """Wider windows or fewer tokens would measure another network."""
    task = make_task(12, n_utterances=5)
    sizes = (task.window_dim, task.condition_dim, task.n_tokens, task.tokens_per_chunk)
    assert sizes == (420, 21, 96, 4)
    assert task.lengths.tolist() == [12] * 5


@pytest.mark.parametrize("length", [0, -4, 6])
def test_episodes_end_with_a_chunk(length):
    """A rounded length would be reported as another one."""
    message = f"`length` must be a positive multiple of 4, got {length}"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_task(length)


def test_the_score_is_the_share_of_low_tokens():
    """Where all scores are equal there are no advantages, and an update may skip its work."""
    tokens = np.array([[0, 47, 48, 95], [1, 2, -1, -1]])
    trajectories = SimpleNamespace(tokens=tokens, lengths=np.array([4, 2]))
    assert LowTokens().score(trajectories).tolist() == [0.5, 1.0]
    env = make_env(make_task(8, n_utterances=3), 2)
    env.reset()
    scores = [env.step(np.array([0, 95]))[1:3] for _ in range(8)]
    assert scores[-1][0].tolist() == [1.0, 0.0] and scores[-1][1].all()
    assert not scores[-2][1].any()


@pytest.mark.parametrize("backend", HERE)
def test_every_case_counts_all_tokens(backend):
    """A ratio of two different workloads would mean nothing."""
    agent = LocalAgent(Case(backend, 32, 4, TINY))
    agent.wait()
    window = agent.window()
    phases = {name: window[name] for name in ("rollout", "update") if name in window}
    assert all(each["tokens"] == 128 and each["seconds"] > 0 for each in phases.values())
    shares = {name: each["measured"] for name, each in phases.items()}
    expected = {"rollout": 1.0, "update": 1.0}
    if backend == "stock":  # two of 32 calls, one of two minibatches
        expected = {"rollout": 2 / 32, "update": 1 / 2}
    elif backend == "recurrent":
        expected["update"] = 1 / 2
    elif backend == "generate":
        del expected["update"]
    assert shares == expected
    figures = agent.finish()
    assert 0 <= figures["above_mib"] <= figures["total_mib"]
    assert (figures["buffer_bytes"] == 0) == (backend == "generate")
    agent.kill()


@pytest.mark.skipif("stock" not in HERE, reason="nothing to compare with")
def test_the_stock_policy_is_whole_again_after_a_window():
    """A network left without its own forward or a buffer without its own `get` learns nothing."""
    stock = open_backend(Case("stock", 8, 2, TINY))
    stock.window()
    assert "forward" not in vars(stock._algorithm.policy)
    assert "get" not in vars(stock._algorithm.rollout_buffer)
    full = replace(TINY, n_forwards=8, n_minibatches=9)
    window = open_backend(Case("stock", 8, 2, full)).window()
    assert [window[name]["measured"] for name in ("rollout", "update")] == [1.0, 1.0]


@pytest.mark.parametrize("backend", HERE)
def test_networks_have_about_as_many_parameters(backend):
    """A rival of twice the size would be slow for no reason of its own."""
    case = Case(backend, 128, 1)
    ours = parameters_of(make_model(case))
    assert ours == pytest.approx(1_058_225, rel=0.1)
    assert open_backend(case).parameters == pytest.approx(ours, rel=0.05)


def test_our_buffer_is_what_the_arrays_take():
    """The bar of memory is about all of them, observations and states in dicts and tuples, too."""
    table = np.zeros((4, 5), np.float32)
    holder = SimpleNamespace(a=table, b={"x": table}, c=(table, {"y": table}), d=7, e="text")
    assert array_bytes(holder) == 4 * 80


def test_flops_agree_with_a_hand_count():
    """The distance to the machine's limit is the only thing that this number is for."""
    model = make_model(Case("ours", 8, 1, TINY))
    config = model.config
    block = 16 * 48 + 16 * 16 + 2 * 16 * 64
    heads = 16 * N_TOKENS + 16 * 16
    wide = [420 * 2 * n + 2 * n * n for n in (config.content_dim, config.emotion_dim)]
    style = 21 * config.style_dim
    mix = (config.style_dim + config.content_dim + config.emotion_dim) * 16
    chunk = sum(wide) + style + mix
    attention = 2 * 16 * 8 / 2
    assert flops_per_token(model, length=8) == 2 * (block + heads + chunk / 4 + attention)


def test_sampled_calls_are_spread_evenly():
    """The first steps of an episode are cheaper than the last ones."""
    assert spread_indices(3, 8) == [0, 1, 2]
    chosen = spread_indices(256, 16)
    assert len(chosen) == 16 and chosen[0] == 8 and chosen[-1] == 248
    assert np.mean(chosen) == pytest.approx(np.mean(range(256)), abs=0.5)


def test_calls_that_are_not_chosen_are_answered_by_the_stand_in(monkeypatch):
    """What is run must be timed, and nothing else."""
    clock = FakeClock()
    monkeypatch.setattr(rivals, "time", clock)

    def run(number):
        clock.now += 1 + number
        return "run"

    calls = SampledCalls(run, lambda number: "stand-in", chosen=[1, 3])
    answers = [calls(number) for number in range(5)]
    assert answers == ["stand-in", "run", "stand-in", "run", "stand-in"]
    assert calls.seconds == [2, 4]


@pytest.mark.parametrize(("most", "measured"), [(2, 0.4), (9, 1.0)])
def test_an_update_is_extrapolated_by_its_minibatches(most, measured, monkeypatch):
    """Preparing the buffer is paid once: counting it per minibatch would flatter us."""
    clock = FakeClock()
    monkeypatch.setattr(rivals, "time", clock)

    class Buffer:
        buffer_size, n_envs = 6, 3

        def get(self, batch_size):
            clock.now += 3
            yield from range(-(-18 // batch_size))

    class Algorithm:
        rollout_buffer, batch_size = Buffer(), 4

        def train(self):
            for _ in self.rollout_buffer.get(self.batch_size):
                clock.now += 2

    phase = timed_update(Algorithm(), most)
    assert phase == {"tokens": 18, "seconds": 3 + 5 * 2, "measured": measured}
    assert "get" not in vars(Algorithm.rollout_buffer)


@pytest.mark.parametrize(("limit", "size"), [(1, 1), (99, 9), (100, 10), (120, 10), (4096, 64)])
def test_the_largest_size_within_a_limit_is_found(limit, size):
    """One too large, and a rival has more parameters than we."""
    assert largest_within(lambda n: n * n, limit) == size


def test_no_size_fits_a_limit_of_nothing():
    """A network of width 0 would fail far from here."""
    with pytest.raises(ValueError, match=re.escape("`limit` must be at least 5, got 4")):
        largest_within(lambda n: 5 * n, 4)


def test_cases_take_turns_after_a_warm_up():
    """A slow minute must fall on both sides of a ratio, and a first call on none."""
    calls = []
    group = [Case("ours", 8, 2), Case("stock", 8, 2)]
    rows = measure_group(group, lambda case: FakeAgent(case, calls), n_windows=3)
    assert calls[:2] == [("wait", "ours"), ("wait", "stock")]
    assert calls[2:10] == [("window", "ours"), ("window", "stock")] * 4
    assert sorted(calls[10:]) == [("kill", "ours"), ("kill", "stock")]
    for figures in rows:
        assert figures["phases"]["rollout"]["windows"] == [32, 16, 8]
        assert figures["phases"]["iteration"]["windows"] == [16, 8, 4]
        assert (figures["parameters"], figures["buffer_bytes"]) == (4, 3)


def test_workers_are_ended_when_one_fails():
    """Processes left behind would slow down whatever comes next."""
    calls = []

    class Failing(FakeAgent):
        def window(self):
            raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        measure_group([Case("ours", 8, 2)], lambda case: Failing(case, calls), n_windows=1)
    assert calls == [("wait", "ours"), ("kill", "ours")]


def test_an_iteration_is_as_much_measured_as_its_worse_half():
    """A guess must not be shown as a measurement."""
    window = {"rollout": WINDOW, "update": WINDOW | {"measured": 0.1, "seconds": 8.0}}
    finished = FakeAgent(None, []).finish()
    phases = row_of(Case("stock", 8, 2), [window], finished)["phases"]
    assert phases["iteration"]["measured"] == 0.1
    assert phases["iteration"]["tokens_per_s"] == 10
    assert (
        "iteration" not in row_of(Case("generate", 8, 2), [{"rollout": WINDOW}], finished)["phases"]
    )


def test_references_compare_each_phase_with_the_right_rival():
    """A ratio against the wrong row would promise what is not so."""
    found = references(
        row("ours", rollout=1.0, update=1.0, buffer_bytes=10),
        row("stock", rollout=15.0, update=149.0, buffer_bytes=1000),
        row("generate", rollout=1.4),
        row("recurrent", rollout=4.0, update=4.0),
        row("stock", length=64, rollout=1e9),
    )
    stock, place = BACKENDS["stock"], "128 x 16"
    assert found == {
        f"rollout, {place}: times {stock}": (15.0, True),
        f"update, {place}: times {stock}": (149.0, False),
        f"iteration, {place}: times {stock}": (pytest.approx(82.0), True),
        f"rollout, {place}: times {BACKENDS['generate']}": (pytest.approx(1.4), False),
        f"iteration, {place}: times {BACKENDS['recurrent']}": (4.0, True),
        f"buffer, {place}: share of {stock}": (0.01, True),
    }


def test_ratios_are_taken_turn_by_turn():
    """Medians of each side may come from different turns of a machine that others use, too."""
    ours, stock = row("ours"), row("stock")
    ours["phases"]["rollout"] |= {"windows": [100.0, 900.0, 1000.0], "tokens_per_s": 900.0}
    stock["phases"]["rollout"] |= {"windows": [2.0, 30.0, 10.0], "tokens_per_s": 10.0}
    assert references_of([ours, stock])[0]["measured"] == 50.0


@pytest.mark.parametrize(("seconds", "holds"), [(1.3, True), (1.31, False)])
def test_the_cost_of_a_token_may_grow_a_little(seconds, holds):
    """Attention grows with the length; an update that is quadratic throughout is broken."""
    found = references(row("ours", length=64), row("ours", length=256, update=seconds))
    name = "update, cost of a token from 64 to 256 x 16: times"
    assert found == {name: (pytest.approx(seconds), holds)}


def test_no_reference_without_its_rows():
    """A rival that did not run is neither within its reference nor beyond it."""
    assert references(row("ours")) == references(row("stock"), row("generate")) == {}


def test_an_update_takes_three_times_the_products_of_a_roll_out():
    """Forward, and backward to inputs and weights."""
    limit = limit_of(row("ours", rollout=1.0, update=4.0), 1e8)
    assert limit["rollout_gflops"] == pytest.approx(10.0) and limit["rollout_share"] == 0.2
    assert limit["update_gflops"] == pytest.approx(7.5) and limit["update_share"] == 0.15


def test_a_rival_that_is_not_installed_is_named(monkeypatch):
    """A missing row without a word looks like an oversight."""
    monkeypatch.setattr(cases.importlib.util, "find_spec", lambda name: None)
    assert reason_to_skip("recurrent") == (
        "`sb3_contrib` is not there: pip install 'esarm[contrib]'"
    )
    assert reason_to_skip("generate") == "`transformers` is not there"


def test_a_case_survives_the_way_to_its_process():
    """Sizes that get lost on the way would measure the default network."""
    case = Case("stock", 8, 2, TINY)
    assert Case.from_dict(json.loads(json.dumps(case.to_dict()))) == case


def test_a_case_in_its_own_process_answers():
    """Half of the command happens over there."""
    remote = RemoteAgent(Case("ours", 8, 2, TINY), threads=1)
    remote.wait()
    assert remote.window()["update"]["tokens"] == 16
    assert remote.finish()["parameters"] == parameters_of(make_model(Case("ours", 8, 2, TINY)))
    remote.kill()  # of an ended one does no harm


def test_a_worker_that_dies_is_named(capfd):
    """Its traceback alone would not say which case failed."""
    remote = RemoteAgent(Case("ours", 6, 2, TINY), threads=1)
    with pytest.raises(RuntimeError, match=r"the worker of Case\(backend='ours', length=6"):
        remote.wait()
    remote.kill()
    assert "multiple of 4" in capfd.readouterr().err


def test_the_whole_benchmark_in_miniature(monkeypatch, tmp_path, capsys):
    """Figures must survive JSON, and the table must hold every case."""
    reason = {"recurrent": "gone", "recurrent-128": "gone", "generate": "gone"}.get
    monkeypatch.setattr(benchmark, "reason_to_skip", reason)
    figures = benchmark.bench_agents(
        lengths=(8, 12), episodes=(2,), n_windows=1, sizes=TINY, start=LocalAgent
    )
    assert figures == json.loads(json.dumps(figures))
    assert [each["backend"] for each in figures["cases"]] == ["ours", "stock"] * 2
    assert [each["backend"] for each in figures["not_run"]] == [
        "recurrent",
        "recurrent-128",
        "generate",
    ]
    assert [limit["length"] for limit in figures["limits"]] == [8, 12]
    assert all(0 < limit["rollout_share"] < 1 for limit in figures["limits"])
    assert figures["machine"]["threads"] >= 1 and figures["machine"]["device"] == "cpu"
    assert [row["name"][:17] for row in figures["references"]] == ["log-probabilities"] * 2
    assert all(row["holds"] for row in figures["references"])

    given = {}
    monkeypatch.setattr(benchmark, "bench_agents", lambda **kwargs: given.update(kwargs) or figures)
    main(["bench", "agents", "--quick", "--threads", "1", "--json", str(tmp_path / "agents.json")])
    assert json.loads((tmp_path / "agents.json").read_text()) == figures
    assert given == {
        "threads": 1,
        "device": "cpu",
        "acceleration": PLAIN,
        "lengths": (64, 128),
        "episodes": (16,),
        "n_windows": 3,
    }
    printed = capsys.readouterr().out
    assert render(figures) in printed
    assert "2 episodes of 12 tokens: 2 cases" in printed
    main(["bench", "agents"])
    assert given["threads"] == 0


def test_columns_stand_below_each_other():
    """Five digits beside two must be read at a glance, and a guess be seen as one."""
    stock = row("stock", rollout=2.0, update=50.0, buffer_bytes=10_240_000)
    stock["phases"]["update"]["measured"] = 0.25
    ours = row("ours", rollout=0.001, update=0.01)
    generate = row("generate")
    del generate["phases"]["update"], generate["phases"]["iteration"]
    figures = {
        "machine": {
            "cpus": 2,
            "threads": 1,
            "device": "cpu",
            "system": "Linux",
            "versions": {"torch": "2"},
            "rivals": {"transformers": "5"},
            "load_before": [0.75, 0.25, 0.125],
            "load_after": [1, 1, 1],
        },
        "network": {"n_layers": 4},
        "cases": [ours, stock, generate | {"buffer_bytes": 0}],
        "not_run": [{"name": "RecurrentPPO", "reason": "gone"}],
        "limits": [limit_of(ours, 1e6)],
        "references": references_of([ours, stock]),
    }
    lines = render(figures).splitlines()
    assert "load 0.8 0.2 0.1 before" in lines[0] and lines[1] == "torch 2, transformers 5"
    assert "preliminary" in lines[3]
    header, *cells = lines[5:9]
    assert len({len(line) for line in (header, *cells)}) == 1
    end = header.index("update") + len("update")
    assert [cell[:end].split()[-1] for cell in cells] == ["10,000", "~2", "-"]
    assert cells[1].split()[-2] == "10,000" and cells[2].split()[-2] == "-"
    assert "RecurrentPPO not run: gone" in lines
    assert "~ extrapolated: 25.0% to 25%" in "\n".join(lines)
    assert "roll-out 100.0 (200%), update 30.0 (60%) of 50" in "\n".join(lines)
    assert lines[-1].startswith("buffer, 128 x 16: share of ") and lines[-1].endswith(": 9.766e-05")
    assert render(figures, bars=True).endswith(": 9.766e-05 (our bar: at most 0.01)")


def test_a_profile_tells_python_from_the_rest():
    """A hot spot must be one of ours to be blamed."""
    profiler = cProfile.Profile()

    def work():
        return [sum(range(1000)) for _ in range(50)]

    profiler.runcall(work)
    figures = shares_of(profiler)
    assert 0 < figures["kernels"] < 1
    assert any(each["name"].endswith("work") for each in figures["python"])
    (total,) = [each for each in figures["others"] if "sum" in each["name"]]
    assert total["calls"] == 50
    assert "50 x  <built-in method builtins.sum>" in render_profile(figures)


def test_the_profile_is_of_one_roll_out(monkeypatch, capsys):
    """Making the network and updates would hide where a roll-out spends its time."""
    before = torch.get_num_threads()
    figures = profile_rollout(Case("ours", 8, 2, TINY))
    products = [row for row in figures["others"] if "addmm" in row["name"]]
    assert [row["calls"] for row in products] == [24]  # three in one layer, 8 tokens, no update
    assert torch.get_num_threads() == before
    assert 0 < figures["kernels"] < 1

    import train.bench.agents.profile as module

    monkeypatch.setattr(module, "profile_rollout", lambda case, threads: figures)
    main(["bench", "agents", "--profile"])
    assert capsys.readouterr().out.strip() == render_profile(figures)


def test_an_accelerated_row_stands_beside_the_plain_one(monkeypatch):
    """What is traded for speed must say how far off it is, and be held to what it states."""
    monkeypatch.setattr(benchmark, "reason_to_skip", {"stock": "gone", "generate": "gone"}.get)
    monkeypatch.setattr(benchmark, "BACKENDS", {"ours": "plain", "accelerated": "bfloat16"})
    figures = benchmark.bench_agents(
        lengths=(8,),
        episodes=(2,),
        n_windows=1,
        sizes=TINY,
        acceleration=Acceleration(bf16=True),
        start=LocalAgent,
    )
    plain, rough = figures["references"]
    assert 0 <= plain["measured"] < 1e-5 < rough["measured"] < 0.1
    assert plain["holds"] and rough["holds"] and rough["reference"] == 0.1
    assert figures["acceleration"] == {"bf16": True, "compile": False, "cuda_graphs": False}


@pytest.mark.parametrize(
    ("device", "acceleration", "rule"),
    [
        ("cuda", PLAIN, "`device` must be one that torch finds here, got 'cuda'; use `cpu`"),
        ("cpu", Acceleration(cuda_graphs=True), "`cuda_graphs` must be False on 'cpu'"),
        ("toaster", PLAIN, "`device`: Expected one of cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, device, acceleration, rule):
    """Worker processes would all fail, each with a traceback."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=re.escape(rule)):
        check_device(device, acceleration)
