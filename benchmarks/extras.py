"""Each extra alone in a fresh environment, and the first command of somebody who installed it.

Run `python benchmarks/extras.py [EXTRA …]`; all of them take minutes and gigabytes (torch). The wheel is built once.
For each extra a virtual environment gets the wheel with that extra and nothing else; a small database is made by the
extra's own packages; then the command runs. Results are kept in `results/extras.jsonl`, one line each, and the newest
of each extra becomes a row of `results/extras.md`.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "extras.jsonl"

_VECTORS = "import numpy as np\nvectors = np.eye(8, dtype=np.float32)\n"


@dataclass(frozen=True)
class Check:
    """What is tried with an extra.

    Attributes:
        command: words after `lightmigrate`; none to run the program alone.
        program: run before, in the environment and folder of the command.
        code: exit code of the command.
        shows: what it prints.
    """

    command: tuple[str, ...] = ()
    program: str = ""
    code: int = 0
    shows: str = ""


CHECKS = {
    "": Check(("doctor", "vectors.npy"), f"{_VECTORS}np.save('vectors.npy', vectors)", shows="8"),
    "chroma": Check(("demo",), shows="embedding everything"),
    "faiss": Check(
        ("doctor", "v.faiss"),
        f"{_VECTORS}import faiss\nindex = faiss.IndexFlatL2(8)\n"
        "index.add(vectors)\nfaiss.write_index(index, 'v.faiss')",
        shows="8",
    ),
    "parquet": Check(
        ("doctor", "v.parquet"),
        f"{_VECTORS}import pyarrow as pa, pyarrow.parquet as pq\n"
        "column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)\n"
        "ids = [str(n) for n in range(8)]\n"
        "pq.write_table(pa.table({'id': ids, 'text': ['a'] * 8, 'vector': column}), 'v.parquet')",
        shows="8",
    ),
    "sqlite-vec": Check(
        ("doctor", "app.db"),
        f"{_VECTORS}import apsw, sqlite_vec\ndb = apsw.Connection('app.db')\ndb.enable_load_extension(True)\n"
        "db.load_extension(sqlite_vec.loadable_path())\ndb.execute('create virtual table v using vec0(e float[8])')\n"
        "for n in range(8): db.execute('insert into v(rowid, e) values (?, ?)', (n + 1, vectors[n].tobytes()))",
        shows="8",
    ),
    "lance": Check(
        ("doctor", "v.lance"),
        f"{_VECTORS}import lance, pyarrow as pa\n"
        "column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)\n"
        "lance.write_dataset(pa.table({'id': [str(n) for n in range(8)], 'vector': column}), 'v.lance')",
        shows="8",
    ),
    "qdrant": Check(
        ("doctor", "qdrant"),
        f"{_VECTORS}from qdrant_client import QdrantClient, models as m\nclient = QdrantClient(path='qdrant')\n"
        "client.create_collection('notes', m.VectorParams(size=8, distance=m.Distance.COSINE))\n"
        "client.upsert('notes', [m.PointStruct(id=n, vector=vectors[n].tolist(), payload={}) for n in range(8)])\n"
        "client.close()",
        shows="notes",
    ),
    "milvus": Check(
        ("doctor", "v.db"),
        f"{_VECTORS}from pymilvus import MilvusClient\nclient = MilvusClient('v.db')\n"
        "client.create_collection('notes', dimension=8)\n"
        "client.insert('notes', [{'id': n, 'vector': vectors[n].tolist()} for n in range(8)])\nclient.close()",
        shows="notes",
    ),
    "pgvector": Check(("doctor", "postgresql://nobody@127.0.0.1:1/none"), code=1, shows="127.0.0.1"),
    "openai": Check(
        ("train", "--source-model", "a", "--source-provider", "openai", "--target-model", "text-embedding-3-small",
         "--target-provider", "openai", "--yes"),
        code=1,
        shows="OPENAI_API_KEY",
    ),
    "onnx": Check(
        program=f"{_VECTORS}import lightmigrate\n"
        "lightmigrate.fit(vectors, vectors, method='ridge').export_onnx('p.onnx')",
    ),
    "ray": Check(
        ("migrate", "nowhere", "-p", "p.npz", "--cluster", "ray"),
        f"{_VECTORS}import lightmigrate\nlightmigrate.fit(vectors, vectors, method='ridge').save('p.npz')",
        code=1,
        shows="nowhere is no folder of Parquet or .npy files",
    ),
    "langchain": Check(program="from lightmigrate.integrations.langchain import BridgedEmbeddings, auto_migrate"),
    "llamaindex": Check(program="from lightmigrate.integrations.llamaindex import BridgedEmbedding, auto_migrate"),
    "web": Check(
        ("report", "vectors.npy", "-o", "report.html"),
        f"{_VECTORS}import lightmigrate.web.serve\nnp.save('vectors.npy', vectors)",
        shows="written: report.html",
    ),
    "train": Check(program="import torch, sentence_transformers\nfrom lightmigrate_train import fit_mlp"),
}  # fmt: skip


def main() -> None:
    """Try what is asked for, and write the table of all that was tried."""
    chosen = sys.argv[1:] or list(CHECKS)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", home, str(ROOT)], check=True)
        (wheel,) = folder.glob("*.whl")
        for extra in chosen:
            result = tried(wheel, extra.removeprefix("none"), folder / f"env-{extra or 'none'}")
            print(result, flush=True)
            with RESULTS.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(result) + "\n")
    RESULTS.with_suffix(".md").write_text(table(), encoding="utf-8")


def tried(wheel: Path, extra: str, folder: Path) -> dict[str, object]:
    """Install one extra, and run its check."""
    check = CHECKS[extra]
    started = time.monotonic()
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wanted], check=True)
    installed = time.monotonic() - started
    output, ok = "", True
    if check.program:
        done = subprocess.run([python, "-c", check.program], cwd=folder, capture_output=True, text=True, check=False)
        output, ok = done.stdout + done.stderr, done.returncode == 0
    if ok and check.command:
        command = [str(folder / "bin" / "lightmigrate"), *check.command]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        ok = done.returncode == check.code and check.shows in output and "Traceback" not in output
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    )
    return {
        "extra": extra,
        "passed": ok,
        "installing_seconds": round(installed),
        "packages": len(json.loads(listed.stdout)),
        "python": sys.version.split()[0],
        "day": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        **({} if ok else {"output": output[-2000:]}),
    }


def table() -> str:
    """The newest result of each extra, as Markdown."""
    newest = {row["extra"]: row for row in map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())}
    lines = [
        "# Each extra alone",
        (__doc__ or "").partition("\n")[2].strip(),
        "",
        "| extra | first command | passed | packages | installing, s | Python | day |",
        "|---|---|---|--:|--:|---|---|",
    ]
    for extra, check in CHECKS.items():
        row = newest.get(extra)
        command = f"`lightmigrate {' '.join(check.command)}`" if check.command else "in Python"
        cells = ["not run", "", "", "", ""]
        if row is not None:
            cells = ["yes" if row["passed"] else "**no**", row["packages"], row["installing_seconds"]]
            cells += [row["python"], row["day"]]
        lines.append(f"| {f'`{extra}`' if extra else 'none'} | {command} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
