"""What pages look like beyond the theme: focus, paper, presentations, and what Streamlit leaves.

A style sheet for the whole page, drawn once in ``app.py``.
"""

from pages.shared.palette import DARK, Look

LARGER = 1.3  # times as large as usual, in a presentation
_USUAL_PIXELS = 16  # a rem, as in .streamlit/config.toml


def sheet(style: Look, large: bool) -> str:
    """Write the style sheet of a page as HTML.

    Parameters
    ----------
    large
        Whether the page is shown to many: all sizes follow the root's, those of charts apart.
    """
    rem = LARGER * _USUAL_PIXELS if large else _USUAL_PIXELS
    tones = {"ink": style.ink, "line": style.line, "page": style.page}
    paper = _DARK_ON_PAPER if style is DARK else ""
    return f"<style>html {{font-size: {rem:g}px}}{_SHEET.format(**tones)}{paper}</style>"


_SHEET = """
/* Chips of a multiselect are white on light grey in the dark theme. */
[data-testid='stMultiSelectTagsContainer'] > span > span,
[data-testid='stMultiSelectTagsContainer'] > span > span * {{
 background-color: {line} !important; color: {ink} !important}}

/* Whatever the Tab key reaches is outlined; inputs have a border of their own. */
:is(a, button, summary, [tabindex]):focus-visible,
label:has(> input:focus-visible) {{
 outline: 2px solid {ink} !important; outline-offset: 2px !important; border-radius: .25rem}}

/* The first chart is in sight at 1280 x 720, so what stands above it stands close. */
h1 {{padding: .25rem 0 .5rem !important}}
h2 {{padding: .75rem 0 1rem !important}}

/* The name of a page that a card leads to is read in full, and so is what a button opens. */
:is([data-testid='stPageLink-NavLink'], [data-testid='stPopoverButton']) :is(span, div, p) {{
 white-space: normal; overflow: visible}}

/* No choice is cut off, on a phone or in large type. */
[data-testid='stButtonGroup'] > [role='radiogroup'] {{flex-wrap: wrap; row-gap: .25rem}}

/* A presentation is for a wall. */
@media (max-width: 640px) {{.st-key-large {{display: none}}}}

/* Paper: charts as wide as it is (browser/watch.js lets them scale), beside each other as on the
 page, and none apart from its finding. Streamlit makes everything a block of a fixed height. */
@page {{size: landscape; margin: 12mm}}
@media print {{
 * {{print-color-adjust: exact}}
 header, .lab-save, .st-key-large, [data-testid='stTooltipIcon'], [data-testid='stButton'],
 [data-testid='stDownloadButton'] {{display: none !important}}
 [data-testid='stHorizontalBlock'] {{display: flex !important}}
 [data-testid='stColumn'] {{flex: 1 1 0; min-width: 0}}
 [data-testid='stElementContainer'], [data-testid='stFullScreenFrame'],
 [data-testid='stPlotlyChart'], .js-plotly-plot, .js-plotly-plot .plot-container {{
  height: auto !important}}
 .js-plotly-plot .svg-container {{width: 100% !important; max-width: var(--lab-width) !important;
  height: auto !important; aspect-ratio: var(--lab-ratio)}}
 .js-plotly-plot .main-svg {{width: 100% !important; height: 100% !important}}
 [data-testid='stElementContainer']:has([data-testid='stHeading'], [data-testid='stMarkdown']) {{
  break-after: avoid}}
 tr, [class*='_frame'], [data-testid='stHorizontalBlock'], .lab-text, .lab-two {{
  break-inside: avoid}}
}}
"""

# Dark ink on white paper: lightness is turned round, hues stay.
_DARK_ON_PAPER = """
@media print {
 :root {color-scheme: light}
 .stApp {filter: invert(1) hue-rotate(180deg)}
 html, body, .stApp, [data-testid='stAppViewContainer'], .js-plotly-plot .main-svg {
  background: transparent !important}
}
"""
