"""How distances moved, on the command line: `migrate` says it, `status` later."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate.cli.app import main
from lightmigrate.scores.stored import SCORES_FILE
from tests.databases import make_projection
from tests.migration.test_scores import METRICS, build

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; returns its exit code, stdout and stderr."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def called(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return called


def test_from_migrate_to_thresholds(run: Run, tmp_path: Path) -> None:
    folder, file = build(tmp_path / "home" / "db"), make_projection().save(tmp_path / "p.npz")
    code, out, err = run("migrate", folder, "-p", file, "--force", "--yes")
    assert code == 0, err
    assert out.count("between nearest records: median") == 3
    assert "squared l2 distance between nearest records: median" in out
    (proposed,) = (line for line in out.splitlines() if "if results are cut off by a distance" in line)
    code, out, err = run(*proposed.partition("lightmigrate ")[2].split())
    assert code == 0, err
    assert "in place of queries: right for distances between records, but not for searches" in out
    assert f"for searches:  lightmigrate status {folder} --thresholds" in out.splitlines()[-1]

    code, out, err = run("status", folder)
    assert code == 0, err
    assert out.count("between nearest records: median") == 3
    assert f"lightmigrate status {folder} --thresholds" in out.splitlines()[-1]
    code, out, _ = run("status", folder, "--json")
    listed = json.loads(out)
    assert [one["scores"]["before"]["metric"] for one in listed] == ["cosine", "ip", "l2"]
    assert "share_exact" not in listed[0], "nothing was migrated by a plan"

    code, out, _ = run("status", folder, "--thresholds", ".3, .4", "--thresholds", "-99", "--json")
    in_cosine, _, in_l2 = (one["scores"]["thresholds"] for one in json.loads(out))
    assert [shift["threshold"] for shift in in_cosine] == [0.3, 0.4, -99]
    assert in_cosine[0]["similarity"] == pytest.approx(0.7)
    assert in_cosine[0]["low"] <= in_cosine[0]["now"] <= in_cosine[0]["high"]
    assert (in_cosine[2]["outside"], in_l2[0]["similarity"]) == ("nothing", None)
    code, out, _ = run("status", folder, "--thresholds", ".3,-99,99")
    assert code == 0
    assert "0.700 → " in out
    assert "below, above: the threshold let through nothing or everything" in out
    assert len(max(out.splitlines()[:10], key=len)) <= 90


def test_what_cannot_be_answered_is_said_in_a_line(run: Run, tmp_path: Path) -> None:
    folder, file = build(tmp_path / "home" / "db"), make_projection().save(tmp_path / "p.npz")
    code, _, err = run("status", folder, "--thresholds", "0.3")
    assert (code, "holds no distances of before and after a migration" in err) == (1, True)
    code, _, err = run("status", folder, "--thresholds", "near")
    assert (code, "--thresholds near: give numbers, with commas" in err) == (1, True)
    code, _, err = run("status", folder, "--thresholds", "nan")
    run("migrate", folder, "-p", file, "-c", "in_ip", "--force", "--yes")
    code, _, err = run("status", folder, "--thresholds", "nan")
    assert (code, "nan is not a threshold" in err) == (1, True)
    (folder / SCORES_FILE).unlink()  # as an older lightmigrate left it
    code, _, err = run("status", folder, "--thresholds", ".3")
    assert (code, "by an older lightmigrate" in err, len(err.splitlines())) == (1, True, 1)
    code, _, err = run("status", folder)
    assert (code, "nothing keeps which rows are exact" in err) == (1, True)
    (folder / SCORES_FILE).write_text("{")
    code, _, err = run("status", folder, "--thresholds", ".3")
    assert (code, "is damaged" in err) == (1, True)


def test_many_collections_are_answered_together(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightmigrate.cli.show.scores.LISTED", 1)
    folder, file = build(tmp_path / "home" / "db"), make_projection().save(tmp_path / "p.npz")
    run("migrate", folder, "-p", file, "--force", "--yes")
    assert len(METRICS) == 3
    code, out, _ = run("status", folder, "--thresholds", ".3")
    assert (code, out.count("1 collections")) == (0, 3)


def test_another_distance_is_named(run: Run, tmp_path: Path) -> None:
    folder = build(tmp_path / "home" / "db")
    code, out, err = run("migrate", folder, "-c", "in_l2", "--distance", "cosine", "--yes")
    assert code == 0, err
    assert re.search(
        r"squared l2 distance between nearest records: median \S+ before, \S+ \(cosine distance\) now", out
    )
    code, out, err = run("status", folder, "--thresholds", "4")
    assert code == 0, err
    assert "(squared l2 distance before, cosine distance now)" in out
