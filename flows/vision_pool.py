"""The vision of one worker: decoders, networks and readers, loaded once, run by a pool of as many threads as cores.

Decoding and OCR run in processes of their own, and torch and SIFT release the GIL, so threads keep all cores busy.
Every function here takes bytes from the evidence store and returns measurements; nothing here knows a claim's rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np

from claims.errors import NotFound
from claims.evidence import PhotoMatch, Placement
from claims.rules import RULES
from claims.store.adjudication import EvidenceRow
from claims.store.blobs import BlobStore
from claims.store.noses import StoredSketch
from flows.computing import computed
from flows.config import DescriptorConfig, WorkerConfig
from flows.errors import CutOffTooLow
from models.ocr_build import OCR_CARDS
from models.registry import CARDS, card
from vision import examine, measurement
from vision.copies import overlay
from vision.copies.copy_score import FusionModel
from vision.copies.describing import Describing, describing
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.copies.geometry import Geometry
from vision.copies.sscd import SscdFiles, measured_cut_off
from vision.decode.image import DOCUMENTS, HEAD_BYTES, Decoder, Picture, preview_jpeg, sniff
from vision.documents import Reader, load_catalogue
from vision.documents.gate import ReadPage, gated
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto, PhotoInstruments
from vision.library import Candidate, known_pictures
from vision.library.known_pictures import KnownPictures
from vision.nose import NoseComparison, NoseReader, NoseTemplate
from vision.nose.compare import align_all, compare_aligned
from vision.nose.likelihood import load_likelihood
from vision.nose.patchwork import NosePatchwork, patchwork
from vision.nose.sealing import TemplateSeal
from vision.nose.search import NoseFoundElsewhere, NoseIndex, Sketch, sketch, strong_hits
from vision.subject import shared_subject_model

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadPaper:
    """A paper page by page, and the preview of its first page."""

    pages: tuple[ReadPage | measurement.Unmeasured, ...]
    preview_sha256: str


@dataclass(frozen=True, slots=True)
class MeasuredNose:
    """A nose photo's template, or what is wrong with the photo, and the photo itself."""

    template: NoseTemplate | measurement.Unmeasured
    photo: ExaminedPhoto


class Stopwatch:
    """Counts the wall and CPU seconds of one stage. `cpu` covers this process alone; decoding and OCR run in child
    processes."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._cpu = 0.0

    def add_cpu(self, seconds: float) -> None:
        self._cpu += seconds

    def seconds(self) -> dict[str, float]:
        return {"wall": round(time.perf_counter() - self._began, 4), "cpu": round(self._cpu, 4)}


class VisionPool:
    """Measures photos, papers and noses for one worker. Thread-safe; opened by `vision_pool`."""

    def __init__(
        self,
        config: WorkerConfig,
        blobs: BlobStore,
        pool: ThreadPoolExecutor,
        decoder: Decoder,
        reader: Reader,
    ) -> None:
        self._config = config
        self._blobs = blobs
        self._pool = pool
        self._decoder = decoder
        self._reader = reader
        self._subjects = shared_subject_model(threads=1)
        self._instruments = PhotoInstruments(
            decoder,
            fingerprinter(config.descriptor),
            self._subjects,
            config.c2pa_anchors,
            config.photo_long_edge_px,
        )
        self._noses = NoseReader()
        # Nobody asks what a close-up of a nose shows.
        self._of_noses = replace(self._instruments, subjects=None, long_edge_px=config.nose_long_edge_px)
        self._seal = TemplateSeal(config.nose_keys)
        self._likelihood = load_likelihood(config.nose_cards or CARDS)

    async def compute(self, watch: Stopwatch, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in the pool; its CPU seconds go to `watch`. Raises ComputedTooLong."""
        limit = self._config.call_cpu_seconds_max
        result, cpu = await computed(self._pool, limit, lambda: function(*args, **kwargs))
        watch.add_cpu(cpu)
        return result

    def photo(self, row: EvidenceRow) -> ExaminedPhoto | ImageRefused:
        """Decode and measure a photo and write its preview. A refusal is returned, not raised: it is a fact about the
        file."""
        try:
            photo, picture = examine.measure(self._instruments, self._blobs.read(row.sha256), row.sha256)
        except ImageRefused as refusal:
            return refusal
        return replace(photo, preview_sha256=self._preview(picture))

    def compare_photo(self, photo: ExaminedPhoto, candidates: Sequence[Candidate], subject: str) -> ExaminedPhoto:
        """Compare the photo with each candidate. subject: the claimant's id."""
        return examine.against(photo, candidates, subject, self._instruments.fingerprinter.fusion)

    def explain_photo(
        self, fingerprint: Fingerprint, match: Candidate, geometry: Geometry, known: KnownPictures
    ) -> str:
        """Returns the id of the known picture that explains this match, "" when none does."""
        return known_pictures.explain(fingerprint, match.keypoints, match.thumbnail, geometry, known)

    def overlay(self, preview_sha256: str, match: PhotoMatch) -> str:
        """Draw the proof of a match from the two previews. Returns its key in the evidence store, "" when a preview is
        no longer there."""
        try:
            photo, other = (
                overlay.pixels_of(self._blobs.read(sha256)) for sha256 in (preview_sha256, match.preview_sha256)
            )
        except NotFound:
            return ""  # the other claim was erased meanwhile
        outline = match.placement.outline if isinstance(match.placement, Placement) else ()
        pairs = [(pair.x, pair.y, pair.match_x, pair.match_y) for pair in match.pairs]
        words = [match.transform, f"probability {match.probability:.4f}, {match.inliers} points agree"]
        return self._blobs.put(overlay.draw(photo, other, pairs, outline, words))

    def paper(self, row: EvidenceRow) -> ReadPaper | ImageRefused:
        """Read every page of a document, or the single page of a photo."""
        data = self._blobs.read(row.sha256)
        try:
            if sniff(data[:HEAD_BYTES]) in DOCUMENTS:
                pictures = self._decoder.render_document(data, page_count_max=self._config.pdf_pages_read_max)
            else:
                pictures = [self._decoder.decode(data, self._config.paper_long_edge_px)]
        except ImageRefused as refusal:
            return refusal
        return ReadPaper(tuple(self._page(picture) for picture in pictures), self._preview(pictures[0]))

    def _page(self, picture: Picture) -> ReadPage | measurement.Unmeasured:
        reading = self._reader.read(picture)
        if isinstance(reading, measurement.Unmeasured):
            return reading
        return gated(reading)

    def nose(self, sha256: str) -> MeasuredNose | ImageRefused:
        """Decode and measure a nose photo, as a photo and as a nose, and write its preview."""
        try:
            photo, picture = examine.measure(self._of_noses, self._blobs.read(sha256), sha256)
        except ImageRefused as refusal:
            return refusal
        return MeasuredNose(self._noses.template(picture), replace(photo, preview_sha256=self._preview(picture)))

    @property
    def fusion(self) -> FusionModel:
        """Returns the copy score of the configured descriptor."""
        return self._instruments.fingerprinter.fusion

    def compare_nose(
        self, probe: NoseTemplate, enrolled: Sequence[bytes], pet_id: str
    ) -> tuple[NoseComparison, NosePatchwork] | measurement.Unmeasured:
        """Compare a nose with a pet's enrolled templates, as a whole and in pieces. Raises TemplateUnreadable or
        TemplatesIncompatible for an enrolment of another version, TemplateKeyMissing without the key that they were
        encrypted with."""
        templates = [self.open_nose(template, pet_id) for template in enrolled]
        alignments = align_all(probe, templates)
        comparison = compare_aligned(probe.model, alignments, self._likelihood)
        if isinstance(comparison, measurement.Unmeasured):
            return comparison
        return comparison, patchwork(alignments)

    def seal_nose(self, template: NoseTemplate, pet_id: str) -> bytes:
        """Return the template as it is stored: encrypted, and bound to the pet. Raises TemplateKeyMissing."""
        return self._seal.seal(template.to_bytes(), pet_id)

    def seal_sketch(self, template: NoseTemplate, pet_id: str) -> bytes:
        """Return what a template is looked for by, as it is stored. Raises TemplateKeyMissing."""
        return self._seal.seal(sketch(template).to_bytes(), pet_id)

    def open_sketch(self, stored: StoredSketch) -> Sketch:
        """Return what `seal_sketch` made; where a row has none, the sketch of its template. Raises TemplateUnreadable,
        TemplateKeyMissing."""
        if stored.sketch:
            return Sketch.from_bytes(self._seal.open(stored.sketch, stored.pet_id))
        return sketch(self.open_nose(stored.template, stored.pet_id))

    def strong_hits(
        self, probe: NoseTemplate, short_list: Mapping[str, Sequence[NoseTemplate]], index: NoseIndex
    ) -> list[NoseFoundElsewhere]:
        """Return the pets of a short list from `index` that the probe may show, strongest first."""
        return strong_hits(probe, short_list, self._likelihood, index.pets, index.limits)

    def open_nose(self, stored: bytes, pet_id: str) -> NoseTemplate:
        """Return what `seal_nose` made. Raises TemplateUnreadable, TemplateKeyMissing."""
        return NoseTemplate.from_bytes(self._seal.open(stored, pet_id))

    def has_files(self, sha256s: Sequence[str]) -> bool:
        """True if all of these files are in the evidence store."""
        return all(self._blobs.exists(sha256) for sha256 in sha256s)

    def photo_models(self) -> tuple[str, ...]:
        """Returns the labels of the models behind every examined photo."""
        fingerprinter = self._instruments.fingerprinter
        return (fingerprinter.model, fingerprinter.fusion.label, self._subjects.label)

    def paper_models(self) -> tuple[str, ...]:
        """Returns the labels of the models that may have read a page; each reading names the one that did."""
        return tuple(card(name).label for name in OCR_CARDS)

    def warm_papers(self) -> None:
        """Start the OCR processes. Papers that come earlier wait for them; photos need not."""
        self._reader.warm()

    def try_everything(self) -> None:
        """Try a small piece of the real work: write and read a file, decode it, have an OCR process ready.

        Raises the error of whatever is missing: DecoderUnavailable, ReaderUnavailable, StoreError, OSError.
        """
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        sha256 = self._blobs.put(preview_jpeg(noise))  # the same bytes each time: one small file, swept as nobody's
        self._decoder.decode(self._blobs.read(sha256))
        self._reader.warm()

    def warm_photos(self) -> None:
        """Start the decoders and load the networks, so that the first claim does not pay for it.

        A model that does not fit the code shows here, before any claim is leased.
        """
        self.photo_models()
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        file = preview_jpeg(noise)
        pictures = list(self._pool.map(self._decoder.decode, [file] * self._config.cores))
        self._instruments.fingerprinter.fingerprint(pictures[0], hashlib.sha256(file).hexdigest())
        self._subjects.look([pictures[0].pixels])
        self._noses.template(pictures[0])

    def _preview(self, picture: Picture) -> str:
        return self._blobs.put(preview_jpeg(picture.pixels, self._config.preview_long_edge_px))


def fingerprinter(config: DescriptorConfig | None) -> Fingerprinter:
    """Returns the configured fingerprinter. Raises models.errors.ModelMissing or ModelCorrupt, CutOffTooLow."""
    return Fingerprinter(threads=1, describes=describes(config))


def describes(config: DescriptorConfig | None) -> Describing:
    """Returns the configured descriptor with its copy score. Raises models.errors.ModelMissing, ModelCorrupt, and
    CutOffTooLow for a copy score whose measured cut-off lies above the rule."""
    if config is None:
        return describing(threads=1)
    made = describing(SscdFiles(config.torchscript, config.whitening, config.thresholds), threads=1)
    measured = measured_cut_off(config.thresholds)
    if measured > RULES.photo_copied_min:
        raise CutOffTooLow(
            f"{config.thresholds}: with this descriptor honest photos are called copies too often below a probability"
            f" of {measured:g}, and the rules {RULES.version} call a photo a copy from {RULES.photo_copied_min:g} on."
            " Raise photo_copied_min under a new rules version (CONTRIBUTING.md, a changed cut-off), or go back to the"
            " built-in descriptor: unset MIAOPEI_DESCRIPTOR_TORCHSCRIPT"
        )
    return made


@contextlib.contextmanager
def vision_pool(config: WorkerConfig) -> Iterator[VisionPool]:
    """Open the vision pool of one worker. Raises models.errors.ModelMissing, ModelCorrupt, CutOffTooLow or
    vision.errors.InvalidPaperKind, which say what to do, before any claim is leased."""
    with contextlib.ExitStack() as stack:
        decoder = stack.enter_context(Decoder(processes=config.cores))
        kinds = load_catalogue(config.paper_kinds)
        reader = stack.enter_context(Reader(config.ocr_models, processes=config.readers, catalogue=kinds))
        pool = stack.enter_context(ThreadPoolExecutor(config.cores, thread_name_prefix="look"))
        yield VisionPool(config, BlobStore(config.store.evidence_url), pool, decoder, reader)
