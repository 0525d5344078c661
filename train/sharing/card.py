"""Card of an export: what it is, how it was made, how good it is, and what it must not be used for.

In the form that model hubs read: Markdown behind a head in YAML.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from esarm_env.core.run_layout import CONFIG_FILE, VERSIONS_FILE, WAVLM_FILE
from esarm_env.metrics import variant_label
from train.rows import EXPECTED, GREEDY, MEAN_FACE, POLICY, REGRESSOR, TOKENIZER, rows_from_json
from train.run_report.cells import header, line
from train.sharing.licences import OURS, RECORDINGS_LICENCE, licence_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from train.rows import Row
    from train.run.run_folder import RunFolder

TAGS = (
    "reinforcement-learning",
    "speech-driven-facial-animation",
    "arkit-blendshapes",
    "gymnasium",
    "esarm",
)
_PLACE = re.compile(r"(?<![\w.-])(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^\s:,;\"'}]*")
USES = """\
## What it is for

Research on speech-driven facial animation, and animation of characters whose viewers know that they
are characters. Input is speech; output is 52 ARKit face curves at 30 frames a second.

## What it must not be used for

- To make a real person seem to say what they did not say, or to deceive anybody about who speaks.
- To judge people. What it hears of emotion in a voice is right in about one of three acted
  recordings (`emotion="auto"`), and says nothing about what somebody feels.
- Where lips must be read, as by people who are hard of hearing: nobody has tested that.
- As a measure of other systems. The learned score is a proxy that was trained beside this policy.
- Languages, ages and ways of speaking that were not in its training are untested."""


def card(run: RunFolder, *, title: str, policy: str, learned_speech: bool, encoder: str) -> str:
    """Return the card of an export.

    Args:
        run: What is exported; finished.
        title: Name of the folder.
        policy: The exported policy.
        learned_speech: Whether it also learned from speech alone.
        encoder: Name of the audio encoder as the export notes it.
    """
    corpus = run.summary("corpus")
    layout = None if corpus["synthetic"] else str(corpus.get("layout_found", corpus["layout"]))
    terms = licence_text(
        layout=layout,
        speech=learned_speech,
        encoder=encoder,
        has_wavlm=(run.path / WAVLM_FILE).is_file(),
    )
    ours = layout is None and not learned_speech
    sections = [
        _front_matter(ours=ours),
        f"# {title}",
        f"Policy `{policy}` of an ESARM run: speech in, face out, as motion tokens that a "
        "transformer writes. With its tokenizer, speech encoder and reward model; no recordings.",
        _how_to_use(title),
        USES,
        _figures(run, policy),
        _how_it_was_made(run, corpus, policy, encoder),
        f"## Licence\n\n{terms}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(*, ours: bool) -> str:
    licence = (
        {"license": OURS.lower()}
        if ours
        else {"license": "other", "license_name": RECORDINGS_LICENCE, "license_link": "#licence"}
    )
    head: dict[str, Any] = {
        **licence,
        "library_name": "esarm",
        "pipeline_tag": "reinforcement-learning",
        "tags": list(TAGS),
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False).rstrip()}\n---"


def _how_to_use(title: str) -> str:
    return f"""\
## How to use it

```console
esarm animate speech.wav -o face.csv --run {title}
```

```python
import gymnasium
import esarm_env
from agents import SequencePPO, load_policy

network = load_policy("{title}")
env = gymnasium.make("ESARM-v0", run="{title}", corpus="my_speech")  # a folder with audio/
model = SequencePPO.from_clone("{title}", env)
```

`corpus` is any folder of speech (`audio/NAME.wav`), with or without recorded motion; without it,
the corpus that the run was trained on is opened, if it is one of ours."""


def _figures(run: RunFolder, policy: str) -> str:
    results = run.summary("evaluate")
    rows = rows_from_json(results["rows"])
    shown = [row for row in rows if _belongs(row, policy)]
    share = round(100 * run.config.evaluate.confidence)
    lines = [
        "## How good it is",
        "",
        f"On {results['utterances']} utterances of the test split, from the run's own evaluation "
        f"(one seed of training, {run.config.seed}); brackets are {share} % bootstrap intervals "
        "over utterances.",
        "",
        header("animation"),
        *(line(row.label, rows[row]) for row in shown),
        "",
        f"{variant_label('lips')}; {variant_label('upper')}. Of errors, "
        "lower is better; the learned score is a proxy, to be read beside them.",
    ]
    if not any(row.policy == policy for row in shown):
        lines += ["", f"The policy `{policy}` itself was not measured in the run's evaluation."]
    return "\n".join(lines)


def _belongs(row: Row, policy: str) -> bool:
    """Return whether a row stands in the card: the policy, and what it is to be held against."""
    if row.source == POLICY:
        plain = row.epsilon is None and row.temperature is None
        return (
            plain
            and (row.policy == policy or row.decoding in (GREEDY, EXPECTED))
            and (row.policy in (policy, "clone"))
        )
    return row.source in (TOKENIZER, MEAN_FACE, REGRESSOR)


def _how_it_was_made(run: RunFolder, corpus: dict[str, Any], policy: str, encoder: str) -> str:
    config = run.config
    what = f"the synthetic corpus `{corpus['corpus']}`" if corpus["synthetic"] else "recordings"
    learned = "cloned from the recordings alone"
    if policy in config.improve.algorithms:
        reward = without_places(str(config.improve.reward))
        learned = (
            f"cloned, then improved by `{policy}` (`improve` in `{CONFIG_FILE}`, reward `{reward}`)"
        )
    elif policy != "clone":
        learned = f"made from the run's policies under the name `{policy}`"
    facts = [
        f"Trained on {what}: {corpus['train_utterances']} of {corpus['utterances']} utterances, "
        f"{corpus['speech_s'] / 60:.0f} minutes in all, {corpus['n_speakers']} speakers; emotions: "
        f"{_listed(corpus['emotions'])}.",
        f"Audio features: `{encoder}`. Tokens: {config.prior.n_tokens} codes, "
        f"{config.prior.mouth_codebooks} for the mouth and {config.prior.upper_codebooks} for the "
        f"upper face every {config.prior.frames_per_chunk} frames.",
        f"Policy: {learned}. Reward model: recipe `{config.recipe}`.",
        f"All settings: `{CONFIG_FILE}`, seed {config.seed}. Versions: {_versions(run)}.",
    ]
    return "## How it was made\n\n" + "\n".join(f"- {fact}" for fact in facts)


def _versions(run: RunFolder) -> str:
    kept = ("python", "esarm", "torch", "numpy")
    lines = (run.path / VERSIONS_FILE).read_text(encoding="utf-8").splitlines()
    return ", ".join(each.replace("==", " ") for each in lines if each.split("==")[0] in kept)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def without_places(value: Any) -> Any:
    """Return plain values whose texts name no place: of each path, what stands last in it."""
    if isinstance(value, Mapping):
        return {key: without_places(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(entry) for entry in value]
    if not isinstance(value, str):
        return value
    # A path from the working folder looks like `microsoft/wavlm-base-plus`: what is there tells.
    before, colon, last = value.rpartition(":")
    if os.path.exists(last) and os.sep in last:
        return f"{before}{colon}{Path(last).name}"
    return _PLACE.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], value)
