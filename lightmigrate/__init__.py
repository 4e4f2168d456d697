"""Change the embedding model behind a vector database without embedding everything again."""

from lightmigrate.errors import (
    AnotherRunError,
    BackupError,
    CollectionNotFoundError,
    CostError,
    DatabaseChangedError,
    DatabaseError,
    DatabaseInUseError,
    DeadlineError,
    DimensionError,
    DiskSpaceError,
    FailedError,
    FailedGateError,
    InvalidVectorsError,
    LightmigrateError,
    ListedFileError,
    LocationError,
    MissingExtraError,
    MixedCollectionError,
    ModelMismatchError,
    NoProjectionError,
    NotEnoughTextsError,
    NothingToMigrateError,
    ProjectionError,
    ProjectionFileError,
    ProviderError,
    RefusedError,
    VerificationError,
    WrittenSinceError,
    WrongDirectionError,
    WrongSpaceError,
)
from lightmigrate.estimators.fit import fit
from lightmigrate.estimators.words import WordVectors
from lightmigrate.migration.migrator import ChromaMigrator, CollectionJob
from lightmigrate.migration.progress import Progress
from lightmigrate.migration.results import Check, MigrationResult, Mismatch, Rollback
from lightmigrate.migration.verify import Verification
from lightmigrate.migration.written import Written
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.open import open_provider
from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.quality.identity import Identity, identify
from lightmigrate.quality.mixture import Mixture, find_mixture
from lightmigrate.quality.retention import Estimate, Retention, measure_retention
from lightmigrate.registry.library import Candidate, Library
from lightmigrate.registry.registry import Registry
from lightmigrate.startup.hook import auto_migrate
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.report import CollectionReport, Finding, Preservation, StartReport
from lightmigrate.training import Material, Training, train
from lightmigrate.version import __version__

__all__ = [
    "AnotherRunError",
    "BackupError",
    "Candidate",
    "Check",
    "ChromaMigrator",
    "CollectionJob",
    "CollectionNotFoundError",
    "CollectionReport",
    "CostError",
    "DatabaseChangedError",
    "DatabaseError",
    "DatabaseInUseError",
    "DeadlineError",
    "DimensionError",
    "DiskSpaceError",
    "Estimate",
    "FailedError",
    "FailedGateError",
    "Finding",
    "Gate",
    "Identity",
    "InvalidVectorsError",
    "Library",
    "LightmigrateError",
    "ListedFileError",
    "LocationError",
    "Material",
    "MigrationResult",
    "Mismatch",
    "MissingExtraError",
    "MixedCollectionError",
    "Mixture",
    "Model",
    "ModelMismatchError",
    "NoProjectionError",
    "NotEnoughTextsError",
    "NothingToMigrateError",
    "Policy",
    "Preservation",
    "Progress",
    "Projection",
    "ProjectionError",
    "ProjectionFileError",
    "ProjectionInfo",
    "Provider",
    "ProviderError",
    "RefusedError",
    "Registry",
    "Retention",
    "Rollback",
    "StartReport",
    "Thresholds",
    "Training",
    "Verification",
    "VerificationError",
    "WordVectors",
    "Written",
    "WrittenSinceError",
    "WrongDirectionError",
    "WrongSpaceError",
    "__version__",
    "auto_migrate",
    "find_mixture",
    "fit",
    "gate",
    "identify",
    "measure_retention",
    "open_provider",
    "train",
]
