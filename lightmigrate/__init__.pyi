from lightmigrate.bridge import BridgedEmbeddingFunction as BridgedEmbeddingFunction
from lightmigrate.budget.plan import BudgetPlan as BudgetPlan
from lightmigrate.estimators.extracts import Extracts as Extracts
from lightmigrate.estimators.fit import fit as fit
from lightmigrate.estimators.word_vectors import WordVectors as WordVectors
from lightmigrate.migration.collection_job import CollectionJob as CollectionJob
from lightmigrate.migrator import ChromaMigrator as ChromaMigrator
from lightmigrate.migrator import Migrator as Migrator
from lightmigrate.progress import Progress as Progress
from lightmigrate.projection.model import Model as Model
from lightmigrate.projection.projection import Projection as Projection
from lightmigrate.providers.base import Provider as Provider
from lightmigrate.providers.open import open_provider as open_provider
from lightmigrate.quality.gate import Thresholds as Thresholds
from lightmigrate.quality.gate import gate as gate
from lightmigrate.quality.identity import identify as identify
from lightmigrate.quality.mixture import find_mixture as find_mixture
from lightmigrate.quality.retention import measure_retention as measure_retention
from lightmigrate.registry.library import Library as Library
from lightmigrate.registry.registry import Registry as Registry
from lightmigrate.startup.hook import auto_migrate as auto_migrate
from lightmigrate.startup.policy import Policy as Policy
from lightmigrate.training.calibration_data import CalibrationData as CalibrationData
from lightmigrate.training.train import train as train
from lightmigrate.version import __version__ as __version__

__all__: list[str]
