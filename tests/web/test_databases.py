"""The pages of databases: what they show, and what their forms do."""

from __future__ import annotations

import threading
from pathlib import Path

from starlette.testclient import TestClient

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.migrator import Migrator
from lightmigrate.progress import Progress
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.web.databases import short_key
from lightmigrate.web.pages import Site
from lightmigrate.web.runs import Run
from tests.databases import make_vectors
from tests.web.client import browser, copy_of, site_of


def page_of(folder: Path) -> str:
    return f"/d/{short_key(str(folder))}/"


def run_of(site: Site, client: TestClient, path: str, **form: str) -> Run:
    """Start a run by a form, and say yes to whatever it asks."""
    answer = client.post(path, data=form)
    assert answer.status_code == 200, answer.text
    run = site.runs.newest()[0]
    ended(run, client)
    return run


def ended(run: Run, client: TestClient, agree: bool = True) -> None:
    """Wait until a run has ended; its questions are answered through the page."""
    while run.wait(1500).state == "asking":
        assert run.question is not None
        words = {"question": run.question.text, "answer": "yes" if agree else "no"}
        assert client.post(f"/runs/{run.key}/answer", data=words).status_code == 200
    assert run.ended, run.state


def test_several_databases_are_side_by_side(database: Path) -> None:
    other = copy_of(database, "other_data")
    text = browser(site_of(database, other)).get("/").text
    for folder in (database, other):
        assert f'href="{page_of(folder)}"' in text
    assert text.count("5 collections, 140 records") == 2


def test_a_database_that_cannot_be_read_is_said_and_hides_no_other(database: Path, tmp_path: Path) -> None:
    text = browser(site_of(database, tmp_path / "gone")).get("/").text
    assert "no such folder" in text
    assert "5 collections" in text


def test_what_doctor_finds_is_there(database: Path) -> None:
    site = site_of(database)
    client = browser(site)
    assert "looking" in client.get(page_of(database)).text
    looked = client.get(f"{page_of(database)}look").text
    assert "second_tenant/archive/thought_nodes" in looked
    assert "an exchange is one step" in looked
    again = client.get(page_of(database)).text  # what was found is kept as long as nothing changes
    assert "looking" not in again
    found = client.get(f"{page_of(database)}look", params={"q": "ARCHIVE"}).text
    assert ("archive/thought_nodes" in found, "other_model" in found) == (True, False)


def test_back_and_delete_with_the_questions_of_the_command_line(database: Path, projection: Projection) -> None:
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    site = site_of(database)
    client = browser(site)
    (backup,) = migrator.backups()
    assert backup.name in client.get(page_of(database)).text

    client.post(f"{page_of(database)}do/rollback", data={"backup": backup.name})
    (run,) = site.runs.newest()
    ended(run, client, agree=False)
    assert (run.state, run.message) == ("refused", "not confirmed: nothing was changed")
    assert migrator.backups() == [backup]
    events = f"/runs/{run.key}/events"
    assert client.get(events, params={"seen": run.version}).text == "event: ended\ndata: ended\n\n"  # all was seen
    assert "refused" in client.get(events, params={"seen": run.version - 1}).text

    run = run_of(site, client, f"{page_of(database)}do/rollback", backup=backup.name)
    assert run.state == "finished", run.message
    shown = client.get(f"/runs/{run.key}").text
    assert f"{backup.name} is the database again" in shown
    assert f"lightmigrate rollback {database} --backup {backup.name}" in shown
    assert {f.dimension for f in migrator.collections() if f.name == "thought_nodes"} == {16}

    (displaced,) = migrator.backups()
    run = run_of(site, client, f"{page_of(database)}do/clean", backup=displaced.name)
    assert (run.state, migrator.backups()) == ("finished", [])


def test_a_backup_that_was_written_to_is_not_deleted_unawares(database: Path, projection: Projection) -> None:
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    (backup,) = migrator.backups()
    assert backup.reason_to_keep is None
    with open_client(backup.path) as client:
        client.get_collection("thought_nodes", embedding_function=None).upsert(
            ids=["new"], embeddings=make_vectors(1, 16)
        )
    reason = "has 1 records that were written after it was put aside"
    assert [each.reason_to_keep for each in migrator.backups()] == [reason]
    site = site_of(database)
    page = browser(site)
    assert reason in page.get(page_of(database)).text
    page.post(f"{page_of(database)}do/clean", data={"backup": backup.name})
    (run,) = site.runs.newest()
    assert run.wait(1500).state == "asking"
    assert run.question is not None
    assert run.question.text == f"Delete the backup {backup.name} for good? It {reason}."
    ended(run, page, agree=False)
    assert len(migrator.backups()) == 1


def test_a_refusal_is_that_of_the_command_line(database: Path) -> None:
    site = site_of(database)
    run = run_of(site, browser(site), f"{page_of(database)}do/rollback", backup="nothing")
    assert run.state == "failed"
    assert f"{database} has no backup" in run.message


def test_a_run_that_is_stopped_goes_on_later(database: Path, projection: Projection) -> None:
    site, begun = site_of(database), threading.Event()
    client, (page_database,) = browser(site), site.databases

    def migrate(choice: DatabaseChoice, conversation: Conversation) -> object:
        def report(progress: Progress) -> None:
            if progress.step == "write":  # all new vectors are on the disk
                begun.set()
                assert stopped.wait(600)
            assert conversation.on_progress is not None
            conversation.on_progress(progress)

        migrator = Migrator(database, page_size=20, on_progress=report)
        return migrator.migrate_collection("thought_nodes", projection)

    stopped = threading.Event()
    run = site.runs.start(page_database, migrate, kind="migrate", title="Migrate", command="lightmigrate migrate")
    assert begun.wait(600)
    assert "Stop" in client.get(f"/runs/{run.key}").text
    text = client.post(f"/runs/{run.key}/stop").text
    assert "it stops as soon as it can" in text
    stopped.set()
    assert run.wait(600).state == "stopped"
    assert "it was stopped" in client.get(f"/runs/{run.key}").text
    assert Migrator(database).interrupted
    assert run_of(site, client, f"{page_of(database)}do/resume").state == "finished"
    assert {facts.dimension for facts in Migrator(database).collections() if facts.name == "thought_nodes"} >= {24}


def test_a_question_is_no_obstacle_to_stopping(database: Path) -> None:
    site = site_of(database)
    client, (page_database,) = browser(site), site.databases
    run = site.runs.start(
        page_database,
        lambda choice, conversation: conversation.require("Go on?", "go on"),
        kind="clean",
        title="Ask",
        command="lightmigrate clean",
    )
    assert run.wait(600).state == "asking"
    client.post(f"/runs/{run.key}/stop")
    assert run.wait(600).state == "stopped"


def test_verify_says_what_the_command_says(database: Path, projection: Projection) -> None:
    Migrator(database).migrate_collection("notes", projection)
    site = site_of(database)
    client = browser(site)
    run = run_of(site, client, f"{page_of(database)}do/verify")
    assert "everything is as the migration left it" in client.get(f"/runs/{run.key}").text
