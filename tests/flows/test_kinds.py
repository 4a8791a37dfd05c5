from __future__ import annotations

import pytest

from claims.product import load_catalogue
from flows.errors import UnknownPaperKind
from flows.kinds import check_kinds
from vision.documents import load_catalogue as read_kinds


def test_the_reader_knows_every_kind_that_the_products_ask_for() -> None:
    check_kinds(load_catalogue(), read_kinds())


def test_a_product_that_asks_for_a_kind_nobody_reads_is_refused_with_the_product_the_kind_and_what_to_do() -> None:
    known = set(read_kinds()) - {"diagnosis_page"}
    with pytest.raises(UnknownPaperKind, match=r"inpatient_medical asks for diagnosis_page.*MIAOPEI_PAPER_KINDS"):
        check_kinds(load_catalogue(), known)
