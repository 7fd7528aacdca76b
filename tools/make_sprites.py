"""Cut the sprite sheet of the bundled world from the Noto Color Emoji font (Debian: fonts-noto-color-emoji).

python tools/make_sprites.py [FONT]. The sheet is in the package, so only a change to `OBJECTS` needs this again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmel.scenes.objects import OBJECTS

CELL, COLUMNS = 80, 12
SHEET = Path(__file__).parents[1] / "mmel" / "scenes" / "sprites.png"


def glyph(font: ImageFont.FreeTypeFont, emoji: str) -> Image.Image:
    """One emoji, cropped to what it covers and fitted into a cell. Colours are premultiplied while resizing."""
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 8), emoji, font=font, embedded_color=True)
    cut = canvas.crop(canvas.getbbox())
    scale = CELL / max(cut.size)
    size = tuple(max(1, round(side * scale)) for side in cut.size)
    pixels = np.asarray(cut, np.float64)
    pixels[..., :3] *= pixels[..., 3:] / 255
    small = np.asarray(
        Image.fromarray(pixels.round().astype(np.uint8), "RGBA").resize(size, Image.Resampling.HAMMING),
        np.float64,
    )
    alpha = small[..., 3:]
    small[..., :3] = np.where(alpha > 0, small[..., :3] * 255 / np.maximum(alpha, 1), 0)
    small[alpha[..., 0] < 12] = 0
    return Image.fromarray(small.clip(0, 255).round().astype(np.uint8), "RGBA")


def main(path: str) -> None:
    """Write the sheet: one cell an object, in the order of `OBJECTS`, each glyph centred."""
    font = ImageFont.truetype(path, 109)
    rows = -(-len(OBJECTS) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL), (0, 0, 0, 0))
    for index, thing in enumerate(OBJECTS):
        sprite = glyph(font, thing.emoji)
        row, column = divmod(index, COLUMNS)
        corner = (column * CELL + (CELL - sprite.width) // 2, row * CELL + (CELL - sprite.height) // 2)
        sheet.paste(sprite, corner)
    sheet.save(SHEET, optimize=True)
    print(f"{SHEET.name}: {len(OBJECTS)} sprites, {SHEET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
