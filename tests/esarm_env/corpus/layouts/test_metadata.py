"""`metadata.csv` tells what names do not, and is checked as a whole."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import Found, find_takes

Plant = Callable[..., Path]
Table = Callable[..., Found]


@pytest.fixture
def found_with(plant: Plant) -> Table:
    """Return what finds two takes, `x/a` and `b`, with the given lines as table."""
    root = plant("audio/x/a.wav", "audio/b.WAV", "blendshape/x/a.json", "blendshape/b.csv")

    def find(*lines: str, name: str = "metadata.csv", encoding: str = "utf-8") -> Found:
        (root / name).write_text("\n".join(lines), encoding=encoding)
        return find_takes(root)

    return find


def test_every_column_overrides_its_label(found_with: Table) -> None:
    """The table is where people put what they know."""
    found = found_with(
        "id,speaker,emotion,intensity,text,split",
        'x/a,Anna,Anger,3,"Oh, no!",val',
        "b,,,,,",
    )
    assert found.faults == ()
    b, a = found.takes
    assert (a.speaker, a.emotion, a.intensity, a.split) == ("Anna", "angry", 3, "validation")
    assert (a.text, a.sentence) == ("Oh, no!", "oh no")
    assert (b.speaker, b.emotion, b.intensity, b.text) == ("b", "neutral", 1, None)


def test_any_subset_of_columns_and_rows_will_do(found_with: Table) -> None:
    """Half a table is better than none."""
    b, a = found_with("emotion,id", "sad,b", "").takes
    assert (b.emotion, b.intensity) == ("sad", 2)
    assert (a.emotion, a.intensity) == ("neutral", 1)


@pytest.mark.parametrize(
    "name",
    [
        "audio/x/a.wav",
        "audio/x/a",
        "blendshape/x/a.json",
        "./audio/x/a.wav",
        "audio\\x\\a.wav",
        "x/a.wav",
        "x/a",
    ],
)
def test_a_file_names_its_take_in_any_usual_way(found_with: Table, name: str) -> None:
    """Tables are made by scripts that know paths, not our ids."""
    found = found_with("file,speaker", f"{name},Anna")
    assert found.faults == ()
    assert found.takes[1].speaker == "Anna"


@pytest.mark.parametrize("name", ["metadata.csv", "Metadata.CSV"])
def test_tables_from_office_programs_are_read(found_with: Table, name: str) -> None:
    """They begin with a byte-order mark, which would rename the first column."""
    found = found_with("ID , Speaker", "b, Ben ", name=name, encoding="utf-8-sig")
    assert found.takes[0].speaker == "Ben"


def test_equal_texts_are_one_sentence(found_with: Table) -> None:
    """Splits and parallel takes go by the sentence, not by its punctuation."""
    b, a = found_with("id,text", "x/a,Kids  are talking.", "b,kids are talking").takes
    assert a.sentence == b.sentence == "kids are talking"
    assert a.text != b.text


def test_a_row_of_no_take_is_listed(found_with: Table) -> None:
    """A misspelt id would leave its take with the wrong label, unseen."""
    found = found_with("id,speaker", "x/a,Anna", "c,Carl", ",Dora")
    assert found.takes[1].speaker == "Anna"
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("metadata.csv, line 3", "names no take that is used, 'c'"),
        ("metadata.csv, line 4", "names no take that is used, ''"),
    ]


def test_a_misspelt_column_is_refused(found_with: Table) -> None:
    """It would leave every take with the wrong label, unseen."""
    message = (
        "metadata.csv: must have columns among id, file, speaker, emotion, intensity, text, "
        "split, rate, `id` or `file` with them, got id, emotoin, level; did you mean emotion?"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        found_with("id,emotoin,level", "b,1")


@pytest.mark.parametrize(
    ("header", "got"),
    [
        ("speaker,emotion", "speaker, emotion"),
        ("speaker;emotion", "speaker, emotion"),
        ("", "b, 1"),
    ],
)
def test_a_table_that_names_no_take_costs_itself(found_with: Table, header: str, got: str) -> None:
    """Its labels belong to nobody; the recordings are as good as before."""
    found = found_with(header, "b,1")
    assert len(found.takes) == 2
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (
            "metadata.csv",
            "must have columns among id, file, speaker, emotion, intensity, text, split, rate, "
            f"`id` or `file` with them, got {got}; nothing of it is used",
        )
    ]


def test_an_empty_table_is_listed(plant: Plant) -> None:
    """Somebody meant to label takes; reading them unlabelled would hide that."""
    found = find_takes(plant("audio/a.wav", "blendshape/a.json", "metadata.csv"))
    assert [take.id for take in found.takes] == ["a"]
    reason = "must name its columns, got the header of an empty file; nothing of it is used"
    assert [(fault.source, fault.reason) for fault in found.faults] == [("metadata.csv", reason)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,speaker\nb,Be\0n\n", "must be CSV text in UTF-8, got zeros in it"),
        (bytes(3000), "must be CSV text in UTF-8"),
        (b"id,text\nb,\x81\x8d\n", "must be CSV text in UTF-8, or in UTF-16 with its mark, got "),
        (b"\xff\xfes\0", "must have columns among"),
        (b"id,speaker\nb,B\xfc\0\n", "must be CSV text in UTF-8, got zeros in it"),
    ],
)
def test_a_table_that_is_no_text_costs_itself(plant: Plant, content: bytes, reason: str) -> None:
    """A download that was cut short closed a corpus of thousands."""
    root = plant("audio/b.wav", "blendshape/b.json")
    (root / "metadata.csv").write_bytes(content)
    found = find_takes(root)
    assert [take.speaker for take in found.takes] == ["b"]
    (fault,) = found.faults
    assert fault.source == "metadata.csv"
    assert fault.reason.startswith(reason)
    assert fault.reason.endswith("; nothing of it is used")


def test_a_table_without_the_right_to_read_it_costs_itself(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may belong to another user of the machine."""
    root = plant("audio/b.wav", "blendshape/b.json", "metadata.csv")

    path_open = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "metadata.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return path_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    found = find_takes(root)
    assert [take.id for take in found.takes] == ["b"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("metadata.csv", "must be a readable file, got Permission denied; nothing of it is used")
    ]


@pytest.mark.parametrize(
    "column",
    ["name", "filename", "file_name", "take", "Take ID", "path", "audio_path", "utterance", "clip"],
)
def test_a_take_is_named_under_any_usual_heading(found_with: Table, column: str) -> None:
    """Tables of other tools have their own; one of them is meant."""
    found = found_with(f"{column},speaker", "audio/x/a.wav,Anna", "b,Ben")
    assert [take.speaker for take in found.takes] == ["Ben", "Anna"]
    assert found.faults == ()


def test_id_counts_more_than_other_headings(found_with: Table) -> None:
    """`name` beside it is somebody's name."""
    found = found_with("name,id,speaker", "x/a,b,Ben")
    assert [take.speaker for take in found.takes] == ["Ben", "x"]
    assert [fault.reason[:19] for fault in found.faults] == ["has a column 'name'"]


def test_a_row_of_two_takes_costs_both(found_with: Table) -> None:
    """Either may be meant."""
    found = found_with("id,file,speaker", "b,audio/x/a.wav,Anna")
    assert found.takes == ()
    assert [fault.reason for fault in found.faults] == [
        "names more than one take; b, x/a are left out"
    ]


def test_two_columns_of_one_name_must_agree(found_with: Table) -> None:
    """The last one won without a word."""
    found = found_with("id,speaker,speaker,Speaker", "b,Ben,,Ben", "x/a,Anna,Anne,")
    assert [(take.id, take.speaker) for take in found.takes] == [("b", "Ben")]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("metadata.csv, line 3", "two values of `speaker`, 'Anna' and 'Anne'; x/a is left out")
    ]


def test_a_frame_rate_is_known_under_any_usual_heading(found_with: Table) -> None:
    """As in the motion files themselves."""
    found = found_with("id,FPS", "b,59.94")
    assert (found.takes[0].rate_hz, found.faults) == (59.94, ())


def test_a_folder_called_as_the_table_is_listed(plant: Plant) -> None:
    """Some unpackers make one; it was passed over without a word."""
    root = plant("audio/a.wav", "blendshape/a.json", "metadata.csv/metadata.csv")
    found = find_takes(root)
    assert [take.id for take in found.takes] == ["a"]
    assert [(fault.source, fault.reason[:46]) for fault in found.faults] == [
        ("metadata.csv", "must be a readable file, got a folder; nothing"),
        ("metadata.csv/metadata.csv", "is not read here, but only in the corpus folde"),
    ]


def test_of_two_tables_that_differ_in_capitals_one_is_listed(plant: Plant) -> None:
    """Which of them was read must be told, and not be the disk's choice."""
    root = plant("audio/a.wav", "blendshape/a.json")
    for name, speaker in (("Metadata.CSV", "Ben"), ("metadata.csv", "Anna")):
        (root / name).write_text(f"id,speaker\na,{speaker}\n")
    if len(list(root.glob("*.[cC]*"))) < 2:
        pytest.skip("the disk knows no capitals")
    found = find_takes(root)
    assert [take.speaker for take in found.takes] == ["Anna"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("Metadata.CSV", "is not read, since metadata.csv is")
    ]


@pytest.mark.parametrize(
    "name",
    ["metadata.tsv", "metadata.csv.gz", "Metadata.xlsx", "metadata.json", "metadata (1).csv"],
)
def test_what_is_nearly_called_as_the_table_is_listed(plant: Plant, name: str) -> None:
    """Its labels were not read, and nobody said so."""
    found = find_takes(plant("audio/a.wav", "blendshape/a.json", name))
    assert [take.id for take in found.takes] == ["a"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (name, "is not read; if it is the table, save it as metadata.csv")
    ]


def test_a_table_in_a_folder_below_is_listed(plant: Plant) -> None:
    """Other tools want it beside the sound."""
    root = plant("audio/a.wav", "blendshape/a.json", "audio/metadata.csv")
    assert [(fault.source, fault.reason) for fault in find_takes(root).faults] == [
        (
            "audio/metadata.csv",
            "is not read here, but only in the corpus folder itself; move it there",
        )
    ]


def test_all_wrong_values_are_named_at_once(found_with: Table) -> None:
    """One error per run makes a table of a thousand rows a day's work."""
    found = found_with(
        "id,emotion,intensity,split",
        "x/a,bored,4,",
        "b,,,all",
        "audio/b.WAV,sad,,",
    )
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (
            "metadata.csv, line 2",
            "`emotion` must be one of neutral, angry, calm, contempt, disgusted, fear, happy, sad, "
            "surprised, got 'bored'; `intensity` must be 1 to 3, got '4'; x/a is left out",
        ),
        (
            "metadata.csv, line 3",
            "`split` must be one of train, validation, test, got 'all'; b is left out",
        ),
        ("metadata.csv, line 4", "a second row for 'b', with other labels; b is left out"),
    ]
    assert found.takes == ()


def test_a_wrong_row_costs_its_take_and_no_other(found_with: Table) -> None:
    """One typo in a table of thousands stopped all; without its row a take has a wrong label."""
    found = found_with("id,emotion,intensity", "x/a,sad,9", "b,happy,2")
    assert [(take.id, take.emotion) for take in found.takes] == [("b", "happy")]
    assert [fault.source for fault in found.faults] == ["metadata.csv, line 2"]


def test_two_equal_rows_are_one(found_with: Table) -> None:
    """Tables are made by joining others."""
    found = found_with("id,emotion", "b,sad", "audio/b.WAV,sad")
    assert (found.takes[0].emotion, found.faults) == ("sad", ())


def test_a_long_list_of_problems_is_told_by_row(found_with: Table) -> None:
    """A column of other values altogether must show at which rows."""
    found = found_with("id,intensity", *(f"t{i},4" for i in range(11)))
    assert [fault.source for fault in found.faults] == [
        f"metadata.csv, line {line}" for line in range(2, 13)
    ]
    assert len(found.takes) == 2


def test_rows_longer_than_the_header_cost_their_take(found_with: Table) -> None:
    """A comma in a text without quotes would end up as the split."""
    found = found_with("id,text", "x/a,Yes", "b,Oh, no")
    assert [take.id for take in found.takes] == ["x/a"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("metadata.csv, line 3", "more cells than columns; b is left out")
    ]


def test_columns_that_nobody_knows_are_listed(found_with: Table) -> None:
    """People keep notes of their own beside the labels."""
    found = found_with("id,speaker,microphone,", "b,Ben,U87,")
    assert found.takes[0].speaker == "Ben"
    assert [(fault.source, fault.reason[:37]) for fault in found.faults] == [
        ("metadata.csv", "has a column 'microphone', which is n")
    ]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_told_by_the_header(found_with: Table, separator: str) -> None:
    """Spreadsheets of half the world write semicolons, since the comma is in their numbers."""
    found = found_with(separator.join(["id", "text"]), separator.join(["b", '"one, two"']))
    assert found.takes[0].text == "one, two"


def test_a_table_in_utf_16_is_read_by_its_mark(found_with: Table) -> None:
    """It is what "Unicode text" means to Excel."""
    assert found_with("id,text", "b,ü", encoding="utf-16").takes[0].text == "ü"


def test_a_line_that_says_the_separator_is_no_header(found_with: Table) -> None:
    """Excel writes it for itself."""
    assert found_with("sep=;", "id;text", "b;Yes").takes[0].text == "Yes"


def test_a_quote_that_is_never_closed_costs_its_row(found_with: Table) -> None:
    """It would swallow every row behind it into one text."""
    found = found_with("id,text,speaker", 'b,"Oh,Ben', "x/a,Yes,Anna")
    assert found.takes[-1].speaker == "Anna"


def test_a_cell_beyond_all_limits_costs_its_row(found_with: Table) -> None:
    """The parser's own limit ended in a traceback."""
    found = found_with("id,text", "x/a," + "x" * 200_000, "b,Yes")
    assert found.takes[0].text == "Yes"
    assert [fault.source for fault in found.faults] == ["metadata.csv, line 2"]
    assert "field larger than field limit" in found.faults[0].reason


def test_names_may_differ_in_form(plant: Plant) -> None:
    """A table written on a Mac parts letters from their marks; Windows knows no case."""
    root = plant("audio/J\u00fcrgen.wav", "audio/Anna.wav")
    (root / "metadata.csv").write_text("id,speaker\nJu\u0308rgen,J\nanna,A\n", encoding="utf-8")
    found = find_takes(root)
    assert [take.speaker for take in found.takes] == ["A", "J"]
    assert found.faults == ()


def test_a_table_in_the_letters_of_a_spreadsheet_is_read_and_noted(found_with: Table) -> None:
    """Which country's they are is a guess, which must be seen: a wrong one is in every text."""
    found = found_with(
        "id,speaker,text", "b,J\u00fcrgen \u201cJ\u201d,Gr\u00fc\u00dfe", encoding="cp1252"
    )
    assert (found.takes[0].speaker, found.takes[0].text) == (
        "J\u00fcrgen \u201cJ\u201d",
        "Gr\u00fc\u00dfe",
    )
    assert found.faults == ()
    assert [(note.source, note.reason) for note in found.notes] == [
        (
            "metadata.csv",
            "is not in UTF-8 and was read as Windows-1252, such as 'J\u00fcrgen' in line 2; if "
            "that is wrong, save it as CSV in UTF-8",
        )
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFOs")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_a_table_that_is_no_file_is_listed(plant: Plant, make: Callable[[Path], None]) -> None:
    """A FIFO would be waited at for ever, and a link to itself is a traceback."""
    root = plant("audio/a.wav", "blendshape/a.json")
    make(root / "metadata.csv")
    found = find_takes(root)
    assert [take.id for take in found.takes] == ["a"]
    assert [fault.source for fault in found.faults] == ["metadata.csv"]
    assert "must be a readable file, got " in found.faults[0].reason


def test_a_row_of_a_take_that_was_left_out_is_listed(plant: Plant) -> None:
    """It is in the table, so its owner expects it."""
    root = plant("audio/a.wav", "blendshape/a.json", "blendshape/b.json")
    (root / "metadata.csv").write_text("id,speaker\nb,Ben\n")
    found = find_takes(root)
    assert [fault.source for fault in found.faults] == ["blendshape/b.json", "metadata.csv, line 2"]


@pytest.mark.parametrize(
    ("layout", "paths", "is_read"),
    [
        ("3d-etf", ("audio/a.wav", "blendshape/a.npy"), True),
        ("livelink", ("a.wav", "a.csv"), True),
        ("generic", ("audio/a.wav",), True),
        ("mead", ("M003/audio/sad/level_1/010.m4a",), False),
        ("beat", ("1/1_wayne_0_1_1.wav",), False),
        ("ravdess", ("03-01-05-01-02-01-01.wav",), False),
    ],
)
def test_published_labels_are_not_overridden(
    plant: Plant, layout: str, paths: tuple[str, ...], is_read: bool
) -> None:
    """Mirrors of published corpora add tables of their own, which must not stop the reading."""
    root = plant(*paths)
    (root / "metadata.csv").write_text("id,speaker,label\nnobody,x,y\n")
    found = find_takes(root)
    assert (found.layout, len(found.takes)) == (layout, 1)
    assert [fault.source for fault in found.faults] == (
        ["metadata.csv", "metadata.csv, line 2"] if is_read else []
    )
