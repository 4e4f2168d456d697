"""`NAME.faiss`: a FAISS index, with ids and texts in files beside it: LangChain's `NAME.pkl`, or those of `beside`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.errors import LightmigrateError, MissingExtraError, RefusedError
from lightmigrate.stores.base import Metric
from lightmigrate.stores.vector_files.beside import Beside, read_beside, write_beside
from lightmigrate.stores.vector_files.langchain import LangChainRecords, read_docstore, write_docstore
from lightmigrate.stores.vector_files.suffix import SuffixFormat
from lightmigrate.stores.vector_files.table import Options, Rows, Table

if TYPE_CHECKING:
    from lightmigrate.stores.vector_files.faiss_table import FaissTable

_SUFFIX = ".faiss"


class FaissFormat(SuffixFormat):
    """See `table.Format`. Loads faiss when a file is read."""

    kind, suffix = "faiss", _SUFFIX

    def beside(self, folder: Path, name: str) -> list[str]:
        """LangChain's file, or those of ids and texts."""
        pickle = f"{name}.pkl"
        return [pickle] if (folder / pickle).is_file() else Beside.files(folder, name, _SUFFIX)

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read the index into memory, and the ids."""
        try:
            from lightmigrate.stores.vector_files.faiss_table import FaissIndex, FaissTable
        except ImportError:
            raise MissingExtraError("faiss", "faiss") from None
        path = folder / self.main(name)
        source = FaissIndex(path)
        if (folder / f"{name}.pkl").is_file():
            return FaissTable(source, read_docstore(folder / f"{name}.pkl"), path)
        keys = None if source.keys is None else source.keys.tolist()
        return FaissTable(source, read_beside(folder, name, _SUFFIX, lambda: source.count, keys), path)

    def write(
        self,
        folder: Path,
        name: str,
        rows: Rows,
        like: Table,
        metric: Metric | None,
        *,
        same: bool,
        originals: Table | None = None,
    ) -> None:
        """Build an index of the same kind, and write the files beside it."""
        from lightmigrate.stores.vector_files.faiss_table import FaissTable, write_index

        assert isinstance(like, FaissTable)  # noqa: S101  # its own format only
        if len(rows.ids) and (reason := _repeated(like)) is not None:
            raise RefusedError(f"{name}{self.suffix}: {reason}")
        keys = None if like.source.keys is None else _keys(rows, like)
        write_index(folder / self.main(name), rows, like.source, metric or like.source.metric, keys)
        if same:
            return
        stored = originals.beside if isinstance(originals, FaissTable) else None
        if isinstance(like.beside, LangChainRecords):
            known = stored if isinstance(stored, LangChainRecords) else None
            write_docstore(folder / f"{name}.pkl", rows, like.beside, known)
        elif isinstance(like.beside, Beside):
            write_beside(folder, name, _SUFFIX, rows, like.beside, stored if isinstance(stored, Beside) else None)

    def refuse(self, like: Table, dimension: int, options: Options) -> str | None:
        """Why an index like this is not built: it is not known, cannot have the dimension, is inexact, or ambiguous."""
        from lightmigrate.stores.vector_files import faiss_kind
        from lightmigrate.stores.vector_files.faiss_table import FaissTable

        assert isinstance(like, FaissTable)  # noqa: S101  # its own format only
        kind = like.source.kind
        if name := faiss_kind.unknown(kind):
            return f"its index is a {name}, which lightmigrate does not build; it builds Flat, IDMap, HNSW, IVF, SQ, PQ"
        if (reason := faiss_kind.refuse_dimension(kind, dimension)) is not None:
            return reason
        if like.lossy and not options.lossy:
            return _inexact(like)
        return _repeated(like)


def _repeated(like: FaissTable) -> str | None:
    """Why an index is not written whose vectors share labels; `None` where none do.

    Vectors of one label are in whichever lists are nearest to them. Once they are replaced these are others, and
    nothing tells any more which of them was which.
    """
    labels, count = like.source.labels, like.source.count
    if labels == count:
        return None
    return (
        f"its {count} vectors have only {labels} different labels, and an inverted file does not keep apart those of "
        "one: fill  faiss.IndexIDMap(INDEX)  around an empty one by the same  add_with_ids(VECTORS, LABELS),  which "
        "does and finds the same labels"
    )


def _inexact(like: FaissTable) -> str:
    from lightmigrate.stores.vector_files import faiss_kind
    from lightmigrate.vectors import evenly

    sample = like.vectors_of(evenly(len(like.ids), 2000))
    error = faiss_kind.codec_error(like.source.kind, sample)
    measured = "" if error is None else f", measured {error:.2g} off on average, relative to their length"
    return (
        f"its index stores vectors inexactly ({like.lossy}{measured}): the projected ones would be, too; "
        "to migrate it all the same give its address as  'file://PATH?lossy=yes'"
    )


def _keys(rows: Rows, like: FaissTable) -> Sequence[int]:
    """The label of every row: that of its record, or for a new record the next free one."""
    keys = like.source.keys
    known = {} if keys is None else dict(zip(like.ids, keys.tolist(), strict=True))
    if isinstance(like.beside, Beside) and like.beside.labels:
        try:
            return [int(record) for record in rows.ids]
        except ValueError:
            raise LightmigrateError(
                "the ids of this index are whole numbers, and a new one is not: use a number"
            ) from None
    free = max(known.values(), default=-1) + 1
    chosen = []
    for record in rows.ids:
        if record not in known:
            known[record], free = free, free + 1
        chosen.append(known[record])
    return chosen
