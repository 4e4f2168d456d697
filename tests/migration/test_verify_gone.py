"""`verify` lists a collection that is gone, and compares the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.cli.app import main
from lightmigrate.stores.chroma.client import open_client


@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_a_collection_that_is_gone_hides_no_other(
    database: Path, projection: Projection, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate([CollectionJob(name, projection) for name in ("notes", "thought_nodes")])
    with open_client(database) as client:
        if how == "deleted":
            client.delete_collection("notes")
        else:
            client.get_collection("notes", embedding_function=None).modify(name="renamed")
    notes, thoughts = migrator.verify()
    assert (notes.collection_name, notes.gone, notes.unchanged) == ("notes", True, False)
    assert (notes.records, notes.records_migrated) == (0, 30)
    assert thoughts.unchanged
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(database)])
    assert ended.value.code == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "notes is gone: it was deleted or renamed since the migration" in shown
    assert "everything else is as the migration left it" in shown
