"""Every option that more than one command has, declared once."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lightmigrate.cli.groups import Group
from lightmigrate.commands.arguments import Budget, ModelChoice, TextsChoice
from lightmigrate.files import user_folder
from lightmigrate.migration.options import MigrationOptions

# What the rooms offer, named here because importing them would load NumPy for `--help`; a test compares them.
PROVIDERS = ("sentence-transformers", "openai", "onnx", "chroma")
METHODS = ("procrustes", "low_rank", "ridge", "kernel", "lexical", "averaged")  # those that need no extracts
InvalidVectors = Literal["refuse", "centre"]
OnWritten = Literal["refuse", "carry", "discard"]
Order = Literal["random", "newest", "retrieved", "uncertain"]
IndexRoute = Literal["keep", "rebuild", "rewrite"]
Verify = Literal["fast", "full", "none"]
Metric = Literal["l2", "cosine", "ip"]
DEFAULT_TENANT, DEFAULT_DATABASE = "default_tenant", "default_database"
REGISTRY_VARIABLE = "LIGHTMIGRATE_REGISTRY"

OLD_MODEL, NEW_MODEL, BUDGET, MIGRATION = "Old model", "New model", "Budget", "How to migrate"
EMBEDDED_TEXTS = "Texts that were embedded"


def option(help: str, *names: str, panel: str | None = None, show_default: bool = False, **more: Any) -> Any:
    """An option; without `names` it is called like its parameter."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=show_default, **more)


AsJson = Annotated[bool, option("Print one JSON document on stdout.", "--json")]
Yes = Annotated[bool, option("Go ahead without asking.", "--yes", "-y")]
ProjectionFile = Annotated[Path | None, option("File of the projection, .npz or .onnx.", "--projection", "-p")]
Collections = Annotated[
    list[str] | None,
    option(
        "Only this collection (or TENANT/DATABASE/NAME); may be repeated. Default: all that the projection takes, or "
        "whose vectors are not the new model's.",
        "--collection",
        "-c",
    ),
]
Collection = Annotated[str, option("Name of the collection; not needed if there is only one.", "--collection", "-c")]
Cache = Annotated[
    Path | None, option(f"File that keeps embeddings; default embeddings.sqlite3 in {user_folder()}.", "--cache")
]
Seed = Annotated[int, option("Seed of every random choice.", show_default=True)]
Queries = Annotated[Path | None, option("File with queries of users, .txt, .jsonl or .parquet.", "--queries")]
Distance = Annotated[
    Metric | None,
    option("Distance that the collections get; by default they keep theirs.", "--distance", panel=MIGRATION),
]
Index = Annotated[
    IndexRoute,
    option(
        "Index of a folder: keep its graph if searches find as much as before; rebuild it; or rewrite all records. "
        "Where one is not possible, the next is taken.",
        "--index",
        panel=MIGRATION,
        show_default=True,
    ),
]
Backup = Annotated[
    bool,
    option(
        "Keep the old database as a backup; without it there is no rollback.",
        "--backup/--no-backup",
        panel=MIGRATION,
        show_default=True,
    ),
]
TextsFile = Annotated[
    Path | None,
    option(
        'File of texts that the database does not store, .jsonl, one {"id": …, "text": …} a line.',
        "--texts",
        panel=EMBEDDED_TEXTS,
    ),
]
TextKey = Annotated[
    str, option("Field of the texts in --texts.", "--text-key", panel=EMBEDDED_TEXTS, show_default=True)
]
IdKey = Annotated[str, option("Field of the ids in --texts.", "--id-key", panel=EMBEDDED_TEXTS, show_default=True)]


TextField = Annotated[
    str,
    option(
        "Field of the metadata that was embedded; `document` for the stored document. Default: found in the records.",
        "--text-field",
        panel=EMBEDDED_TEXTS,
    ),
]
TextTemplate = Annotated[
    str,
    option(
        "What was embedded, of fields of the metadata and the document: '{title}: {document}'. \\n is a line break.",
        "--text-template",
        panel=EMBEDDED_TEXTS,
    ),
]


def texts_choice(texts: Path | None, text_key: str, id_key: str, text_field: str, text_template: str) -> TextsChoice:
    """Where the embedded texts come from, by these options."""
    return TextsChoice(texts, text_key, id_key, text_field, text_template.replace("\\n", "\n"))


TEXTS = Group(
    {
        "texts": (TextsFile, None),
        "text_key": (TextKey, "text"),
        "id_key": (IdKey, "id"),
        "text_field": (TextField, ""),
        "text_template": (TextTemplate, ""),
    },
    texts_choice,
)


def _model(prefix: str, panel: str, model_help: str, provider_help: str, provider: str, default: object) -> Group:
    """The options that name an embedding model, each called `--PREFIX-…`."""

    def annotated(kind: Any, help: str, name: str) -> Any:
        return Annotated[kind, option(help, f"--{prefix}-{name}", panel=panel, show_default=name == "provider")]

    parameters: dict[str, tuple[Any, Any]] = {
        f"{prefix}_model": (annotated(str, model_help, "model"), default),
        f"{prefix}_provider": (annotated(str, provider_help, "provider"), provider),
        f"{prefix}_url": (annotated(str, "Base URL of an OpenAI-compatible server.", "url"), ""),
        f"{prefix}_prefix": (annotated(str, "Put before every document, such as 'passage: '.", "prefix"), ""),
        f"{prefix}_query_prefix": (annotated(str, "Put before every query, such as 'query: '.", "query-prefix"), ""),
        f"{prefix}_revision": (annotated(str, "Commit of its weights.", "revision"), ""),
        f"{prefix}_tokenizer": (annotated(Path | None, "tokenizer.json of an ONNX encoder.", "tokenizer"), None),
    }
    if prefix == "target":
        price = option("Dollars for a million tokens, where no price is known.", "--price", panel=panel)
        parameters["price"] = (Annotated[float | None, price], None)

    def build(**values: Any) -> object:
        tokenizer = values[f"{prefix}_tokenizer"]
        return ModelChoice(
            values[f"{prefix}_model"],
            values[f"{prefix}_provider"],
            {
                "base_url": values[f"{prefix}_url"],
                "prefix": values[f"{prefix}_prefix"],
                "query_prefix": values[f"{prefix}_query_prefix"],
                "revision": values[f"{prefix}_revision"],
                "tokenizer": None if tokenizer is None else str(tokenizer),
                "price": values.get("price"),
            },
        )

    return Group(parameters, build)


_WHO = f"Its provider: {', '.join(PROVIDERS)}."
_NEW = "The new model, as its provider calls it."
REQUIRED_TARGET = _model("target", NEW_MODEL, _NEW, _WHO, "sentence-transformers", inspect.Parameter.empty)
OPTIONAL_TARGET = _model("target", NEW_MODEL, _NEW, _WHO, "sentence-transformers", "")
SOURCE = _model(
    "source",
    OLD_MODEL,
    "The old model. With stored vectors its name is enough; with its provider, its searches are measured, too.",
    f"{_WHO} Default: sentence-transformers.",
    "",
    "",
)


def _budget(budget: str, budget_tokens: int | None, max_cost: float | None, quality: float | None) -> Budget:
    return Budget(Budget.share_of(budget), budget_tokens, max_cost, quality)


BUDGETS = Group(
    {
        "budget": (
            Annotated[
                str,
                option(
                    "Choose the best setting for this share of the tokens of embedding everything, such as 10%.",
                    "--budget",
                    panel=BUDGET,
                ),
            ],
            "",
        ),
        "budget_tokens": (
            Annotated[
                int | None,
                option("Choose the best setting for so many tokens.", "--budget-tokens", panel=BUDGET, min=1),
            ],
            None,
        ),
        "max_cost": (
            Annotated[float | None, option("Choose the best setting for so many dollars.", "--max-cost", panel=BUDGET)],
            None,
        ),
        "quality": (
            Annotated[
                float | None,
                option(
                    "Choose the cheapest setting that is expected to keep this share, such as .95.",
                    "--quality",
                    panel=BUDGET,
                ),
            ],
            None,
        ),
    },
    _budget,
)


def _migration(
    backup: bool, verify: Verify, no_verify: bool, invalid_vectors: InvalidVectors, index: IndexRoute, force: bool
) -> MigrationOptions:
    if no_verify or verify == "none":
        return MigrationOptions(backup, False, invalid_vectors, force, index)
    return MigrationOptions(backup, "full" if verify == "full" else True, invalid_vectors, force, index)


MIGRATION_OPTIONS = Group(
    {
        "backup": (Backup, True),
        "verify": (
            Annotated[
                Verify,
                option(
                    "Compare everything before the exchange: read from a folder's files and, for a sample, through its "
                    "engine; all through the engine; or only the counts.",
                    "--verify",
                    panel=MIGRATION,
                    show_default=True,
                ),
            ],
            "fast",
        ),
        "no_verify": (Annotated[bool, option("The same as  --verify none.", "--no-verify", panel=MIGRATION)], False),
        "invalid_vectors": (
            Annotated[
                InvalidVectors,
                option(
                    "Vectors that are NaN, infinite or all zero: refuse them, or replace them by the centre of the new "
                    "space.",
                    "--invalid-vectors",
                    panel=MIGRATION,
                    show_default=True,
                ),
            ],
            "refuse",
        ),
        "index": (Index, "keep"),
        "force": (
            Annotated[
                bool,
                option(
                    "Migrate although the projection failed the gate, or is expected to keep no more than doing "
                    "nothing, or the vectors do not look like its source model's.",
                    "--force",
                    panel=MIGRATION,
                ),
            ],
            False,
        ),
    },
    _migration,
)
