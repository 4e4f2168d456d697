"""Change the embedding model behind a vector database without embedding everything again."""

from lightmigrate.errors import (
    BackupError,
    CollectionNotFoundError,
    CostError,
    DatabaseChangedError,
    DatabaseError,
    DatabaseInUseError,
    DimensionError,
    DiskSpaceError,
    FailedError,
    FailedGateError,
    InvalidVectorsError,
    LightmigrateError,
    LocationError,
    MissingExtraError,
    MixedCollectionError,
    ModelMismatchError,
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
from lightmigrate.training import Material, Training, train
from lightmigrate.version import __version__

__all__ = [
    "BackupError",
    "Check",
    "ChromaMigrator",
    "CollectionJob",
    "CollectionNotFoundError",
    "CostError",
    "DatabaseChangedError",
    "DatabaseError",
    "DatabaseInUseError",
    "DimensionError",
    "DiskSpaceError",
    "Estimate",
    "FailedError",
    "FailedGateError",
    "Gate",
    "Identity",
    "InvalidVectorsError",
    "LightmigrateError",
    "LocationError",
    "Material",
    "MigrationResult",
    "Mismatch",
    "MissingExtraError",
    "MixedCollectionError",
    "Mixture",
    "Model",
    "ModelMismatchError",
    "NotEnoughTextsError",
    "NothingToMigrateError",
    "Progress",
    "Projection",
    "ProjectionError",
    "ProjectionFileError",
    "ProjectionInfo",
    "Provider",
    "ProviderError",
    "RefusedError",
    "Retention",
    "Rollback",
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
    "find_mixture",
    "fit",
    "gate",
    "identify",
    "measure_retention",
    "open_provider",
    "train",
]
