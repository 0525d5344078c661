"""Page of the card: pictures, charts and tables in one file that loads nothing."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from esarm_env.face.render import Palette, Renderer, View
from train.clips.card.charts import chart
from train.clips.card.figures import MEASURES
from train.figure5.moments import EVEN, choose_moments
from train.figure5.quantities import EMOTIONAL, OPENING
from train.figure5.strip import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from esarm_env.face.head import Head
    from train.clips.card.maker import Card

COLUMNS = 10
_CELL = (150, 128)  # height and width of a frame in pixels
_FACE = View(yaw_deg=12.0, zoom=1.6, shift=(0.01, -0.01))
_PAPER = Palette(background=(244, 245, 247))
_LONGEST_SOUND_S = 60.0  # what a page holds stays below two megabytes

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1e242e;max-width:1000px;margin:24px auto;
padding:0 16px;background:#fff}h1{font-size:21px;margin:0 0 2px}h2{font-size:16px;margin:20px 0 6px}
p{margin:4px 0}.faint,caption,td.range{color:#626a76}figure{margin:0;display:inline-block;
width:9.4%;vertical-align:top;font-size:12px;text-align:center}figure img{width:100%;
border-radius:4px;display:block}.strip{display:flex;justify-content:space-between}
table{border-collapse:collapse;margin:4px 0}td,th{padding:3px 14px 3px 0;text-align:left;
font-weight:normal}th{color:#626a76}td.number{text-align:right;font-variant-numeric:tabular-nums}
.bars td.bar{width:130px}.bars div{background:#1e5fb0;height:11px;border-radius:2px}
svg{width:100%;height:auto;font:12px system-ui,sans-serif;fill:#626a76}.quiet{fill:#eef0f3}
.wave{fill:#c9ced6}.rest{stroke:#aab1bb;stroke-width:1}rect.shut{fill:#3a7d44;opacity:.22}
rect.open{fill:#b0421e;opacity:.28}.phone.shut{fill:#2c6335}.phone.open{fill:#b0421e;
font-weight:600}.columns{display:flex;align-items:flex-start;gap:40px;
flex-wrap:wrap}audio{width:100%;margin:6px 0}
li{margin:2px 0}@media(prefers-color-scheme:dark){body{background:#14181f;color:#e4e8ee}
.quiet{fill:#20262f}.wave{fill:#3b4451}.faint,caption,th,td.range{color:#9aa4b2}svg{fill:#9aa4b2}}
"""


def card_page(card: Card, head: Head) -> str:
    """Return the page as HTML.

    Args:
        card: Of a clip.
        head: That is drawn.
    """
    clip, figures = card.clip, card.figures
    title = html.escape(clip.name)
    about = ", ".join(f"{name}: {html.escape(said)}" for name, said in card.about.items())
    brows = {name: card.curves[name] for name in EMOTIONAL if name in card.curves}
    over = {OPENING: figures.opening_mm}
    opening = chart(over, audio=clip.audio, speech=figures.speech, closures=figures.closures)
    upper = chart(brows, audio=clip.audio, speech=figures.speech) if brows else ""
    body = [
        f"<h1>{title}</h1><p class='faint'>{about}</p>",
        _strip(card, head),
        _sound(card),
        f"<h2>Lips over the speech</h2>{opening}{_closures_in_words(card)}",
        f"<h2>Brows and lip corners</h2>{upper}" if brows else "",
        f"<h2>Figures</h2>{_table(card)}{_at_end(card)}",
        f"<h2>Emotion</h2><div class='columns'>{_emotions(card.emotion)}</div>",
        _notes(card),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}: quality card</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _strip(card: Card, head: Head) -> str:
    """Return pictures of the moments that tell most, with time, phone and lips."""
    motion, opening = card.clip.motion, card.figures.opening_mm
    moments = choose_moments(len(motion), opening_mm=opening, phones=card.phones, columns=COLUMNS)
    renderer = Renderer(head, size=_CELL, view=_FACE, palette=_PAPER, samples=2)
    shown = []
    for moment in moments:
        time_s = moment.frame / FRAME_RATE_HZ
        heard = [span.label for span in card.phones if span.start_s <= time_s < span.end_s]
        words = [f"{time_s:.2f} s", *(f"/{spelled(phone)}/" for phone in heard[:1])]
        words += [] if moment.why == EVEN else [f"lips {moment.why}"]
        said = html.escape(", ".join(words))
        picture = data_uri(png(renderer.frame(motion[moment.frame])), "image/png")
        shown.append(f"<figure><img src='{picture}' alt='face at {said}'>{said}</figure>")
    return f"<div class='strip'>{''.join(shown)}</div>"


def _sound(card: Card) -> str:
    from train.figure5.web.page import wave_bytes

    samples = card.clip.audio[: int(_LONGEST_SOUND_S * SAMPLE_RATE_HZ)]
    return f"<audio controls src='{data_uri(wave_bytes(samples), 'audio/wav')}'></audio>"


def _closures_in_words(card: Card) -> str:
    """Return how many p, b and m shut the lips, by phone, and when they did not."""
    closures = card.figures.closures
    if not closures:
        said = "no p, b or m is heard" if card.phones else "phones are not known"
        return f"<p class='faint'>{said}; silence is shaded</p>"
    by_phone = []
    for phone in "pbm":
        these = [each.shut for each in closures if each.phone[:1] == phone]
        by_phone += [f"/{phone}/ {sum(these)} of {len(these)}"] if these else []
    missed = [f"{each.start_s:.2f} s" for each in closures if not each.shut]
    late = f"; lips stay open at {', '.join(missed)}" if missed else ""
    told = f"lips shut at {', '.join(by_phone)}{late}; silence is shaded; phones are as a "
    return f"<p class='faint'>{told}recogniser hears them, which may be wrong</p>"


def _table(card: Card) -> str:
    """Return the figures beside the range of the run's recordings."""
    rows = []
    for name, measure in MEASURES.items():
        value = card.figures.values[name]
        if not np.isfinite(value):
            continue
        shown, usual = f"{value:.{measure.digits}f}", card.usual.get(name)
        beside = ""
        if usual is not None:
            low, _, high = usual
            place = "below" if value < low else "above" if value > high else "within"
            beside = f"{place} {low:.{measure.digits}f} to {high:.{measure.digits}f}"
        rows.append(
            _row(measure.words, shown, beside or (measure.better and f"{measure.better} is better"))
        )
    if card.learned_score is not None:
        rows.append(_row("learned score", f"{card.learned_score:+.2f}", "0 is the clone's mean"))
    factor = f"{card.real_time_factor:.2f}"
    rows.append(_row("real-time factor", factor, "seconds of work for one of speech"))
    head = "<tr><th>figure</th><th>clip</th><th>recordings of the run, 80 % of them</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _row(words: str, value: str, beside: str) -> str:
    return (
        f"<tr><td>{html.escape(words)}</td><td class='number'>{value}</td>"
        f"<td class='range'>{html.escape(beside)}</td></tr>"
    )


def _emotions(emotion: Mapping[str, Mapping[str, float]]) -> str:
    """Return shares as bars, a table for each of what was shown, heard and read."""
    tables = []
    for what, shares in emotion.items():
        rows = [
            f"<tr><td>{html.escape(name)}</td><td class='number'>{share:.2f}</td>"
            f"<td class='bar'><div style='width:{100 * share:.0f}%'></div></td></tr>"
            for name, share in list(shares.items())[:4]
        ]
        tables.append(
            f"<table class='bars'><caption>{html.escape(what)}</caption>{''.join(rows)}</table>"
        )
    return "".join(tables) or "<p class='faint'>not known</p>"


def _at_end(card: Card) -> str:
    """Return the channels that are at 1 for long."""
    listed = [f"{name} {share:.0%} of the time" for name, share in card.figures.at_end.items()]
    return f"<p>channels at 1: {html.escape(', '.join(listed) or 'none')}</p>"


def _notes(card: Card) -> str:
    if not card.notes:
        return ""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in card.notes)
    return f"<h2>Left out</h2><ul class='faint'>{items}</ul>"


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture (H, W, 3) as PNG (ISO 15948), by zlib alone: a card asks for no extra."""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each begins with its filter, none
    rows[:, 1:] = picture.reshape(height, -1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
