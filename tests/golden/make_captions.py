# SPDX-License-Identifier: MIT
"""Captions and what diffusers makes of them with beautifulsoup4 and ftfy, and without.

    python make_captions.py           writes pixart/captions.json beside this script

Needs diffusers' source (its path as an argument where it cannot be imported beside the two), bs4
4.15 and ftfy 6.3. ftfy's repair of mojibake is switched off: it is what tgate leaves out.
"""

import ast
import html
import json
import pathlib
import random
import re
import sys
import urllib.parse
import warnings

import bs4
import ftfy

HERE = pathlib.Path(__file__).resolve().parent
FILE = "pipelines/pixart_alpha/pipeline_pixart_alpha.py"
COUNT = 600

WORDS = [
    'A red fox', 'http://x.com/a_b?c=1', 'www:abc', 'foo.bar.com', '<b>', '</b>', '<br/>',
    "<p class='x y' id=3>", '&amp;', '&lt;', '&eacute;', '&#65;', '&#x41;', '&#128;', '&nbsp',
    '&amp', '&notit;', '&quot;', '@nick_name', '\u65e5\u672c\u8a9e', '\u4e00\u4e01', '\u3231',
    '\u2013', '\u2014', '\u201cq\u201d', '\u2018s\u2019', '192.168.0.1', '1:23 ', '\\n', '#123',
    '#12345', '#1234', '1234567', 'pic.png', 'a.jpg image', '"""', '....', '***', '|{}[]()',
    'this-is-my-cute-cat', 'a_b_c_d_e', 'jc6640', 'jc6640vc', '6640vc231', 'free shipping',
    'worldwide free shipping', 'free download', 'download free', 'click for more',
    'click on it', 'png images', 'jpg image', 'page  12', 'j2d1a2a', '3x4', '3.5\u044510.2',
    'a : b', 'x,y', 'z./k', ' . ', '<person>', '+', '%20', '%C3%A9', '%ff%41', '%zz',
    '\uff26\uff35\uff2c\uff2c', '\ufb01', '\uff80\uff70', '\u2028', '\r\n', '\x85', '\x1b[31m',
    '\x07', '\u0130', '\u03a3', '\u0391\u03a3', '<script>a</script>', '<style>b', '<!-- c -->',
    '<!doctype html>', '<![cdata[x]]>', '<?pi?>', '<a href="b', '</', '<', '<1', '&', '&#',
    '&#;', '&;', '&x', '<rt>k</rt>', '<template>q</template>', '<pre>  </pre>',
    '<textarea>\n\n</textarea>', '"quoted"', "'q", '_x', 'end_', 'end-', 'end+', '.dot', ': x',
    '\u0663\u0664\u0665', '\xb2', '\xbd', '\xe9', 'e\u0301', '\u200b', '\ufeff', '&#0;',
    '&#xd800;', '&#11;', '&AMP;', '&Eacute;', '&copy', '&frac12;', '&ngE;', '&acE;', '&#59;',
    '</b', '</ b >', '<b/', '<b c=', "<b 'x'>", '<b /x>', '</>', '<!>', '<!a>', '<!--',
    '<!-- --- >', '<![if x]>y<![endif]>', '<![cdata[ z',
]
CHARS = ('abcdeABC xyz0123456789 .,;:!?\'"-_#@&<>/=%'
         '+()[]{}*|\\~`\n\t \xe9\xdf\u03c3\u03a3\u0130\u65e5\u2014\u201c\u201d\u2019\ufb01\uff21\xbd\xb2\u0663\xa0\u3000\u0300;;&&<<>>')


class Fixer:
    @staticmethod
    def fix_text(text):
        return ftfy.fix_text(text, fix_encoding=False)


def cleaner(source):
    """The pipeline's own function, without the rest of diffusers."""
    tree = ast.parse(source)
    pipeline = next(n for n in tree.body
                    if isinstance(n, ast.ClassDef) and n.name == "PixArtAlphaPipeline")
    wanted = [n for n in pipeline.body
              if getattr(n, "name", "") == "_clean_caption" or
              (isinstance(n, ast.Assign) and n.targets[0].id == "bad_punct_regex")]
    module = ast.Module([ast.ClassDef("Cleaner", [], [], wanted, [])], [])
    names = {"re": re, "html": html, "ul": urllib.parse, "BeautifulSoup": bs4.BeautifulSoup,
             "ftfy": Fixer}
    exec(compile(ast.fix_missing_locations(module), FILE, "exec"), names)
    clean = names["Cleaner"]()._clean_caption
    return lambda text: clean(clean(text))


def caption(draw):
    kind = draw.random()
    if kind < 0.5:
        joint = draw.choice(["", "", " "])
        return joint.join(draw.choice(WORDS) + draw.choice(["", " ", "  ", "\n"])
                          for _ in range(draw.randint(1, 7)))
    if kind < 0.8:
        return "".join(draw.choice(CHARS) for _ in range(draw.randint(0, 40)))
    letters = list("".join(draw.choice(WORDS) + " " for _ in range(draw.randint(1, 5))))
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(letters) + 1)
        if draw.random() < 0.5 and place < len(letters):
            del letters[place]
        else:
            letters.insert(place, draw.choice(CHARS))
    return "".join(letters)


def main():
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else \
        pathlib.Path(__import__("diffusers").__file__).parent
    clean = cleaner((folder / FILE).read_text())
    draw = random.Random(7)
    texts = WORDS + [caption(draw) for _ in range(COUNT)]
    rows = []
    for text in texts:
        try:
            rows.append({"text": text, "plain": text.lower().strip(), "clean": clean(text)})
        except bs4.exceptions.ParserRejectedMarkup:
            pass
    lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    (HERE / "pixart" / "captions.json").write_text(f"[\n{lines}\n]\n")


main()
