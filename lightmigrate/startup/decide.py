"""Decides, in the open database, what is done about the collections that may be of another model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lightmigrate.doctor import MOST_SEARCHED
from lightmigrate.errors import FailedGateError, LightmigrateError, ModelMismatchError, NoProjectionError, RefusedError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.embed_again import EmbedAgain, embed_again_command
from lightmigrate.migration.plan import refusal_of, require_dimension, waiting_vectors
from lightmigrate.migration.source_check import require_fitting
from lightmigrate.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.startup.detect import by_measuring
from lightmigrate.startup.lines import FOUND, NAMED, OF_A_VARIANT, evidence_of, titled
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.projected import OtherRows, ProjectedBefore
from lightmigrate.startup.projection_source import FoundProjection, ProjectionSource
from lightmigrate.startup.report import Action, CollectionReport, StartupFinding
from lightmigrate.startup.texts import StartupTexts, startup_texts
from lightmigrate.stores.base import Address, CollectionFacts, Page, Store
from lightmigrate.stores.joined import Collections
from lightmigrate.stores.open import with_database
from lightmigrate.texts.chosen import texts_of_records
from lightmigrate.texts.collection import CollectionsWithTexts
from lightmigrate.texts.source import STORED, TextSource, chosen_form
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.grouping import ModelGroup, recorded_name
from lightmigrate.vectors import Metric


@dataclass
class Decision:
    """The reports on the collections, filled in as they are decided.

    Attributes:
        source: finds projections.
        memory: of the models of the database.
        projected: tells rows that were projected to the application's model before.
        reports: one for each collection that was looked at.
        texts: where the embedded texts come from, of each collection that was measured.
        fixed: the collections that cannot have the distance of the policy, and why.
        distances: those that get it and nothing else.
        other_distance: those that could get it, and do not, because the policy does not migrate.
        is_folder: whether the database is a folder, in which collections can be embedded again.
        lasting: the collections that are left as they are for a reason that holds as long as nothing changes.
    """

    source: ProjectionSource
    memory: Memory
    projected: ProjectedBefore
    reports: dict[Address, CollectionReport] = field(default_factory=dict)
    texts: dict[Address, StartupTexts] = field(default_factory=dict)
    fixed: Mapping[Address, str] = field(default_factory=dict)
    distances: dict[Address, CollectionFacts] = field(default_factory=dict)
    other_distance: set[Address] = field(default_factory=set)
    is_folder: bool = True
    lasting: set[Address] = field(default_factory=set)

    def add_known(self, finding: StartupFinding) -> None:
        """Report on a collection that was decided without opening the database."""
        self.reports[finding.address] = CollectionReport(finding)
        if finding.mismatch:
            self._refuse([finding], "")
        elif finding.verdict in ("unknown", "variant"):
            self._warn([finding])

    def add_left(self, report: CollectionReport) -> None:
        """Report on a collection that is left as it is for the same reason as at an earlier start."""
        if report.finding.verdict == "unknown":
            self.add_known(report.finding)
        else:
            self._refuse([report.finding], report.reason)

    def add_distance(self, facts: CollectionFacts) -> bool:
        """Note a collection that is to have another distance, and has the model that it is to have, or an unknown one.

        Returns whether it gets the distance; if not, that is reported.
        """
        policy, report = self.source.policy, self.reports[facts.address]
        if report.finding.mismatch or report.finding.verdict == "damaged":
            return False
        reason = self.fixed.get(facts.address)
        if reason is None and policy.on_mismatch == "migrate":
            self.distances[facts.address] = facts
            return True
        if reason is None:
            reason = f"its distance is {facts.space}, and the policy's is {policy.distance}"
            self.other_distance.add(facts.address)
            logger.warning("⚠ %s: %s", facts.address, reason)
        self._act(report.finding, "warned", reason)
        return False

    def add_damaged(self, facts: CollectionFacts, fault: str, *, anew: bool = True) -> bool:
        """Report on a collection whose vectors cannot be read; returns whether it is to be made anew from its texts.

        Args:
            facts: about it.
            fault: what is wrong, and what helps.
            anew: whether it can be made anew here.
        """
        finding = StartupFinding.about(facts, self.source.target.stated_dimension, "damaged", fault)
        policy = self.source.policy
        if anew and policy.on_mismatch == "migrate" and policy.embed_again and self.source.target.provider is not None:
            self.reports[facts.address] = CollectionReport(finding)
            return True
        logger.warning("⚠ %s cannot be read and is left as it is: %s", facts.address, fault)
        action: Action = "refused" if policy.on_mismatch == "migrate" else "warned"
        self.reports[facts.address] = CollectionReport(finding, action, reason=fault)
        return False

    def jobs(self, store: Store, pending: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """Measure the pending collections and return the migrations. Only reads; may call the model.

        Raises:
            ModelMismatchError: there is a mismatch, and the policy says `raise`.
        """
        jobs = self._made_anew(store, pending)
        others = {address: facts for address, facts in pending.items() if address not in self.reports}
        self.texts = {
            address: startup_texts(
                store.collection(address), facts, self.source, beside_documents=len(others) <= MOST_SEARCHED
            )
            for address, facts in others.items()
        }
        embedded = CollectionsWithTexts(store, {a: texts.collection.source for a, texts in self.texts.items()})
        for address, facts in list(others.items()):
            if (finding := self.projected.finding(embedded.collection(address), facts)) is not None:
                self.reports[address] = CollectionReport(finding)
                del others[address]
        measured = by_measuring(
            OtherRows(embedded, self.projected),
            list(others.values()),
            self.source.target,
            self.source.limit,
            self._names(others),
            self.source.policy.distance,
        )
        for address, finding in measured.findings.items():
            self.reports[address] = CollectionReport(finding, texts=self.texts[address].line)
        # found among the vectors alone, or only by comparing them with those of the model
        mixed = {address: finding for address, finding in measured.findings.items() if finding.verdict == "mixed"}
        jobs += self._mixed_anew(store, {address: others[address] for address in mixed})
        for verdict in ("unknown", "variant"):
            found = [finding for finding in measured.findings.values() if finding.verdict == verdict]
            if verdict == "unknown" and self.source.policy.max_cost is None:  # nothing was too dear to be measured
                self.lasting.update(finding.address for finding in found)
            if found and not self.source.policy.migrates(found[0]):
                self._warn(found)
        computed_jobs, computed = self._computed(store, measured.findings.values())
        jobs += computed_jobs
        for group in measured.grouping.groups:
            members = [
                facts
                for facts in group.members
                if facts.address not in computed
                and facts.address not in mixed
                and self.source.policy.migrates(measured.findings[facts.address])
            ]
            members = self._possible(store, members, measured.findings)
            if members:
                wanted = replace(group, members=tuple(members))
                jobs += self._jobs_of(embedded, wanted, measured.findings, measured.grouping.samples)
        migrated = {job.address for job in jobs}
        for address, facts in others.items():
            if address not in migrated and self.source.policy.wants_distance(facts):
                self.add_distance(facts)
        jobs += self._distance_jobs(store)
        waiting = waiting_vectors(store, [job.address for job in jobs])
        for address, first in waiting.items():
            self._refuse([self.reports[address].finding], f"{first} goes first, this at the next start")
        return [job for job in jobs if job.address not in waiting]

    def _distance_jobs(self, store: Store) -> list[CollectionJob]:
        """The migrations of collections whose vectors stay as they are."""
        jobs, distance = [], self.source.policy.distance
        for address, facts in self.distances.items():
            try:
                require_dimension(store, address, facts.dimension)
            except RefusedError as error:
                logger.warning("⚠ %s: %s", address, error)
                self._act(self.reports[address].finding, "warned", str(error))
                continue
            self.reports[address] = replace(self.reports[address], distance=distance)
            logger.info("✓ %s: %s → %s, the vectors stay as they are", address, facts.space, distance)
            jobs.append(CollectionJob(address, distance=distance))
        return jobs

    def _distance_of(self, address: Address) -> Metric | None:
        """The distance that a collection gets that is migrated to another model."""
        return None if address in self.fixed else self.source.policy.distance

    def _possible(
        self, store: Store, members: Sequence[CollectionFacts], findings: Mapping[Address, StartupFinding]
    ) -> list[CollectionFacts]:
        """The collections worth learning for: their store lets them change, and it is known which texts were embedded.

        The others are reported.
        """
        if self.source.policy.on_mismatch != "migrate":
            return list(members)
        known = []
        for facts in members:
            texts = self.texts[facts.address]
            try:
                require_dimension(store, facts.address, self.source.target.dimension)
                texts.require_known()
            except LightmigrateError as error:
                self._refuse([findings[facts.address]], str(error), lasting=True)
                continue
            if texts.line:
                logger.info("%s: what was embedded is %s", facts.address, texts.line)
            known.append(facts)
        return known

    def add_emptied(self, finding: StartupFinding) -> None:
        """Report on a collection that is to be made anew for another dimension."""
        self.reports[finding.address] = CollectionReport(finding)

    def _mixed_anew(self, store: Store, mixed: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """The migrations of collections of several models: embedded again if the policy says so, or none."""
        policy, jobs = self.source.policy, []
        embeds = policy.on_mismatch == "migrate" and policy.embed_again and self.is_folder
        for address, facts in mixed.items():
            finding = self.reports[address].finding
            if embeds and self.source.target.provider is not None:
                try:
                    jobs.append(self._anew(store, facts))
                except LightmigrateError as error:
                    self._refuse([finding], str(error))
            else:
                hint = " (a start does that with LIGHTMIGRATE_EMBED_AGAIN=yes)" if self.is_folder else ""
                reason = f"its vectors are of several models, no projection fits all: embed its documents again{hint}"
                self._refuse([finding], f"{reason}{self._embedding_again(address)}", lasting=True)
        return jobs

    def _embedding_again(self, address: Address) -> str:
        """How the documents of a collection are embedded again, as the end of a sentence."""
        command = embed_again_command(self.source.folder or "FOLDER", address)
        if not self.is_folder:
            return f", in its folder when no process has it open:  {command}"
        return f", with:  {command}"

    def _made_anew(self, store: Store, pending: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """The migrations of the emptied and damaged collections among the pending ones, which are reported already."""
        jobs = []
        for address, facts in pending.items():
            if (report := self.reports.get(address)) is not None:
                try:
                    jobs.append(self._anew(store, facts))
                except LightmigrateError as error:
                    self._refuse([report.finding], str(error))
        return jobs

    def _anew(self, store: Store, facts: CollectionFacts) -> CollectionJob:
        """The migration of a collection that is made anew from its stored texts, if it has any."""
        target, provider = self.source.target, self.source.target.provider
        dimension = target.dimension or 0
        require_dimension(store, facts.address, target.dimension)
        model = Model(target.model or "unnamed", dimension) if provider is None else provider.model
        texts = STORED
        if facts.count and provider is not None:
            form = chosen_form(self.source.policy.text_field, self.source.policy.text_template)
            collection = store.collection(facts.address)
            texts = texts_of_records(collection, None if form is None else TextSource(form))
            pages = (texts.texts_of(page) for page in collection.scan(PAGE_ROWS, vectors=False))
            bills = [provider.bill([text for text in page if text and text.strip()]) for page in pages]
            dollars = (
                None if any(bill.dollars is None for bill in bills) else sum(bill.dollars or 0.0 for bill in bills)
            )
            self.source.limit.pay(provider, dollars, f"embedding the documents of {facts.address} again")
        logger.info("✓ %s is made anew for %s, %d dimensions", facts.address, model.title, dimension)
        anew, distance = EmbedAgain(model, target.embed), self._distance_of(facts.address)
        report = self.reports[facts.address]
        self.reports[facts.address] = replace(report, target_model=model.name, distance=distance)
        return CollectionJob(facts.address, anew, target.function, texts=texts, distance=distance)

    def require_no_mismatch(self) -> None:
        """Raise `ModelMismatchError` for a mismatch, when the policy says `raise`."""
        mismatches = [
            (report.finding.address, report.finding.evidence if report.finding.mismatch else report.reason)
            for report in self.reports.values()
            if report.finding.mismatch or report.finding.address in self.other_distance
        ]
        if mismatches and self.source.policy.on_mismatch == "raise":
            named = [f"collection {address}: {evidence}" for address, evidence in mismatches[:NAMED]]
            more = [f"and {len(mismatches) - NAMED} more"] if len(mismatches) > NAMED else []
            raise ModelMismatchError("; ".join([*named, *more]))

    def _names(self, collections: Mapping[Address, CollectionFacts]) -> dict[Address, str]:
        """The models that collections are recorded to be of; a store's default says nothing."""
        return {address: self.memory.model(facts) or recorded_name(facts) for address, facts in collections.items()}

    def _computed(self, store: Store, findings: Iterable[StartupFinding]) -> tuple[list[CollectionJob], set[Address]]:
        """The migrations of the model's own vectors in another form, where arithmetic suffices, and their addresses."""
        jobs: list[CollectionJob] = []
        if self.source.policy.on_mismatch != "migrate":
            return jobs, set()
        for finding in findings:
            found = None if finding.form is None or not finding.mismatch else self.source.computed(finding.form)
            if found is not None and refusal_of(store, finding.address, found.projection.info.target.dimension) is None:
                function, distance = self.source.target.function, self._distance_of(finding.address)
                jobs.append(CollectionJob(finding.address, found.projection, function, distance=distance))
                self._report(finding.address, found)
                logger.info("✓ %s: %s; computing them...", finding.address, finding.evidence)
        return jobs, {job.address for job in jobs}

    def _jobs_of(
        self,
        store: Collections,
        group: ModelGroup,
        findings: Mapping[Address, StartupFinding],
        samples: Mapping[Address, Page],
    ) -> list[CollectionJob]:
        """The migrations of collections of one model; a warning for those that have none, with the reason."""
        of_group = [findings[facts.address] for facts in group.members]
        if self.source.policy.on_mismatch != "migrate":
            self._refuse(of_group, "", lasting=True)
            return []
        try:
            fixed = any(facts.address in self.fixed for facts in group.members)
            found = self.source.find(store, group, None if fixed else self.source.policy.distance)
        except LightmigrateError as error:
            is_one = isinstance(error, FailedGateError) and len(of_group) == 1
            way_out = self._embedding_again(of_group[0].address) if is_one else ""
            self._refuse(of_group, f"{error}{way_out}", lasting=self._lasts(error))
            return []
        jobs = []
        for facts in group.members:
            address = facts.address
            try:
                projection = found.projection_for(address)
                if found.origin != "embedded":
                    require_fitting(address, samples[address].vectors, projection)
            except LightmigrateError as error:
                way_out = self._embedding_again(address) if isinstance(error, FailedGateError) else ""
                self._refuse([findings[address]], f"{error}{way_out}", lasting=self._lasts(error))
                continue
            function, texts = self.source.target.function, self.texts[address].collection.source
            distance = self._distance_of(address)
            soon_exact = self.source.soon_exact and found.origin != "embedded"
            jobs.append(
                CollectionJob(
                    address, projection, function, texts=texts, embedded=found.embedded, distance=distance,
                    soon_exact=soon_exact,
                )
            )  # fmt: skip
            self._report(address, found)
        if jobs:
            info = found.projection.info
            logger.info(
                "✓ %s %s → %s, migrating %s...", FOUND[found.origin], info.source.title, info.target.title,
                jobs[0].address if len(jobs) == 1 else f"{len(jobs)} collections",
            )  # fmt: skip
        return jobs

    def _report(self, address: Address, found: FoundProjection) -> None:
        info = found.projection.info
        self.reports[address] = replace(
            self.reports[address],
            origin=found.origin,
            source_model=info.source.name,
            target_model=info.target.name,
            preservation=found.preservation_of(address),
            distance=self._distance_of(address),
        )

    def _act(self, finding: StartupFinding, action: Action, reason: str) -> None:
        earlier = self.reports.get(finding.address, CollectionReport(finding))
        self.reports[finding.address] = replace(earlier, finding=finding, action=action, reason=reason)

    def _lasts(self, error: LightmigrateError) -> bool:
        """Whether another start would fail in the same way: neither time nor money was short, and no model failed."""
        policy = self.source.policy
        unlimited = policy.max_seconds is None and policy.max_cost is None
        return unlimited and isinstance(error, (FailedGateError, NoProjectionError))

    def _refuse(self, findings: Sequence[StartupFinding], reason: str, *, lasting: bool = False) -> None:
        """Report collections that are not migrated, with the reason."""
        if lasting:
            self.lasting.update(finding.address for finding in findings)
        migrating, reason = self.source.policy.on_mismatch == "migrate", with_database(reason, self.source.database)
        for finding in findings:
            self._act(finding, "refused" if migrating else "warned", reason)
        logger.warning(
            "⚠ %s of the application's model: %s%s", titled(findings, "is not", "are not"), evidence_of(findings),
            f". {reason}" if reason else "",
        )  # fmt: skip

    def _warn(self, findings: Sequence[StartupFinding]) -> None:
        """Report collections that can be searched, or may be, and are not quite right."""
        if findings[0].verdict == "unknown":
            title = titled(findings, "the model of its vectors", "the model of their vectors", separator=": ")
            logger.warning("%s is not known: %s", title, evidence_of(findings))
            return
        for finding in findings:
            self._act(finding, "warned", OF_A_VARIANT)
        logger.warning("⚠ %s: %s. %s", titled(findings, "", ""), evidence_of(findings), OF_A_VARIANT)
