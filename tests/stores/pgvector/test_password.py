"""A password opens the database, from wherever libpq takes it, and is in nothing that is written or said."""

from __future__ import annotations

import logging
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator, Model, Projection, auto_migrate
from lightmigrate.cli.app import main
from lightmigrate.errors import DatabaseError, PasswordNeededError
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.open import open_database
from tests.contract.postgres import PgMaker
from tests.databases import OLD, OLD_DIM, make_projection, make_vectors
from tests.encoders import ShortWordLlamaFunction
from tests.stores.pgvector.passwords import role_with_password

ROWS = 30
PASSWORD, PASSFILE = "s3cr:t/w@rd%41\\", "passfile"
TEXTS = [f"a note on the number {row}" for row in range(ROWS)]
NEW = Model("new-model", 24, normalised=False)


@pytest.fixture
def url(maker: PgMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a table as its owner gives it, who has a password; nothing holds it yet."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.delenv("PGPASSFILE", raising=False)
    maker.create("docs", OLD_DIM)
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [(f"id{row}", TEXTS[row], str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs (id, content, embedding) VALUES (%s, %s, %s)", rows)
    with role_with_password(maker, "keeper", PASSWORD):
        maker.execute(sql.SQL("ALTER TABLE docs OWNER TO keeper"))
        maker.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO keeper"))
        yield maker.locator.replace("postgres:@", "keeper@")


def given(how: str, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the password in one of the ways, and return the address."""
    if how == "environment":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    if how == "passfile":
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        file = folder / PASSFILE
        file.write_text(f"*:*:*:somebody:another\n*:*:*:keeper:{escaped}\n")
        file.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(file))
    return url.replace("keeper@", f"keeper:{quote(PASSWORD, safe='')}@") if how == "address" else url


def job(provider: Cached) -> CollectionJob:
    """Projects every record, and records which model makes them exact."""
    facts = {"model": provider.name, "provider": "", "dimension": provider.model.dimension, "reads_texts": False}
    weights = np.random.default_rng(0).normal(size=(OLD_DIM, provider.model.dimension))
    projection = Projection.affine(weights, np.zeros(provider.model.dimension), source=OLD, target=provider.model)
    embedded = EmbeddedTexts(provider, frozenset(), frozenset(), {**facts, "expected": []})
    return CollectionJob("docs", projection, embedded=embedded)


def everything_in(maker: PgMaker) -> str:
    """All rows of all tables of the database, as text."""
    with psycopg.connect(maker.conninfo) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind IN ('r', 'v', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        queries = [sql.SQL("SELECT t::text FROM {} t").format(sql.SQL(name)) for (name,) in tables]
        return str([connection.execute(query).fetchall() for query in queries])


class Written:
    """Where the password was found: in what was said, in files below a folder, in the tables of the database."""

    FORMS = (PASSWORD, PASSWORD[:6], quote(PASSWORD, safe=""), quote(PASSWORD), b64encode(PASSWORD.encode()).decode())

    def __init__(self, folder: Path, maker: PgMaker) -> None:
        self.folder, self.maker = folder, maker
        self.found: list[str] = []
        self.files: set[str] = set()

    def look(self, *said: object) -> None:
        """Search some texts, and all that there is at this moment."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != PASSFILE:
                self.files.add(path.name)
                self._search(str(path), path.read_bytes())
        self._search("a table of the database", everything_in(self.maker).encode())
        for each in said:
            self._search("what was said", str(each).encode())

    def _search(self, where: str, content: bytes) -> None:
        self.found += [f"{form} in {where}" for form in self.FORMS if form.encode() in content or form in where]


@pytest.mark.parametrize("how", ["address", "environment", "passfile"])
def test_it_opens_the_database_and_is_written_nowhere(
    url: str, how: str, maker: PgMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    file, array, written = tmp_path / "projection.npz", tmp_path / "arrays.npy", Written(tmp_path, maker)
    make_projection(target=NEW).save(file)
    np.save(array, make_vectors(ROWS))
    with pytest.raises(PasswordNeededError):
        open_database(url)
    address = given(how, url, tmp_path, monkeypatch)

    def run(*words: object, code: int = 0) -> None:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.err
        written.look(printed.out, printed.err)

    run("doctor", address)
    run("migrate", address, "-p", file, "--yes")
    run("verify", address)
    run("status", address, "--json")
    run("rollback", address, "--yes")
    run("clean", address, "--yes")
    run("migrate", address, "-p", file, "--collection", "others", "--yes", code=1)
    run("migrate", array, "--to", address, "--yes")

    provider = Cached(ChromaProvider(ShortWordLlamaFunction()))
    migrator = Migrator(address, on_progress=lambda progress: written.look(repr(progress)))
    written.look(repr(migrator.migrate([job(provider)], force=True)))
    written.look(repr(migrator.refine("docs", provider, refit=False)))
    written.look(repr([migrator, migrator.database, str(migrator.database), migrator.rollback()]))
    report = auto_migrate(address, ShortWordLlamaFunction(), collections=["docs"], on_failure="raise")
    assert report.action == "migrated"
    written.look(repr(report), report.to_json(), caplog.text)
    assert written.found == []
    assert {"lightmigrate-history.json", "lightmigrate-provenance.sqlite3", "embeddings.sqlite3"} <= written.files


def test_one_that_is_wrong_is_not_said_either(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "wr0ng:/%41"
    monkeypatch.setenv("PGPASSWORD", wrong)
    for address in (url, url.replace("keeper@", f"keeper:{quote(wrong, safe='')}@")):
        with pytest.raises(DatabaseError, match="password authentication failed") as refused:
            open_database(address)
        assert wrong[:5] not in "".join(format_exception(refused.value))
