"""Change the embedding model behind a vector database without embedding everything again."""

from typing import TYPE_CHECKING

from lightmigrate.lazy import lazily

# What type checkers see. A test holds it to what is imported in truth, below.
if TYPE_CHECKING:
    from lightmigrate.dial.bridge import BridgedEmbeddingFunction as BridgedEmbeddingFunction
    from lightmigrate.dial.bridge import fit_bridge as fit_bridge
    from lightmigrate.dial.budget import BudgetPlan as BudgetPlan
    from lightmigrate.dial.curve import Curve as Curve
    from lightmigrate.dial.database import curve_of as curve_of
    from lightmigrate.dial.database import refine as refine
    from lightmigrate.dial.database import status as status
    from lightmigrate.dial.migrate import migrate_by_plan as migrate_by_plan
    from lightmigrate.dial.refine import Refinement as Refinement
    from lightmigrate.dial.setting import Option as Option
    from lightmigrate.dial.setting import Setting as Setting
    from lightmigrate.dial.status import Exactness as Exactness
    from lightmigrate.errors import AnotherRunError as AnotherRunError
    from lightmigrate.errors import BackupError as BackupError
    from lightmigrate.errors import CollectionNotFoundError as CollectionNotFoundError
    from lightmigrate.errors import CostError as CostError
    from lightmigrate.errors import DatabaseChangedError as DatabaseChangedError
    from lightmigrate.errors import DatabaseError as DatabaseError
    from lightmigrate.errors import DatabaseInUseError as DatabaseInUseError
    from lightmigrate.errors import DeadlineError as DeadlineError
    from lightmigrate.errors import DimensionError as DimensionError
    from lightmigrate.errors import DiskSpaceError as DiskSpaceError
    from lightmigrate.errors import FailedError as FailedError
    from lightmigrate.errors import FailedGateError as FailedGateError
    from lightmigrate.errors import InvalidVectorsError as InvalidVectorsError
    from lightmigrate.errors import LightmigrateError as LightmigrateError
    from lightmigrate.errors import ListedFileError as ListedFileError
    from lightmigrate.errors import LocationError as LocationError
    from lightmigrate.errors import MissingExtraError as MissingExtraError
    from lightmigrate.errors import MixedCollectionError as MixedCollectionError
    from lightmigrate.errors import ModelMismatchError as ModelMismatchError
    from lightmigrate.errors import NoProjectionError as NoProjectionError
    from lightmigrate.errors import NotEnoughTextsError as NotEnoughTextsError
    from lightmigrate.errors import NothingToMigrateError as NothingToMigrateError
    from lightmigrate.errors import PlanOutdatedError as PlanOutdatedError
    from lightmigrate.errors import ProjectionError as ProjectionError
    from lightmigrate.errors import ProjectionFileError as ProjectionFileError
    from lightmigrate.errors import ProviderError as ProviderError
    from lightmigrate.errors import RefusedError as RefusedError
    from lightmigrate.errors import VerificationError as VerificationError
    from lightmigrate.errors import WrittenSinceError as WrittenSinceError
    from lightmigrate.errors import WrongDirectionError as WrongDirectionError
    from lightmigrate.errors import WrongSpaceError as WrongSpaceError
    from lightmigrate.estimators.beginnings import Beginnings as Beginnings
    from lightmigrate.estimators.fit import fit as fit
    from lightmigrate.estimators.words import WordVectors as WordVectors
    from lightmigrate.migration.migrator import ChromaMigrator as ChromaMigrator
    from lightmigrate.migration.migrator import CollectionJob as CollectionJob
    from lightmigrate.migration.progress import Progress as Progress
    from lightmigrate.migration.results import Check as Check
    from lightmigrate.migration.results import MigrationResult as MigrationResult
    from lightmigrate.migration.results import Mismatch as Mismatch
    from lightmigrate.migration.results import Rollback as Rollback
    from lightmigrate.migration.verify import Verification as Verification
    from lightmigrate.migration.written import Written as Written
    from lightmigrate.projection.model import Model as Model
    from lightmigrate.projection.model import ProjectionInfo as ProjectionInfo
    from lightmigrate.projection.projection import Projection as Projection
    from lightmigrate.providers.base import Provider as Provider
    from lightmigrate.providers.open import open_provider as open_provider
    from lightmigrate.quality.gate import Gate as Gate
    from lightmigrate.quality.gate import Thresholds as Thresholds
    from lightmigrate.quality.gate import gate as gate
    from lightmigrate.quality.identity import Identity as Identity
    from lightmigrate.quality.identity import identify as identify
    from lightmigrate.quality.mixture import Mixture as Mixture
    from lightmigrate.quality.mixture import find_mixture as find_mixture
    from lightmigrate.quality.retention import Estimate as Estimate
    from lightmigrate.quality.retention import Retention as Retention
    from lightmigrate.quality.retention import measure_retention as measure_retention
    from lightmigrate.registry.library import Candidate as Candidate
    from lightmigrate.registry.library import Library as Library
    from lightmigrate.registry.registry import Registry as Registry
    from lightmigrate.startup.hook import auto_migrate as auto_migrate
    from lightmigrate.startup.policy import Policy as Policy
    from lightmigrate.startup.report import CollectionReport as CollectionReport
    from lightmigrate.startup.report import Finding as Finding
    from lightmigrate.startup.report import Preservation as Preservation
    from lightmigrate.startup.report import StartReport as StartReport
    from lightmigrate.training import Material as Material
    from lightmigrate.training import Training as Training
    from lightmigrate.training import train as train
    from lightmigrate.version import __version__ as __version__

    __all__: list[str]
else:
    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "dial.bridge": ("BridgedEmbeddingFunction", "fit_bridge"),
            "dial.budget": ("BudgetPlan",),
            "dial.curve": ("Curve",),
            "dial.database": ("curve_of", "refine", "status"),
            "dial.migrate": ("migrate_by_plan",),
            "dial.refine": ("Refinement",),
            "dial.setting": ("Option", "Setting"),
            "dial.status": ("Exactness",),
            "errors": (
                "AnotherRunError",
                "BackupError",
                "CollectionNotFoundError",
                "CostError",
                "DatabaseChangedError",
                "DatabaseError",
                "DatabaseInUseError",
                "DeadlineError",
                "DimensionError",
                "DiskSpaceError",
                "FailedError",
                "FailedGateError",
                "InvalidVectorsError",
                "LightmigrateError",
                "ListedFileError",
                "LocationError",
                "MissingExtraError",
                "MixedCollectionError",
                "ModelMismatchError",
                "NoProjectionError",
                "NotEnoughTextsError",
                "NothingToMigrateError",
                "PlanOutdatedError",
                "ProjectionError",
                "ProjectionFileError",
                "ProviderError",
                "RefusedError",
                "VerificationError",
                "WrittenSinceError",
                "WrongDirectionError",
                "WrongSpaceError",
            ),
            "estimators.beginnings": ("Beginnings",),
            "estimators.fit": ("fit",),
            "estimators.words": ("WordVectors",),
            "migration.migrator": ("ChromaMigrator", "CollectionJob"),
            "migration.progress": ("Progress",),
            "migration.results": ("Check", "MigrationResult", "Mismatch", "Rollback"),
            "migration.verify": ("Verification",),
            "migration.written": ("Written",),
            "projection.model": ("Model", "ProjectionInfo"),
            "projection.projection": ("Projection",),
            "providers.base": ("Provider",),
            "providers.open": ("open_provider",),
            "quality.gate": ("Gate", "Thresholds", "gate"),
            "quality.identity": ("Identity", "identify"),
            "quality.mixture": ("Mixture", "find_mixture"),
            "quality.retention": ("Estimate", "Retention", "measure_retention"),
            "registry.library": ("Candidate", "Library"),
            "registry.registry": ("Registry",),
            "startup.hook": ("auto_migrate",),
            "startup.policy": ("Policy",),
            "startup.report": ("CollectionReport", "Finding", "Preservation", "StartReport"),
            "training": ("Material", "Training", "train"),
            "version": ("__version__",),
        },
    )
