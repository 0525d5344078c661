"""What every model card says, and the card of a part that was saved without its run."""

from __future__ import annotations

TAGS = (
    "reinforcement-learning",
    "speech-driven-facial-animation",
    "arkit-blendshapes",
    "gymnasium",
    "esarm",
)
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
_UNKNOWN = """\
## What is not said here

It was saved without its run: on what it was trained, how good it is and under which terms its data
come is not told. Ask whoever shared it before you pass it on. `esarm push RUN USER/NAME` writes a
card that tells all of this."""


def plain_card(kind: str, *, title: str, about: str) -> str:
    """Return the card of a part of which nothing but the part itself is known.

    Args:
        kind: What it is, for instance `policy`.
        title: Of the page.
        about: A sentence on what it is, with its sizes.
    """
    tags = "\n".join(f"- {tag}" for tag in (*TAGS, f"esarm-{kind}"))
    head = f"library_name: esarm\nlicense: unknown\ntags:\n{tags}"
    parts = (f"---\n{head}\n---", f"# {title}", about, how_to_use(kind), USES, _UNKNOWN)
    return "\n\n".join(parts) + "\n"


def how_to_use(kind: str, place: str = "hf://USER/NAME") -> str:
    """Return the section on how a part is opened.

    Args:
        kind: `policy`, `tokenizer` or `reward`.
        place: What opens it, a folder or `hf://user/name`.
    """
    name = place.removeprefix("hf://")
    lines = {
        "policy": f"""\
from agents import load_policy

network = load_policy("{place}")""",
        "tokenizer": f"""\
from esarm_env.tokenizer import VQMotionTokenizer

tokenizer = VQMotionTokenizer.from_pretrained("{name}")""",
        "reward": f"""\
import gymnasium
import esarm_env  # registers ESARM-v0

# On the task that it was trained for.
env = gymnasium.make("ESARM-v0", reward="learned:{place}")""",
    }
    return f"## How to use it\n\n```python\n{lines[kind]}\n```"
