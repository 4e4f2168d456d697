"""Run the notebook and keep what it prints and draws: `python -m website.notebook` writes its outputs anew.

Every code cell is run in order in this process, so neither a kernel nor a server is needed.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "examples" / "what_a_migration_does.ipynb"


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run all code cells and put their outputs into them. Returns the names that they have defined."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names: dict[str, Any] = {}
    for number, cell in enumerate(cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
        cell["outputs"] = [_picture(plt.figure(figure)) for figure in plt.get_fignums()]
        if printed.getvalue():
            lines = printed.getvalue().splitlines(keepends=True)
            cell["outputs"].append({"name": "stdout", "output_type": "stream", "text": lines})
        cell["execution_count"] = number + 1
        plt.close("all")
    return names


def _picture(figure: Any) -> dict[str, Any]:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=70)
    data = {"image/png": base64.b64encode(drawn.getvalue()).decode()}
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def main() -> None:
    """Write the outputs."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    run(notebook)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
