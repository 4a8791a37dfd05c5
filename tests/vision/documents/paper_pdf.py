"""A printed page as a picture and as a PDF whose text layer agrees with it, or does not."""

from __future__ import annotations

import io
from collections.abc import Mapping

from fixtures.hostile_files import pdf_of, pdf_stream
from fixtures.papers.draw import Page

POINTS = 0.48  # of a pixel: a page 1240 px wide is 595 points
SIZE_PX = 28


def bill_page() -> Page:
    """Returns a small outpatient bill whose sums agree."""
    page = Page(1240, 900)
    for x, y, text in ROWS:
        page.text(x, y, text, SIZE_PX)
    return page


ROWS = (
    (330, 60, "杭州市医疗门诊收费票据（电子）"),
    (80, 160, "票据代码：33060226"),
    (700, 160, "票据号码：0012345678"),
    (80, 220, "交款人：范天丽"),
    (700, 220, "开票日期：2026年9月11日"),
    (80, 300, "项目名称"),
    (600, 300, "等级"),
    (900, 300, "金额（元）"),
    (80, 360, "静脉输液"),
    (610, 360, "甲"),
    (920, 360, "12.50"),
    (80, 420, "换药费"),
    (610, 420, "乙"),
    (920, 420, "47.50"),
    (80, 520, "金额合计（大写）陆拾元整"),
    (700, 520, "（小写）60.00"),
    (80, 580, "医保统筹基金支付：40.00"),
    (700, 580, "个人现金支付：20.00"),
    (80, 660, "收款单位（章）：杭州市协济医院"),
)


def as_pdf(page: Page, replaced: Mapping[str, str] | None = None, *, layer: bool = True) -> bytes:
    """Returns the page as a picture under its rows as invisible text. replaced: rows that differ in the text layer."""
    jpeg = io.BytesIO()
    page.image.save(jpeg, "JPEG", quality=92)
    width, height = page.width_px * POINTS, page.height_px * POINTS
    drawn = [f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Im1 Do Q"]
    for x, y, text in ROWS if layer else ():
        shown = (replaced or {}).get(text, text)
        hexed = shown.encode("utf-16-be").hex()
        base = height - (y + SIZE_PX * 1.1) * POINTS
        drawn.append(f"BT 3 Tr /F1 {SIZE_PX * POINTS:.2f} Tf {x * POINTS:.2f} {base:.2f} Td <{hexed}> Tj ET")
    font = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H"
        b" /DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo"
        b" << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /DW 1000 >>] >>"
    )
    picture = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8" % (
        page.width_px, page.height_px,
    )  # fmt: skip
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [6 0 R] >>",
        pdf_stream("\n".join(drawn).encode()),
        font,
        pdf_stream(jpeg.getvalue(), picture + b" /Filter /DCTDecode"),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Contents 3 0 R /Resources << /Font << /F1 4 0 R >>"
        b" /XObject << /Im1 5 0 R >> >> >>" % (width, height),
    ]
    return pdf_of(objects)
