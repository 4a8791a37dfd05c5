"""PDFs of visible text in fonts that are not embedded, as e-invoices set them: written object by object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fixtures.hostile_files import pdf_of, pdf_stream


@dataclass(frozen=True, slots=True)
class NamedFont:
    """A font by name alone. codec: turns text into the bytes of `encoding`."""

    name: str
    encoding: str
    codec: str
    ordering: str = "GB1"
    subtype: str = "CIDFontType2"


KAI_GBK = NamedFont("KaiTi_GB2312", "GBK-EUC-H", "gbk")
FONTS = (
    KAI_GBK,
    NamedFont("SimSun", "UniGB-UCS2-H", "utf-16-be"),
    NamedFont("STSong-Light", "UniGB-UCS2-H", "utf-16-be", subtype="CIDFontType0"),
    NamedFont("SimHei", "UniGB-UTF16-H", "utf-16-be"),
    NamedFont("FangSong", "GBKp-EUC-H", "gbk"),
    NamedFont("MingLiU", "ETen-B5-H", "big5", ordering="CNS1"),
)


def pdf_of_texts(
    rows: Sequence[tuple[float, float, str]],
    font: NamedFont = KAI_GBK,
    size: float = 13.5,
    box: tuple[float, float] = (595, 432),
    mode: int = 0,
) -> bytes:
    """Returns a page. rows: x, y from the top, text; in points. mode: of drawing, 3 is invisible."""
    drawn = [
        f"BT {mode} Tr /F1 {size} Tf {x:.2f} {box[1] - y:.2f} Td <{text.encode(font.codec).hex()}> Tj ET"
        for x, y, text in rows
    ]
    plain = (
        f"<< /Type /Font /Subtype /Type0 /BaseFont /{font.name} /Encoding /{font.encoding} /DescendantFonts [<< /Type"
        f" /Font /Subtype /{font.subtype} /BaseFont /{font.name} /CIDSystemInfo << /Registry (Adobe) /Ordering"
        f" ({font.ordering}) /Supplement 2 >> /DW 1000 /W [1 95 500 814 939 500] >>] >>"
    )
    return pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
            pdf_stream("\n".join(drawn).encode()),
            plain.encode(),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Contents 3 0 R"
            b" /Resources << /Font << /F1 4 0 R >> >> >>" % box,
        ]
    )
