"""The commands as a user runs them, in miniature, and what they say to bad input."""

import contextlib
import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from importlib.metadata import version

import numpy as np
import pytest
import soundfile

from esarm_env.core.run_layout import STAGES
from esarm_env.face import read_livelink_csv
from train.cli import COMMANDS, main

RATE_HZ = 16_000


def refused(arguments, capsys):
    """Run a command that must fail with exit code 2; return its one line."""
    with pytest.raises(SystemExit, match=r"^2$") as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("esarm: "), lines
    return lines[0]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_explains_itself(command, capsys):
    """`--help` is the first thing a user reads."""
    main([command, "--help"] if command else ["--help"])
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 7 and "Attributes:" not in text


def test_a_run_leaves_every_stage_and_a_report(finished_run):
    """The report is what the whole pipeline is for."""
    for stage in STAGES:
        assert (finished_run / stage / "summary.json").is_file(), stage
    assert not list(finished_run.glob(".*.partial"))
    report = (finished_run / "report.md").read_text()
    for part in ("mean over frames of max over lip vertices", "| 0.02 |", "| 1.00 |", "Wall time"):
        assert part in report, part
    assert "recorded corpus `recordings" in report
    for picture in ("improvement.png", "training.png"):
        assert (finished_run / picture).read_bytes()[:4] == b"\x89PNG"


def test_a_second_run_skips_what_is_finished_and_writes_json(finished_run, tmp_path, capsys):
    """Running the same command again must cost seconds and change nothing."""
    before = (finished_run / "clone" / "policy.safetensors").stat().st_mtime_ns
    main(["run", "--run", str(finished_run), "--json", str(tmp_path / "all.json")])
    assert (finished_run / "clone" / "policy.safetensors").stat().st_mtime_ns == before
    figures = json.loads((tmp_path / "all.json").read_text())
    assert set(figures) == set(STAGES)
    rows = {entry["label"]: entry["figures"] for entry in figures["evaluate"]["rows"]}
    assert {
        "recordings through the tokenizer",
        "mean face of the condition",
        "clone, greedy",
        "clone, sampled",
        "clone, epsilon 0.5",
        "ppo, greedy",
        "reinforce, sampled",
    } <= set(rows)
    for name in ("lve", "eve", "score"):
        mean, low, high = rows["clone, greedy"][name]
        assert low <= mean <= high
    assert "clone, greedy" in capsys.readouterr().out


READERS = {
    "animate": ["animate", "SPEECH", "-o", "OUT.csv", "--run", "RUN"],
    "overoptimise": ["overoptimise", "RUN", "--reward", "no-such"],
    "bench peers": ["bench", "peers", "--run", "RUN"],
}


@pytest.mark.parametrize("reader", READERS)
def test_commands_that_read_a_run_leave_it_as_it_was(
    reader, finished_run, speech_file, tmp_path, monkeypatch
):
    """A published run may lie on a share that nobody may write to."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)

    def snapshot():
        return {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in run.rglob("*")}

    before = snapshot()
    monkeypatch.setattr("train.bench.peers.compare_with_peers", _no_peers)
    names = {"SPEECH": str(speech_file), "OUT.csv": str(tmp_path / "o.csv"), "RUN": str(run)}
    with contextlib.suppress(SystemExit):  # an unknown reward is said after the run was opened
        main([names.get(part, part) for part in READERS[reader]])
    assert snapshot() == before


def _no_peers(run):
    return {"utterances": len(run.summary("corpus")), "lve_mm": {}, "less_lve": {}}


def test_an_old_run_refuses_other_settings(finished_run, capsys):
    """Silently keeping the old ones would label results wrongly."""
    line = refused(["run", "--run", finished_run, "--set", "clone.epochs=5"], capsys)
    assert "must keep its configuration" in line


@pytest.mark.parametrize(("rate_hz", "n_rows"), [(30, 90), (60, 179)])
def test_a_stereo_flac_becomes_a_live_link_csv(
    finished_run, speech_file, tmp_path, rate_hz, n_rows
):
    """Three seconds at 44.1 kHz are 90 frames, whatever the file's rate."""
    output = tmp_path / "out.csv"
    main(
        [
            "animate",
            str(speech_file),
            "-o",
            str(output),
            "--run",
            str(finished_run),
            "--rate",
            str(rate_hz),
            "--emotion",
            "neutral",
            "--intensity",
            "3",
        ]
    )
    motion, rate = read_livelink_csv(output)
    assert motion.shape == (n_rows, 52) and rate == rate_hz
    assert motion.min() >= 0 and motion.max() <= 1 and np.ptp(motion, axis=0).max() > 0.01


def test_long_audio_is_joined_without_a_jump(finished_run, make_speech, tmp_path):
    """Pieces are written on their own; a seam would show as a twitch every few seconds."""
    path, output = tmp_path / "long.wav", tmp_path / "long.csv"
    soundfile.write(path, make_speech(31, seed=3), RATE_HZ)
    main(["animate", str(path), "-o", str(output), "--run", str(finished_run), "--no-alive"])
    motion, _ = read_livelink_csv(output)
    assert len(motion) == 930
    speed = np.abs(np.diff(motion, axis=0)).max(axis=1)
    assert speed.max() <= 4 * np.percentile(speed, 95) + 0.05


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not audio at all", "must be audio that libsndfile reads"),
        (b"", "got an empty file (0 bytes)"),
        ("silence", "must hold speech, got silence"),
        ("nan", "samples must be finite"),
        ("short", "duration must be 0.2 to 600 s, got 0.010 s"),
    ],
)
def test_a_file_that_cannot_be_animated_leaves_the_output_alone(
    content, message, finished_run, tmp_path, capsys
):
    """An old animation must not be lost to a broken recording."""
    path, output = tmp_path / "speech.wav", tmp_path / "out.csv"
    output.write_text("precious")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        samples = {"silence": np.zeros(RATE_HZ), "nan": np.full(RATE_HZ, np.nan),
                   "short": np.ones(160) * 0.1}[content]  # fmt: skip
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    assert message in refused(["animate", path, "-o", output, "--run", finished_run], capsys)
    assert output.read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--emotion", "bored"], "`emotion` must be auto, one of neutral, angry"),
        (["--emotion", "hapy"], "got 'hapy'; did you mean happy?"),
        (["--emotion", "happy"], "the run was trained on, neutral, got happy: what its policy"),
        (["--emotion", "neutral:1,calm:1e-9"], "the run was trained on, neutral, got calm"),
        (["--intensity", "4"], "`intensity` must be 1 to 3, got 4"),
        (["--speaker", "eve"], "`speaker` must be one of ann, bob"),
        (["--policy", "dqn"], "`policy` must be one of ppo, reinforce, clone, got 'dqn'; stage"),
        (["--policy", "poo"], "got 'poo'; did you mean ppo?"),
        (["--rate", "25"], "`rate` must be 30 or 60"),
        (["--temperature", "-1"], "`temperature` must be 0 (greedy) or at least 0.001, got -1"),
        (["--temperature", "nan"], "`temperature` must be 0 (greedy) or at least 0.001, got nan"),
        (["--seed", "-1"], "`seed` must be at least 0, got -1"),
    ],
)
def test_an_unknown_choice_lists_the_valid_ones(
    options, message, finished_run, speech_file, tmp_path, capsys
):
    """The message is the documentation at that moment."""
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--run", finished_run, *options]
    assert message in refused(command, capsys)
    assert not (tmp_path / "o.csv").exists()


def test_an_output_of_an_unknown_format_is_refused(finished_run, speech_file, tmp_path, capsys):
    """An `.obj` full of CSV text opens nowhere."""
    command = ["animate", speech_file, "-o", tmp_path / "face.obj", "--run", finished_run]
    message = "the suffix of the output must be one of those that exporters write: .csv (livelink)"
    assert message in refused(command, capsys)
    assert not (tmp_path / "face.obj").exists()


def test_a_recording_is_not_overwritten_by_its_animation(finished_run, speech_file, capsys):
    """A name completed wrongly would replace the only copy of a recording by a table."""
    before = speech_file.read_bytes()
    command = ["animate", speech_file, "-o", speech_file, "--run", finished_run]
    assert "`output` must be another file than the recording" in refused(command, capsys)
    assert speech_file.read_bytes() == before


@pytest.mark.parametrize("name", ["face.obj", "face.avi", "face", "face.csv.gz", ".csv"])
def test_a_suffix_that_cannot_be_written_is_refused_before_any_work(
    name, finished_run, speech_file, tmp_path, monkeypatch, capsys
):
    """The table that stood in `face.obj` opened in no program."""

    def read(path):
        raise AssertionError("the recording was read")

    monkeypatch.setattr("train.clips.animation.read_audio", read)
    command = ["animate", speech_file, "-o", tmp_path / name, "--run", finished_run]
    line = refused(command, capsys)
    rule = "the suffix of the output must be one of those that exporters write: .csv (livelink)"
    assert line.startswith(f"esarm: {rule}, ")
    assert line.endswith(f", got {str(tmp_path / name)!r}")
    assert not (tmp_path / name).exists()


def test_the_suffix_may_be_in_capitals(finished_run, speech_file, tmp_path):
    """As Windows programs write it."""
    main(["animate", str(speech_file), "-o", str(tmp_path / "A.CSV"), "--run", str(finished_run)])
    assert read_livelink_csv(tmp_path / "A.CSV")[0].shape == (90, 52)


def test_a_run_that_is_a_file_is_one_line(recordings, tmp_path, capsys):
    """A mistyped `--run` ended in a traceback."""
    taken = tmp_path / "taken"
    taken.write_text("precious")
    command = ["corpus", recordings, "--run", taken]
    assert "`run` must be a folder that can be written, got" in refused(command, capsys)
    assert taken.read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["", "--audit"], "`corpus` must be a folder to audit, got none"),
        (["x", "--audit", "--compare", "y"], "`--compare` must stand without `--audit`, got both"),
        (["x", "--threads", "-1"], "`threads` must be at least 0, got -1"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, message, tmp_path, capsys):
    """An empty shell variable would audit the current folder, and correct its offsets."""
    assert message in refused(["corpus", *options, "--run", tmp_path / "run"], capsys)
    assert not (tmp_path / "run").exists()


def test_a_missing_file_and_a_missing_folder_are_one_line(
    finished_run, speech_file, tmp_path, capsys
):
    """Both are typing mistakes, and typing mistakes are the most common errors."""
    missing = tmp_path / "none.wav"
    command = ["animate", missing, "-o", tmp_path / "o.csv", "--run", finished_run]
    assert "no such file" in refused(command, capsys)
    command = ["animate", speech_file, "-o", tmp_path / "no" / "o.csv", "--run", finished_run]
    assert "folder" in refused(command, capsys)


def test_a_run_that_lacks_a_stage_names_the_command(speech_file, tmp_path, capsys):
    """`animate` before `run` is what happens on the first day."""
    run = tmp_path / "empty"
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--run", run]
    assert f"must be a run folder, got none of that name; `esarm run --run {run}" in refused(
        command, capsys
    )
    run.mkdir()
    said = refused(command, capsys)
    assert "run `esarm corpus" in said
    assert said.endswith("or leave out `--run`: the policy that ships with the package animates")
    run.rmdir()
    said = refused(["clone", "--run", run, "--preset", "demo"], capsys)
    assert f"make one with `esarm run --run {run}`" in said
    assert not run.exists()  # a mistyped folder is not made a run


def test_a_mistyped_command_is_told_the_nearest_one(capsys):
    """tyro would call it an unrecognised option."""
    said = refused(["anmate", "speech.wav"], capsys)
    assert said.endswith("got 'anmate'; did you mean `animate`?")
    # In the order of `esarm`, and without what is deprecated and stands in none of its groups.
    assert "must be one of animate, convert, studio, figure5, run, corpus, " in said
    assert " rewards," not in said
    assert refused(["zzz"], capsys).endswith("got 'zzz'")


def test_the_version_can_be_asked(capsys):
    """It belongs into every bug report."""
    main(["--version"])
    assert capsys.readouterr().out == f"esarm {version('esarm')}\n"


@pytest.mark.parametrize(
    ("command", "resumes"),
    [("clone", True), ("run", True), ("animate a.wav -o a.csv", False), ("doctor", False)],
)
def test_an_interruption_says_whether_the_command_goes_on(command, resumes, monkeypatch, capsys):
    """`Goes on from here` is untrue of a command that begins again."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tyro.extras.subcommand_cli_from_dict", interrupt)
    with pytest.raises(SystemExit, match=r"^130$"):
        main(command.split())
    assert ("goes on from here" in capsys.readouterr().err) is resumes


TERMINATED = """
import os, signal, train.cli
def work(*_, **__):
    worker = os.fork()
    if not worker:  # as of a pool, which ends its workers in this way
        os.kill(os.getpid(), signal.SIGTERM)
    print(os.waitpid(worker, 0)[1] == signal.SIGTERM, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
train.cli._dispatch = work
train.cli.main(["run"])
"""


def test_sigterm_ends_as_ctrl_c_does():
    """A cluster's queue ends by it what has run too long; silence would not say how to go on."""
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True)
    said = "esarm: terminated; the same command goes on from here\n"
    assert (done.returncode, done.stderr, done.stdout) == (143, said, "True\n")


def test_an_interruption_of_the_imports_is_one_line(tmp_path):
    """A command that was mistyped is stopped at once, and thirty lines of traceback hide why."""
    (tmp_path / "tyro.py").write_text("raise KeyboardInterrupt\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import train.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (130, "esarm: interrupted\n", "")


def test_a_corrupt_policy_is_one_line(finished_run, speech_file, tmp_path, capsys):
    """A copy that broke off must not look like a bug of ours."""
    run = tmp_path / "copy"
    shutil.copytree(finished_run, run)
    policy = run / "improve" / "ppo" / "policy.safetensors"
    policy.write_bytes(policy.read_bytes()[:300])
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--run", run, "--policy", "ppo"]
    assert "must be a whole policy file" in refused(command, capsys)
    policy.write_bytes(b"")
    assert "got an empty file (0 bytes); delete the stage" in refused(command, capsys)


def test_a_folder_without_recordings_says_what_it_expects(tmp_path, capsys):
    """Data formats are where users of this field lose most of their time."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "video.mp4").touch()
    with pytest.raises(SystemExit, match=r"^2$") as stop:
        main(["corpus", str(folder), "--run", str(tmp_path / "run")])
    assert stop.value.code == 2
    first, *layouts = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("esarm: ") and "found video.mp4" in first
    told = [line.split(":")[0].strip() for line in layouts]
    assert told == ["mead", "vocaset", "3d-etf", "beat", "ravdess", "livelink", "generic"]


def test_a_missing_folder_says_which_corpora_there_are(tmp_path, capsys):
    """A typo in a path must not read as an empty corpus."""
    for command in (["corpus", tmp_path / "data"], ["run", "--corpus", tmp_path / "data"]):
        assert "synthetic-mead" in refused([*command, "--run", tmp_path / "run"], capsys)
        assert not (tmp_path / "run").exists(), "the next command would go on with it"


def test_stages_run_one_by_one_like_the_pipeline(
    recordings, finished_run, tiny_options, tmp_path, monkeypatch
):
    """The stages are commands of their own, and the seed decides the result, not the path."""
    run = ["--run", str(tmp_path / "steps")]
    main(["corpus", str(recordings), *run, *tiny_options()])
    for stage in ("prior", "encoder", "clone"):
        main([stage, *run, "--json", str(tmp_path / f"{stage}.json")])
    name = "clone/policy.safetensors"
    assert (tmp_path / "steps" / name).read_bytes() == (finished_run / name).read_bytes()
    assert json.loads((tmp_path / "clone.json").read_text())["epochs"] == 2


def test_ctrl_c_is_one_line_and_leaves_no_half_written_stage(
    recordings, tiny_options, tmp_path, capsys, monkeypatch
):
    """Interrupting a long run is normal, and the message says how to go on."""
    from esarm_env.tokenizer.training import TokenizerTrainer

    run = tmp_path / "run"
    advance = TokenizerTrainer.advance

    def interrupted(self):
        if self.n_done == 1:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(TokenizerTrainer, "advance", interrupted)
    with pytest.raises(SystemExit, match=r"^130$") as stop:
        main(["run", "--run", str(run), "--corpus", str(recordings), *tiny_options()])
    assert stop.value.code == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert not (run / "prior").exists() and (run / ".prior.partial" / "checkpoint.pt").is_file()
    monkeypatch.setattr(TokenizerTrainer, "advance", advance)
    main(["prior", "--run", str(run)])
    assert len((run / "prior" / "metrics.csv").read_text().splitlines()) == 3


def test_the_policy_of_least_true_error_animates(finished_run, speech_file, tmp_path):
    """The learned score can rise while faces get worse; who wants a face must not get that one."""
    best = json.loads((finished_run / "improve" / "summary.json").read_text())["best_on_validation"]
    errors = best["errors_mm"]
    assert set(errors) == {"clone", "ppo", "reinforce"}
    relative = {
        name: np.mean([error[key] / errors["clone"][key] for key in ("lve", "eve")])
        for name, error in errors.items()
    }
    assert best["policy"] == min(relative, key=relative.get)
    done = tmp_path / "done.json"
    command = ["animate", speech_file, "-o", tmp_path / "a.csv", "--run", finished_run]
    main([str(part) for part in (*command, "--json", done)])
    assert json.loads(done.read_text())["policy"] == best["policy"]


def test_before_reinforcement_learning_the_clone_animates(finished_run, speech_file, tmp_path):
    """A run may stop at the clone."""
    run = tmp_path / "run"
    for part in ("config.yaml", "corpus", "prior", "encoder", "clone"):
        copy = shutil.copytree if (finished_run / part).is_dir() else shutil.copy
        run.mkdir(exist_ok=True)
        copy(finished_run / part, run / part)
    done = tmp_path / "done.json"
    command = ["animate", speech_file, "-o", tmp_path / "a.csv", "--run", run, "--json", done]
    main([str(part) for part in command])
    assert json.loads(done.read_text())["policy"] == "clone"


@pytest.mark.parametrize("kind", ["link", "fifo", "null"])
def test_an_animation_is_written_through_what_is_no_plain_file(
    kind, finished_run, speech_file, tmp_path
):
    """`-o` replaced a link by a file, and a program that read a FIFO waited for ever."""
    output, heard = tmp_path / "out.csv", []
    reader = threading.Thread(target=lambda: heard.append(output.read_text()))
    if kind == "fifo":
        os.mkfifo(output)
        reader.start()
    else:
        output.symlink_to("/dev/null" if kind == "null" else tmp_path / "real.csv")
    before = stat.S_IFMT(output.lstat().st_mode)
    main(["animate", str(speech_file), "-o", str(output), "--run", str(finished_run)])
    assert stat.S_IFMT(output.lstat().st_mode) == before
    if kind == "fifo":
        reader.join()
        assert heard[0].startswith("Timecode,BlendShapeCount,")
    if kind == "link":
        assert len(read_livelink_csv(tmp_path / "real.csv")[0]) == 90
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_device_without_a_suffix_gets_csv(finished_run, speech_file, capsys):
    """`-o /dev/stdout` is how a shell looks at something."""
    main(["animate", str(speech_file), "-o", "/dev/null", "--run", str(finished_run)])
    assert "rate_hz: 30\nframes: 90" in capsys.readouterr().out


def test_figures_for_a_full_disk_are_one_line(capsys):
    """`/dev/full` answers as a full disk does."""
    assert "/dev/full: must be written whole, got" in refused(
        ["plugins", "--json", "/dev/full"], capsys
    )


def test_standard_output_on_a_full_disk_is_one_line():
    """The traceback came at the very end, when Python emptied its buffer."""
    command = [sys.executable, "-c", "from train.cli import main; main(['plugins'])"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    rule = "standard output: must be on a disk with room, got 'No space left on device'"
    assert done.stderr == f"esarm: {rule}; make room and run it again\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"),
         "/a/b: must be readable and writable here, got 'Permission denied'; mend it or its"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"),
         "files must be such as the system can read and write, got 'No usable temporary"),
        (OSError(errno.ENOSPC, "No space left on device", "/c"),
         "/c: must be on a disk with room, got 'No space left on device'; make room"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_one_line(error, line, monkeypatch, capsys):
    """No permission, no TMPDIR, a full disk: wherever it shows, no traceback."""

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("train.cli.tyro.extras.subcommand_cli_from_dict", refuse)
    assert line in refused(["plugins"], capsys)


def test_a_second_command_in_a_run_is_refused(finished_run, capsys, monkeypatch):
    """It would rename the first one's files away under its hands."""

    def busy(handle, _):
        raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")

    monkeypatch.setattr("train.run.lock.fcntl.flock", busy)
    for command in (["run"], ["evaluate"], ["improve"], ["assets"]):
        line = refused([*command, "--run", finished_run], capsys)
        assert f"{finished_run}: must be written by one process at a time, got process" in line
    for command in (["reward-report", finished_run, "--quick"], ["overoptimise", finished_run]):
        assert "must be written by one process at a time" in refused(command, capsys)


def test_a_run_s_encoder_is_not_asked_for(finished_run, speech_file, tmp_path, capsys, monkeypatch):
    """`animate --run` of a stranger's run asked a hub for the repository that it named."""
    run, asked = tmp_path / "run", []

    def refuse(host, *_, **__):
        asked.append(host)
        raise socket.gaierror("no network in tests")

    shutil.copytree(finished_run, run)
    note = run / "corpus" / "corpus.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"encoder": "wavlm:a-name/model"}))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--run", run]
    assert "got 'a-name/model'; if you trust that name" in refused(command, capsys)
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace("logmel", "wavlm:a-name/model"))
    for stage in STAGES:
        shutil.rmtree(run / stage)
    assert "got 'a-name/model'; if you trust that name" in refused(["run", "--run", run], capsys)
    assert asked == []


def test_figures_are_not_written_over_other_files(speech_file, tmp_path, capsys):
    """`--json` with the name of the recording would have cost the recording."""
    sound = speech_file.read_bytes()
    command = ["animate", speech_file, "-o", tmp_path / "o.csv", "--json"]
    said = refused([*command, speech_file], capsys)
    assert said.startswith("esarm: `json` must be a new file, or one of JSON to be replaced")
    assert speech_file.read_bytes() == sound
    assert not (tmp_path / "o.csv").exists()
    refused([*command, tmp_path / "o.csv"], capsys)  # its own output
    assert not (tmp_path / "o.csv").exists()
