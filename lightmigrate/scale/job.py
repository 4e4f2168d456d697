"""What a folder or a table is migrated with, and how a run knows the one that was interrupted."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lightmigrate.errors import RefusedError
from lightmigrate.files import file_sha256
from lightmigrate.projection.projection import Projection
from lightmigrate.scale.embedding import Embedding
from lightmigrate.scale.executor import Executor


class UnitJob(Protocol):
    """What units are migrated with."""

    @property
    def asked(self) -> Mapping[str, str]:
        """What tells it from other jobs: an interrupted run of the same is gone on with. Only reads."""

    @property
    def of_counted_texts(self) -> bool:
        """Whether it is for the units as they were when their texts were counted, and for no others."""

    def require_unchanged(self) -> None:
        """Count the texts again, after units were written to, where it is for counted texts. Only reads.

        Raises:
            PlanOutdatedError: they are other texts now.
        """

    def write(self, projection: Path, whole: Path) -> None:
        """Write its projection, and the digests of the texts that the new model embeds whole; calls that model.

        Args:
            projection: the file of the projection.
            whole: the file of the digests; need not be written where `for_workers` gives no model.

        Raises:
            LightmigrateError: of the kind that says why it cannot be done.
        """

    def for_workers(self, executor: Executor, whole: Path) -> contextlib.AbstractContextManager[Embedding | None]:
        """How its workers embed texts, as long as the block lasts; `None` where they do not.

        Args:
            executor: of the workers.
            whole: what `write` wrote.
        """


class ProjectionJob:
    """Units are projected, and no text is embedded. See `UnitJob`.

    Args:
        file: of the projection.
    """

    of_counted_texts = False

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def asked(self) -> Mapping[str, str]:
        """See `UnitJob`: the content of the file."""
        return {"projection": file_sha256(self._file)}

    def require_unchanged(self) -> None:
        """See `UnitJob`: it is for whatever is there."""

    def write(self, projection: Path, whole: Path) -> None:
        """See `UnitJob`: a copy."""
        require_no_extracts(Projection.load(self._file))
        shutil.copyfile(self._file, projection)

    def for_workers(self, executor: Executor, whole: Path) -> contextlib.AbstractContextManager[None]:
        """See `UnitJob`."""
        return contextlib.nullcontext()


def require_no_extracts(projection: Projection) -> None:
    """Raise `RefusedError` where a projection embeds extracts, and no plan says with which model."""
    if projection.extract_rule is not None:
        raise RefusedError(
            "this projection embeds extracts of the texts with the new model: plan with  -o FILE  and migrate with  "
            "--plan FILE"
        )


def job_of(job: UnitJob | Path) -> UnitJob:
    """A job, of which a file of a projection may stand for one."""
    return ProjectionJob(job) if isinstance(job, Path) else job
