"""What the commands use of the rooms beyond the public names: imported when a command asks for it, not for `--help`."""

from typing import TYPE_CHECKING

from lightmigrate.lazy import lazily

# What type checkers see. A test holds it to what is imported in truth, below.
if TYPE_CHECKING:
    from lightmigrate.calibration.collection import sample_collection as sample_collection
    from lightmigrate.calibration.corpus import draw as draw
    from lightmigrate.calibration.corpus import packaged_corpus as packaged_corpus
    from lightmigrate.calibration.texts import TextsFile as TextsFile
    from lightmigrate.calibration.texts import read_texts as read_texts
    from lightmigrate.calibration.words import WordCounter as WordCounter
    from lightmigrate.cli_calibrate import Calibration as Calibration
    from lightmigrate.cli_jobs import jobs_for as jobs_for
    from lightmigrate.cli_jobs import recorded_function as recorded_function
    from lightmigrate.demo.demo import Demo as Demo
    from lightmigrate.demo.demo import DemoResult as DemoResult
    from lightmigrate.dial.bridge import fit_bridge as fit_bridge
    from lightmigrate.dial.budget import BudgetPlan as BudgetPlan
    from lightmigrate.dial.database import curve_of as curve_of
    from lightmigrate.dial.database import means_of as means_of
    from lightmigrate.dial.database import refine as refine
    from lightmigrate.dial.database import status as status
    from lightmigrate.dial.migrate import migrate_by_plan as migrate_by_plan
    from lightmigrate.dial.missing_texts import MissingTexts as MissingTexts
    from lightmigrate.migration.doctor import diagnose as diagnose
    from lightmigrate.migration.doctor import diagnose_open as diagnose_open
    from lightmigrate.providers.cache import Cached as Cached
    from lightmigrate.registry.library import KINDS as KINDS
    from lightmigrate.registry.library import PACKAGED as PACKAGED
    from lightmigrate.registry.library import same_name as same_name
    from lightmigrate.registry.library import user_projections as user_projections
    from lightmigrate.registry.names import SUFFIXES as SUFFIXES
    from lightmigrate.registry.names import file_name_of as file_name_of
    from lightmigrate.stores.chroma import ChromaStore as ChromaStore
    from lightmigrate.stores.chroma import connect as connect
    from lightmigrate.stores.chroma_folder import require_unused as require_unused
    from lightmigrate.stores.with_texts import WithTexts as WithTexts
    from lightmigrate.training import Reading as Reading

    __all__: list[str]
else:
    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "calibration.collection": ("sample_collection",),
            "calibration.corpus": (
                "draw",
                "packaged_corpus",
            ),
            "calibration.texts": (
                "TextsFile",
                "read_texts",
            ),
            "calibration.words": ("WordCounter",),
            "cli_calibrate": ("Calibration",),
            "cli_jobs": (
                "jobs_for",
                "recorded_function",
            ),
            "demo.demo": (
                "Demo",
                "DemoResult",
            ),
            "dial.bridge": ("fit_bridge",),
            "dial.budget": ("BudgetPlan",),
            "dial.database": (
                "curve_of",
                "means_of",
                "refine",
                "status",
            ),
            "dial.migrate": ("migrate_by_plan",),
            "dial.missing_texts": ("MissingTexts",),
            "migration.doctor": (
                "diagnose",
                "diagnose_open",
            ),
            "providers.cache": ("Cached",),
            "registry.library": (
                "KINDS",
                "PACKAGED",
                "same_name",
                "user_projections",
            ),
            "registry.names": (
                "SUFFIXES",
                "file_name_of",
            ),
            "stores.chroma": (
                "ChromaStore",
                "connect",
            ),
            "stores.chroma_folder": ("require_unused",),
            "stores.with_texts": ("WithTexts",),
            "training": ("Reading",),
        },
    )
